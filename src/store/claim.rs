//! Claiming: which tasks go out next, and in which requests.

use std::{sync::Arc, time::Duration};

use sqlx::{Row, sqlite::SqliteRow};

use super::{
    StoreError,
    bulk::Bulk,
    end::Ended,
    journal::{Ledger, Lookup, Wish},
    record::is_snooze,
    writes::Writes,
};
use crate::model::{
    BundleId, Class, History, Payload, PayloadId, RequestId, Standing, TaskId, TaskState,
};

mod ahead;
mod chunk;
mod probe;
mod room;

pub(super) use ahead::Ahead;
#[cfg(test)]
pub(super) use ahead::FIRST_TASKS;
use ahead::READ_MOST;
use chunk::chunks;
pub(super) use room::Room;

/// A request to be sent, and its members. On the disk before anybody sees it.
#[derive(Debug)]
pub struct Claim {
    /// The request.
    pub request: RequestId,
    /// Its payload.
    pub payload_id: PayloadId,
    /// Its payload.
    pub payload: Arc<Payload>,
    /// The bundle that it is, or is part of.
    pub bundle: Option<BundleId>,
    /// How it stands when it was refused before.
    pub standing: Standing,
    /// The tasks, at least one; no device twice.
    pub members: Vec<Member>,
}

/// What came of tasks that were to be claimed.
enum Made {
    Claim(Claim),
    /// They have ended, since their payload is refused as such.
    Ended,
    /// They have to wait until others are done, and are as they were.
    NoRoom(Vec<Member>),
}

/// One task of a request.
#[derive(Debug)]
pub struct Member {
    /// The task.
    pub task: TaskId,
    /// Its device.
    pub device_key: Arc<str>,
    /// What it has been through before this send.
    pub history: History,
    /// What its last send came to.
    pub class: Option<Class>,
    /// Whether it comes out of `due`, and not out of the first sends.
    pub(super) was_due: bool,
}

impl Member {
    /// A member of a first send.
    pub(crate) fn never_sent(task: TaskId, device_key: Arc<str>) -> Self {
        Self {
            task,
            device_key,
            history: History::default(),
            class: None,
            was_due: false,
        }
    }

    /// Whether this send is the first to its device in this run.
    pub(crate) fn is_first_of_device(&self) -> bool {
        // What comes out of `due` has been sent before, or waited for another task of its device.
        !self.was_due
    }

    /// A member, from a row with its columns of `due`.
    pub(super) fn read(row: &SqliteRow, was_due: bool) -> Result<Self, StoreError> {
        let class: Option<u8> = row.try_get("class")?;
        let snoozed_ms: i64 = row.try_get("snoozed_ms")?;
        Ok(Self {
            task: TaskId(row.try_get("task_id")?),
            device_key: row.try_get::<&str, _>("device_key")?.into(),
            history: History {
                sends: row.try_get("sends")?,
                attempts: row.try_get("attempts")?,
                throttles: row.try_get("throttles")?,
                snoozed: Duration::from_millis(snoozed_ms.unsigned_abs()),
                offline_retries: row.try_get("offline_retries")?,
            },
            class: class.and_then(|class| Class::from_number(class.into())),
            was_due,
        })
    }
}

/// Tasks read from `due` for one claim, at most, however large chunks are.
const MOST_DUE: usize = 8192;
/// Tasks that are due, the earliest first; those of one bundle or payload together.
pub(super) const DUE_TASKS: &str = "SELECT d.task_id, d.payload_id, d.bundle_id, d.class, d.sends, d.attempts, d.throttles, d.snoozed_ms, d.offline_retries, \
     t.device_key \
     FROM due AS d JOIN task AS t ON t.id = d.task_id \
     WHERE d.run_id = ? AND d.due_at <= ? ORDER BY d.due_at, d.bundle_id, d.payload_id LIMIT ?";
/// The same without suspects.
const INNOCENT_DUE_TASKS: &str = "SELECT d.task_id, d.payload_id, d.bundle_id, d.class, d.sends, d.attempts, d.throttles, d.snoozed_ms, d.offline_retries, \
     t.device_key \
     FROM due AS d JOIN task AS t ON t.id = d.task_id \
     WHERE d.run_id = ? AND d.due_at <= ? AND NOT EXISTS (SELECT 1 FROM bundle AS b WHERE b.id = d.bundle_id AND b.suspect = 1) \
     ORDER BY d.due_at, d.bundle_id, d.payload_id LIMIT ?";
static REQUEST: Bulk = Bulk::insert(
    "INSERT INTO request (id, run_id, payload_id, bundle_id, first_task, end_task, devices, claimed_at)",
    "(?,?,?,?,?,?,?,?)",
    "",
);
static IN_FLIGHT: Bulk = Bulk::around(
    "WITH v (task_id, request_id) AS (VALUES",
    "(?,?)",
    ") UPDATE due SET request_id = v.request_id, due_at = NULL FROM v WHERE due.task_id = v.task_id",
);

