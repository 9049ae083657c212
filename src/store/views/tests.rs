//! Holds the views to what is promised of them: they are a public interface.

use std::collections::BTreeSet;

use sqlx::{ConnectOptions as _, Row, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{FILE, are_current, name, renew, statements};
use crate::{
    store::db::DbConnection,
    store::{Store, reader::Reader, sample, schema::MIGRATOR},
};

async fn columns(connection: &mut DbConnection, view: &str) -> String {
    sqlx::query_scalar::<_, String>(
        "SELECT group_concat(name, ', ' ORDER BY cid) FROM pragma_table_info(?)",
    )
    .bind(view)
    .fetch_one(connection)
    .await
    .unwrap()
}

/// A view as text: a line for each row, in the order asked for, `-` for NULL.
async fn shown(connection: &mut DbConnection, sql: &'static str) -> String {
    let rows = sqlx::query(sql).fetch_all(connection).await.unwrap();
    let lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let cells: Vec<String> = (0..row.len())
                .map(|index| {
                    row.try_get::<Option<String>, _>(index)
                        .or_else(|_| {
                            row.try_get::<Option<i64>, _>(index)
                                .map(|number| number.map(|number| number.to_string()))
                        })
                        .unwrap()
                        .unwrap_or_else(|| "-".into())
                })
                .collect();
            cells.join(" | ")
        })
        .collect();
    lines.join("\n")
}

async fn reader() -> (tempfile::TempDir, Reader) {
    let folder = tempfile::tempdir().unwrap();
    let path = sample::every_state(folder.path()).await;
    let reader = Reader::open(&path).await.unwrap();
    (folder, reader)
}

/// The names of the views that a database has itself.
async fn kept(connection: &mut SqliteConnection) -> BTreeSet<String> {
    sqlx::query_scalar("SELECT name FROM main.sqlite_schema WHERE type = 'view'")
        .fetch_all(connection)
        .await
        .unwrap()
        .into_iter()
        .collect()
}

#[tokio::test]
async fn each_view_is_kept_as_it_is_written() {
    let mut connection = SqliteConnectOptions::new()
        .in_memory(true)
        .connect()
        .await
        .unwrap();
    MIGRATOR.run(&mut connection).await.unwrap();
    let migrated = kept(&mut connection).await;
    renew(&mut connection).await.unwrap();
    assert!(are_current(&mut connection).await.unwrap());
    let written: BTreeSet<String> = statements()
        .map(|statement| name(statement).to_owned())
        .collect();
    assert_eq!(kept(&mut connection).await, written);
    assert_eq!(written.len(), FILE.matches("CREATE VIEW").count());
    let lost: Vec<_> = migrated.difference(&written).collect();
    assert!(lost.is_empty(), "only a migration has {lost:?}");
}

/// Another version with the same tables may have other views.
#[tokio::test]
async fn views_of_another_version_are_passed_over_by_readers_and_renewed_by_owners() {
    let folder = tempfile::tempdir().unwrap();
    let path = sample::every_state(folder.path()).await;
    let mut other = SqliteConnectOptions::new()
        .filename(&path)
        .connect()
        .await
        .unwrap();
    sqlx::raw_sql(
        "DROP VIEW results; CREATE VIEW results AS SELECT 1 AS run; DROP VIEW task_end; CREATE VIEW mine AS SELECT 1 AS one",
    )
    .execute(&mut other)
    .await
    .unwrap();
    let mut reader = Reader::open(&path).await.unwrap();
    let rows = shown(
        &mut reader.connection,
        "SELECT count(*) FROM results WHERE run = 1 AND state = 'failed'",
    );
    assert_eq!(rows.await, "4");
    reader.close().await.unwrap();
    assert!(!are_current(&mut other).await.unwrap());
    Store::open(&path).await.unwrap().close().await.unwrap();
    assert!(are_current(&mut other).await.unwrap());
    assert!(kept(&mut other).await.contains("mine"));
}

