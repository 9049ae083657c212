//! Small results databases for tests, written row by row.

use std::path::{Path, PathBuf};

use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};

use super::{Store, StoreError, db::DbConnection, payload, schema, views};
use crate::model::{PayloadId, RunId, Timestamp};

/// The time at which the samples' first run was created.
const START: i64 = 1_795_374_000_123;

/// So many milliseconds after the samples' first run was created.
pub(crate) fn at(milliseconds: i64) -> Timestamp {
    Timestamp(START + milliseconds)
}

/// Opens a database that may have been dropped in the middle: SQLite closes it in the background, and has its lock until then.
pub(crate) async fn opened(path: &Path) -> Store {
    loop {
        match Store::open(path).await {
            Err(StoreError::Owned { .. }) => tokio::task::yield_now().await,
            opened => return opened.unwrap(),
        }
    }
}

/// A database without a run, as a push leaves it: in WAL mode.
pub(crate) async fn empty(folder: &Path) -> PathBuf {
    with_rows(folder, &[]).await
}

/// A database with a task in every state: run 1 under way, run 2 complete, run 3 being staged.
pub(crate) async fn every_state(folder: &Path) -> PathBuf {
    with_rows(folder, &[EVERY_STATE, SPAN]).await
}

/// A database with one run of `tasks` tasks, line by line: the odd ones pending, the even ones failed.
pub(crate) async fn alternating(folder: &Path, tasks: i64) -> PathBuf {
    let path = empty(folder).await;
    let mut connection = SqliteConnectOptions::new()
        .filename(&path)
        .connect()
        .await
        .unwrap();
    for sql in [
        "INSERT INTO run (id, name, manifest, manifest_sha256, defaults, base_url, identity, state, created_at, tasks, first_task,
                          end_task, next_task)
         VALUES (1, 'alternating', 'm.csv', '', '{}', 'simulator', 'a', 'stopped', 0, ?1, 1, ?1 + 1, 1)",
        "INSERT INTO payload (id, run_id, digest, product_key, data) SELECT 1, 1, x'01', 'PK', '[]' WHERE ?1 > 0",
        "WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < ?1)
         INSERT INTO task (id, payload_id, line, device_key) SELECT id, 1, id, 'DK' || id FROM n",
        "INSERT INTO outcome (task_id, state, class, code, attempts, finished_at)
         SELECT id, 2, 10, 70091, 0, 0 FROM task WHERE id % 2 = 0 AND id <= ?1",
        "INSERT INTO tally (run_id, state, class, code, n) VALUES (1, 2, 10, 70091, ?1 / 2)",
    ] {
        sqlx::query(sql).bind(tasks).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
    path
}