impl Ledger {
    /// Claims requests, and says whether there may be more right now. First sends and due tasks share a claim by halves, as long as
    /// there are both; as long as the canary has not passed there are no first sends.
    pub(super) async fn claim(
        &mut self,
        writes: &mut Writes<'_>,
        wish: Wish,
    ) -> Result<(Vec<Claim>, bool), StoreError> {
        if wish.requests == 0 {
            return Ok((Vec::new(), true));
        }
        self.room.begin();
        if wish.probe {
            let claims = self.claim_probe(writes, wish).await?;
            self.write_claims(writes, wish, &claims).await?;
            // What is due later is seen by its time.
            let more = !self.ahead.is_empty() && !self.canary.is_open();
            return Ok((claims, more));
        }
        self.probed.clear();
        let chunk_size = wish
            .chunk_size
            .min(self.run.sizes.limit.unwrap_or(u32::MAX))
            .max(1) as usize;
        let first_sends_left = !self.ahead.is_empty() && !self.canary.is_open();
        let for_due = if first_sends_left {
            self.odd_is_due = !self.odd_is_due;
            if self.odd_is_due {
                wish.requests / 2
            } else {
                wish.requests.div_ceil(2)
            }
        } else {
            wish.requests
        };
        let innocent = if self.standings.values().any(|standing| standing.suspect) {
            INNOCENT_DUE_TASKS
        } else {
            DUE_TASKS
        };
        let (mut claims, mut more_due) = self
            .claim_due(writes, wish, chunk_size, for_due, innocent)
            .await?;
        let left = wish.requests - claims.len();
        let more_first = !self.canary.is_open()
            && self
                .claim_first(writes, wish, chunk_size, left, &mut claims)
                .await?;
        if claims.is_empty() && innocent != DUE_TASKS {
            // Suspects go last.
            (claims, more_due) = self
                .claim_due(writes, wish, chunk_size, wish.requests, DUE_TASKS)
                .await?;
        }
        self.write_claims(writes, wish, &claims).await?;
        Ok((claims, more_due || more_first))
    }

