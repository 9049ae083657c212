//! The transaction of a push, in few, large statements that both engines run.

use std::{collections::HashMap, ops::Range, time::Duration};

use serde_json::json;
use sqlx::Row;

use super::{
    numbers,
    read::{Key, due_task, list, refusal},
    write,
};
use crate::model::{
    BundleId, PartNumber, Payload, PayloadId, RequestId, RunId, TaskId, TaskState, Timestamp,
};
use crate::store::{
    CommonTask, Gate, StoreError, ToldDoubt,
    changes::Changes,
    common,
    db::DbConnection,
    inbox::InboxBeside,
    part::{Whole, read_whole},
    payload::read_payload,
    row::{Blocker, Bundle, DueTask, FirstTask, NextTask, ProbeTask, RefusalKey, RefusalRow},
    throttles::is_resting,
    told,
    transaction::PushTransaction,
    writes::Writes,
};

/// A transaction of the push of one run, or of a part of it.
pub(crate) struct Transaction<'c> {
    run: RunId,
    /// The part of it, if it is one.
    part: Option<PartNumber>,
    messages: &'c mut InboxBeside,
    writes: Writes<'c>,
}

/// The columns of `due` that tell what a task has been through.
macro_rules! due_columns {
    () => {
        "d.task_id, d.payload_id, d.class, d.sends, d.attempts, d.throttles, d.snoozed_ms, d.offline_retries, t.device_key"
    };
}

/// Tasks that are due, the earliest first; those of one bundle or payload together.
pub(in crate::store) const DUE_TASKS: &str = concat!(
    "SELECT ",
    due_columns!(),
    ", d.bundle_id FROM due AS d JOIN task AS t ON t.id = d.task_id \
     WHERE d.run_id = ? AND d.due_at <= ? ORDER BY d.due_at, d.bundle_id NULLS FIRST, d.payload_id LIMIT ?"
);
/// The same without suspects.
const INNOCENT_DUE_TASKS: &str = concat!(
    "SELECT ",
    due_columns!(),
    ", d.bundle_id FROM due AS d JOIN task AS t ON t.id = d.task_id \
     WHERE d.run_id = ? AND d.due_at <= ? AND NOT EXISTS (SELECT 1 FROM bundle AS b WHERE b.id = d.bundle_id AND b.run_id = d.run_id AND b.suspect = 1) \
     ORDER BY d.due_at, d.bundle_id NULLS FIRST, d.payload_id LIMIT ?"
);
const PROBE_TASK: &str = concat!(
    "SELECT ",
    due_columns!(),
    ", d.payload_id IN (SELECT CAST(value AS bigint) FROM json_each(?3)) AS probed, CASE WHEN b.suspect = 1 THEN b.id END AS bundle_id \
     FROM due AS d JOIN task AS t ON t.id = d.task_id LEFT JOIN bundle AS b ON b.id = d.bundle_id AND b.run_id = ?1 \
     WHERE d.run_id = ?1 AND d.due_at <= ?2 AND d.class IS DISTINCT FROM 11 \
     ORDER BY coalesce(b.suspect, 0), probed, d.bundle_id IS NOT NULL, d.sends, d.due_at, d.task_id LIMIT 1"
);
const BLOCKED_DUE: &str =
    "SELECT task_id FROM due WHERE run_id = ? AND due_at <= ? AND class = 11 LIMIT ?";
/// First sends, in the order in which they are laid out, as lists in one row: a row of its own for each costs several times as much.
pub(in crate::store) const FIRST_TASKS: &str = "SELECT json_group_array(id), json_group_array(payload_id), json_group_array(device_key) \
     FROM (SELECT id, payload_id, device_key FROM task WHERE id >= ? AND id < ? AND held = 0 ORDER BY id LIMIT ?) AS first";
/// When the next waiting task of a run becomes due.
pub(in crate::store) const NEXT_DUE: &str =
    "SELECT min(due_at) FROM due WHERE run_id = ? AND due_at IS NOT NULL";
