//! Ending tasks: the one way in which outcomes are written, whatever brought them about.

use sqlx::Row;

use super::{
    StoreError,
    bulk::{Bulk, Values},
    journal::{Ledger, Lookup, Tally},
    record::{Due, is_snooze},
    span::write_spans,
    throttles,
    writes::Writes,
};
use crate::model::{
    AfterFailure, Class, History, PayloadId, RequestId, TaskId, TaskState, Ticket, Timestamp,
};

/// A task that ends now.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) task: TaskId,
    pub(super) state: TaskState,
    pub(super) class: Option<Class>,
    pub(super) code: Option<i64>,
    pub(super) message: Option<Box<str>>,
    pub(super) ticket: Option<Ticket>,
    /// The request that ended it, if one did.
    pub(super) request: Option<RequestId>,
    /// All its sends.
    pub(super) sends: u32,
    /// Whether it has a row in `due`.
    pub(super) was_due: bool,
    /// Before when the device's next task is not sent.
    pub(super) next_task_at: Option<Timestamp>,
}

/// What one transaction may spend on ending tasks that are blocked: one for each of them, and [`ROUND`] for each step along a device's
/// tasks. A device may have 100,000 tasks, and signals and replies wait for the end of a transaction. Tasks beyond it are due with the
/// class `blocked`, and end when they are claimed, also by another process.
pub(super) const CASCADE: usize = 8000;
/// What a step costs, measured in rows.
const ROUND: usize = 20;

/// What stands before these tasks of their devices.
const BLOCKERS: &str = "SELECT f.task_id, p.line, o.state, d.sends FROM json_each(?) AS j \
     JOIN follower AS f ON f.task_id = j.value \
     JOIN due AS d ON d.task_id = f.task_id \
     JOIN task AS p ON p.id = f.previous_id \
     JOIN outcome AS o ON o.task_id = f.previous_id";

impl Ended {
    /// A task that is not sent, since the one before it, of this line, ended in this state.
    fn blocked(task: TaskId, line: i64, state: TaskState, sends: u32) -> Self {
        Self {
            task,
            state: TaskState::Failed,
            class: Some(Class::Blocked),
            code: None,
            message: Some(
                format!(
                    "not sent: the device's task of line {line} ended as {}",
                    state.name()
                )
                .into(),
            ),
            ticket: None,
            request: None,
            sends,
            was_due: false,
            next_task_at: None,
        }
    }
}

static OUTCOME: Bulk = Bulk::insert(
    "INSERT INTO outcome (task_id, state, class, code, message, ticket, request_id, attempts, finished_at)",
    "(?,?,?,?,?,?,?,?,?)",
    "",
);
static NO_LONGER_DUE: Bulk = Bulk::around("DELETE FROM due WHERE task_id IN (VALUES", "(?)", ")");

static ADD_TO_TALLY: Bulk = Bulk::insert(
    "INSERT INTO tally (run_id, state, class, code, n)",
    "(?,?,?,?,?)",
    "ON CONFLICT DO UPDATE SET n = n + excluded.n",
);

/// The tasks that wait for those of a list. After a retry that need not be the very next ones: those between may have ended before.
pub(super) const NEXT_TASKS: &str = "WITH RECURSIVE later (previous_id, task_id) AS ( \
         SELECT f.previous_id, f.task_id FROM json_each(?) AS j JOIN follower AS f ON f.previous_id = j.value \
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

impl Ledger {
    /// Ends these tasks; a device's next task becomes due, or ends too when it is blocked: at once, or soon (see [`CASCADE`]).
    pub(super) async fn end_tasks(
        &mut self,
        writes: &mut Writes<'_>,
        mut ended: Vec<Ended>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        while !ended.is_empty() {
            // In key order, which keeps the write sequential.
            ended.sort_unstable_by_key(|task| task.task);
            let alone = write_spans(writes, &ended, now).await?;
            writes
                .bulk(&OUTCOME, &alone, |values, task| {
                    let values = values
                        .bind(task.task.0)
                        .bind(task.state as u8)
                        .bind(task.class.map(|class| class as u8))
                        .bind(task.code)
                        .bind(task.message.as_deref());
                    bind_ticket(values, task.ticket.as_ref())
                        .bind(task.request.map(|request| request.0))
                        .bind(task.sends)
                        .bind(now.0)
                })
                .await?;
            let due: Vec<TaskId> = ended
                .iter()
                .filter(|task| task.was_due)
                .map(|task| task.task)
                .collect();
            writes
                .bulk(&NO_LONGER_DUE, &due, |values, task| values.bind(task.0))
                .await?;
            if !due.is_empty() {
                // Those of a refused payload were waiting.
                self.next_due = Lookup::Unknown;
            }
            self.canary.leave_due(due.len());
            for task in &ended {
                let key = Tally {
                    state: task.state,
                    class: task.class,
                    code: task.code,
                };
                *self.tally.entry(key).or_default() += 1;
                *self.unsaved.entry(key).or_default() += 1;
            }
            ended = if self.run.ordered {
                self.next_of(writes, &ended, now).await?
            } else {
                Vec::new()
            };
            self.cascade = self.cascade.saturating_sub(ROUND + ended.len());
        }
        Ok(())
    }

