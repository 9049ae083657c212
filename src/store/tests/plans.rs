//! How the statements of every exchange find their rows: by a key, however large the run. A scan would cost the whole table each time.

use sqlx::{ConnectOptions, Row, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use crate::{store::db::DbConnection, store::sample};

/// Statements of the hot path, as `EXPLAIN QUERY PLAN` sees them; what they read must be reached by a key.
const HOT: &[(&str, &str)] = &[
    ("claiming what is due", crate::store::push::DUE_TASKS),
    ("claiming first sends", crate::store::push::FIRST_TASKS),
    ("a device's next task", crate::store::push::NEXT_TASKS),
    ("when something is due", crate::store::push::NEXT_DUE),
    ("what is left of a canary", crate::store::canary::LEFT),
];

/// Statements about devices, whatever the number of tasks: what they may scan grows with the runs, with the memory of throttles, or with
/// the services of one payload.
const OF_DEVICES: &[(&str, &str)] = &[
    (
        "the view of one device",
        "SELECT * FROM devices WHERE device_key = ?",
    ),
    (
        "devices of first sends to be left alone",
        crate::store::throttles::EARLY_FIRST,
    ),
    (
        "devices of due tasks to be left alone",
        crate::store::throttles::EARLY_DUE,
    ),
    ("stale tasks", crate::store::stale::STALE),
    ("overtaken tasks", crate::store::stale::MARK_OVERTAKEN),
    (
        "tasks of some devices",
        crate::store::select::source::DEVICES,
    ),
    ("keys of a prefix", crate::store::select::KEYS_FROM),
    ("more keys of a prefix", crate::store::select::KEYS_AFTER),
    ("keys that are not there", crate::store::select::ABSENT),
];

/// Statements about tasks that are listed, through views: each table is reached by a key, as if the view's text stood there.
const OF_TASKS: &[(&str, &str)] = &[
    ("rows of some tasks", crate::store::query::ROWS),
    ("tasks that pass a filter", crate::store::select::PASSING),
];

/// A database with tasks in every state.
async fn sampled() -> (DbConnection, TempDir) {
    let folder = TempDir::new().unwrap();
    let path = sample::every_state(folder.path()).await;
    let connection = SqliteConnectOptions::new()
        .filename(&path)
        .connect()
        .await
        .unwrap();
    (connection.into(), folder)
}

#[tokio::test]
async fn listed_tasks_are_found_by_their_ids() {
    let (mut connection, _folder) = sampled().await;
    for (what, sql) in OF_TASKS {
        let plan = plan(&mut connection, sql).await;
        for step in &plan {
            let is_small = step.contains("VIRTUAL TABLE");
            assert!(!step.starts_with("SCAN") || is_small, "{what}: {plan:#?}");
            assert!(!step.contains("MATERIALIZE"), "{what}: {plan:#?}");
            assert!(!step.contains("CO-ROUTINE"), "{what}: {plan:#?}");
        }
        for table in ["t", "o", "g"] {
            let by_id = format!("SEARCH {table} USING INTEGER PRIMARY KEY (rowid=?)");
            assert!(
                plan.iter().any(|step| step.starts_with(&by_id)),
                "{what}: {plan:#?}"
            );
        }
    }
}

#[tokio::test]
async fn devices_are_found_by_their_keys() {
    let (mut connection, _folder) = sampled().await;
    sqlx::query("CREATE TEMP TABLE reopened (task_id INTEGER PRIMARY KEY, blocked INTEGER, overtaken INTEGER)")
        .execute(&mut connection)
        .await
        .unwrap();
    for (what, sql) in OF_DEVICES {
        let plan = plan(&mut connection, sql).await;
        for step in &plan {
            let table = step.strip_prefix("SCAN ").unwrap_or_default();
            let small = ["r", "h", "temp.reopened"].contains(&table)
                || table.contains("VIRTUAL TABLE")
                || plan.iter().any(|other| {
                    // What a part of the statement has made.
                    other == &format!("CO-ROUTINE {table}")
                        || other == &format!("MATERIALIZE {table}")
                });
            assert!(!step.starts_with("SCAN") || small, "{what}: {plan:#?}");
        }
        assert!(
            plan.iter()
                .any(|step| step
                    .starts_with("SEARCH d USING PRIMARY KEY (run_id=? AND device_key")),
            "{what}: {plan:#?}"
        );
    }
}

async fn plan(connection: &mut DbConnection, sql: &str) -> Vec<String> {
    sqlx::query(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
        .fetch_all(connection)
        .await
        .unwrap()
        .iter()
        .map(|row| row.get("detail"))
        .collect()
}

#[tokio::test]
async fn nothing_in_an_exchange_scans_a_table() {
    let (mut connection, _folder) = sampled().await;
    for (what, sql) in HOT {
        let plan = plan(&mut connection, sql).await;
        for step in &plan {
            // The list that was given, what a recursion has found so far, and a row of constants are small.
            // And what a part of the statement has made, which has been asked for by itself.
            let small = ["SCAN j", "SCAN l", "SCAN CONSTANT ROW", "SCAN (subquery"]
                .iter()
                .any(|known| step.starts_with(known))
                || step
                    .strip_prefix("SCAN ")
                    .is_some_and(|part| plan.contains(&format!("CO-ROUTINE {part}")));
            assert!(!step.starts_with("SCAN") || small, "{what}: {plan:#?}");
            assert!(
                !step.contains("TEMP B-TREE") || *what == "a device's next task",
                "{what}: {plan:#?}"
            );
        }
    }
}