/// The tasks that wait for those of a list. After a retry that need not be the very next ones: those between may have ended before.
pub(in crate::store) const NEXT_TASKS: &str = "WITH RECURSIVE later (previous_id, task_id) AS ( \
         SELECT f.previous_id, f.task_id FROM json_each(?) AS j JOIN follower AS f ON f.previous_id = CAST(j.value AS bigint) \
         UNION ALL \
         SELECT l.previous_id, f.task_id FROM later AS l JOIN follower AS f ON f.previous_id = l.task_id \
         WHERE EXISTS (SELECT 1 FROM outcome WHERE task_id = l.task_id) \
     ) \
     SELECT l.previous_id, l.task_id, t.payload_id, p.line, \
     (SELECT coalesce(max(a.attempt), 0) FROM attempt AS a WHERE a.task_id = l.task_id) AS sends \
     FROM later AS l \
     JOIN task AS t ON t.id = l.task_id \
     JOIN task AS p ON p.id = l.previous_id \
     WHERE NOT EXISTS (SELECT 1 FROM outcome WHERE task_id = l.task_id) \
     ORDER BY l.task_id";
/// What stands before these tasks of their devices.
const BLOCKERS: &str = "SELECT f.task_id, p.line, o.state, d.sends FROM json_each(?) AS j \
     JOIN follower AS f ON f.task_id = CAST(j.value AS bigint) \
     JOIN due AS d ON d.task_id = f.task_id \
     JOIN task AS p ON p.id = f.previous_id \
     JOIN outcome AS o ON o.task_id = f.previous_id";
/// Until when the devices of these tasks rest, of those that do.
const THROTTLED_UNTIL: &str = concat!(
    "SELECT t.id, h.until FROM json_each(?1) AS j \
     JOIN task AS t ON t.id = CAST(j.value AS bigint) JOIN payload AS p ON p.id = t.payload_id AND p.run_id = ?3 \
     JOIN device_throttle AS h ON h.device_key = t.device_key AND h.product_key = p.product_key \
     WHERE ",
    is_resting!()
);
const HALVES: &str = "SELECT DISTINCT b.id, b.parent_request_id, q.devices AS parent_devices, b.devices, b.passed, b.of_size \
     FROM json_each(?2) AS j JOIN bundle AS own ON own.id = CAST(j.value AS bigint) AND own.run_id = ?1 \
     JOIN bundle AS b ON b.parent_request_id = own.parent_request_id \
     JOIN request AS q ON q.id = b.parent_request_id";
const REFUSALS: &str = "SELECT r.payload_id, r.product_key, r.code, r.request_id, r.requests, r.devices, r.ended \
     FROM json_each(?2) AS j JOIN refusal AS r ON r.run_id = ?1 AND r.product_key = j.value ->> 0 \
     AND coalesce(r.payload_id, 0) = CAST(j.value ->> 1 AS bigint)";

impl<'c> Transaction<'c> {
    pub(in crate::store) fn begin(
        connection: &'c mut DbConnection,
        messages: &'c mut InboxBeside,
        run: RunId,
        part: Option<PartNumber>,
    ) -> Self {
        Self {
            run,
            part,
            messages,
            writes: Writes::begin(connection),
        }
    }
}