async fn with_rows(folder: &Path, scripts: &[&'static str]) -> PathBuf {
    let path = folder.join("fleetpush.db");
    let mut connection = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
        .connect()
        .await
        .unwrap();
    schema::migrate(&mut connection).await.unwrap();
    views::renew(&mut connection).await.unwrap();
    for script in scripts {
        sqlx::raw_sql(*script)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    let mut connection = DbConnection::from(connection);
    note_services(&mut connection).await;
    connection.close().await.unwrap();
    path
}

/// Notes anew what services the payloads call, as staging does, after statements that have written some.
pub(super) async fn note_services(connection: &mut DbConnection) {
    sqlx::query("DELETE FROM called_service")
        .execute(&mut *connection)
        .await
        .unwrap();
    payload::note_services(connection, RunId(0), PayloadId(0), PayloadId(i64::MAX))
        .await
        .unwrap();
}

/// The end of two tasks of run 2, as it is written when neighbours are accepted alike.
const SPAN: &str = "
INSERT INTO accepted_span (first_task, end_task, request_id, code, message, ticket_bytes, tickets, finished_at)
VALUES (16, 18, 6, 200, 'OK', 5, CAST('T-016T-017' AS BLOB), 1795374051300)";

/// Times are `START` and so many milliseconds. Lines run against the ids, since tasks are laid out by payload. As far as the
/// first schema knows it: two tasks of run 2 end in [`SPAN`].
pub(super) const EVERY_STATE: &str = r#"
INSERT INTO run (id, name, manifest, manifest_sha256, defaults, base_url, identity, state, created_at, started_at, finished_at,
                 tasks, first_task, end_task, next_task, ordered) VALUES
    (1, 'north-1a2b3c4d', 'north.csv', '00ff', '{}', 'https://iot-api.acceleronix.io', '1a2b3c4d', 'running',
     1795374000123, 1795374001123, NULL, 13, 1, 14, 11, 1),
    (2, '1', 'south.csv.gz', '00fe', '{}', 'simulator', '99aabbcc', 'complete',
     1795374050123, 1795374051123, 1795374056123, 4, 14, 18, 18, 0),
    (3, 'staged', '-', '00fd', '{}', 'simulator', '77', 'staging', 1795374060123, NULL, NULL, 0, 18, 19, 18, 0);
INSERT INTO payload (id, run_id, digest, product_key, data) VALUES
    (1, 1, x'01', 'PK0001', '[{"fuwu":[{"raw1":"AA"}]}]'),
    (2, 2, x'01', 'PK0002', '[{"fuwu":[{"raw1":"BB"}]}]'),
    (3, 3, x'01', 'PK0003', '[]');
INSERT INTO task (id, payload_id, line, device_key, labels, held) VALUES
    (1, 1, 14, 'DK01', '{"site":"=Oslo"}', 0), (2, 1, 13, 'DK02', NULL, 0), (3, 1, 12, 'DK03', NULL, 0), (4, 1, 11, 'DK04', NULL, 0),
    (5, 1, 10, 'DK01', NULL, 1), (6, 1, 9, 'DK06', NULL, 0), (7, 1, 8, 'DK07', NULL, 0), (8, 1, 7, 'DK08', NULL, 0),
    (9, 1, 6, 'DK09', NULL, 0), (10, 1, 5, 'DK09', NULL, 1), (11, 1, 4, 'DK11', NULL, 0), (12, NULL, 3, '', NULL, 1),
    (13, 1, 2, 'DK02', NULL, 1), (14, 2, 2, 'DK01', NULL, 0), (15, 2, 3, 'DK15', NULL, 0),
    (16, 2, 4, 'DK16', NULL, 0), (17, 2, 5, 'DK17', NULL, 0), (18, 3, 2, 'DK18', NULL, 0);
INSERT INTO device_task (run_id, device_key, task_id)
    SELECT CASE WHEN id < 14 THEN 1 WHEN id < 18 THEN 2 ELSE 3 END, device_key, id FROM task;
INSERT INTO follower (previous_id, task_id) VALUES (2, 13), (9, 10);
INSERT INTO request (id, run_id, payload_id, first_task, end_task, devices, claimed_at, sent_at, finished_at, latency_ms,
                     http_status, code, message, error, released) VALUES
    (1, 1, 1, 1, 9, 7, 1795374001123, 1795374001200, 1795374001300, 100, 200, 200, '', NULL, 0),
    (2, 1, 1, 9, 11, 1, 1795374012123, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0),
    (3, 1, 1, NULL, NULL, 1, 1795374012123, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0),
    (4, 1, 1, NULL, NULL, 2, 1795374005123, 1795374005200, 1795374015200, 10000, NULL, NULL, NULL, 'no reply within 10 s', 0),
    (5, 1, 1, NULL, NULL, 1, 1795374005123, NULL, 1795374016200, NULL, NULL, NULL, NULL, NULL, 1),
    (6, 2, 2, 14, 18, 4, 1795374051123, 1795374051200, 1795374051300, 100, 200, 200, '', NULL, 0);
INSERT INTO attempt (task_id, attempt, request_id, class, code, message, ticket) VALUES
    (4, 1, 1, 6, NULL, 'no reply within 10 s', NULL), (6, 1, 1, 4, 50000, 'Service exception', NULL),
    (7, 1, 1, 2, 61007, 'slow down', NULL), (7, 2, 4, 2, 61007, 'slow down more', NULL), (8, 1, 1, 6, NULL, 'connection reset', NULL);
INSERT INTO due (task_id, run_id, payload_id, request_id, due_at, class, sends, attempts, throttles, snoozed_ms) VALUES
    (6, 1, 1, NULL, 1795374020123, 4, 1, 1, 0, 0), (7, 1, 1, NULL, 1795374045123, 2, 2, 0, 2, 6000),
    (8, 1, 1, 3, NULL, 6, 1, 1, 0, 0);
INSERT INTO outcome (task_id, state, class, code, message, ticket, request_id, attempts, finished_at) VALUES
    (1, 1, 1, 200, NULL, 1335004867605954560, 1, 1, 1795374001300),
    (2, 2, 10, 70091, 'The value is not a member of the enumeration', NULL, 1, 1, 1795374001300),
    (3, 2, 7, 61002, 'Device offline', NULL, 1, 1, 1795374001300),
    (4, 3, 6, NULL, 'no reply within 10 s', NULL, 4, 2, 1795374015200),
    (5, 4, NULL, NULL, 'same as line 14', NULL, NULL, 0, 1795374000123),
    (12, 2, 12, NULL, 'column device_key: is empty', NULL, NULL, 0, 1795374000123),
    (13, 2, 11, NULL, 'line 13 of the same device failed', NULL, NULL, 0, 1795374001300),
    (14, 1, 1, 200, NULL, 'T-007', 6, 1, 1795374051300), (15, 1, 1, 201, NULL, NULL, 6, 1, 1795374051300);
INSERT INTO tally (run_id, state, class, code, n) VALUES
    (1, 1, 1, 200, 1), (1, 2, 10, 70091, 1), (1, 2, 7, 61002, 1), (1, 3, 6, 0, 1), (1, 4, 0, 0, 1), (1, 2, 12, 0, 1), (1, 2, 11, 0, 1),
    (1, 2, 5, 0, 0), (2, 1, 1, 200, 3), (2, 1, 1, 201, 1);
"#;
