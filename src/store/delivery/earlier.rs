//! Sends before the last of their task that got a ticket, too.

use sqlx::{Row as _, sqlite::SqliteRow};

use crate::{
    model::TaskId,
    store::{Run, Store, StoreError},
};

/// A send before the last of its task that got a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EarlierTicket {
    pub(crate) task: TaskId,
    pub(crate) attempt: u32,
    pub(crate) device_key: Box<str>,
    pub(crate) ticket: Box<str>,
}

impl Store {
    /// Sends of a run before the last of their task that got a ticket, those after `after`, at most `most`, by task and number.
    pub(crate) async fn earlier_tickets(
        &mut self,
        run: &Run,
        after: (TaskId, u32),
        most: u32,
    ) -> Result<Vec<EarlierTicket>, StoreError> {
        let rows = sqlx::query(
            "SELECT a.task_id, a.attempt, t.device_key, CAST(a.ticket AS TEXT) AS ticket FROM attempt AS a JOIN task AS t ON t.id = a.task_id \
             WHERE (a.task_id, a.attempt) > (?1, ?2) AND a.task_id >= ?3 AND a.task_id < ?4 AND a.ticket IS NOT NULL \
             ORDER BY a.task_id, a.attempt LIMIT ?5",
        )
        .bind(after.0.0)
        .bind(after.1)
        .bind(run.first_task.0)
        .bind(run.end_task.0)
        .bind(most)
        .fetch_all(&mut self.connection)
        .await?;
        let earlier = |row: &SqliteRow| {
            Ok(EarlierTicket {
                task: TaskId(row.try_get("task_id")?),
                attempt: row.try_get("attempt")?,
                device_key: row.try_get::<&str, _>("device_key")?.into(),
                ticket: row.try_get::<&str, _>("ticket")?.into(),
            })
        };
        rows.iter().map(earlier).collect()
    }
}