impl PushTransaction for Transaction<'_> {
    async fn write(&mut self, changes: Changes, now: Timestamp) -> Result<(), StoreError> {
        write::write(&mut self.writes, (self.run, self.part), changes, now).await?;
        Ok(())
    }

    async fn gate(&mut self) -> Result<Gate, StoreError> {
        if self.writes.is_on_file() {
            return Ok(Gate::default());
        }
        common::gate(self.writes.connection().await?, self.run).await
    }

    async fn common_tasks(
        &mut self,
        tasks: &[TaskId],
        reply_time: Duration,
    ) -> Result<HashMap<TaskId, CommonTask>, StoreError> {
        common::common_tasks(self.writes.connection().await?, self.run, tasks, reply_time).await
    }

    async fn next_due(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let next_due: Option<i64> = sqlx::query_scalar(NEXT_DUE)
            .bind(self.run.0)
            .fetch_one(self.writes.connection().await?)
            .await?;
        Ok(next_due.map(Timestamp))
    }

    async fn due_tasks(
        &mut self,
        now: Timestamp,
        most: usize,
        suspects: bool,
    ) -> Result<Vec<DueTask>, StoreError> {
        let select = if suspects {
            DUE_TASKS
        } else {
            INNOCENT_DUE_TASKS
        };
        sqlx::query(select)
            .bind(self.run.0)
            .bind(now.0)
            .bind(most as i64)
            .fetch_all(self.writes.connection().await?)
            .await?
            .iter()
            .map(due_task)
            .collect()
    }

    async fn blocked_due(
        &mut self,
        now: Timestamp,
        most: usize,
    ) -> Result<Vec<TaskId>, StoreError> {
        let tasks: Vec<i64> = sqlx::query_scalar(BLOCKED_DUE)
            .bind(self.run.0)
            .bind(now.0)
            .bind(most as i64)
            .fetch_all(self.writes.connection().await?)
            .await?;
        Ok(tasks.into_iter().map(TaskId).collect())
    }

    async fn probe_task(
        &mut self,
        now: Timestamp,
        probed: &[PayloadId],
    ) -> Result<Option<ProbeTask>, StoreError> {
        sqlx::query(PROBE_TASK)
            .bind(self.run.0)
            .bind(now.0)
            .bind(json!(probed).to_string())
            .fetch_optional(self.writes.connection().await?)
            .await?
            .map(|row| {
                Ok(ProbeTask {
                    due: due_task(&row)?,
                    probed: row.try_get("probed")?,
                })
            })
            .transpose()
    }

    async fn first_tasks(
        &mut self,
        from: TaskId,
        end: TaskId,
        most: usize,
    ) -> Result<Vec<FirstTask>, StoreError> {
        let (ids, payloads, keys): (String, String, String) = sqlx::query_as(FIRST_TASKS)
            .bind(from.0)
            .bind(end.0)
            .bind(most as i64)
            .fetch_one(self.writes.connection().await?)
            .await?;
        let ids: Vec<i64> = list(&ids)?;
        let payloads: Vec<i64> = list(&payloads)?;
        let keys: Vec<Key<'_>> = list(&keys)?;
        let tasks = ids.into_iter().zip(payloads).zip(keys);
        Ok(tasks
            .map(|((task, payload), Key(device_key))| FirstTask {
                task: TaskId(task),
                payload: PayloadId(payload),
                device_key: device_key.into(),
            })
            .collect())
    }

    async fn payload_of(&mut self, task: TaskId) -> Result<Option<PayloadId>, StoreError> {
        let payload: Option<Option<i64>> =
            sqlx::query_scalar("SELECT payload_id FROM task WHERE id = ?")
                .bind(task.0)
                .fetch_optional(self.writes.connection().await?)
                .await?;
        Ok(payload.flatten().map(PayloadId))
    }

    async fn payload(&mut self, id: PayloadId) -> Result<Payload, StoreError> {
        read_payload(self.writes.connection().await?, self.run, id).await
    }

    async fn next_tasks(&mut self, ended: &[TaskId]) -> Result<Vec<NextTask>, StoreError> {
        sqlx::query(NEXT_TASKS)
            .bind(json!(ended).to_string())
            .fetch_all(self.writes.connection().await?)
            .await?
            .iter()
            .map(|row| {
                Ok(NextTask {
                    previous: TaskId(row.try_get("previous_id")?),
                    line: row.try_get("line")?,
                    task: TaskId(row.try_get("task_id")?),
                    payload: PayloadId(row.try_get("payload_id")?),
                    sends: row.try_get("sends")?,
                })
            })
            .collect()
    }

    async fn blockers(&mut self, tasks: &[TaskId]) -> Result<Vec<Blocker>, StoreError> {
        sqlx::query(BLOCKERS)
            .bind(json!(tasks).to_string())
            .fetch_all(self.writes.connection().await?)
            .await?
            .iter()
            .map(|row| {
                let state: i64 = row.try_get("state")?;
                Ok(Blocker {
                    task: TaskId(row.try_get("task_id")?),
                    sends: row.try_get("sends")?,
                    line: row.try_get("line")?,
                    state: TaskState::from_number(state).ok_or_else(|| {
                        StoreError::Damaged(format!("a task has the state {state}"))
                    })?,
                })
            })
            .collect()
    }

    async fn told_doubts(
        &mut self,
        tasks: &[TaskId],
        now: Timestamp,
    ) -> Result<Vec<TaskId>, StoreError> {
        told::told_doubts(&mut self.writes, self.messages, tasks, now).await
    }

    async fn told_doubt(
        &mut self,
        task: TaskId,
        now: Timestamp,
    ) -> Result<Option<ToldDoubt>, StoreError> {
        told::told_doubt(&mut self.writes, self.messages, task, now).await
    }

    fn take_trouble(&mut self) -> Option<String> {
        self.messages.take_trouble()
    }

    async fn throttled_until(
        &mut self,
        tasks: &[TaskId],
        now: Timestamp,
    ) -> Result<HashMap<TaskId, Timestamp>, StoreError> {
        let until: Vec<(i64, i64)> = sqlx::query_as(THROTTLED_UNTIL)
            .bind(json!(tasks).to_string())
            .bind(now.0)
            .bind(self.run.0)
            .fetch_all(self.writes.connection().await?)
            .await?;
        Ok(until
            .into_iter()
            .map(|(task, until)| (TaskId(task), Timestamp(until)))
            .collect())
    }

    async fn halves(&mut self, bundles: &[BundleId]) -> Result<Vec<Bundle>, StoreError> {
        sqlx::query(HALVES)
            .bind(self.run.0)
            .bind(json!(bundles).to_string())
            .fetch_all(self.writes.connection().await?)
            .await?
            .iter()
            .map(|row| {
                Ok(Bundle {
                    id: BundleId(row.try_get("id")?),
                    parent: RequestId(row.try_get("parent_request_id")?),
                    parent_devices: row.try_get("parent_devices")?,
                    devices: row.try_get("devices")?,
                    passed: row.try_get("passed")?,
                    of_size: row.try_get("of_size")?,
                })
            })
            .collect()
    }

    async fn refusals(&mut self, keys: &[RefusalKey]) -> Result<Vec<RefusalRow>, StoreError> {
        let keys: Vec<(&str, i64)> = keys
            .iter()
            .map(|key| {
                (
                    &*key.product_key,
                    key.payload.map_or(0, |payload| payload.0),
                )
            })
            .collect();
        sqlx::query(REFUSALS)
            .bind(self.run.0)
            .bind(json!(keys).to_string())
            .fetch_all(self.writes.connection().await?)
            .await?
            .iter()
            .map(refusal)
            .collect()
    }

    async fn is_accepted(&mut self, key: &RefusalKey) -> Result<bool, StoreError> {
        let run = self.run.0;
        let connection = self.writes.connection().await?;
        let accepted = match key.payload {
            Some(payload) => sqlx::query_scalar("SELECT accepted FROM payload WHERE run_id = ? AND id = ?")
                .bind(run)
                .bind(payload.0)
                .fetch_one(connection)
                .await?,
            None => sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM payload WHERE run_id = ? AND product_key = ? AND accepted = 1)",
            )
            .bind(run)
            .bind(&*key.product_key)
            .fetch_one(connection)
            .await?,
        };
        Ok(accepted)
    }

    async fn request_numbers(&mut self) -> Result<Range<i64>, StoreError> {
        Ok(numbers::next(self.writes.connection().await?).await?)
    }

    async fn whole(&mut self) -> Result<Option<Whole>, StoreError> {
        match self.part {
            Some(_) => Ok(Some(
                read_whole(self.writes.connection().await?, self.run).await?,
            )),
            None => Ok(None),
        }
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        self.writes.commit().await?;
        Ok(())
    }

    async fn roll_back(self) {
        self.writes.roll_back().await;
    }
}
