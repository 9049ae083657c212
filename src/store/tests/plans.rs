//! How the statements of every exchange find their rows: by a key, however large the run. A scan would cost the whole table each time.

use sqlx::{ConnectOptions, Row, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use crate::store::sample;

/// Statements of the hot path, as `EXPLAIN QUERY PLAN` sees them; what they read must be reached by a key.
const HOT: &[(&str, &str)] = &[
    ("claiming what is due", crate::store::claim::DUE_TASKS),
    ("claiming first sends", crate::store::claim::FIRST_TASKS),
    ("a device's next task", crate::store::end::NEXT_TASKS),
    ("when something is due", crate::store::journal::NEXT_DUE),
    ("what is left of a canary", crate::store::canary::LEFT),
];

#[tokio::test]
async fn nothing_in_an_exchange_scans_a_table() {
    let folder = TempDir::new().unwrap();
    let path = sample::every_state(folder.path()).await;
    let mut connection = SqliteConnectOptions::new()
        .filename(&path)
        .connect()
        .await
        .unwrap();
    for (what, sql) in HOT {
        let plan: Vec<String> =
            sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
                .fetch_all(&mut connection)
                .await
                .unwrap()
                .iter()
                .map(|row| row.get("detail"))
                .collect();
        for step in &plan {
            // The list that was given, what a recursion has found so far, and a row of constants are small.
            let small = ["SCAN j", "SCAN l", "SCAN CONSTANT ROW"]
                .iter()
                .any(|known| step.starts_with(known));
            assert!(!step.starts_with("SCAN") || small, "{what}: {plan:#?}");
            assert!(
                !step.contains("TEMP B-TREE") || *what == "a device's next task",
                "{what}: {plan:#?}"
            );
        }
    }
}
