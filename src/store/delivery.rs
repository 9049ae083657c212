//! The delivery of accepted commands: the commands that can be asked about, and the evidence about them.

use serde_json::json;
use sqlx::{Connection as _, Row as _};

use super::{
    ReadError, Reader, Run, RunRow, Store, StoreError,
    db::{DbConnection, DbRow},
    owner::BEGIN,
    send_time::window,
};
use crate::model::{Delivery, EvidenceSource, Proof, TaskId, Ticket, TimeRange, Timestamp};

/// An accepted command with its ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AcceptedCommand {
    pub(crate) task: TaskId,
    /// Its line in the manifest.
    pub(crate) line: i64,
    /// Which send of the task it was.
    pub(crate) attempt: u32,
    pub(crate) product_key: Box<str>,
    pub(crate) device_key: Box<str>,
    pub(crate) ticket: Ticket,
    /// From the beginning of its send to the end of its reply, on our clock.
    pub(crate) sent: TimeRange,
    /// `isCache` of its payload.
    pub(crate) is_cache: Option<bool>,
    /// `cacheTime` of its payload.
    pub(crate) cache_time: Option<i64>,
    /// What is known of it.
    pub(crate) known: Delivery,
}

/// Evidence about one send of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskProof {
    pub(crate) task: TaskId,
    pub(crate) attempt: u32,
    pub(crate) proof: Proof,
}

/// How many accepted commands have which delivery.
pub(crate) type DeliveryCounts = Vec<(Delivery, u64)>;

const COMMAND: &str = "SELECT t.id AS task_id, t.line, t.device_key, t.attempts, CAST(t.ticket AS TEXT) AS ticket, \
         p.product_key, p.is_cache, p.cache_time, q.claimed_at, q.sent_at, q.latency_ms, q.finished_at, coalesce(y.delivery, 0) AS delivery \
     FROM task_end AS t \
     JOIN request AS q ON q.id = t.request_id \
     JOIN payload AS p ON p.id = t.payload_id AND p.run_id = q.run_id \
     LEFT JOIN delivery AS y ON y.task_id = t.id AND y.attempt = t.attempts ";

/// Accepted tasks behind ?1 and before ?2 whose delivery is none of ?3, in the order of their ids.
const NEXT: &str = "WHERE t.id > ?1 AND t.id < ?2 AND t.state = 1 AND t.ticket IS NOT NULL \
     AND coalesce(y.delivery, 0) NOT IN (SELECT CAST(value AS bigint) FROM json_each(?3)) ORDER BY t.id LIMIT ?4";

/// The same among the tasks ?1.
const NAMED: &str = "WHERE t.id IN (SELECT CAST(value AS bigint) FROM json_each(?1)) AND t.state = 1 AND t.ticket IS NOT NULL \
     AND coalesce(y.delivery, 0) NOT IN (SELECT CAST(value AS bigint) FROM json_each(?2)) ORDER BY t.id";

/// What is known of tasks `low` to `high`.
const KNOWN: &str = "SELECT json_group_array(json_array(task_id, attempt, delivery, evidence, at, recorded_at)) FROM ( \
         SELECT task_id, attempt, delivery, evidence, at, recorded_at FROM delivery WHERE task_id BETWEEN ? AND ? \
         ORDER BY task_id, attempt \
     ) AS known";

/// Pieces of evidence that are settled in one transaction.
const PIECE: usize = 10_000;
/// Ids of tasks that are looked at for known evidence at a time: those of a piece may lie far apart.
const SPAN: i64 = 100_000;

impl Store {
    /// Accepted commands of a run whose delivery is none of `reached`, those after `after`, at most `most`.
    pub(crate) async fn accepted_commands(
        &mut self,
        run: &Run,
        after: TaskId,
        reached: &[Delivery],
        most: u32,
    ) -> Result<Vec<AcceptedCommand>, StoreError> {
        let ids = (run.first_task.0, run.end_task.0);
        next_commands(&mut self.connection, ids, after, reached, most).await
    }

