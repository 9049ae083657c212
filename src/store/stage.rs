//! Staging: the rows of a manifest become the tasks of a run.
//!
//! Rows are committed in large groups, for a run in the state `staging`, which no view shows. The last transaction changes that state. What
//! an interrupted staging leaves is deleted when the database is opened next.

use std::sync::Arc;

use super::{
    Run, Store, StoreError,
    bulk::{Bulk, MOST_ROWS, Values},
    db::DbConnection,
    owner::BEGIN,
    payload::Interner,
    plan::{Plan, plan},
    run::NewRun,
};
use crate::{
    budget::{KEPT, Share, Use},
    model::{BadRow, PayloadId, Row, RunId, TaskId, Timestamp},
};

mod group;
mod listed;
mod order;
mod repeats;
#[cfg(test)]
mod tests;
mod unchanged;

use group::{Grouper, WaitingRow};
pub(crate) use listed::{Listed, ListedRow};
use order::Order;
use repeats::Repeats;
pub(crate) use unchanged::{Earlier, Forgotten, Past, PastRun, StagedTask};

static INVALID: Bulk = Bulk::insert(
    "INSERT INTO outcome (task_id, state, class, message, attempts, finished_at)",
    "(?, 2, 12, ?, 0, ?)",
    "",
);

static TASK: Bulk = Bulk::load(
    "task (id, payload_id, line, device_key, labels, held)",
    "(?,?,?,?,?,?)",
);

/// Takes the rows of one manifest.
#[derive(Debug)]
pub(crate) struct Stager<'s> {
    store: &'s mut Store,
    run: RunId,
    name: String,
    interner: Interner,
    grouper: Grouper,
    /// What the grouper may keep.
    _neighbours: Share,
    repeats: Repeats,
    first_task: i64,
    next_task: i64,
    /// The statement that is written next, with its values. Without one, these are values that wait for more.
    ready: (Option<Arc<str>>, Values),
    /// Whether no more rows come.
    all_in: bool,
    /// The first task of this transaction, about.
    committed: i64,
    transaction: i64,
    invalid: u64,
    /// Those of them that were good rows, and that the device list speaks against.
    held_back: u64,
    /// What was found of devices with several rows, when all rows are in.
    order: Option<Order>,
    /// Tasks that are skipped, because their devices have accepted the same last.
    unchanged: u64,
}

/// What staging made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Staged {
    pub run: Run,
    /// Rows that were recorded as skipped, since the device's row before it has the same payload.
    pub duplicates: u64,
    /// Rows that were recorded as skipped, since their device has accepted the same last.
    pub unchanged: u64,
    /// Rows that were recorded as invalid.
    pub invalid: u64,
}

/// What staging keeps in memory, at most.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Digests of payloads, before the database is asked instead.
    payloads: usize,
    /// Bytes of rows that wait for their neighbours.
    waiting: usize,
    /// Tasks in one transaction.
    transaction: i64,
}

impl Limits {
    const USUAL: Self = Self {
        payloads: 50_000,
        waiting: KEPT,
        transaction: 100_000,
    };
}

impl Store {
    /// Begins to stage a run; chunks are laid out for `chunk_size` devices.
    pub(crate) async fn stage(
        &mut self,
        about: &NewRun,
        chunk_size: u32,
        now: Timestamp,
    ) -> Result<Stager<'_>, StoreError> {
        self.stage_within(about, chunk_size, now, Limits::USUAL)
            .await
    }

    async fn stage_within(
        &mut self,
        about: &NewRun,
        chunk_size: u32,
        now: Timestamp,
        limits: Limits,
    ) -> Result<Stager<'_>, StoreError> {
        self.discard_staging().await?;
        // Above every run that is or was: numbers are never given again.
        let (number, first_task): (i64, i64) = sqlx::query_as(
            "SELECT coalesce(max(id), 0) + 1, coalesce(max(end_task), 1) \
             FROM (SELECT id, end_task FROM run UNION ALL SELECT id, end_task FROM pruned_run) AS every",
        )
        .fetch_one(&mut self.connection)
        .await?;
        sqlx::query(
            "INSERT INTO run (id, name, manifest, manifest_sha256, defaults, base_url, identity, state, created_at, first_task, next_task, \
             end_task, manifest_path) VALUES (?10, ?1, ?2, ?3, ?4, ?5, ?6, 'staging', ?7, ?8, ?8, ?8, ?9)",
        )
        .bind(&about.name)
        .bind(&about.manifest)
        .bind(&about.manifest_sha256)
        .bind(&about.defaults)
        .bind(&about.base_url)
        .bind(&about.identity)
        .bind(now.0)
        .bind(first_task)
        .bind(&about.manifest_path)
        .bind(number)
        .execute(&mut self.connection)
        .await
        .map_err(|error| match error.as_database_error() {
            Some(database) if database.is_unique_violation() => {
                StoreError::NameTaken(about.name.clone())
            }
            _ => error.into(),
        })?;
        let run = RunId(number);
        let budget = self.budget.clone();
        let ready = (None, Values::of(&self.connection));
        let interner =
            Interner::new(&mut self.connection, run, limits.payloads, budget.clone()).await?;
        let neighbours = budget.share(Use::Neighbours, limits.waiting).await;
        self.connection.begin_by_hand(BEGIN).await?;
        Ok(Stager {
            store: self,
            run,
            name: about.name.clone(),
            interner,
            grouper: Grouper::new(chunk_size, limits.waiting),
            _neighbours: neighbours,
            repeats: Repeats::default(),
            first_task,
            next_task: first_task,
            ready,
            all_in: false,
            committed: first_task,
            transaction: limits.transaction,
            invalid: 0,
            held_back: 0,
            order: None,
            unchanged: 0,
        })
    }
}

