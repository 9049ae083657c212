//! Tasks in doubt: what is known of their sends, and the tickets that the device's history has for them.

use std::collections::HashSet;

use serde_json::json;
use sqlx::{Connection, Row as _};

use super::{
    Run, Store, StoreError, TaskProof,
    bulk::Values,
    db::{DbConnection, DbRow},
    delivery,
    device_sends::tickets_of,
    owner::BEGIN,
    send_time::window,
};
use crate::model::{CompetingSend, InDoubtSend, InDoubtTask, Proof, TaskId, Ticket, Timestamp};

/// A ticket found for a task in doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Adoption {
    pub task: TaskId,
    pub ticket: Ticket,
    /// How it was found: the message of the task's last attempt from now on.
    pub message: Box<str>,
    /// What the history says of it besides.
    pub proof: Option<Proof>,
}

/// What an adoption came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Adopted {
    /// Tasks that are accepted now.
    pub accepted: u64,
    /// Later tasks of their devices that stay failed because these blocked them.
    pub blocked: u64,
}

/// The tasks of one device, in every run that went to the same platform.
macro_rules! of_device {
    ($rest:literal) => {
        concat!(
            "WITH mine (task_id, data) AS ( \
                 SELECT t.id, p.data FROM run AS r \
                 JOIN device_task AS d ON d.run_id = r.id AND d.device_key = ?1 \
                 JOIN task AS t ON t.id = d.task_id \
                 JOIN payload AS p ON p.id = t.payload_id AND p.run_id = r.id AND p.product_key = ?2 \
                 WHERE r.base_url = ?3 AND r.state <> 'staging' \
             ) ",
            $rest
        )
    };
}

/// Sends that may have made an entry of the device's history which no recorded ticket explains: in doubt, accepted without a ticket, or
/// claimed by a request that has no end.
const UNEXPLAINED: &str = of_device!(
    "SELECT m.task_id, m.data, a.attempt, a.class, q.claimed_at, q.sent_at, q.latency_ms, q.finished_at \
     FROM mine AS m JOIN attempt AS a ON a.task_id = m.task_id JOIN request AS q ON q.id = a.request_id \
     WHERE a.class = 6 OR (a.class = 1 AND a.ticket IS NULL) \
     UNION ALL \
     SELECT m.task_id, m.data, o.attempts, o.class, q.claimed_at, q.sent_at, q.latency_ms, q.finished_at \
     FROM mine AS m JOIN outcome AS o ON o.task_id = m.task_id JOIN request AS q ON q.id = o.request_id \
     WHERE o.class = 6 OR (o.class = 1 AND o.ticket IS NULL) \
     UNION ALL \
     SELECT m.task_id, m.data, d.sends + 1, NULL, q.claimed_at, q.sent_at, q.latency_ms, q.finished_at \
     FROM mine AS m JOIN due AS d ON d.task_id = m.task_id JOIN request AS q ON q.id = d.request_id \
     UNION ALL \
     SELECT m.task_id, m.data, 1, NULL, q.claimed_at, q.sent_at, q.latency_ms, q.finished_at \
     FROM mine AS m JOIN task AS t ON t.id = m.task_id AND t.held = 0 \
     JOIN request AS q ON q.finished_at IS NULL AND q.first_task <= t.id AND q.end_task > t.id \
     ORDER BY 1, 3"
);

/// A task in doubt as its row has it, without what is held against it.
pub(super) fn in_doubt(task: TaskId, row: &DbRow) -> Result<InDoubtTask, sqlx::Error> {
    Ok(InDoubtTask {
        task,
        line: row.try_get("line")?,
        product_key: row.try_get::<&str, _>("product_key")?.into(),
        device_key: row.try_get::<&str, _>("device_key")?.into(),
        data: row.try_get::<&str, _>("data")?.into(),
        sends: Vec::new(),
        competing: Vec::new(),
        recorded: HashSet::new(),
    })
}

impl Store {
    /// The tasks of a run that ended in doubt with their last send, those after `after` in the order of their ids, at most `most`.
    ///
    /// What was cancelled between an earlier send in doubt and the next one is not among them: an acceptance stands for a task's last
    /// send, and that one has failed.
    pub(crate) async fn doubts(
        &mut self,
        run: &Run,
        after: TaskId,
        most: u32,
    ) -> Result<Vec<InDoubtTask>, StoreError> {
        let rows = sqlx::query(
            "SELECT o.task_id, t.line, t.device_key, p.product_key, p.data \
             FROM outcome AS o JOIN task AS t ON t.id = o.task_id JOIN payload AS p ON p.id = t.payload_id AND p.run_id = ? \
             WHERE o.task_id > ? AND o.task_id >= ? AND o.task_id < ? AND o.state = 3 AND o.request_id IS NOT NULL ORDER BY o.task_id LIMIT ?",
        )
        .bind(run.id.0)
        .bind(after.0)
        .bind(run.first_task.0)
        .bind(run.end_task.0)
        .bind(most)
        .fetch_all(&mut self.connection)
        .await?;
        let mut doubts = Vec::with_capacity(rows.len());
        for row in rows {
            let mut doubt = in_doubt(TaskId(row.try_get("task_id")?), &row)?;
            complete(&mut self.connection, &run.about.base_url, &mut doubt).await?;
            doubts.push(doubt);
        }
        Ok(doubts)
    }

    /// The products of a run, in alphabetical order.
    pub(crate) async fn products(&mut self, run: &Run) -> Result<Vec<String>, StoreError> {
        let products = sqlx::query_scalar(
            "SELECT DISTINCT product_key FROM payload WHERE run_id = ? ORDER BY product_key",
        )
        .bind(run.id.0)
        .fetch_all(&mut self.connection)
        .await?;
        Ok(products)
    }

