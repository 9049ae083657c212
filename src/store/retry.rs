//! Opens ended tasks again. The tasks that a filter chooses are first drafted in a table, until it is decided which of them are sent.

use std::{collections::HashMap, sync::Arc};

use serde_json::json;
use sqlx::{Connection, Row, Transaction};

use super::{
    Reader, Run, RunRow, Store, StoreError,
    accepted_range::in_no_accepted_range,
    db::{Db, DbConnection},
    owner::BEGIN,
    run,
    select::{self, Candidates, Selection, Tasks, Unknown, UnknownValue},
    stale::{self, any_younger},
};
use crate::model::{Class, TaskFilter, TaskId, TaskState, TaskStatus, Timestamp};

mod accepted;
mod reopen;

/// Devices in one page of a draft.
const PAGE: i64 = 500;

/// Which ended tasks may be sent again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retriable {
    /// They ended so …
    pub(crate) states: &'static [TaskState],
    /// … and not with this class.
    pub(crate) never: Class,
    /// What ended so goes along with the task of its device that blocked it.
    pub(crate) along: (TaskState, Class),
}

/// A task of a device that has several in the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceTask {
    pub(crate) task: TaskId,
    pub(crate) device_key: String,
    /// The device's product.
    pub(crate) product_key: String,
    /// How it has ended, if it has.
    pub(crate) ended: Option<(TaskState, Option<Class>)>,
    /// Whether the filter chooses it.
    pub(crate) wanted: bool,
    /// Whether the device has accepted the same service from a younger run; known of what is in the draft.
    pub(crate) overtaken: bool,
    /// The services that it calls.
    pub(crate) services: Arc<[Option<String>]>,
}

/// Tasks of a draft that a younger run has overtaken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Overtaken {
    /// How many.
    pub(crate) tasks: u64,
    /// One of their devices.
    pub(crate) example: Option<String>,
}

/// The tasks that a filter chooses and those that they block, before it is decided which of them go. Nothing is changed until it is
/// committed.
#[derive(Debug)]
pub(crate) struct RetryDraft<'s> {
    transaction: Transaction<'s, Db>,
    run: Run,
}

impl Store {
    /// What the filter names and the run does not have, but for values of labels.
    pub(crate) async fn unknown(
        &mut self,
        run: &Run,
        filter: &TaskFilter,
    ) -> Result<Unknown, StoreError> {
        Ok(select::unknown(&mut self.connection, tasks(run), filter).await?)
    }

    /// The values of labels that the filter names and no task has, for a filter that has found nothing: it reads the whole run.
    pub(crate) async fn unknown_values(
        &mut self,
        run: &Run,
        filter: &TaskFilter,
    ) -> Result<Vec<UnknownValue>, StoreError> {
        Ok(select::unknown_values(&mut self.connection, tasks(run), filter).await?)
    }

    /// Drafts a retry with this filter.
    pub(crate) async fn draft_retry(
        &mut self,
        run: &Run,
        filter: &TaskFilter,
        retriable: &Retriable,
    ) -> Result<RetryDraft<'_>, StoreError> {
        self.gather(run.id).await?;
        let any_younger = any_younger(&mut self.connection, run).await?;
        let transaction = self.connection.begin_with(BEGIN).await?;
        RetryDraft::begin(transaction, run, filter, retriable, any_younger).await
    }
}

impl Reader {
    /// The run of this row, with what its owner knows of it.
    pub(crate) async fn run_of(&mut self, row: &RunRow) -> Result<Run, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{} WHERE id = ?", run::SELECT)))
            .bind(row.id.0)
            .fetch_one(&mut self.connection)
            .await?;
        run::read(&row)
    }

    /// Drafts a retry that is never made: only temporary tables are written, so that the database may have another owner.
    pub(crate) async fn draft_retry(
        &mut self,
        run: &Run,
        filter: &TaskFilter,
        retriable: &Retriable,
    ) -> Result<RetryDraft<'_>, StoreError> {
        let any_younger = any_younger(&mut self.connection, run).await?;
        self.allow_temporary().await?;
        let transaction = self.connection.begin().await?;
        RetryDraft::begin(transaction, run, filter, retriable, any_younger).await
    }
}

