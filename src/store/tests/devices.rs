//! The view `devices`: one row for each product, device and service.

use sqlx::{AssertSqlSafe, Connection};

use crate::{
    model::Timestamp,
    store::db::DbConnection,
    store::{reader::Reader, sample},
};

/// The rows of the view over the sample with these statements.
async fn shown(changes: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = sample::every_state(folder.path()).await;
    let mut writer = DbConnection::connect(&format!("sqlite://{}", path.display()))
        .await
        .unwrap();
    sqlx::raw_sql(AssertSqlSafe(changes.to_owned()))
        .execute(&mut writer)
        .await
        .unwrap();
    sample::note_services(&mut writer).await;
    writer.close().await.unwrap();
    let mut reader = Reader::open(&path).await.unwrap();
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT concat_ws(' | ', product_key, device_key, ifnull(service, '-'), ifnull(run, '-'), ifnull(name, '-'), \
         ifnull(line, '-'), ifnull(ticket, '-'), ifnull(accepted_at, '-'), ifnull(last_throttle_at, '-')) \
         FROM devices ORDER BY product_key, device_key, service",
    )
    .fetch_all(&mut reader.connection)
    .await
    .unwrap();
    rows.join("\n")
}

#[tokio::test]
async fn a_device_shows_what_it_accepted_last_and_when_it_was_throttled_last() {
    let changes = "UPDATE payload SET product_key = 'PK0001' WHERE id = 2; \
         INSERT INTO device_throttle VALUES ('DK07', 'PK0001', 2, 1795374015200, 1795374045123), \
             ('DK15', 'PK0001', 3, 1795374015200, 1795374045123)";
    insta::assert_snapshot!(shown(changes).await, @r"
    PK0001 | DK01 | fuwu | 2 | 1 | 2 | T-007 | 2026-11-22T19:00:51.300Z | -
    PK0001 | DK07 | - | - | - | - | - | - | 2026-11-22T19:00:15.200Z
    PK0001 | DK15 | fuwu | 2 | 1 | 3 | - | 2026-11-22T19:00:51.300Z | 2026-11-22T19:00:15.200Z
    PK0001 | DK16 | fuwu | 2 | 1 | 4 | T-016 | 2026-11-22T19:00:51.300Z | -
    PK0001 | DK17 | fuwu | 2 | 1 | 5 | T-017 | 2026-11-22T19:00:51.300Z | -
    ");
}

#[tokio::test]
async fn the_service_is_what_the_data_calls() {
    for (data, services) in [
        (r#"[{"fuwu":[{"raw1":"AA"}]}]"#, "fuwu"),
        (r#"[{"a":[]},{"b":[1]}]"#, "a b"),
        (r#"[{"a":[],"b":[]}]"#, "a b"),
        (r#"[{"a":[]},{"a":[1]},{}]"#, "a"),
        (r#"[{"a":[],"a":[1]}]"#, "a"),
        (r#"[{"":[]}]"#, ""),
        (r#"[7,{"a":1}]"#, "a"),
        ("[{}]", "-"),
        ("[]", "-"),
        ("[1]", "-"),
        (r#"{"fuwu":{"raw1":1}}"#, "-"),
        (r#""fuwu""#, "-"),
        ("fuwu", "-"),
        (r#"[{"fuwu":"#, "-"),
        ("", "-"),
    ] {
        let changes =
            format!("UPDATE payload SET data = '{data}'; DELETE FROM outcome WHERE task_id = 15");
        let text = shown(&changes).await;
        let of_one: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("PK0002 | DK01"))
            .map(|line| line.split(" | ").nth(2).unwrap())
            .collect();
        assert_eq!(of_one.join(" "), services, "{data}");
    }
}

#[tokio::test]
async fn throttles_that_an_earlier_version_has_recorded_are_remembered() {
    let mut connection = DbConnection::connect("sqlite::memory:").await.unwrap();
    for script in [
        include_str!("../../../migrations/0001_initial.sql"),
        sample::EVERY_STATE,
        "UPDATE outcome SET class = 3, code = 61006 WHERE task_id = 2",
        include_str!("../../../migrations/0005_devices.sql"),
    ] {
        sqlx::raw_sql(script)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    let remembered: Vec<(String, String, i64, i64, i64)> =
        sqlx::query_as("SELECT * FROM device_throttle")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let row = |device: &str, class, at: Timestamp| {
        (device.to_owned(), "PK0001".to_owned(), class, at.0, at.0)
    };
    // The last of its two throttles.
    assert_eq!(
        remembered,
        [
            row("DK02", 3, Timestamp(1_795_374_001_300)),
            row("DK07", 2, Timestamp(1_795_374_015_200))
        ]
    );
}
