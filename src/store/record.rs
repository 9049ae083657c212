//! Recording: what became of requests, and of each of their tasks.

use std::time::Duration;

use super::{
    Claim, Finding, Refused, StoreError,
    bulk::Bulk,
    end::{Ended, bind_ticket},
    journal::{Ledger, Lookup},
    throttles::{self, Throttle},
    writes::Writes,
};
use crate::model::{
    BundleId, Class, History, Outcome, PayloadId, RequestId, Standing, TaskId, TaskState, Timestamp,
};

mod bundles;

pub(super) use bundles::load_standings;

/// What became of one request.
#[derive(Debug)]
pub struct Record {
    /// The request and its members.
    pub claim: Claim,
    /// What became of it.
    pub end: RequestEnd,
}

impl Record {
    fn has_acceptance(&self) -> bool {
        match &self.end {
            RequestEnd::Released => false,
            RequestEnd::Sent { tasks, .. } => tasks
                .iter()
                .any(|task| task.next == Next::End(TaskState::Accepted)),
        }
    }
}

/// What became of a request.
#[derive(Debug)]
pub enum RequestEnd {
    /// It was never sent: its tasks are pending as before.
    Released,
    /// It was sent, or at least tried.
    Sent {
        /// When the send began; not known when the process ended meanwhile.
        sent_at: Option<Timestamp>,
        /// When the reply had been read, or the send had failed.
        finished_at: Timestamp,
        /// From the one to the other.
        latency: Option<Duration>,
        /// The status of the reply.
        http_status: Option<u16>,
        /// The top-level code of the reply.
        code: Option<i64>,
        /// The top-level message of the reply.
        message: Option<Box<str>>,
        /// Why there is no reply.
        error: Option<Box<str>>,
        /// Whether the request was answered device by device; `Some(false)` when it was refused as a whole.
        passed: Option<bool>,
        /// How it stands, when it was refused as a whole and stays together.
        together: Option<Standing>,
        /// That the payload or product as such was refused, with the code.
        refused: Option<(Refused, i64)>,
        /// What follows for each member, in their order.
        tasks: Vec<Settlement>,
    },
}

/// What a send came to for one task, and what follows.
#[derive(Debug)]
pub struct Settlement {
    /// What it came to.
    pub outcome: Outcome,
    /// The task's history with this send in it.
    pub history: History,
    /// What follows.
    pub next: Next,
    /// Before when the device's next task is not sent, once this one has ended; at once when `None`.
    pub next_task_at: Option<Timestamp>,
}

/// What follows for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It has ended.
    End(TaskState),
    /// It is sent again.
    Again {
        /// Not before this time.
        due_at: Timestamp,
        /// Whether it stays in its bundle.
        keep_bundle: bool,
    },
    /// It is sent again at once, with one half of its request.
    Split {
        /// Which half.
        second_half: bool,
    },
}

/// A row of `due`.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) task: TaskId,
    pub(super) payload: PayloadId,
    pub(super) bundle: Option<BundleId>,
    pub(super) not_before: Timestamp,
    pub(super) class: Option<Class>,
    pub(super) history: History,
}

static FINISH: Bulk = Bulk::around(
    "WITH v (id, sent_at, finished_at, latency_ms, http_status, code, message, error, released) AS (VALUES",
    "(?,?,?,?,?,?,?,?,?)",
    ") UPDATE request SET sent_at = v.sent_at, finished_at = v.finished_at, latency_ms = v.latency_ms, \
           http_status = v.http_status, code = v.code, message = v.message, error = v.error, released = v.released \
           FROM v WHERE request.id = v.id",
);
static ATTEMPT: Bulk = Bulk::insert(
    "INSERT INTO attempt (task_id, attempt, request_id, class, code, message, ticket)",
    "(?,?,?,?,?,?,?)",
    "",
);
static DUE: Bulk = Bulk::insert(
    "INSERT INTO due (task_id, run_id, payload_id, bundle_id, due_at, class, sends, attempts, throttles, snoozed_ms, offline_retries)",
    "(?,?,?,?,?,?,?,?,?,?,?)",
    "ON CONFLICT DO UPDATE SET bundle_id = excluded.bundle_id, request_id = NULL, due_at = excluded.due_at, \
           class = excluded.class, sends = excluded.sends, attempts = excluded.attempts, throttles = excluded.throttles, \
           snoozed_ms = excluded.snoozed_ms, offline_retries = excluded.offline_retries",
);

impl Ledger {
    /// Records what became of these requests.
    pub(super) async fn record(
        &mut self,
        writes: &mut Writes<'_>,
        records: Vec<Record>,
        now: Timestamp,
        findings: &mut Vec<Finding>,
    ) -> Result<(), StoreError> {
        finish_requests(writes, &records, now).await?;
        for record in &records {
            self.room.give_back(&record.claim.payload);
        }
        // Before refusals are judged: an acceptance in the same transaction speaks against them.
        let accepted = records
            .iter()
            .filter(|record| record.has_acceptance())
            .map(|record| record.claim.payload_id);
        self.payloads.mark_accepted(writes, accepted).await?;
        let mut rows = Rows::default();
        for Record { mut claim, end } in records {
            self.in_flight -= claim.members.len() as u64;
            match end {
                RequestEnd::Released => rows.release(claim, now),
                RequestEnd::Sent {
                    tasks,
                    passed,
                    together,
                    refused,
                    ..
                } => {
                    if let Some(passed) = passed {
                        let limit = self.size_answered(writes, &claim, passed).await?;
                        findings.extend(limit.map(Finding::ChunkLimit));
                    }
                    if let Some((refused, code)) = refused {
                        let ended = self
                            .note_refusal(writes.connection().await?, &claim, refused, code)
                            .await?;
                        findings.extend(ended);
                    }
                    let halves = self.split(writes, &claim, &tasks, together).await?;
                    if let Some(standing) = together {
                        self.keep_together(writes, &mut claim, &tasks, standing)
                            .await?;
                    }
                    rows.settle(claim, tasks, halves, now);
                }
            }
        }
        let Rows {
            mut earlier,
            mut due,
            ended,
            throttles,
        } = rows;
        earlier.sort_unstable_by_key(|attempt| attempt.task);
        writes
            .bulk(&ATTEMPT, &earlier, |values, attempt| {
                let values = values
                    .bind(attempt.task.0)
                    .bind(attempt.number)
                    .bind(attempt.request.0)
                    .bind(attempt.outcome.class as u8)
                    .bind(attempt.outcome.code)
                    .bind(attempt.outcome.message.as_deref());
                bind_ticket(values, attempt.outcome.ticket.as_ref())
            })
            .await?;
        throttles::remember(writes, throttles, now).await?;
        due.sort_unstable_by_key(|due| due.task);
        self.make_due(writes, &due).await?;
        self.end_tasks(writes, ended, now).await
    }

