//! What the store has for a push: what it begins with, and how it begins and ends.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Run, Store, StoreError,
    bulk::Bulk,
    canary::read_canary,
    common::LEFT,
    db::DbConnection,
    file_id::FileId,
    home::Home,
    identity::log_path,
    open::BUSY_TIMEOUT,
    part::{read_part, read_whole},
    row::PushRows,
    tally::read_tally,
    writes::Writes,
};

mod numbers;
mod read;
mod transaction;
mod write;

pub(super) use read::member;
pub(crate) use transaction::Transaction;
#[cfg(test)]
pub(super) use transaction::{DUE_TASKS, FIRST_TASKS, NEXT_DUE, NEXT_TASKS};

use read::refusal;

use crate::model::{BundleId, BundleStatus, Control, RunId, RunState, Tally, TaskId, Timestamp};

static EXCUSE: Bulk = Bulk::insert(
    "INSERT INTO excused (run_id, state, class, code, n)",
    "(?,?,?,?,?)",
    "ON CONFLICT (run_id, state, class, code) DO UPDATE SET n = excused.n + excluded.n",
);

impl Store {
    /// What a push begins with.
    pub(crate) async fn push_rows(&mut self, run: RunId) -> Result<PushRows, StoreError> {
        let part = self.part();
        let mut rows = read_push_rows(&mut self.connection, run).await?;
        if let Some(number) = part {
            let part = read_part(&mut self.connection, run, number).await?;
            rows.next_task = part.next_task;
            rows.next_bundle = rows.next_bundle.max(part.first_bundle);
            rows.tally = part.tally();
            rows.whole = Some(read_whole(&mut self.connection, run).await?);
        }
        Ok(rows)
    }

    /// Begins a transaction of the push of a run.
    pub(crate) fn transaction(&mut self, run: RunId) -> Transaction<'_> {
        let part = self.part();
        Transaction::begin(&mut self.connection, &mut self.messages, run, part)
    }

    /// Looks at the length of the log, and shortens it when it is long.
    pub(crate) async fn tidy(&mut self) -> Result<(), StoreError> {
        self.seal_when_long().await
    }

    /// Notes that a run is being pushed. From now on a log that is lost will be noticed.
    pub(crate) async fn begin_push(&mut self, run: &Run, now: Timestamp) -> Result<(), StoreError> {
        debug_assert!(self.holds(run.id));
        self.seal_alone(true).await?;
        self.seal().await?;
        if let Home::File(file) = &mut self.home {
            file.log = FileId::at(&log_path(&file.path)).ok().flatten();
        }
        if let Some(part) = run.part {
            self.begin_to_push(run, now).await?;
            return self.begin_part(run.id, part, now).await;
        }
        self.begin_to_push(run, now).await?;
        self.set_running(run.id, now).await
    }

    /// Lets SQLite move the log into the file again.
    pub(crate) async fn leave_push(&mut self) -> Result<(), StoreError> {
        self.seal_alone(false).await
    }

    /// Notes that the push of a run ended because somebody pauses it.
    pub(crate) async fn pause_push(
        &mut self,
        run: &Run,
        control: &Control,
    ) -> Result<(), StoreError> {
        self.leave_push().await?;
        self.pause(run.id, control).await
    }

    /// Notes how the push of a run ended.
    pub(crate) async fn end_push(
        &mut self,
        run: &Run,
        state: RunState,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.leave_push().await?;
        match run.part {
            Some(part) => self.end_part(run.id, part, state, now).await,
            None => self.set_state(run.id, state, now).await,
        }
    }

    /// Notes that so many more tasks ended in an outage.
    pub(crate) async fn excuse(
        &mut self,
        run: RunId,
        more: &BTreeMap<Tally, u64>,
    ) -> Result<(), StoreError> {
        let mut writes = Writes::begin(&mut self.connection);
        let written = writes
            .bulk(&EXCUSE, more, |values, (key, n)| {
                values
                    .bind(run.0)
                    .bind(key.state as u8)
                    .bind(key.class.map_or(0, |class| class as u8))
                    .bind(key.code.unwrap_or(0))
                    .bind(*n as i64)
            })
            .await;
        if let Err(error) = written {
            writes.roll_back().await;
            return Err(error.into());
        }
        writes.commit().await?;
        Ok(())
    }

    /// Brings forward what is due later than `latest`; gives how many tasks that concerns.
    pub(crate) async fn clamp_due(
        &mut self,
        run: RunId,
        latest: Timestamp,
    ) -> Result<u64, StoreError> {
        let clamp = sqlx::query("UPDATE due SET due_at = ?2 WHERE run_id = ?1 AND due_at > ?2")
            .bind(run.0)
            .bind(latest.0);
        Ok(self.execute(clamp).await?.rows_affected())
    }

    /// How long a statement waits for another process that holds a write transaction. On a server nobody else writes what this one writes.
    pub(crate) async fn wait_for_others(&mut self, timeout: Duration) -> Result<(), StoreError> {
        let DbConnection::Sqlite(connection) = &mut self.connection else {
            return Ok(());
        };
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
            "PRAGMA busy_timeout = {}",
            timeout.as_millis().min(i32::MAX as u128)
        )))
        .execute(connection)
        .await?;
        Ok(())
    }

    /// The same as when the database was opened.
    pub(crate) async fn wait_as_usual(&mut self) -> Result<(), StoreError> {
        self.wait_for_others(BUSY_TIMEOUT).await
    }
}

