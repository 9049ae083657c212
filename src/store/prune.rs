//! Deletes runs that have ended. `space` returns their space to the file system.
//!
//! A run is deleted in three steps, each of which can be interrupted. The first copies what its devices accepted last to `device_past`. The
//! second one is one transaction: it deletes the row of `run`, without which no view shows anything of the run, and adds one to
//! `pruned_run`. The third deletes everything that belonged to the run, piece by piece. What an interruption leaves of it is deleted when
//! the database is opened next.

use sqlx::{Connection, Row as _, query::Query};

use super::{
    Store, StoreError,
    db::{Arguments, Db, DbConnection, DbRow},
    owner::BEGIN,
    run::STREAM,
};
use crate::model::{RunId, RunState, Timestamp};

mod past;
#[cfg(test)]
mod tests;

/// Tasks or requests that go in one transaction: some megabytes of log, and a moment for whoever waits.
const PIECE: i64 = 20_000;

/// Rows that a run has by the ids of its tasks, children first.
const BY_TASK: [&str; 8] = [
    "DELETE FROM outcome WHERE task_id >= ? AND task_id < ?",
    "DELETE FROM accepted_span WHERE first_task >= ? AND first_task < ?",
    "DELETE FROM attempt WHERE task_id >= ? AND task_id < ?",
    "DELETE FROM due WHERE task_id >= ? AND task_id < ?",
    "DELETE FROM delivery WHERE task_id >= ? AND task_id < ?",
    "DELETE FROM delivery_answer WHERE task_id >= ? AND task_id < ?",
    "DELETE FROM follower WHERE previous_id >= ? AND previous_id < ?",
    "DELETE FROM task WHERE id >= ? AND id < ?",
];

/// Few rows each, by the number of the run.
const BY_RUN: [&str; 6] = [
    "DELETE FROM settled_inbox WHERE run_id = ?",
    "DELETE FROM canary WHERE run_id = ?",
    "DELETE FROM bundle WHERE run_id = ?",
    "DELETE FROM refusal WHERE run_id = ?",
    "DELETE FROM tally WHERE run_id = ?",
    "DELETE FROM excused WHERE run_id = ?",
];

/// The same of what only a server has.
const BY_RUN_OF_SERVER: &[&str] = &[
    "DELETE FROM control WHERE run_id = ?",
    "DELETE FROM part WHERE run_id = ?",
    "DELETE FROM copied_run WHERE run_id = ?",
];

/// The services of payloads: their numbers are those of a run on a server, and of the database in a file. The sign keeps the plan from the
/// index of runs, which it would search from end to end for each piece.
const SERVICES_OF_FILE: &str = "DELETE FROM called_service WHERE payload_id IN (SELECT id FROM payload WHERE +run_id = ? AND id >= ? AND id < ?)";
const SERVICES_OF_SERVER: &str =
    "DELETE FROM called_service WHERE run_id = ? AND payload_id >= ? AND payload_id < ?";

/// A run that may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prunable {
    /// Its number.
    pub id: RunId,
    pub name: String,
    /// The manifest as it was named.
    pub manifest: String,
    /// The path of the manifest's file, where it is known.
    pub manifest_path: Option<String>,
    /// Whether the manifest was no file.
    pub is_stream: bool,
    /// How many tasks it has.
    pub tasks: u64,
    /// When it was staged.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
}

/// A run that is no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PrunedRun {
    pub name: String,
    /// How it had ended.
    pub state: RunState,
    /// How many tasks it had.
    pub tasks: u64,
    /// How many of its tasks had failed or were in doubt.
    pub unsuccessful: u64,
    /// When it had ended.
    pub finished_at: Timestamp,
}

/// The latest pruned run of an identity.
pub(super) const PRUNED: &str = "SELECT name, state, end_task - first_task AS tasks, unsuccessful, finished_at FROM pruned_run \
     WHERE identity = ? ORDER BY id DESC LIMIT 1";

/// A row of [`PRUNED`].
pub(super) fn read_pruned(row: &DbRow) -> Result<PrunedRun, StoreError> {
    let state: String = row.try_get("state")?;
    Ok(PrunedRun {
        name: row.try_get("name")?,
        state: RunState::from_name(&state)
            .ok_or_else(|| StoreError::Damaged(format!("a pruned run has the state '{state}'")))?,
        tasks: row.try_get::<i64, _>("tasks")?.unsigned_abs(),
        unsuccessful: row.try_get::<i64, _>("unsuccessful")?.unsigned_abs(),
        finished_at: Timestamp(row.try_get("finished_at")?),
    })
}