    /// Claims at most `most` requests of tasks that are due.
    async fn claim_due(
        &mut self,
        writes: &mut Writes<'_>,
        wish: Wish,
        chunk_size: usize,
        most: usize,
        select: &'static str,
    ) -> Result<(Vec<Claim>, bool), StoreError> {
        if self
            .next_due(writes)
            .await?
            .is_none_or(|due| due > wish.now)
        {
            return Ok((Vec::new(), false));
        }
        let limit = (most * chunk_size).min(MOST_DUE.max(chunk_size));
        let rows = sqlx::query(select)
            .bind(self.run.id.0)
            .bind(wish.now.0)
            .bind(limit as i64)
            .fetch_all(writes.connection().await?)
            .await?;
        let read = rows.len();
        let tasks = rows
            .iter()
            .map(|row| {
                let bundle: Option<i64> = row.try_get("bundle_id")?;
                let payload = PayloadId(row.try_get("payload_id")?);
                Ok(((bundle.map(BundleId), payload), Member::read(row, true)?))
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        let (blocked, tasks): (Vec<_>, Vec<_>) = tasks
            .into_iter()
            .partition(|(_, member)| member.class == Some(Class::Blocked));
        let blocked: Vec<TaskId> = blocked.iter().map(|(_, member)| member.task).collect();
        self.end_blocked(writes, &blocked, wish.now).await?;
        let mut claims = Vec::new();
        let mut taken = blocked.len();
        for ((bundle, payload_id), members) in chunks(tasks, chunk_size, most) {
            let count = members.len();
            let snoozing = members
                .iter()
                .filter(|member| is_snooze(member.class))
                .count() as u64;
            match self
                .make_claim(writes, wish, bundle, payload_id, members)
                .await?
            {
                Made::Claim(claim) => claims.push(claim),
                Made::Ended => {}
                // They stay due.
                Made::NoRoom(_) => break,
            }
            taken += count;
            self.snoozing -= snoozing;
        }
        // The next of those that were blocked may be due by now.
        let more = taken < read || read == limit || !blocked.is_empty();
        Ok((claims, more))
    }

    /// Claims at most `most` requests of tasks that have never been sent.
    async fn claim_first(
        &mut self,
        writes: &mut Writes<'_>,
        wish: Wish,
        chunk_size: usize,
        most: usize,
        claims: &mut Vec<Claim>,
    ) -> Result<bool, StoreError> {
        let full = claims.len() + most;
        // Tasks of a refused payload end here unsent; no more of them in one transaction than are read at once.
        let mut looked_at = 0;
        while claims.len() < full && looked_at < READ_MOST {
            if self.ahead.len() < chunk_size && !self.ahead.is_exhausted() {
                let wanted = (full - claims.len()) * chunk_size;
                self.ahead
                    .read(
                        writes.connection().await?,
                        self.run.end_task,
                        wanted.max(chunk_size),
                    )
                    .await?;
                continue;
            }
            let Some((payload_id, tasks)) = self.ahead.take_chunk(chunk_size) else {
                break;
            };
            looked_at += tasks.len();
            let members: Vec<Member> = tasks
                .into_iter()
                .map(|first| Member::never_sent(first.task, first.device_key))
                .collect();
            let end = members.last().map(|last| last.task.0 + 1);
            match self
                .make_claim(writes, wish, None, payload_id, members)
                .await?
            {
                Made::Claim(claim) => claims.push(claim),
                Made::Ended => {}
                Made::NoRoom(members) => {
                    self.ahead.give_back(payload_id, members);
                    break;
                }
            }
            self.next_task = end.unwrap_or(self.next_task);
        }
        Ok(!self.ahead.is_empty())
    }

    /// Makes a request of these tasks if there is room, or ends them when their payload is refused as such.
    async fn make_claim(
        &mut self,
        writes: &mut Writes<'_>,
        wish: Wish,
        bundle: Option<BundleId>,
        payload_id: PayloadId,
        members: Vec<Member>,
    ) -> Result<Made, StoreError> {
        let payload = match self.payloads.loaded(payload_id) {
            Some(payload) => payload,
            None => {
                self.payloads
                    .get(writes.connection().await?, payload_id)
                    .await?
            }
        };
        if let Some(ending) = self.refusals.of(payload_id, &payload.product_key) {
            let ended = members
                .into_iter()
                .map(|member| Ended {
                    task: member.task,
                    state: TaskState::Failed,
                    class: Some(Class::Rejected),
                    code: Some(ending.code),
                    message: Some(
                        format!("not sent: payload refused in request {}", ending.request).into(),
                    ),
                    ticket: None,
                    request: None,
                    sends: member.history.sends,
                    was_due: member.was_due,
                    next_task_at: None,
                })
                .collect();
            self.end_tasks(writes, ended, wish.now).await?;
            return Ok(Made::Ended);
        }
        if wish.probe {
            self.room.force(&payload);
        } else if !self.room.take(&payload) {
            return Ok(Made::NoRoom(members));
        }
        let request = RequestId(self.next_request);
        self.next_request += 1;
        self.in_flight += members.len() as u64;
        Ok(Made::Claim(Claim {
            request,
            payload_id,
            payload,
            bundle,
            standing: self.standing(bundle),
            members,
        }))
    }

    /// How a request that is kept together stands.
    pub(super) fn standing(&self, bundle: Option<BundleId>) -> Standing {
        bundle
            .and_then(|bundle| self.standings.get(&bundle))
            .copied()
            .unwrap_or_default()
    }

    async fn write_claims(
        &mut self,
        writes: &mut Writes<'_>,
        wish: Wish,
        claims: &[Claim],
    ) -> Result<(), StoreError> {
        let run = self.run.id;
        writes
            .bulk(&REQUEST, claims, |values, claim| {
                // The members of a first send are a range of tasks; those of another one name their request.
                let ends = match (claim.members.first(), claim.members.last()) {
                    (Some(first), Some(last)) if !first.was_due => {
                        Some((first.task.0, last.task.0 + 1))
                    }
                    _ => None,
                };
                values
                    .bind(claim.request.0)
                    .bind(run.0)
                    .bind(claim.payload_id.0)
                    .bind(claim.bundle.map(|bundle| bundle.0))
                    .bind(ends.map(|(first, _)| first))
                    .bind(ends.map(|(_, end)| end))
                    .bind(claim.members.len() as i64)
                    .bind(wish.now.0)
            })
            .await?;
        let mut due: Vec<(TaskId, RequestId)> = claims
            .iter()
            .flat_map(|claim| {
                claim
                    .members
                    .iter()
                    .map(move |member| (member, claim.request))
            })
            .filter(|(member, _)| member.was_due)
            .map(|(member, request)| (member.task, request))
            .collect();
        due.sort_unstable_by_key(|(task, _)| *task);
        if !due.is_empty() {
            self.next_due = Lookup::Unknown;
        }
        writes
            .bulk(&IN_FLIGHT, &due, |values, (task, request)| {
                values.bind(task.0).bind(request.0)
            })
            .await?;
        if self.next_task != self.saved_next_task {
            writes
                .statement("UPDATE run SET next_task = ? WHERE id = ?", |values| {
                    values.bind(self.next_task).bind(run.0)
                })
                .await?;
            self.saved_next_task = self.next_task;
        }
        Ok(())
    }
}