    /// Writes these rows of `due`.
    pub(super) async fn make_due(
        &mut self,
        writes: &mut Writes<'_>,
        due: &[Due],
    ) -> Result<(), StoreError> {
        let run = self.run.id;
        writes
            .bulk(&DUE, due, |values, due| {
                values
                    .bind(due.task.0)
                    .bind(run.0)
                    .bind(due.payload.0)
                    .bind(due.bundle.map(|bundle| bundle.0))
                    .bind(due.not_before.0)
                    .bind(due.class.map(|class| class as u8))
                    .bind(due.history.sends)
                    .bind(due.history.attempts)
                    .bind(due.history.throttles)
                    .bind(due.history.snoozed.as_millis() as i64)
                    .bind(due.history.offline_retries)
            })
            .await?;
        if !due.is_empty() {
            self.next_due = Lookup::Unknown;
        }
        self.snoozing += due.iter().filter(|due| is_snooze(due.class)).count() as u64;
        self.latest_due = self
            .latest_due
            .max(due.iter().map(|due| due.not_before).max());
        Ok(())
    }
}

/// What recording writes, gathered over all its requests.
#[derive(Default)]
struct Rows {
    earlier: Vec<Attempt>,
    due: Vec<Due>,
    ended: Vec<Ended>,
    throttles: Vec<Throttle>,
}

/// A send that was not a task's last one.
struct Attempt {
    task: TaskId,
    number: u32,
    request: RequestId,
    outcome: Outcome,
}

impl Rows {
    /// Tasks of a request that was not sent are pending as before.
    fn release(&mut self, claim: Claim, now: Timestamp) {
        self.due.extend(claim.members.into_iter().map(|member| Due {
            task: member.task,
            payload: claim.payload_id,
            bundle: claim.bundle,
            not_before: now,
            class: member.class,
            history: member.history,
        }));
    }

    fn settle(
        &mut self,
        claim: Claim,
        tasks: Vec<Settlement>,
        halves: [Option<BundleId>; 2],
        now: Timestamp,
    ) {
        let alone = tasks.len() == 1;
        for (member, settlement) in claim.members.into_iter().zip(tasks) {
            self.throttles.extend(Throttle::of(
                &claim.payload,
                &member,
                alone,
                &settlement,
                now,
            ));
            let Settlement {
                outcome,
                history,
                next,
                next_task_at,
            } = settlement;
            let (bundle, not_before) = match next {
                Next::End(state) => {
                    self.ended.push(Ended {
                        task: member.task,
                        state,
                        class: Some(outcome.class),
                        code: outcome.code,
                        message: outcome.message,
                        ticket: outcome.ticket,
                        request: Some(claim.request),
                        sends: history.sends,
                        was_due: member.was_due,
                        next_task_at,
                    });
                    continue;
                }
                Next::Again {
                    due_at,
                    keep_bundle,
                } => (claim.bundle.filter(|_| keep_bundle), due_at),
                Next::Split { second_half } => (halves[usize::from(second_half)], now),
            };
            self.due.push(Due {
                task: member.task,
                payload: claim.payload_id,
                bundle,
                not_before,
                class: Some(outcome.class),
                history,
            });
            self.earlier.push(Attempt {
                task: member.task,
                number: history.sends,
                request: claim.request,
                outcome,
            });
        }
    }
}

async fn finish_requests(
    writes: &mut Writes<'_>,
    records: &[Record],
    now: Timestamp,
) -> Result<(), StoreError> {
    writes
        .bulk(&FINISH, records, |values, record| {
            let values = values.bind(record.claim.request.0);
            match &record.end {
                RequestEnd::Released => values
                    .bind(None::<i64>)
                    .bind(now.0)
                    .bind(None::<i64>)
                    .bind(None::<i64>)
                    .bind(None::<i64>)
                    .bind(None::<String>)
                    .bind(None::<String>)
                    .bind(true),
                RequestEnd::Sent {
                    sent_at,
                    finished_at,
                    latency,
                    http_status,
                    code,
                    message,
                    error,
                    ..
                } => values
                    .bind(sent_at.map(|time| time.0))
                    .bind(finished_at.0)
                    .bind(latency.map(|latency| latency.as_millis() as i64))
                    .bind(http_status.map(i64::from))
                    .bind(*code)
                    .bind(message.as_deref())
                    .bind(error.as_deref())
                    .bind(false),
            }
        })
        .await?;
    Ok(())
}

/// Whether a task of `due` with this last outcome is one whose device the platform throttles.
pub(super) fn is_snooze(class: Option<Class>) -> bool {
    matches!(class, Some(Class::Frequency | Class::Quota))
}