#[tokio::test]
async fn the_columns_are_the_documented_ones() {
    let (_folder, mut reader) = reader().await;
    for (view, documented) in [
        (
            "runs",
            "run, name, manifest, identity, base_url, state, created_at, started_at, finished_at, tasks, accepted, failed, in_doubt, \
             pending, snoozing, in_flight, skipped, paused_by, paused_at, cancelled_by, tags",
        ),
        (
            "results",
            "run, name, line, product_key, device_key, state, class, code, message, ticket, attempts, request_id, due_at, finished_at, \
             data, labels, qos, is_cache, cache_time, is_cover, extend_para, delivery, delivery_at",
        ),
        (
            "attempts",
            "run, name, line, product_key, device_key, request_id, attempt, outcome, code, message, ticket, sent_at, latency_ms",
        ),
        (
            "deliveries",
            "run, name, line, product_key, device_key, ticket, delivery, evidence, at, recorded_at, answer",
        ),
        (
            "devices",
            "product_key, device_key, service, run, name, line, ticket, accepted_at, last_throttle_at",
        ),
        (
            "requests",
            "run, name, request_id, product_key, devices, sent_at, finished_at, http_status, code, message, error, latency_ms",
        ),
        (
            "sessions",
            "session, run, name, command, arguments, note, user, host, pid, version, began_at, ended_at, stop, reason, exit_code, sent, \
             accepted, failed, in_doubt, requests, sends, staging_ms, canary_ms, sending_ms, paused_ms",
        ),
        (
            "pruned_runs",
            "run, name, manifest, identity, base_url, state, created_at, started_at, finished_at, tasks, accepted, failed, in_doubt, \
             skipped, pruned_at",
        ),
        (
            "parts",
            "run, name, part, state, tasks, accepted, failed, in_doubt, skipped, pending, worker, finished_at",
        ),
    ] {
        assert_eq!(
            columns(&mut reader.connection, view).await,
            documented,
            "{view}"
        );
    }
}