    /// How many tasks of a run wait to be sent again after a send in doubt.
    pub(crate) async fn resends_in_doubt(&mut self, run: &Run) -> Result<u64, StoreError> {
        let n: i64 = sqlx::query_scalar("SELECT count(*) FROM due WHERE run_id = ? AND class = 6")
            .bind(run.id.0)
            .fetch_one(&mut self.connection)
            .await?;
        Ok(n.unsigned_abs())
    }

    /// Makes tasks in doubt accepted that still are, all of them or none.
    pub(crate) async fn adopt(
        &mut self,
        run: &Run,
        adoptions: &[Adoption],
        now: Timestamp,
        fold: impl Fn(Option<Proof>, Proof) -> Proof,
    ) -> Result<Adopted, StoreError> {
        debug_assert!(self.holds(run.id));
        self.gather(run.id).await?;
        let mut transaction = self.connection.begin_with(BEGIN).await?;
        let mut accepted = 0;
        let mut proofs = Vec::new();
        for adoption in adoptions {
            let Some(attempt) = accept(&mut transaction, run, adoption, now).await? else {
                continue;
            };
            accepted += 1;
            proofs.extend(adoption.proof.clone().map(|proof| TaskProof {
                task: adoption.task,
                attempt,
                proof,
            }));
        }
        proofs.sort_by_key(|one| one.task);
        delivery::settle(&mut transaction, &proofs, now, &fold).await?;
        let tasks: Vec<i64> = adoptions.iter().map(|adoption| adoption.task.0).collect();
        let blocked: i64 = sqlx::query_scalar(
            "WITH RECURSIVE later (task_id) AS ( \
                 SELECT f.task_id FROM json_each(?) AS j JOIN follower AS f ON f.previous_id = CAST(j.value AS bigint) \
                 UNION \
                 SELECT f.task_id FROM later AS l JOIN outcome AS o ON o.task_id = l.task_id AND o.class = 11 \
                 JOIN follower AS f ON f.previous_id = l.task_id \
             ) \
             SELECT count(*) FROM later AS l JOIN outcome AS o ON o.task_id = l.task_id WHERE o.class = 11",
        )
        .bind(json!(tasks).to_string())
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(Adopted {
            accepted,
            blocked: blocked.unsigned_abs(),
        })
    }
}

/// Adds what the database knows of the device's sends.
pub(super) async fn complete(
    connection: &mut DbConnection,
    base_url: &str,
    doubt: &mut InDoubtTask,
) -> Result<(), StoreError> {
    let rows = sqlx::query(UNEXPLAINED)
        .bind(&*doubt.device_key)
        .bind(&*doubt.product_key)
        .bind(base_url)
        .fetch_all(&mut *connection)
        .await?;
    for row in rows {
        let window = window(&row)?;
        if row.try_get::<i64, _>("task_id")? == doubt.task.0 {
            doubt.sends.push(InDoubtSend {
                attempt: row.try_get("attempt")?,
                window,
            });
        } else {
            doubt.competing.push(CompetingSend {
                window,
                data: row.try_get::<&str, _>("data")?.into(),
            });
        }
    }
    if doubt.sends.is_empty() {
        return Err(StoreError::Damaged(format!(
            "the task of line {} ended in doubt and was never sent",
            doubt.line
        )));
    }
    let recorded = tickets_of(connection, base_url, &doubt.product_key, &doubt.device_key).await?;
    doubt.recorded = recorded
        .iter()
        .filter_map(|text| Ticket::new(text))
        .collect();
    Ok(())
}

/// Accepts a task and gives the number of its send; `None` when it is no longer in doubt, since nobody owned the database meanwhile.
async fn accept(
    connection: &mut DbConnection,
    run: &Run,
    adoption: &Adoption,
    now: Timestamp,
) -> Result<Option<u32>, StoreError> {
    let task = adoption.task.0;
    let found: Option<(Option<i64>, u32)> = sqlx::query_as(
        "SELECT code, attempts FROM outcome WHERE task_id = ? AND state = 3 AND request_id IS NOT NULL",
    )
    .bind(task)
    .fetch_optional(&mut *connection)
    .await?;
    let Some((code, attempt)) = found else {
        return Ok(None);
    };
    // No reply gave a code, so the accepted task has none.
    Values::of(connection)
        .bind_ticket(Some(&adoption.ticket))
        .bind(adoption.message.to_string())
        .bind(now.0)
        .bind(task)
        .execute(
            "UPDATE outcome SET ticket = ?, state = 1, class = 1, code = NULL, message = ?, finished_at = ? WHERE task_id = ?".into(),
            &mut *connection,
        )
        .await?;
    sqlx::query(
        "UPDATE payload SET accepted = 1 WHERE id = (SELECT payload_id FROM task WHERE id = ?) AND run_id = ?",
    )
    .bind(task)
    .bind(run.id.0)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "UPDATE tally SET n = n - 1 WHERE run_id = ? AND state = 3 AND class = 6 AND code = ?",
    )
    .bind(run.id.0)
    .bind(code.unwrap_or_default())
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO tally (run_id, state, class, code, n) VALUES (?, 1, 1, 0, 1) ON CONFLICT (run_id, state, class, code) DO UPDATE SET n = tally.n + 1",
    )
    .bind(run.id.0)
    .execute(connection)
    .await?;
    Ok(Some(attempt))
}

#[cfg(test)]
mod tests;