/// What a push of a run begins with.
pub(super) async fn read_push_rows(
    connection: &mut DbConnection,
    run: RunId,
) -> Result<PushRows, StoreError> {
    let (next_task, next_bundle): (i64, i64) = sqlx::query_as(
        "SELECT next_task, coalesce((SELECT max(id) FROM bundle), 0) + 1 FROM run WHERE id = ?",
    )
    .bind(run.0)
    .fetch_one(&mut *connection)
    .await?;
    let (snoozing, in_flight, latest_due): (i64, i64, Option<i64>) = sqlx::query_as(
        "SELECT \
         (SELECT count(*) FROM due WHERE run_id = ?1 AND due_at IS NOT NULL AND class IN (2, 3)), \
         (SELECT CAST(coalesce(sum(devices), 0) AS bigint) FROM request WHERE run_id = ?1 AND finished_at IS NULL), \
         (SELECT max(due_at) FROM due WHERE run_id = ?1 AND due_at < ?2)",
    )
    .bind(run.0)
    .bind(LEFT.0)
    .fetch_one(&mut *connection)
    .await?;
    let tally = "SELECT state, class, code, n FROM tally WHERE run_id = ?";
    let excused = "SELECT state, class, code, n FROM excused WHERE run_id = ?";
    let refusals = sqlx::query(
        "SELECT payload_id, product_key, code, request_id, requests, devices, ended FROM refusal WHERE run_id = ? AND ended = 1",
    )
    .bind(run.0)
    .fetch_all(&mut *connection)
    .await?;
    Ok(PushRows {
        next_task: TaskId(next_task),
        next_bundle: BundleId(next_bundle),
        snoozing: snoozing.unsigned_abs(),
        in_flight: in_flight.unsigned_abs(),
        latest_due: latest_due.map(Timestamp),
        tally: read_tally(connection, run, tally).await?,
        excused: read_tally(connection, run, excused).await?,
        refusals: refusals.iter().map(refusal).collect::<Result<_, _>>()?,
        bundle_statuses: read_bundle_statuses(connection, run).await?,
        canary: read_canary(connection, run).await?,
        whole: None,
    })
}

/// How the requests of a run stand that were refused and are kept together.
async fn read_bundle_statuses(
    connection: &mut DbConnection,
    run: RunId,
) -> Result<Vec<(BundleId, BundleStatus)>, StoreError> {
    let rows: Vec<(i64, u32, bool)> = sqlx::query_as(
        "SELECT id, refusals, suspect FROM bundle WHERE run_id = ? AND (refusals > 0 OR suspect = 1)",
    )
    .bind(run.0)
    .fetch_all(connection)
    .await?;
    let bundle_status = |refusals, suspect| BundleStatus {
        refusals,
        suspect,
        ..BundleStatus::default()
    };
    Ok(rows
        .into_iter()
        .map(|(bundle, refusals, suspect)| (BundleId(bundle), bundle_status(refusals, suspect)))
        .collect())
}