    /// Accepted commands among these tasks whose delivery is none of `reached`.
    pub(crate) async fn accepted_among(
        &mut self,
        tasks: &[TaskId],
        reached: &[Delivery],
    ) -> Result<Vec<AcceptedCommand>, StoreError> {
        named_commands(&mut self.connection, tasks, reached).await
    }

    /// Draws `wanted` accepted tasks with a ticket: the run's ids are cut into equal parts as for a canary, and each gives one as far as
    /// it has any. The same seed draws the same.
    pub(crate) async fn draw_accepted(
        &mut self,
        run: &Run,
        wanted: u64,
        pick: impl Fn(u64, u64) -> u64,
    ) -> Result<Vec<TaskId>, StoreError> {
        const FIRST: &str = "SELECT t.id FROM task_end AS t WHERE t.id >= ? AND t.id < ? AND t.state = 1 AND t.ticket IS NOT NULL \
             ORDER BY t.id LIMIT 1";
        let ids = (run.end_task.0 - run.first_task.0).unsigned_abs();
        let mut parts = wanted.min(ids);
        loop {
            let mut drawn: Vec<(u64, TaskId)> = Vec::new();
            for part in 0..parts {
                let edge =
                    |part: u64| (u128::from(ids) * u128::from(part) / u128::from(parts)) as i64;
                let (low, high) = (
                    run.first_task.0 + edge(part),
                    run.first_task.0 + edge(part + 1),
                );
                let from = low + (pick(part, (high - low).unsigned_abs())) as i64;
                for (begin, end) in [(from, high), (low, from)] {
                    let found: Option<i64> = sqlx::query_scalar(FIRST)
                        .bind(begin)
                        .bind(end)
                        .fetch_optional(&mut self.connection)
                        .await?;
                    if let Some(id) = found {
                        drawn.push((pick(part, u64::MAX), TaskId(id)));
                        break;
                    }
                }
            }
            if drawn.len() as u64 >= wanted || parts == ids {
                drawn.sort_unstable();
                drawn.truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
                let mut tasks: Vec<TaskId> = drawn.into_iter().map(|(_, task)| task).collect();
                tasks.sort_unstable();
                return Ok(tasks);
            }
            parts = parts.saturating_mul(4).min(ids);
        }
    }

    /// Puts evidence about sends of a run to what is known, as `fold` has it. Gives how many rows have changed.
    pub(crate) async fn settle_deliveries(
        &mut self,
        run: &Run,
        mut proofs: Vec<TaskProof>,
        now: Timestamp,
        fold: impl Fn(Option<Proof>, Proof) -> Proof,
    ) -> Result<u64, StoreError> {
        debug_assert!(proofs.is_empty() || self.holds(run.id));
        proofs.sort_by_key(|one| (one.task, one.attempt));
        let mut changed = 0;
        for piece in proofs.chunks(PIECE) {
            let mut transaction = self.connection.begin_with(BEGIN).await?;
            changed += settle(&mut transaction, piece, now, &fold).await?;
            transaction.commit().await?;
        }
        Ok(changed)
    }

    /// How many accepted tasks of the run have which delivery.
    pub(crate) async fn delivery_counts(
        &mut self,
        run: &Run,
    ) -> Result<DeliveryCounts, StoreError> {
        Ok(counts(
            &mut self.connection,
            (run.first_task.0, run.end_task.0),
            run.id.0,
        )
        .await?)
    }

    /// How many of these accepted tasks have which delivery.
    pub(crate) async fn delivery_counts_among(
        &mut self,
        tasks: &[TaskId],
    ) -> Result<DeliveryCounts, StoreError> {
        let rows: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT coalesce(y.delivery, 0), count(*) FROM task_end AS t LEFT JOIN delivery AS y ON y.task_id = t.id AND y.attempt = t.attempts \
             WHERE t.id IN (SELECT CAST(value AS bigint) FROM json_each(?)) AND t.state = 1 GROUP BY 1 ORDER BY 1",
        )
        .bind(ids(tasks))
        .fetch_all(&mut self.connection)
        .await?;
        Ok(by_delivery(rows))
    }
}

impl Reader {
    /// How many accepted tasks of the run have which delivery.
    pub(crate) async fn deliveries(&mut self, run: &RunRow) -> Result<DeliveryCounts, ReadError> {
        let counted = counts(&mut self.connection, run.task_ids(), run.id.0).await;
        counted.map_err(|error| self.failure(error))
    }
}

