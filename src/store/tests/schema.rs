//! What no row may say: the schema itself refuses contradictions.

use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use crate::store::sample;

/// What a row would say, and the statement that would make it say so.
const IMPOSSIBLE: &[(&str, &str)] = &[
    (
        "a complete run without an end",
        "UPDATE run SET finished_at = NULL WHERE id = 2",
    ),
    (
        "a running run with an end",
        "UPDATE run SET finished_at = 1 WHERE id = 1",
    ),
    (
        "a run in no known state",
        "UPDATE run SET state = 'paused' WHERE id = 1",
    ),
    (
        "claims beyond the last task",
        "UPDATE run SET next_task = end_task + 1 WHERE id = 1",
    ),
    (
        "a task without payload among the first sends",
        "UPDATE task SET payload_id = NULL WHERE id = 1",
    ),
    (
        "a request without members",
        "UPDATE request SET devices = 0 WHERE id = 1",
    ),
    (
        "half a range",
        "UPDATE request SET end_task = NULL WHERE id = 1",
    ),
    (
        "a released request that was sent",
        "UPDATE request SET released = 1 WHERE id = 1",
    ),
    (
        "a sent request without an end",
        "UPDATE request SET finished_at = NULL WHERE id = 1",
    ),
    (
        "waiting and in flight at once",
        "UPDATE due SET due_at = 1 WHERE task_id = 8",
    ),
    (
        "neither waiting nor in flight",
        "UPDATE due SET due_at = NULL WHERE task_id = 6",
    ),
    (
        "more attempts than sends",
        "UPDATE due SET attempts = 2 WHERE task_id = 6",
    ),
    (
        "an attempt before the first",
        "UPDATE attempt SET attempt = 0 WHERE task_id = 4",
    ),
    (
        "a send that came to what needs none",
        "UPDATE attempt SET class = 11 WHERE task_id = 4",
    ),
    (
        "accepted with another class",
        "UPDATE outcome SET class = 10 WHERE task_id = 1",
    ),
    (
        "failed, of the class accepted",
        "UPDATE outcome SET class = 1 WHERE task_id = 2",
    ),
    (
        "accepted without a request",
        "UPDATE outcome SET request_id = NULL WHERE task_id = 1",
    ),
    (
        "a ticket of a failed task",
        "UPDATE outcome SET ticket = 1 WHERE task_id = 2",
    ),
    (
        "skipped with a class",
        "UPDATE outcome SET class = 10 WHERE task_id = 5",
    ),
    (
        "failed without a class",
        "UPDATE outcome SET class = NULL WHERE task_id = 2",
    ),
    (
        "in doubt of another class",
        "UPDATE outcome SET class = 4 WHERE task_id = 4",
    ),
    (
        "a send that is not counted",
        "UPDATE outcome SET attempts = 0 WHERE task_id = 1",
    ),
    (
        "fewer than none",
        "UPDATE tally SET n = -1 WHERE run_id = 1 AND state = 1",
    ),
    (
        "an outcome of no task",
        "UPDATE outcome SET task_id = 999 WHERE task_id = 1",
    ),
    (
        "two outcomes of a task",
        "INSERT INTO outcome SELECT * FROM outcome WHERE task_id = 1",
    ),
    (
        "two runs of a name",
        "UPDATE run SET name = '1' WHERE id = 1",
    ),
    (
        "a canary of nobody",
        "INSERT INTO canary (run_id, asked, seed, devices, pause, chosen_at) VALUES (1, '0', 1, 0, 0, 0)",
    ),
    (
        "a canary that passed with nothing counted",
        "INSERT INTO canary (run_id, asked, seed, devices, pause, chosen_at, passed_at) VALUES (1, '5', 1, 5, 0, 0, 1)",
    ),
    (
        "text for a number",
        "UPDATE outcome SET code = 'many' WHERE task_id = 2",
    ),
];

#[tokio::test]
async fn impossible_rows_are_refused() {
    let folder = TempDir::new().unwrap();
    let path = sample::every_state(folder.path()).await;
    let mut connection = SqliteConnectOptions::new()
        .filename(&path)
        .foreign_keys(true)
        .connect()
        .await
        .unwrap();
    for (what, sql) in IMPOSSIBLE {
        assert!(
            sqlx::query(*sql).execute(&mut connection).await.is_err(),
            "{what} is taken"
        );
    }
}
