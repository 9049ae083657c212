//! Evidence that a reader puts beside what is recorded, in temporary tables of its own: the database has another owner.
//!
//! The temporary tables stand before those of the database by name, and so do temporary views of the same names: whatever is asked
//! afterwards sees both.

use serde_json::json;

use super::{TaskProof, settle};
use crate::{
    model::{Proof, TaskId, Timestamp},
    store::db::DbConnection,
    store::{Reader, RunRow, StoreError, postgres::make_temporary_views, views},
};

const TABLES: &str = "CREATE TEMP TABLE IF NOT EXISTS delivery ( \
         task_id INTEGER NOT NULL, attempt INTEGER NOT NULL, delivery INTEGER NOT NULL, evidence INTEGER NOT NULL, at INTEGER, \
         recorded_at INTEGER NOT NULL, PRIMARY KEY (task_id, attempt) \
     ) WITHOUT ROWID; \
     CREATE TEMP TABLE IF NOT EXISTS delivery_answer ( \
         task_id INTEGER NOT NULL, attempt INTEGER NOT NULL, answer TEXT NOT NULL, PRIMARY KEY (task_id, attempt) \
     ) WITHOUT ROWID;";

/// Which tasks a reader looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Looked<'a> {
    /// Those of a run.
    Run(&'a RunRow),
    /// These, of whatever run.
    Tasks(&'a [TaskId]),
}

impl Reader {
    /// Has evidence about these tasks settled apart from now on. Of other tasks nothing is seen any more.
    pub(crate) async fn settle_apart(&mut self, looked: Looked<'_>) -> Result<(), StoreError> {
        sqlx::raw_sql(TABLES).execute(&mut self.connection).await?;
        match &mut self.connection {
            DbConnection::Sqlite(connection) => views::make_temporary(connection).await?,
            DbConnection::Postgres(connection, _) => {
                make_temporary_views(connection).await?;
            }
        }
        copy(&mut self.connection, looked).await
    }

    /// Puts evidence to what is known, apart from the database.
    pub(crate) async fn settle_deliveries(
        &mut self,
        mut proofs: Vec<TaskProof>,
        now: Timestamp,
        fold: impl Fn(Option<Proof>, Proof) -> Proof,
    ) -> Result<(), StoreError> {
        proofs.sort_by_key(|one| (one.task, one.attempt));
        settle(&mut self.connection, &proofs, now, &fold).await?;
        Ok(())
    }
}

async fn copy(connection: &mut DbConnection, looked: Looked<'_>) -> Result<(), StoreError> {
    for (of_run, of_tasks) in [
        (
            "INSERT INTO temp.delivery SELECT * FROM main.delivery WHERE task_id >= ? AND task_id < ? ON CONFLICT DO NOTHING",
            "INSERT INTO temp.delivery SELECT d.* FROM json_each(?) AS j CROSS JOIN main.delivery AS d ON d.task_id = CAST(j.value AS bigint) \
             WHERE true ON CONFLICT DO NOTHING",
        ),
        (
            "INSERT INTO temp.delivery_answer SELECT * FROM main.delivery_answer WHERE task_id >= ? AND task_id < ? ON CONFLICT DO NOTHING",
            "INSERT INTO temp.delivery_answer \
             SELECT d.* FROM json_each(?) AS j CROSS JOIN main.delivery_answer AS d ON d.task_id = CAST(j.value AS bigint) \
             WHERE true ON CONFLICT DO NOTHING",
        ),
    ] {
        let query = match looked {
            Looked::Run(run) => {
                let (first, end) = run.task_ids();
                sqlx::query(of_run).bind(first).bind(end)
            }
            Looked::Tasks(tasks) => {
                let ids: Vec<i64> = tasks.iter().map(|task| task.0).collect();
                sqlx::query(of_tasks).bind(json!(ids).to_string())
            }
        };
        query.execute(&mut *connection).await?;
    }
    Ok(())
}