impl Store {
    /// The runs that have ended, the oldest first.
    pub(crate) async fn ended_runs(&mut self) -> Result<Vec<Prunable>, StoreError> {
        sqlx::query(
            "SELECT id, name, manifest, manifest_path, tasks, created_at, finished_at FROM run \
             WHERE state IN ('cancelled', 'complete') ORDER BY id",
        )
        .fetch_all(&mut self.connection)
        .await?
        .iter()
        .map(|row| {
            let manifest: String = row.try_get("manifest")?;
            let manifest_path: Option<String> = row.try_get("manifest_path")?;
            Ok(Prunable {
                id: RunId(row.try_get("id")?),
                name: row.try_get("name")?,
                is_stream: manifest_path.is_none() && manifest == STREAM,
                manifest,
                manifest_path,
                tasks: row.try_get::<i64, _>("tasks")?.unsigned_abs(),
                created_at: Timestamp(row.try_get("created_at")?),
                finished_at: Timestamp(row.try_get("finished_at")?),
            })
        })
        .collect()
    }

    /// Deletes a run that has ended, and all that belongs to it.
    pub(crate) async fn prune(&mut self, run: RunId, now: Timestamp) -> Result<(), StoreError> {
        past::keep_last_acceptances(&mut self.connection, run).await?;
        self.check_foreign_keys(false).await?;
        forget(&mut self.connection, run, now).await?;
        self.finish_pruning().await
    }

    /// Deletes what is left of runs that are no more.
    pub(super) async fn finish_pruning(&mut self) -> Result<(), StoreError> {
        let left: Vec<(i64, i64, i64)> = sqlx::query_as(
            "SELECT id, first_task, end_task FROM pruned_run WHERE deleted = 0 ORDER BY id",
        )
        .fetch_all(&mut self.connection)
        .await?;
        if !left.is_empty() {
            self.check_foreign_keys(false).await?;
        }
        for (run, first, end) in left {
            delete_tasks(&mut self.connection, first, end).await?;
            delete_device_tasks(&mut self.connection, run).await?;
            delete_requests(&mut self.connection, run).await?;
            delete_payloads(&mut self.connection, run).await?;
            delete_the_rest(&mut self.connection, run).await?;
        }
        self.check_foreign_keys(true).await
    }

    /// The latest run of this identity that is no more.
    pub(crate) async fn pruned_by_identity(
        &mut self,
        identity: &str,
    ) -> Result<Option<PrunedRun>, StoreError> {
        let row = sqlx::query(PRUNED)
            .bind(identity)
            .fetch_optional(&mut self.connection)
            .await?;
        row.map(|row| read_pruned(&row)).transpose()
    }

    /// Whether a run of this name is no more.
    pub(super) async fn was_pruned(&mut self, name: &str) -> Result<bool, StoreError> {
        Ok(
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pruned_run WHERE name = ?)")
                .bind(name)
                .fetch_one(&mut self.connection)
                .await?,
        )
    }
}

/// Executes one statement in a transaction of the owner.
async fn execute(
    connection: &mut DbConnection,
    statement: Query<'_, Db, Arguments>,
) -> Result<(), StoreError> {
    let mut transaction = connection.begin_with(BEGIN).await?;
    statement.execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// The device a piece beyond this one in the index of a run, if there are so many.
async fn device_after(
    connection: &mut DbConnection,
    run: i64,
    after: &str,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT device_key FROM device_task WHERE run_id = ? AND device_key > ? ORDER BY device_key LIMIT 1 OFFSET ?",
    )
    .bind(run)
    .bind(after)
    .bind(PIECE)
    .fetch_optional(connection)
    .await
}