impl<'s> RetryDraft<'s> {
    async fn begin(
        mut transaction: Transaction<'s, Db>,
        run: &Run,
        filter: &TaskFilter,
        retriable: &Retriable,
        any_younger: bool,
    ) -> Result<Self, StoreError> {
        choose(&mut transaction, run, filter, retriable).await?;
        if any_younger {
            sqlx::query(stale::MARK_OVERTAKEN)
                .bind(run.id.0)
                .bind(&run.about.base_url)
                .execute(&mut *transaction)
                .await?;
        }
        Ok(Self {
            transaction,
            run: run.clone(),
        })
    }
}

impl RetryDraft<'_> {
    /// All tasks of the next devices after this key that have several in the run and one in the draft, device by device and in the order
    /// of the manifest; nothing when there are no more.
    pub(crate) async fn devices_with_several(
        &mut self,
        after: &str,
    ) -> Result<Vec<DeviceTask>, StoreError> {
        if !self.run.ordered {
            return Ok(Vec::new());
        }
        let rows = sqlx::query(DEVICE_TASKS)
            .bind(self.run.id.0)
            .bind(after)
            .bind(PAGE)
            .fetch_all(&mut *self.transaction)
            .await?;
        let mut services: HashMap<i64, Arc<[Option<String>]>> = HashMap::new();
        let mut tasks = Vec::with_capacity(rows.len());
        for row in rows {
            let payload: i64 = row.try_get("payload_id")?;
            let services = if let Some(known) = services.get(&payload) {
                known.clone()
            } else {
                let called: Vec<Option<String>> = sqlx::query_scalar(
                    "SELECT service FROM payload_service WHERE run_id = ? AND payload_id = ?",
                )
                .bind(self.run.id.0)
                .bind(payload)
                .fetch_all(&mut *self.transaction)
                .await?;
                services
                    .entry(payload)
                    .or_insert_with(|| called.into())
                    .clone()
            };
            tasks.push(DeviceTask {
                task: TaskId(row.try_get("id")?),
                device_key: row.try_get("device_key")?,
                product_key: row.try_get("product_key")?,
                ended: ended(row.try_get("state")?, row.try_get("class")?)?,
                wanted: row.try_get("wanted")?,
                overtaken: row.try_get("overtaken")?,
                services,
            });
        }
        Ok(tasks)
    }

    /// Takes these tasks out of the draft.
    pub(crate) async fn leave_out(&mut self, tasks: &[TaskId]) -> Result<(), StoreError> {
        let ids: Vec<i64> = tasks.iter().map(|task| task.0).collect();
        sqlx::query(
            "DELETE FROM temp.reopened WHERE task_id IN (SELECT CAST(value AS bigint) FROM json_each(?))",
        )
            .bind(json!(ids).to_string())
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }

    /// The overtaken tasks of devices that have no other in the run.
    pub(crate) async fn overtaken_alone(&mut self) -> Result<Overtaken, StoreError> {
        let (tasks, example): (i64, Option<String>) = sqlx::query_as(
            "SELECT count(*), min(t.device_key) FROM temp.reopened AS r CROSS JOIN task AS t ON t.id = r.task_id \
             WHERE r.overtaken = 1 AND NOT EXISTS (SELECT 1 FROM temp.several AS s WHERE s.device_key = t.device_key)",
        )
        .fetch_one(&mut *self.transaction)
        .await?;
        Ok(Overtaken {
            tasks: tasks.unsigned_abs(),
            example,
        })
    }

    /// Takes what has been overtaken out of the draft.
    pub(crate) async fn leave_out_overtaken(&mut self) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM temp.reopened WHERE overtaken = 1")
            .execute(&mut *self.transaction)
            .await?;
        Ok(())
    }

    /// How many tasks the draft has: of those that the filter chooses, and of those that go along.
    pub(crate) async fn counts(&mut self) -> Result<(u64, u64), StoreError> {
        let (chosen, along): (i64, i64) = sqlx::query_as(
            "SELECT count(*) FILTER (WHERE blocked = 0), count(*) FILTER (WHERE blocked = 1) FROM temp.reopened",
        )
        .fetch_one(&mut *self.transaction)
        .await?;
        Ok((chosen.unsigned_abs(), along.unsigned_abs()))
    }

    /// Opens the tasks of the draft again, with a fresh budget of attempts.
    pub(crate) async fn commit(mut self, now: Timestamp) -> Result<(), StoreError> {
        let (chosen, _) = self.counts().await?;
        if chosen > 0 {
            accepted::dissolve_ranges(&mut self.transaction).await?;
            reopen::reopen(&mut self.transaction, &self.run, now).await?;
        }
        for table in ["DROP TABLE temp.reopened", "DROP TABLE temp.several"] {
            sqlx::query(table).execute(&mut *self.transaction).await?;
        }
        self.transaction.commit().await?;
        Ok(())
    }

    /// Forgets the draft.
    pub(crate) async fn abandon(self) -> Result<(), StoreError> {
        self.transaction.rollback().await?;
        Ok(())
    }
}