    /// Makes the next task of each device due, and gives those that are blocked instead.
    async fn next_of(
        &mut self,
        writes: &mut Writes<'_>,
        ended: &[Ended],
        now: Timestamp,
    ) -> Result<Vec<Ended>, StoreError> {
        let ids: Vec<i64> = ended.iter().map(|task| task.task.0).collect();
        let rows = sqlx::query(NEXT_TASKS)
            .bind(serde_json::json!(ids).to_string())
            .fetch_all(writes.connection().await?)
            .await?;
        let mut due = Vec::new();
        let mut blocked = Vec::new();
        for row in rows {
            let previous = TaskId(row.try_get("previous_id")?);
            let task = TaskId(row.try_get("task_id")?);
            let line: i64 = row.try_get("line")?;
            let history = History {
                sends: row.try_get("sends")?,
                ..History::default()
            };
            let (state, not_before) = ended
                .binary_search_by_key(&previous, |task| task.task)
                .map(|at| (ended[at].state, ended[at].next_task_at.unwrap_or(now)))
                .map_err(|_| {
                    StoreError::Damaged("a task follows one that was not asked for".to_owned())
                })?;
            let stands_in_the_way = matches!(state, TaskState::Failed | TaskState::InDoubt);
            let is_blocked = stands_in_the_way && self.after_failure == AfterFailure::Block;
            if is_blocked && self.cascade > 0 {
                blocked.push(Ended::blocked(task, line, state, history.sends));
            } else {
                due.push(Due {
                    task,
                    payload: PayloadId(row.try_get("payload_id")?),
                    bundle: None,
                    not_before: if is_blocked { now } else { not_before },
                    class: is_blocked.then_some(Class::Blocked),
                    history,
                });
            }
        }
        if ended.iter().any(|task| is_snooze(task.class)) {
            throttles::put_off(writes.connection().await?, &mut due, now).await?;
        }
        self.make_due(writes, &due).await?;
        self.canary.follow(due.len());
        Ok(blocked)
    }

    /// Ends tasks that have waited for it with the class `blocked`.
    pub(super) async fn end_blocked(
        &mut self,
        writes: &mut Writes<'_>,
        tasks: &[TaskId],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if tasks.is_empty() {
            return Ok(());
        }
        let ids: Vec<i64> = tasks.iter().map(|task| task.0).collect();
        let rows: Vec<(i64, i64, u8, u32)> = sqlx::query_as(BLOCKERS)
            .bind(serde_json::json!(ids).to_string())
            .fetch_all(writes.connection().await?)
            .await?;
        let ended = rows
            .into_iter()
            .map(|(task, line, state, sends)| {
                let state = TaskState::ALL
                    .into_iter()
                    .find(|candidate| *candidate as u8 == state)
                    .ok_or_else(|| StoreError::Damaged(format!("a task has the state {state}")))?;
                Ok(Ended {
                    was_due: true,
                    ..Ended::blocked(TaskId(task), line, state, sends)
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        if ended.len() != tasks.len() {
            return Err(StoreError::Damaged(
                "a task is blocked by none that has ended".to_owned(),
            ));
        }
        self.end_tasks(writes, ended, now).await
    }

    /// Adds to the database's tally what this transaction has added.
    pub(super) async fn save_tally(&mut self, writes: &mut Writes<'_>) -> Result<(), StoreError> {
        let added: Vec<(Tally, u64)> = std::mem::take(&mut self.unsaved).into_iter().collect();
        let run = self.run.id;
        writes
            .bulk(&ADD_TO_TALLY, &added, |values, (key, n)| {
                values
                    .bind(run.0)
                    .bind(key.state as u8)
                    .bind(key.class.map_or(0, |class| class as u8))
                    .bind(key.code.unwrap_or_default())
                    .bind(*n as i64)
            })
            .await?;
        Ok(())
    }
}

/// Binds a ticket: as an integer where that loses nothing, which takes half the space of its text.
pub(super) fn bind_ticket(values: Values, ticket: Option<&Ticket>) -> Values {
    match ticket.map(|ticket| (ticket.as_integer(), ticket)) {
        None => values.bind(None::<i64>),
        Some((Some(integer), _)) => values.bind(integer),
        Some((None, text)) => values.bind(text.as_str()),
    }
}