/// How many accepted tasks of a run have which delivery; those without evidence are what is left of the tally.
pub(super) async fn counts(
    connection: &mut DbConnection,
    (first, end): (i64, i64),
    run: i64,
) -> Result<DeliveryCounts, sqlx::Error> {
    // The delivery of an earlier send, which stands in `attempt`, is not that of the task.
    let rows: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT y.delivery, count(*) FROM delivery AS y WHERE y.task_id >= ? AND y.task_id < ? \
         AND NOT EXISTS (SELECT 1 FROM attempt AS a WHERE a.task_id = y.task_id AND a.attempt = y.attempt) GROUP BY 1 ORDER BY 1",
    )
    .bind(first)
    .bind(end)
    .fetch_all(&mut *connection)
    .await?;
    let accepted: i64 = sqlx::query_scalar(
        "SELECT CAST(coalesce(sum(n), 0) AS bigint) FROM tally WHERE run_id = ? AND state = 1",
    )
    .bind(run)
    .fetch_one(connection)
    .await?;
    let known: i64 = rows.iter().map(|(_, n)| n).sum();
    let mut counts = by_delivery(rows);
    if accepted > known {
        counts.insert(0, (Delivery::Unknown, (accepted - known).unsigned_abs()));
    }
    Ok(counts)
}

fn by_delivery(rows: Vec<(i64, i64)>) -> DeliveryCounts {
    let counts = rows
        .into_iter()
        .filter_map(|(number, n)| Some((delivery_of(number)?, n.unsigned_abs())));
    counts.collect()
}

/// Puts evidence, which is in the order of tasks, to what is known.
pub(super) async fn settle(
    connection: &mut DbConnection,
    proofs: &[TaskProof],
    now: Timestamp,
    fold: &impl Fn(Option<Proof>, Proof) -> Proof,
) -> Result<u64, sqlx::Error> {
    let mut changed: Vec<TaskProof> = Vec::new();
    let mut rest = proofs;
    while let Some(first) = rest.first() {
        let here = rest.partition_point(|one| one.task.0 < first.task.0 + SPAN);
        let (piece, later) = rest.split_at(here);
        rest = later;
        let last = piece.last().unwrap_or(first);
        let listed: String = sqlx::query_scalar(KNOWN)
            .bind(first.task.0)
            .bind(last.task.0)
            .fetch_one(&mut *connection)
            .await?;
        let rows: Vec<KnownRow> =
            serde_json::from_str(&listed).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        let mut known = rows
            .into_iter()
            .map(proof_of)
            .collect::<Result<Vec<_>, _>>()?;
        known.dedup_by_key(|one| (one.task, one.attempt));
        let mut known = known.into_iter().peekable();
        let key = |one: &TaskProof| (one.task, one.attempt);
        for alike in piece.chunk_by(|one, other| key(one) == key(other)) {
            let Some(TaskProof { task, attempt, .. }) = alike.first() else {
                continue;
            };
            while known.next_if(|one| key(one) < (*task, *attempt)).is_some() {}
            let before = known
                .next_if(|one| key(one) == (*task, *attempt))
                .map(|one| one.proof);
            let after = alike.iter().fold(before.clone(), |known, one| {
                Some(fold(known, one.proof.clone()))
            });
            if let Some(proof) = after.filter(|after| before.as_ref() != Some(after)) {
                changed.push(TaskProof {
                    task: *task,
                    attempt: *attempt,
                    proof,
                });
            }
        }
    }
    keep::put(connection, &changed, now).await?;
    Ok(changed.len() as u64)
}

/// Accepted commands among these tasks, behind one of them, whose delivery is none of `reached`.
async fn next_commands(
    connection: &mut DbConnection,
    (first, end): (i64, i64),
    after: TaskId,
    reached: &[Delivery],
    most: u32,
) -> Result<Vec<AcceptedCommand>, StoreError> {
    let rows = sqlx::query(of_commands(NEXT))
        .bind(after.0.max(first - 1))
        .bind(end)
        .bind(numbers(reached))
        .bind(most)
        .fetch_all(connection)
        .await?;
    rows.iter().map(command).collect()
}