/// Where the tasks of a run are.
fn tasks(run: &Run) -> Tasks {
    Tasks {
        run: run.id,
        first: run.first_task.0,
        end: run.end_task.0,
    }
}

fn ended(
    state: Option<i64>,
    class: Option<i64>,
) -> Result<Option<(TaskState, Option<Class>)>, StoreError> {
    let Some(state) = state else {
        return Ok(None);
    };
    let state = TaskState::from_number(state)
        .ok_or_else(|| StoreError::Damaged(format!("an outcome has the state {state}")))?;
    let class = class.map(|class| {
        Class::from_number(class)
            .ok_or_else(|| StoreError::Damaged(format!("an outcome has the class {class}")))
    });
    Ok(Some((state, class.transpose()?)))
}

/// Makes the tables `reopened`, of the tasks that the filter chooses and those that they block, and `several`, of the devices among them
/// that have other tasks in the run.
async fn choose(
    connection: &mut DbConnection,
    run: &Run,
    filter: &TaskFilter,
    retriable: &Retriable,
) -> Result<(), StoreError> {
    sqlx::raw_sql(TABLES).execute(&mut *connection).await?;
    let states: Vec<TaskState> = retriable
        .states
        .iter()
        .copied()
        .filter(|state| filter.wants(TaskStatus::Ended(*state)))
        .collect();
    let filter = TaskFilter {
        statuses: states.iter().copied().map(TaskStatus::Ended).collect(),
        ..filter.clone()
    };
    if states.is_empty() {
        return Ok(());
    }
    // Only accepted tasks may stand in a range.
    let chosen = if states.contains(&TaskState::Accepted) {
        accepted::CHOSEN
    } else {
        CHOSEN
    };
    let states: Vec<u8> = states.into_iter().map(|state| state as u8).collect();
    let classes: Vec<u8> = filter.classes.iter().map(|class| *class as u8).collect();
    let codes: Vec<_> = filter
        .codes
        .iter()
        .map(|codes| [*codes.start(), *codes.end()])
        .collect();
    let mut selection = Selection::begin(connection, tasks(run), filter, select::PAGE).await?;
    while let Some(Candidates { ids, .. }) = selection.next(connection).await? {
        sqlx::query(chosen)
            .bind(json!(ids).to_string())
            .bind(json!(states).to_string())
            .bind((!classes.is_empty()).then(|| json!(classes).to_string()))
            .bind((!codes.is_empty()).then(|| json!(codes).to_string()))
            .bind(retriable.never as i64)
            .execute(&mut *connection)
            .await?;
    }
    if run.ordered {
        let (state, class) = retriable.along;
        sqlx::query(ALONG)
            .bind(state as i64)
            .bind(class as i64)
            .execute(&mut *connection)
            .await?;
        sqlx::query(SEVERAL).execute(&mut *connection).await?;
    }
    Ok(())
}

