use std::path::Path;

use sqlx::{AssertSqlSafe, ConnectOptions as _, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use super::*;
use crate::{
    model::{Delivery, EvidenceSource, TimeRange},
    store::{
        sample::{self, at},
        send_time::UNNOTED,
    },
};

/// The sample with one task in doubt, that of line 11 and device DK04, after these statements.
async fn open(changes: &str) -> (TempDir, Store, Run) {
    let folder = tempfile::tempdir().unwrap();
    let path = sample::every_state(folder.path()).await;
    execute(&path, changes).await;
    let mut store = Store::open(&path).await.unwrap();
    let run = store.run_by_name("north-1a2b3c4d").await.unwrap().unwrap();
    (folder, store, run)
}

async fn execute(path: &Path, sql: &str) {
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .connect()
        .await
        .unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

async fn only_doubt(store: &mut Store, run: &Run) -> InDoubtTask {
    let mut doubts = store.doubts(run, TaskId(0), 10).await.unwrap();
    assert_eq!(doubts.len(), 1);
    doubts.remove(0)
}

fn window(from: i64, to: i64) -> TimeRange {
    TimeRange {
        from: at(from),
        to: at(to),
    }
}

async fn text(store: &mut Store, sql: &'static str) -> String {
    sqlx::query_scalar(sql)
        .fetch_one(&mut store.connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_task_in_doubt_has_all_its_sends_in_doubt() {
    let (_folder, mut store, run) = open("").await;
    let doubt = only_doubt(&mut store, &run).await;
    assert_eq!((doubt.line, &*doubt.device_key), (11, "DK04"));
    assert_eq!(&*doubt.data, r#"[{"fuwu":[{"raw1":"AA"}]}]"#);
    let sends: Vec<(u32, TimeRange)> = doubt
        .sends
        .iter()
        .map(|send| (send.attempt, send.window))
        .collect();
    assert_eq!(sends, [(1, window(1077, 1177)), (2, window(5077, 15_077))]);
    assert!(doubt.competing.is_empty() && doubt.recorded.is_empty());
    assert!(store.doubts(&run, doubt.task, 10).await.unwrap().is_empty());
    assert_eq!(store.resends_in_doubt(&run).await.unwrap(), 1);
}

#[tokio::test]
async fn what_else_was_sent_to_the_device_is_known() {
    // In this run: one under way, and a first send claimed by a range. In another run to the same place: one accepted without a ticket,
    // and one with.
    let (_folder, mut store, run) = open(
        "UPDATE task SET device_key = 'DK04' WHERE id IN (8, 9, 14, 15); \
         UPDATE device_task SET device_key = 'DK04' WHERE task_id IN (8, 9, 14, 15); \
         UPDATE run SET base_url = 'https://iot-api.acceleronix.io' WHERE id = 2; \
         UPDATE payload SET product_key = 'PK0001' WHERE id = 2;",
    )
    .await;
    let doubt = only_doubt(&mut store, &run).await;
    let mut competing: Vec<(TimeRange, &str)> = doubt
        .competing
        .iter()
        .map(|competitor| (competitor.window, &*competitor.data))
        .collect();
    competing.sort_by_key(|(window, _)| window.from);
    let (own, other) = (
        r#"[{"fuwu":[{"raw1":"AA"}]}]"#,
        r#"[{"fuwu":[{"raw1":"BB"}]}]"#,
    );
    let unnoted = 12_000 + UNNOTED.as_millis() as i64;
    assert_eq!(
        competing,
        [
            (window(1077, 1177), own),
            (window(12_000, unnoted), own),
            (window(12_000, unnoted), own),
            (window(51_077, 51_177), other),
        ]
    );
    assert_eq!(doubt.recorded, HashSet::from_iter(Ticket::new("T-007")));
}

#[tokio::test]
async fn another_product_or_platform_is_another_device() {
    let (_folder, mut store, run) = open(
        "UPDATE task SET device_key = 'DK04' WHERE id IN (14, 15); \
         UPDATE device_task SET device_key = 'DK04' WHERE task_id IN (14, 15); \
         UPDATE payload SET product_key = 'PK0001' WHERE id = 2;",
    )
    .await;
    let doubt = only_doubt(&mut store, &run).await;
    assert!(doubt.competing.is_empty() && doubt.recorded.is_empty());
}

#[tokio::test]
async fn an_end_that_a_crash_left_to_the_next_start_is_not_believed() {
    let (_folder, mut store, run) = open(
        "UPDATE request SET sent_at = NULL, latency_ms = NULL, finished_at = finished_at + 86400000 WHERE id = 4; \
         UPDATE request SET sent_at = NULL, latency_ms = NULL, finished_at = claimed_at + 50 WHERE id = 1;",
    )
    .await;
    let doubt = only_doubt(&mut store, &run).await;
    let windows: Vec<TimeRange> = doubt.sends.iter().map(|send| send.window).collect();
    assert_eq!(
        windows,
        [
            window(1000, 1050),
            window(5000, 5000 + UNNOTED.as_millis() as i64)
        ]
    );
}

#[tokio::test]
async fn an_adopted_task_is_accepted_in_every_view_and_count() {
    // It blocks a later task, which in turn blocks another.
    let (_folder, mut store, run) = open(
        "UPDATE follower SET previous_id = 4 WHERE task_id = 13; \
         INSERT INTO follower (previous_id, task_id) VALUES (13, 11); \
         INSERT INTO outcome (task_id, state, class, attempts, finished_at) VALUES (11, 2, 11, 0, 0); \
         UPDATE tally SET n = n + 1 WHERE run_id = 1 AND class = 11;",
    )
    .await;
    let adoption = Adoption {
        task: TaskId(4),
        ticket: Ticket::new("1335004867605954999").unwrap(),
        message: "adopted".into(),
        proof: Some(Proof {
            delivery: Delivery::Answered,
            source: EvidenceSource::History,
            at: Some(at(7000)),
            known_at: at(99_000),
            answer: Some("[1]".into()),
        }),
    };
    let adopted = store
        .adopt(
            &run,
            std::slice::from_ref(&adoption),
            at(99_000),
            crate::journal::delivery::fold,
        )
        .await
        .unwrap();
    assert_eq!((adopted.accepted, adopted.blocked), (1, 2));
    assert_eq!(
        text(
            &mut store,
            "SELECT line || ' ' || ticket || ' ' || delivery || ' ' || evidence || ' ' || at || ' ' || answer FROM deliveries"
        )
        .await,
        "11 1335004867605954999 answered history 2026-11-22T19:00:07.123Z [1]"
    );
    assert_eq!(
        text(
            &mut store,
            "SELECT state || ' ' || class || ' ' || coalesce(code, '-') || ' ' || message || ' ' || ticket || ' ' || attempts \
             FROM results WHERE run = 1 AND line = 11"
        )
        .await,
        "accepted accepted - adopted 1335004867605954999 2"
    );
    assert_eq!(
        text(
            &mut store,
            "SELECT group_concat(attempt || ' ' || outcome || ' ' || coalesce(ticket, '-'), ', ' ORDER BY attempt) \
             FROM attempts WHERE run = 1 AND line = 11"
        )
        .await,
        "1 in_doubt -, 2 accepted 1335004867605954999"
    );
    assert_eq!(
        text(
            &mut store,
            "SELECT accepted || ' ' || failed || ' ' || in_doubt FROM runs WHERE run = 1"
        )
        .await,
        "2 5 0"
    );
    assert_eq!(
        text(
            &mut store,
            "SELECT count(*) || '' FROM ( \
                 SELECT state, coalesce(class, 0), coalesce(code, 0), count(*) FROM outcome WHERE task_id < 14 GROUP BY 1, 2, 3 \
                 EXCEPT SELECT state, class, code, n FROM tally WHERE run_id = 1)"
        )
        .await,
        "0"
    );
    assert!(store.doubts(&run, TaskId(0), 10).await.unwrap().is_empty());

    // Nothing twice: somebody else may have decided it meanwhile.
    let again = store
        .adopt(
            &run,
            &[adoption],
            at(99_000),
            crate::journal::delivery::fold,
        )
        .await
        .unwrap();
    assert_eq!(again.accepted, 0);
    assert_eq!(
        text(&mut store, "SELECT accepted || '' FROM runs WHERE run = 1").await,
        "2"
    );
}