impl Stager<'_> {
    /// Takes good rows.
    pub(crate) async fn rows(&mut self, rows: Vec<Row>) -> Result<(), StoreError> {
        let ids = self
            .interner
            .intern(&mut self.store.connection, &rows)
            .await?;
        self.advance(rows.into_iter().zip(ids)).await?;
        while self.grouper.is_full() {
            self.advance(std::iter::empty()).await?;
        }
        Ok(())
    }

    /// Writes the tasks that are ready. While the connection's thread is at work, `new` rows are gathered and the next tasks made ready.
    async fn advance(
        &mut self,
        new: impl Iterator<Item = (Row, PayloadId)>,
    ) -> Result<(), StoreError> {
        let connection = &mut self.store.connection;
        let none = Values::of(connection);
        let (ready, values) = std::mem::replace(&mut self.ready, (None, Values::of(connection)));
        let (ready, waiting) = match ready {
            Some(text) => (Some((text, values)), none),
            None => (None, values),
        };
        let gather = || {
            for (row, payload) in new {
                self.repeats.note(&row.device_key);
                let row = WaitingRow {
                    line: row.line,
                    device_key: row.device_key,
                    labels: row.labels,
                };
                self.grouper.push(payload, row);
            }
            let (text, values) = TASK.next(
                waiting,
                &mut self.grouper.take(MOST_ROWS),
                &mut |values, (payload, row)| {
                    let id = self.next_task;
                    self.next_task += 1;
                    task(values, id, Some(payload), row)
                },
            );
            let waits = values.want_more() && !self.all_in;
            (text.filter(|_| !waits), values)
        };
        self.ready = match ready {
            Some((text, values)) => values.execute_beside(text, connection, gather).await?,
            None => gather(),
        };
        self.commit_if_due().await
    }

    /// Takes rows that are wrong: they become failed tasks of the class `invalid`.
    pub(crate) async fn invalid(
        &mut self,
        errors: &[BadRow],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let first = self.next_task;
        self.next_task += errors.len() as i64;
        let rows: Vec<(i64, WaitingRow)> = (first..)
            .zip(errors)
            .map(|(id, error)| {
                let row = WaitingRow {
                    line: error.line,
                    device_key: error.device_key.clone(),
                    labels: None,
                };
                (id, row)
            })
            .collect();
        let connection = &mut self.store.connection;
        TASK.run(connection, rows, |values, (id, row)| {
            task(values, id, None, row)
        })
        .await?;
        let ends: Vec<(i64, String)> = (first..)
            .zip(errors)
            .map(|(task, error)| (task, error.reason()))
            .collect();
        INVALID
            .run(connection, &ends, |query, (task, reason)| {
                query.bind(*task).bind(reason.as_str()).bind(now.0)
            })
            .await?;
        self.invalid += errors.len() as u64;
        self.commit_if_due().await
    }

    /// Fails as soon as `asked` says so, also in the middle of a statement.
    pub(crate) async fn interrupt_when(
        &mut self,
        asked: impl Fn() -> bool + Send + 'static,
    ) -> Result<(), StoreError> {
        self.store.interrupt_when(asked).await
    }

    /// Writes what is still held back and finds repeated devices: all that there is to know before it becomes a run. After an error it is
    /// to be abandoned.
    pub(crate) async fn arrange(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.grouper.end();
        self.all_in = true;
        self.advance(std::iter::empty()).await?;
        while self.ready.0.is_some() {
            self.advance(std::iter::empty()).await?;
        }
        let connection = &mut self.store.connection;
        if self.grouper.is_fragmented() {
            (self.first_task, self.next_task) =
                regroup(connection, self.first_task, self.next_task).await?;
        }
        let order = order::arrange(
            connection,
            self.run,
            self.first_task..self.next_task,
            std::mem::take(&mut self.repeats).met(),
            now,
        )
        .await?;
        self.order = Some(order);
        Ok(())
    }

    /// What pushing it takes in chunks of so many devices, once it is arranged.
    pub(crate) async fn plan(&mut self, chunk_size: u32) -> Result<Plan, StoreError> {
        let tasks = TaskId(self.first_task)..TaskId(self.next_task);
        plan(&mut self.store.connection, self.run, tasks, chunk_size).await
    }

    /// Rows that repeat the payload of their device's row before them, once it is arranged.
    pub(crate) fn duplicates(&self) -> u64 {
        self.order.map_or(0, |order| order.duplicates)
    }

    /// Rows that are wrong.
    pub(crate) fn invalid_rows(&self) -> u64 {
        self.invalid
    }

    /// Good rows that were recorded as invalid all the same.
    pub(crate) fn held_back(&self) -> u64 {
        self.held_back
    }

    /// Arranges it, and makes it a run. After an error it is to be abandoned.
    pub(crate) async fn finish(&mut self, now: Timestamp) -> Result<Staged, StoreError> {
        if self.order.is_none() {
            self.arrange(now).await?;
        }
        let order = self.order.unwrap_or_default();
        let tasks = self.next_task - self.first_task;
        let run = self.run;
        let connection = &mut self.store.connection;
        sqlx::query(
            "INSERT INTO tally (run_id, state, class, code, n) SELECT ?1, 2, 12, 0, ?2 WHERE ?2 > 0 \
             UNION ALL SELECT ?1, 4, 0, 0, ?3 WHERE ?3 > 0 UNION ALL SELECT ?1, 4, 13, 0, ?4 WHERE ?4 > 0",
        )
        .bind(run.0)
        .bind(self.invalid as i64)
        .bind(order.duplicates as i64)
        .bind(self.unchanged as i64)
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "UPDATE run SET state = 'running', tasks = ?2, first_task = ?3, next_task = ?3, end_task = ?4, ordered = ?5 WHERE id = ?1",
        )
        .bind(run.0)
        .bind(tasks)
        .bind(self.first_task)
        .bind(self.next_task)
        .bind(order.followers)
        .execute(&mut *connection)
        .await?;
        self.store.let_finish().await?;
        self.store.connection.commit().await?;
        let run = self
            .store
            .run_by_name(&self.name)
            .await?
            .ok_or_else(|| StoreError::Damaged("a staged run is missing".to_owned()))?;
        Ok(Staged {
            run,
            duplicates: order.duplicates,
            unchanged: self.unchanged,
            invalid: self.invalid,
        })
    }

    /// Leaves no run behind.
    pub(crate) async fn abandon(self) -> Result<(), StoreError> {
        self.store.let_finish().await?;
        // After a full disk the transaction is gone already; what matters is what follows.
        let _ = sqlx::query("ROLLBACK")
            .execute(&mut self.store.connection)
            .await;
        self.store.discard_staging().await
    }

    async fn commit_if_due(&mut self) -> Result<(), StoreError> {
        if self.next_task - self.committed >= self.transaction {
            self.committed = self.next_task;
            self.store.connection.commit().await?;
            self.store.connection.begin_by_hand(BEGIN).await?;
        }
        Ok(())
    }
}