const TABLES: &str = "CREATE TEMP TABLE reopened ( \
         task_id INTEGER PRIMARY KEY, blocked INTEGER NOT NULL, overtaken INTEGER NOT NULL DEFAULT 0 \
     ); \
     CREATE TEMP TABLE several (device_key TEXT PRIMARY KEY) WITHOUT ROWID;";

/// Of the candidates in ?1 those that have ended in one of the states ?2 with one of the classes ?3 and of the codes ?4, where there are any,
/// and not with the class ?5. `$from` has the ends of tasks as `o`, which it finds by `$task`.
macro_rules! chosen {
    ($from:literal, $task:literal) => {
        concat!(
            "INSERT INTO temp.reopened (task_id, blocked) SELECT ",
            $task,
            ", 0 FROM json_each(?1) AS j CROSS JOIN ",
            $from,
            " AS o ON ",
            $task,
            " = CAST(j.value AS bigint) \
             WHERE o.class <> ?5 AND o.state IN (SELECT CAST(value AS bigint) FROM json_each(?2)) \
             AND (?3 IS NULL OR o.class IN (SELECT CAST(value AS bigint) FROM json_each(?3))) \
             AND (?4 IS NULL OR EXISTS (SELECT 1 FROM json_each(?4) AS c \
                 WHERE o.code BETWEEN CAST(c.value ->> 0 AS bigint) AND CAST(c.value ->> 1 AS bigint))) \
             ORDER BY ",
            $task,
            " ON CONFLICT DO NOTHING"
        )
    };
}
use chosen;

const CHOSEN: &str = chosen!("outcome", "o.task_id");

/// What ended in the state ?1 with the class ?2 and waits, by one or several others, for a task of the draft.
const ALONG: &str = "INSERT INTO temp.reopened (task_id, blocked) \
     WITH RECURSIVE later (task_id) AS ( \
         SELECT f.task_id FROM temp.reopened AS r JOIN follower AS f ON f.previous_id = r.task_id \
         JOIN outcome AS o ON o.task_id = f.task_id WHERE o.state = ?1 AND o.class = ?2 \
         UNION \
         SELECT f.task_id FROM later AS l JOIN follower AS f ON f.previous_id = l.task_id \
         JOIN outcome AS o ON o.task_id = f.task_id WHERE o.state = ?1 AND o.class = ?2 \
     ) \
     SELECT task_id, 1 FROM later WHERE true ON CONFLICT DO NOTHING";

const SEVERAL: &str = "INSERT INTO temp.several (device_key) \
     SELECT t.device_key FROM temp.reopened AS r CROSS JOIN task AS t ON t.id = r.task_id \
     WHERE EXISTS (SELECT 1 FROM follower AS f WHERE f.previous_id = t.id) \
     OR EXISTS (SELECT 1 FROM follower AS f WHERE f.task_id = t.id) \
     ORDER BY 1 ON CONFLICT DO NOTHING";

const DEVICE_TASKS: &str = concat!(
    "SELECT t.id, t.device_key, p.product_key, t.payload_id, \
         CASE WHEN o.task_id IS NOT NULL THEN o.state WHEN NOT ",
    in_no_accepted_range!("t.id"),
    " THEN 1 END AS state, o.class, \
         r.task_id IS NOT NULL AND r.blocked = 0 AS wanted, coalesce(r.overtaken, 0) AS overtaken \
     FROM (SELECT device_key FROM temp.several WHERE device_key > ?2 ORDER BY device_key LIMIT ?3) AS s \
     CROSS JOIN device_task AS d ON d.run_id = ?1 AND d.device_key = s.device_key \
     CROSS JOIN task AS t ON t.id = d.task_id \
     CROSS JOIN payload AS p ON p.run_id = ?1 AND p.id = t.payload_id \
     LEFT JOIN outcome AS o ON o.task_id = t.id \
     LEFT JOIN temp.reopened AS r ON r.task_id = t.id \
     ORDER BY t.device_key, p.product_key, t.line, t.id"
);
