//! Probes: one device, each time another, and of another payload if there is one, so that neither of the two can pass for an outage.

use serde_json::json;
use sqlx::{Row, sqlite::SqliteRow};

use super::{Claim, Made, Member, READ_MOST};
use crate::{
    model::{BundleId, PayloadId, TaskId},
    store::{
        StoreError,
        journal::{Ledger, Lookup, Wish},
        record::is_snooze,
        writes::Writes,
    },
};

/// A task that is due: of a payload that no probe has had, none that belongs to a request that is kept together, the least often sent.
const DUE_TASK: &str = "SELECT d.task_id, d.payload_id, d.class, d.sends, d.attempts, d.throttles, d.snoozed_ms, d.offline_retries, t.device_key, \
     d.payload_id IN (SELECT value FROM json_each(?3)) AS probed, CASE WHEN b.suspect = 1 THEN b.id END AS suspect \
     FROM due AS d JOIN task AS t ON t.id = d.task_id LEFT JOIN bundle AS b ON b.id = d.bundle_id \
     WHERE d.run_id = ?1 AND d.due_at <= ?2 AND d.class IS NOT 11 \
     ORDER BY coalesce(b.suspect, 0), probed, d.bundle_id IS NOT NULL, d.sends, d.due_at, d.task_id LIMIT 1";
/// Tasks that wait for their end, and are not sent.
const DUE_BLOCKED: &str =
    "SELECT task_id FROM due WHERE run_id = ? AND due_at <= ? AND class = 11 LIMIT 1000";
/// The first of the first sends from an id on.
const FIRST_TASK: &str =
    "SELECT id, payload_id FROM task WHERE id >= ? AND id < ? AND held = 0 ORDER BY id LIMIT 1";
/// So many payloads are passed over in the search for one that no probe has had.
const PASSED_OVER: usize = 16;

/// A task for a probe, with its payload, and the bundle that it stays in.
type Chosen = (PayloadId, Option<BundleId>, Member);

impl Ledger {
    /// Claims one task for a probe, if there is one that may be sent now.
    pub(super) async fn claim_probe(
        &mut self,
        writes: &mut Writes<'_>,
        wish: Wish,
    ) -> Result<Vec<Claim>, StoreError> {
        let blocked: Vec<i64> = sqlx::query_scalar(DUE_BLOCKED)
            .bind(self.run.id.0)
            .bind(wish.now.0)
            .fetch_all(writes.connection().await?)
            .await?;
        let blocked: Vec<TaskId> = blocked.into_iter().map(TaskId).collect();
        self.end_blocked(writes, &blocked, wish.now).await?;
        // A payload that is refused as such ends its tasks here, and is no probe.
        for _ in 0..READ_MOST {
            let Some((payload, bundle, member)) = self.choose_probe(writes, wish).await? else {
                break;
            };
            if !self.probed.contains(&payload) {
                self.probed.push(payload);
            }
            let claim = self
                .make_claim(writes, wish, bundle, payload, vec![member])
                .await?;
            if let Made::Claim(claim) = claim {
                return Ok(vec![claim]);
            }
        }
        Ok(Vec::new())
    }

    async fn choose_probe(
        &mut self,
        writes: &mut Writes<'_>,
        wish: Wish,
    ) -> Result<Option<Chosen>, StoreError> {
        let front = self.front_payload(writes).await?;
        if front.is_some_and(|payload| !self.probed.contains(&payload)) {
            return Ok(self.take_first());
        }
        let due = sqlx::query(DUE_TASK)
            .bind(self.run.id.0)
            .bind(wish.now.0)
            .bind(json!(self.probed).to_string())
            .fetch_optional(writes.connection().await?)
            .await?;
        let due_is_probed = match &due {
            Some(row) => row.try_get("probed")?,
            None => true,
        };
        if due_is_probed && let Some(front) = front {
            return match self.other_first(writes, front).await? {
                Some(task) => self.pull_forward(writes, wish, task).await.map(Some),
                None => Ok(self.take_first()),
            };
        }
        let Some(row) = due else {
            return Ok(None);
        };
        let (payload, member) = self.take_due(&row)?;
        // Only when nothing but suspects is left; and what has a device of one stays one.
        let suspect: Option<i64> = row.try_get("suspect")?;
        Ok(Some((payload, suspect.map(BundleId), member)))
    }