/// Takes the run out of sight.
async fn forget(
    connection: &mut DbConnection,
    run: RunId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut transaction = connection.begin_with(BEGIN).await?;
    let moved = sqlx::query(
        "INSERT INTO pruned_run (id, name, base_url, identity, state, unsuccessful, finished_at, first_task, end_task, last_request, \
         manifest, created_at, started_at, accepted, failed, in_doubt, skipped, pruned_at) \
         SELECT id, name, base_url, identity, state, \
         (SELECT coalesce(sum(n), 0) FROM tally WHERE run_id = run.id AND state IN (2, 3)), \
         finished_at, first_task, end_task, (SELECT coalesce(max(id), 0) FROM request), \
         manifest, created_at, started_at, \
         (SELECT coalesce(sum(n), 0) FROM tally WHERE run_id = run.id AND state = 1), \
         (SELECT coalesce(sum(n), 0) FROM tally WHERE run_id = run.id AND state = 2), \
         (SELECT coalesce(sum(n), 0) FROM tally WHERE run_id = run.id AND state = 3), \
         (SELECT coalesce(sum(n), 0) FROM tally WHERE run_id = run.id AND state = 4), ?2 \
         FROM run WHERE id = ?1 AND state IN ('cancelled', 'complete')",
    )
    .bind(run.0)
    .bind(now.0)
    .execute(&mut *transaction)
    .await?
    .rows_affected();
    if moved > 0 {
        sqlx::query("DELETE FROM run WHERE id = ?")
            .bind(run.0)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn delete_tasks(
    connection: &mut DbConnection,
    first: i64,
    end: i64,
) -> Result<(), StoreError> {
    for from in (first..end).step_by(PIECE as usize) {
        let mut transaction = connection.begin_with(BEGIN).await?;
        for statement in BY_TASK {
            sqlx::query(statement)
                .bind(from)
                .bind(end.min(from + PIECE))
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
    }
    Ok(())
}

async fn delete_device_tasks(connection: &mut DbConnection, run: i64) -> Result<(), StoreError> {
    loop {
        let last = device_after(connection, run, "").await?;
        let statement = sqlx::query(
            "DELETE FROM device_task WHERE run_id = ?1 AND (?2 IS NULL OR device_key <= ?2)",
        )
        .bind(run)
        .bind(&last);
        execute(connection, statement).await?;
        if last.is_none() {
            return Ok(());
        }
    }
}

/// Requests have no index of runs, so that their ends are found by reading them once.
async fn delete_requests(connection: &mut DbConnection, run: i64) -> Result<(), StoreError> {
    let ends = sqlx::query_as("SELECT min(id), max(id) FROM request WHERE run_id = ?")
        .bind(run)
        .fetch_one(&mut *connection)
        .await?;
    delete_between(
        connection,
        run,
        ends,
        "DELETE FROM request WHERE run_id = ? AND id >= ? AND id < ?",
    )
    .await
}

async fn delete_payloads(connection: &mut DbConnection, run: i64) -> Result<(), StoreError> {
    let ends = sqlx::query_as("SELECT min(id), max(id) FROM payload WHERE run_id = ?")
        .bind(run)
        .fetch_one(&mut *connection)
        .await?;
    let services = match connection {
        DbConnection::Sqlite(_) => SERVICES_OF_FILE,
        DbConnection::Postgres(..) => SERVICES_OF_SERVER,
    };
    for statement in [
        services,
        "DELETE FROM payload WHERE +run_id = ? AND id >= ? AND id < ?",
    ] {
        delete_between(connection, run, ends, statement).await?;
    }
    Ok(())
}

/// Deletes rows by their ids from the first to the last, if there are any.
async fn delete_between(
    connection: &mut DbConnection,
    run: i64,
    ends: (Option<i64>, Option<i64>),
    statement: &'static str,
) -> Result<(), StoreError> {
    let (Some(first), Some(last)) = ends else {
        return Ok(());
    };
    for from in (first..=last).step_by(PIECE as usize) {
        let statement = sqlx::query(statement)
            .bind(run)
            .bind(from)
            .bind(from + PIECE);
        execute(connection, statement).await?;
    }
    Ok(())
}

async fn delete_the_rest(connection: &mut DbConnection, run: i64) -> Result<(), StoreError> {
    let of_engine: &[&str] = match connection {
        DbConnection::Sqlite(_) => &[],
        DbConnection::Postgres(..) => BY_RUN_OF_SERVER,
    };
    let mut transaction = connection.begin_with(BEGIN).await?;
    for statement in BY_RUN
        .iter()
        .chain(of_engine)
        .copied()
        .chain(["UPDATE pruned_run SET deleted = 1 WHERE id = ?"])
    {
        sqlx::query(statement)
            .bind(run)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(())
}
