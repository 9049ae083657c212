//! The same done to a file and to a database on a server.

use tempfile::TempDir;

use super::server::server_store;
use crate::store::Store;

/// A new database in a file, and one on a server, where there is a server.
pub(super) async fn both() -> (Vec<Store>, TempDir) {
    let folder = TempDir::new().unwrap();
    let mut stores = vec![Store::open(&folder.path().join("test.db")).await.unwrap()];
    stores.extend(server_store().await);
    (stores, folder)
}

/// What statements of one column of text yield.
pub(super) async fn texts(store: &mut Store, selects: &[&'static str]) -> Vec<String> {
    let mut texts = Vec::new();
    for select in selects {
        let rows: Vec<String> = sqlx::query_scalar(*select)
            .fetch_all(&mut store.connection)
            .await
            .unwrap();
        texts.extend(rows);
    }
    texts
}

/// All that a push and what follows it leave of tasks.
pub(super) const TASKS: [&str; 5] = [
    "SELECT 'task ' || t.id || ' ' || t.device_key || ' ' || coalesce(CAST(t.state AS TEXT), '-') || ' ' || coalesce(CAST(t.class AS TEXT), '-') \
     || ' ' || coalesce(CAST(t.ticket AS TEXT), '-') || ' ' || coalesce(t.message, '-') || ' ' || coalesce(CAST(t.attempts AS TEXT), '-') \
     || ' ' || coalesce(CAST(t.span AS TEXT), '-') FROM task_end AS t ORDER BY t.id",
    "SELECT 'attempt ' || task_id || ' ' || attempt || ' ' || (SELECT count(DISTINCT b.request_id) FROM attempt AS b WHERE b.request_id <= a.request_id) || ' ' || class || ' ' || coalesce(CAST(ticket AS TEXT), '-') \
     FROM attempt AS a ORDER BY task_id, attempt",
    "SELECT 'due ' || task_id || ' ' || run_id || ' ' || sends || ' ' || attempts FROM due ORDER BY task_id",
    "SELECT 'tally ' || run_id || ' ' || state || ' ' || class || ' ' || code || ' ' || n FROM tally WHERE n > 0 ORDER BY run_id, state, class, code",
    "SELECT 'run ' || id || ' ' || name || ' ' || state || ' ' || next_task || ' ' || coalesce(cancelled_by, '-') || ' ' || coalesce(paused_by, '-') \
     || ' ' || coalesce(last_control, '-') FROM run ORDER BY id",
];