/// The same among tasks that are named.
async fn named_commands(
    connection: &mut DbConnection,
    tasks: &[TaskId],
    reached: &[Delivery],
) -> Result<Vec<AcceptedCommand>, StoreError> {
    let rows = sqlx::query(of_commands(NAMED))
        .bind(ids(tasks))
        .bind(numbers(reached))
        .fetch_all(connection)
        .await?;
    rows.iter().map(command).collect()
}

/// A statement for commands under a condition; both are constants.
fn of_commands(condition: &str) -> sqlx::AssertSqlSafe<String> {
    sqlx::AssertSqlSafe(format!("{COMMAND}{condition}"))
}

fn command(row: &DbRow) -> Result<AcceptedCommand, StoreError> {
    let ticket: &str = row.try_get("ticket")?;
    Ok(AcceptedCommand {
        task: TaskId(row.try_get("task_id")?),
        line: row.try_get("line")?,
        attempt: row.try_get("attempts")?,
        product_key: row.try_get::<&str, _>("product_key")?.into(),
        device_key: row.try_get::<&str, _>("device_key")?.into(),
        ticket: Ticket::new(ticket)
            .ok_or_else(|| StoreError::Damaged("a ticket without a text".to_owned()))?,
        sent: window(row)?,
        is_cache: row.try_get("is_cache")?,
        cache_time: row.try_get("cache_time")?,
        known: delivery_of(row.try_get("delivery")?).unwrap_or(Delivery::Unknown),
    })
}

/// A row of `delivery`, in the order of its columns.
type KnownRow = (i64, u32, i64, i64, Option<i64>, i64);

fn proof_of(
    (task, attempt, delivery, evidence, at, recorded_at): KnownRow,
) -> Result<TaskProof, sqlx::Error> {
    let damaged = |what: &str| sqlx::Error::Decode(format!("an unknown {what} in delivery").into());
    let source = source_of(evidence).ok_or_else(|| damaged("evidence"))?;
    let (at, recorded_at) = (at.map(Timestamp), Timestamp(recorded_at));
    Ok(TaskProof {
        task: TaskId(task),
        attempt,
        proof: Proof {
            delivery: delivery_of(delivery).ok_or_else(|| damaged("value"))?,
            source,
            at,
            // A history says how things stand when it is asked, a message how they stood when it was made.
            known_at: match source {
                EvidenceSource::History => recorded_at,
                _ => at.unwrap_or(recorded_at),
            },
            answer: None,
        },
    })
}

fn ids(tasks: &[TaskId]) -> String {
    json!(tasks.iter().map(|task| task.0).collect::<Vec<_>>()).to_string()
}

fn numbers(deliveries: &[Delivery]) -> String {
    let numbers = deliveries.iter().map(|one| number_of(*one));
    json!(numbers.collect::<Vec<_>>()).to_string()
}

/// As `views.sql` names them.
fn number_of(delivery: Delivery) -> i64 {
    match delivery {
        Delivery::Unknown => 0,
        Delivery::Queued => 1,
        Delivery::Sent => 2,
        Delivery::SendFailed => 3,
        Delivery::Expired => 4,
        Delivery::Answered => 5,
        Delivery::AnswerFailed => 6,
    }
}

fn delivery_of(number: i64) -> Option<Delivery> {
    Delivery::ALL
        .into_iter()
        .find(|one| number_of(*one) == number)
}

fn source_number(source: EvidenceSource) -> i64 {
    match source {
        EvidenceSource::History => 1,
        EvidenceSource::RequestAck => 2,
        EvidenceSource::Input => 3,
        EvidenceSource::Output => 4,
        EvidenceSource::Device => 5,
    }
}

fn source_of(number: i64) -> Option<EvidenceSource> {
    EvidenceSource::ALL
        .into_iter()
        .find(|one| source_number(*one) == number)
}

mod answers;
mod apart;
mod keep;
mod settled;
mod tickets;
pub(crate) use self::{apart::Looked, tickets::SendTicket};
pub(super) use keep::keep;

#[cfg(test)]
mod tests;
