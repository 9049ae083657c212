//! The tickets of sends, as messages are looked up by them.
//!
//! There may be a million: they are read as one text a page, since a row of its own for each costs several times as much.

use serde::Deserialize;

use super::{ids, numbers};
use crate::{
    model::{Delivery, TaskId},
    store::db::DbConnection,
    store::{Reader, Run, RunRow, Store, StoreError},
};

/// A send of a task that got a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "(i64, u32, Box<str>, Box<str>)")]
pub(crate) struct SendTicket {
    pub(crate) task: TaskId,
    /// Which send of the task it was.
    pub(crate) attempt: u32,
    pub(crate) device_key: Box<str>,
    pub(crate) ticket: Box<str>,
}

impl From<(i64, u32, Box<str>, Box<str>)> for SendTicket {
    fn from((task, attempt, device_key, ticket): (i64, u32, Box<str>, Box<str>)) -> Self {
        Self {
            task: TaskId(task),
            attempt,
            device_key,
            ticket,
        }
    }
}

/// Tickets of accepted tasks behind ?1 and before ?2 whose delivery is none of ?3, in the order of their ids.
const ACCEPTED: &str = "SELECT json_group_array(json_array(id, attempts, device_key, ticket)) FROM ( \
         SELECT t.id, t.attempts, t.device_key, CAST(t.ticket AS TEXT) AS ticket FROM task_end AS t \
         LEFT JOIN delivery AS y ON y.task_id = t.id AND y.attempt = t.attempts \
         WHERE t.id > ?1 AND t.id < ?2 AND t.state = 1 AND t.ticket IS NOT NULL \
         AND coalesce(y.delivery, 0) NOT IN (SELECT CAST(value AS bigint) FROM json_each(?3)) ORDER BY t.id LIMIT ?4 \
     ) AS sends";

/// The same among the tasks ?1.
const NAMED: &str = "SELECT json_group_array(json_array(id, attempts, device_key, ticket)) FROM ( \
         SELECT t.id, t.attempts, t.device_key, CAST(t.ticket AS TEXT) AS ticket FROM task_end AS t \
         LEFT JOIN delivery AS y ON y.task_id = t.id AND y.attempt = t.attempts \
         WHERE t.id IN (SELECT CAST(value AS bigint) FROM json_each(?1)) AND t.state = 1 AND t.ticket IS NOT NULL \
         AND coalesce(y.delivery, 0) NOT IN (SELECT CAST(value AS bigint) FROM json_each(?2)) \
     ) AS sends";

/// Tickets of sends before the last of their task, behind number ?2 of task ?1, of tasks ?3 to ?4, by task and number.
const EARLIER: &str = "SELECT json_group_array(json_array(task_id, attempt, device_key, ticket)) FROM ( \
         SELECT a.task_id, a.attempt, t.device_key, CAST(a.ticket AS TEXT) AS ticket FROM attempt AS a JOIN task AS t ON t.id = a.task_id \
         WHERE (a.task_id, a.attempt) > (?1, ?2) AND a.task_id >= ?3 AND a.task_id < ?4 AND a.ticket IS NOT NULL \
         ORDER BY a.task_id, a.attempt LIMIT ?5 \
     ) AS sends";

impl Store {
    /// Tickets of accepted tasks of a run whose delivery is none of `reached`, those after `after`, at most `most`.
    pub(crate) async fn accepted_tickets(
        &mut self,
        run: &Run,
        after: TaskId,
        reached: &[Delivery],
        most: u32,
    ) -> Result<Vec<SendTicket>, StoreError> {
        let ids = (run.first_task.0, run.end_task.0);
        accepted(&mut self.connection, ids, after, reached, most).await
    }

    /// Tickets of sends of a run before the last of their task, those after `after`, at most `most`, by task and number.
    pub(crate) async fn earlier_tickets(
        &mut self,
        run: &Run,
        after: (TaskId, u32),
        most: u32,
    ) -> Result<Vec<SendTicket>, StoreError> {
        let listed: String = sqlx::query_scalar(EARLIER)
            .bind(after.0.0)
            .bind(after.1)
            .bind(run.first_task.0)
            .bind(run.end_task.0)
            .bind(most)
            .fetch_one(&mut self.connection)
            .await?;
        parsed(&listed)
    }
}

impl Reader {
    /// Tickets of accepted tasks of a run whose delivery is none of `reached`, those after `after`, at most `most`.
    pub(crate) async fn accepted_tickets(
        &mut self,
        run: &RunRow,
        after: TaskId,
        reached: &[Delivery],
        most: u32,
    ) -> Result<Vec<SendTicket>, StoreError> {
        let ids = run.task_ids();
        accepted(&mut self.connection, ids, after, reached, most).await
    }

    /// The same among these tasks.
    pub(crate) async fn tickets_among(
        &mut self,
        tasks: &[TaskId],
        reached: &[Delivery],
    ) -> Result<Vec<SendTicket>, StoreError> {
        let listed: String = sqlx::query_scalar(NAMED)
            .bind(ids(tasks))
            .bind(numbers(reached))
            .fetch_one(&mut self.connection)
            .await?;
        parsed(&listed)
    }
}

async fn accepted(
    connection: &mut DbConnection,
    (first, end): (i64, i64),
    after: TaskId,
    reached: &[Delivery],
    most: u32,
) -> Result<Vec<SendTicket>, StoreError> {
    let listed: String = sqlx::query_scalar(ACCEPTED)
        .bind(after.0.max(first - 1))
        .bind(end)
        .bind(numbers(reached))
        .bind(most)
        .fetch_one(connection)
        .await?;
    parsed(&listed)
}

fn parsed(listed: &str) -> Result<Vec<SendTicket>, StoreError> {
    serde_json::from_str(listed)
        .map_err(|error| StoreError::Damaged(format!("a ticket of a task: {error}")))
}