#[tokio::test]
async fn a_task_in_each_state_is_shown_in_it() {
    let (_folder, mut reader) = reader().await;
    let sql = "SELECT line, device_key, state, class, code, ticket, attempts, request_id, due_at, finished_at FROM results
               WHERE run = 1 ORDER BY line DESC";
    insta::assert_snapshot!(shown(&mut reader.connection, sql).await, @r"
    14 | DK01 | accepted | accepted | 200 | 1335004867605954560 | 1 | 1 | - | 2026-11-22T19:00:01.300Z
    13 | DK02 | failed | rejected | 70091 | - | 1 | 1 | - | 2026-11-22T19:00:01.300Z
    12 | DK03 | failed | offline | 61002 | - | 1 | 1 | - | 2026-11-22T19:00:01.300Z
    11 | DK04 | in_doubt | in_doubt | - | - | 2 | 4 | - | 2026-11-22T19:00:15.200Z
    10 | DK01 | skipped | - | - | - | 0 | - | - | 2026-11-22T19:00:00.123Z
    9 | DK06 | pending | transient | 50000 | - | 1 | 1 | 2026-11-22T19:00:20.123Z | -
    8 | DK07 | pending | frequency | 61007 | - | 2 | 4 | 2026-11-22T19:00:45.123Z | -
    7 | DK08 | in_flight | in_doubt | - | - | 1 | 3 | - | -
    6 | DK09 | in_flight | - | - | - | 0 | - | - | -
    5 | DK09 | pending | - | - | - | 0 | - | - | -
    4 | DK11 | pending | - | - | - | 0 | - | - | -
    3 |  | failed | invalid | - | - | 0 | - | - | 2026-11-22T19:00:00.123Z
    2 | DK02 | failed | blocked | - | - | 0 | - | - | 2026-11-22T19:00:01.300Z
    ");
}

#[tokio::test]
async fn tasks_in_a_span_are_shown_as_others_are() {
    let (_folder, mut reader) = reader().await;
    let sql = "SELECT line, device_key, state, class, code, message, ticket, attempts, request_id, finished_at FROM results WHERE run = 2";
    insta::assert_snapshot!(shown(&mut reader.connection, sql).await, @r"
    2 | DK01 | accepted | accepted | 200 | - | T-007 | 1 | 6 | 2026-11-22T19:00:51.300Z
    3 | DK15 | accepted | accepted | 201 | - | - | 1 | 6 | 2026-11-22T19:00:51.300Z
    4 | DK16 | accepted | accepted | 200 | OK | T-016 | 1 | 6 | 2026-11-22T19:00:51.300Z
    5 | DK17 | accepted | accepted | 200 | OK | T-017 | 1 | 6 | 2026-11-22T19:00:51.300Z
    ");
}

#[tokio::test]
async fn the_counts_of_a_run_add_up_and_agree_with_its_results() {
    let (_folder, mut reader) = reader().await;
    let sql = "SELECT run, tasks, accepted, failed, in_doubt, pending, snoozing, in_flight, skipped FROM runs ORDER BY run";
    insta::assert_snapshot!(shown(&mut reader.connection, sql).await, @r"
    1 | 13 | 1 | 4 | 1 | 6 | 1 | 2 | 1
    2 | 4 | 4 | 0 | 0 | 0 | 0 | 0 | 0
    ");
    let sql = "SELECT run FROM runs AS r WHERE accepted + failed + in_doubt + pending + skipped <> tasks
                   OR tasks <> (SELECT count(*) FROM results WHERE run = r.run)
                   OR in_flight <> (SELECT count(*) FROM results WHERE run = r.run AND state = 'in_flight')
                   OR pending <> (SELECT count(*) FROM results WHERE run = r.run AND state IN ('pending', 'in_flight'))
                   OR failed <> (SELECT count(*) FROM results WHERE run = r.run AND state = 'failed')";
    assert_eq!(
        shown(&mut reader.connection, sql).await,
        "",
        "runs whose views contradict each other"
    );
}

#[tokio::test]
async fn every_send_is_an_attempt_and_released_requests_are_none() {
    let (_folder, mut reader) = reader().await;
    let sql = "SELECT run, line, request_id, attempt, outcome, code, ticket, sent_at, latency_ms FROM attempts
               ORDER BY run, line, attempt";
    insta::assert_snapshot!(shown(&mut reader.connection, sql).await, @r"
    1 | 7 | 1 | 1 | in_doubt | - | - | 2026-11-22T19:00:01.200Z | 100
    1 | 8 | 1 | 1 | frequency | 61007 | - | 2026-11-22T19:00:01.200Z | 100
    1 | 8 | 4 | 2 | frequency | 61007 | - | 2026-11-22T19:00:05.200Z | 10000
    1 | 9 | 1 | 1 | transient | 50000 | - | 2026-11-22T19:00:01.200Z | 100
    1 | 11 | 1 | 1 | in_doubt | - | - | 2026-11-22T19:00:01.200Z | 100
    1 | 11 | 4 | 2 | in_doubt | - | - | 2026-11-22T19:00:05.200Z | 10000
    1 | 12 | 1 | 1 | offline | 61002 | - | 2026-11-22T19:00:01.200Z | 100
    1 | 13 | 1 | 1 | rejected | 70091 | - | 2026-11-22T19:00:01.200Z | 100
    1 | 14 | 1 | 1 | accepted | 200 | 1335004867605954560 | 2026-11-22T19:00:01.200Z | 100
    2 | 2 | 6 | 1 | accepted | 200 | T-007 | 2026-11-22T19:00:51.200Z | 100
    2 | 3 | 6 | 1 | accepted | 201 | - | 2026-11-22T19:00:51.200Z | 100
    2 | 4 | 6 | 1 | accepted | 200 | T-016 | 2026-11-22T19:00:51.200Z | 100
    2 | 5 | 6 | 1 | accepted | 200 | T-017 | 2026-11-22T19:00:51.200Z | 100
    ");
    let sql = "SELECT run, request_id, product_key, devices, sent_at, finished_at, http_status, code, error, latency_ms FROM requests
               ORDER BY request_id";
    insta::assert_snapshot!(shown(&mut reader.connection, sql).await, @r"
    1 | 1 | PK0001 | 7 | 2026-11-22T19:00:01.200Z | 2026-11-22T19:00:01.300Z | 200 | 200 | - | 100
    1 | 2 | PK0001 | 1 | 2026-11-22T19:00:12.123Z | - | - | - | - | -
    1 | 3 | PK0001 | 1 | 2026-11-22T19:00:12.123Z | - | - | - | - | -
    1 | 4 | PK0001 | 2 | 2026-11-22T19:00:05.200Z | 2026-11-22T19:00:15.200Z | - | - | no reply within 10 s | 10000
    2 | 6 | PK0002 | 4 | 2026-11-22T19:00:51.200Z | 2026-11-22T19:00:51.300Z | 200 | 200 | - | 100
    ");
}