/// The values of a row of `task`; without a payload it is never sent.
fn task(values: Values, id: i64, payload: Option<PayloadId>, row: WaitingRow) -> Values {
    values
        .bind(id)
        .bind(payload.map(|payload| payload.0))
        .bind(row.line as i64)
        .bind(row.device_key.into_string())
        .bind(row.labels.map(String::from))
        .bind(payload.is_none())
}

/// Tasks that one statement deletes.
const DELETED: usize = 100_000;

/// Lays tasks out anew so that those of one payload stand side by side; gives the new range of ids.
///
/// Needed when so many payloads take turns that not all could be gathered in memory. It costs a sort, and saves a request for every
/// chunk that it fills.
async fn regroup(
    connection: &mut DbConnection,
    first: i64,
    end: i64,
) -> Result<(i64, i64), sqlx::Error> {
    let moved = end - first;
    // Invalid rows have an outcome already, which moves with them; they have no payload and come first.
    if let DbConnection::Sqlite(connection) = &mut *connection {
        sqlx::raw_sql("PRAGMA defer_foreign_keys = ON")
            .execute(connection)
            .await?;
    }
    for statement in [
        "CREATE TEMP TABLE layout (id INTEGER PRIMARY KEY, old bigint NOT NULL)",
        "INSERT INTO layout (old) SELECT id FROM task WHERE id >= ?1 AND id < ?2 ORDER BY payload_id NULLS FIRST, id",
        "INSERT INTO task (id, payload_id, line, device_key, labels, held) \
         SELECT ?2 - 1 + l.id, t.payload_id, t.line, t.device_key, t.labels, t.held FROM layout AS l JOIN task AS t ON t.id = l.old \
         ORDER BY l.id",
        "UPDATE outcome SET task_id = ?2 - 1 + l.id FROM layout AS l WHERE outcome.task_id = l.old",
        "DROP TABLE layout",
    ] {
        sqlx::query(statement)
            .bind(first)
            .bind(end)
            .execute(&mut *connection)
            .await?;
    }
    // What one statement deletes it first lists in memory, since other tables refer to it.
    for from in (first..end).step_by(DELETED) {
        sqlx::query("DELETE FROM task WHERE id >= ? AND id < ?")
            .bind(from)
            .bind(end.min(from + DELETED as i64))
            .execute(&mut *connection)
            .await?;
    }
    Ok((end, end + moved))
}