    /// The payload of the next first send.
    async fn front_payload(
        &mut self,
        writes: &mut Writes<'_>,
    ) -> Result<Option<PayloadId>, StoreError> {
        if self.canary.is_open() {
            return Ok(None);
        }
        if self.ahead.front().is_none() && !self.ahead.is_exhausted() {
            self.ahead
                .read(writes.connection().await?, self.run.end_task, 1)
                .await?;
        }
        Ok(self.ahead.front())
    }

    fn take_first(&mut self) -> Option<Chosen> {
        let (payload, tasks) = self.ahead.take_chunk(1)?;
        let first = tasks.into_iter().next()?;
        self.next_task = first.task.0 + 1;
        let member = Member::never_sent(first.task, first.device_key);
        Some((payload, None, member))
    }

    fn take_due(&mut self, row: &SqliteRow) -> Result<(PayloadId, Member), StoreError> {
        let member = Member::read(row, true)?;
        self.snoozing -= u64::from(is_snooze(member.class));
        Ok((PayloadId(row.try_get("payload_id")?), member))
    }

    /// A first send of a payload that no probe has had. Tasks of one payload stand side by side, so that its end is found by halving.
    async fn other_first(
        &self,
        writes: &mut Writes<'_>,
        front: PayloadId,
    ) -> Result<Option<TaskId>, StoreError> {
        let connection = writes.connection().await?;
        let end = self.run.end_task.0;
        let mut payload = front;
        let mut from = self.next_task;
        for _ in 0..PASSED_OVER {
            let (mut low, mut high) = (from, end);
            while low < high {
                let middle = low.midpoint(high);
                let of: Option<i64> =
                    sqlx::query_scalar("SELECT payload_id FROM task WHERE id = ?")
                        .bind(middle)
                        .fetch_optional(&mut *connection)
                        .await?
                        .flatten();
                if of == Some(payload.0) {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            let found: Option<(i64, i64)> = sqlx::query_as(FIRST_TASK)
                .bind(low)
                .bind(end)
                .fetch_optional(&mut *connection)
                .await?;
            let Some((task, of)) = found else {
                return Ok(None);
            };
            if !self.probed.contains(&PayloadId(of)) {
                return Ok(Some(TaskId(task)));
            }
            (payload, from) = (PayloadId(of), task);
        }
        Ok(None)
    }

    /// Takes a task out of the first sends, which go out in the order of their ids: it becomes due.
    async fn pull_forward(
        &mut self,
        writes: &mut Writes<'_>,
        wish: Wish,
        task: TaskId,
    ) -> Result<Chosen, StoreError> {
        writes
            .statement(
                "INSERT INTO due (task_id, run_id, payload_id, due_at) SELECT id, ?2, payload_id, ?3 FROM task WHERE id = ?1",
                |values| values.bind(task.0).bind(self.run.id.0).bind(wish.now.0),
            )
            .await?;
        writes
            .statement("UPDATE task SET held = 1 WHERE id = ?", |values| {
                values.bind(task.0)
            })
            .await?;
        self.ahead.remove(task);
        self.next_due = Lookup::Unknown;
        let row = sqlx::query(
            "SELECT d.task_id, d.payload_id, d.class, d.sends, d.attempts, d.throttles, d.snoozed_ms, d.offline_retries, t.device_key \
             FROM due AS d JOIN task AS t ON t.id = d.task_id WHERE d.task_id = ?",
        )
        .bind(task.0)
        .fetch_one(writes.connection().await?)
        .await?;
        let (payload, member) = self.take_due(&row)?;
        Ok((payload, None, member))
    }
}
