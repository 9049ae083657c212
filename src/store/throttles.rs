//! Throttled devices when a push begins: a device rests as long as planned, in whichever run it is sent to next.

use sqlx::Connection;

use super::{Run, Store, StoreError, common::LEFT, owner::BEGIN, row::Deferred};
use crate::model::{TaskId, Timestamp};

#[cfg(test)]
mod tests;

/// The condition that a throttled device `h` rests at the time ?2: `is_resting` of the journal.
macro_rules! is_resting {
    () => {
        "h.until > ?2 AND h.throttled_at <= ?2"
    };
}
pub(super) use is_resting;

/// Devices that rest and have a task in this run.
macro_rules! resting {
    ($select:literal, $rest:literal) => {
        concat!(
            $select,
            " FROM device_throttle AS h \
             CROSS JOIN device_task AS d ON d.run_id = ?1 AND d.device_key = h.device_key \
             CROSS JOIN task AS t ON t.id = d.task_id \
             CROSS JOIN payload AS p ON p.id = t.payload_id AND p.run_id = d.run_id AND p.product_key = h.product_key ",
            $rest,
            " WHERE ",
            is_resting!()
        )
    };
}

/// First sends that are not to be made yet.
pub(super) const EARLY_FIRST: &str = resting!(
    "INSERT INTO due (task_id, run_id, payload_id, due_at, class) SELECT t.id, ?1, t.payload_id, h.until, h.class",
    "AND t.held = 0 AND t.id >= ?3"
);

/// Tasks that are due before the pause of their device ends. Not materialised, each throttled device would be held against each task;
/// without the sign, all of `due` would be read.
pub(super) const EARLY_DUE: &str = concat!(
    "WITH early (id, until) AS MATERIALIZED (",
    resting!(
        "SELECT t.id, h.until",
        "CROSS JOIN due AS w ON w.task_id = t.id AND w.due_at < h.until"
    ),
    ") UPDATE due SET due_at = early.until FROM early WHERE due.task_id = +early.id"
);

impl Store {
    /// Defers the tasks of devices that rest for longer; of the first sends those from `first_sends` on, if given. They leave the first
    /// sends, since those go out in the order of their ids.
    pub(crate) async fn defer_throttled(
        &mut self,
        run: &Run,
        first_sends: Option<TaskId>,
        now: Timestamp,
    ) -> Result<Deferred, StoreError> {
        let run = run.id.0;
        let mut transaction = self.connection.begin_with(BEGIN).await?;
        let due = sqlx::query(EARLY_DUE)
            .bind(run)
            .bind(now.0)
            .execute(&mut *transaction)
            .await?
            .rows_affected();
        let mut first = 0;
        if let Some(from) = first_sends {
            first = sqlx::query(EARLY_FIRST)
                .bind(run)
                .bind(now.0)
                .bind(from.0)
                .execute(&mut *transaction)
                .await?
                .rows_affected();
            if first > 0 {
                sqlx::query(
                    "UPDATE task SET held = 1 FROM (SELECT task_id FROM due WHERE run_id = ?1 AND task_id >= ?2 ORDER BY task_id) AS later \
                     WHERE task.id = later.task_id AND task.held = 0",
                )
                .bind(run)
                .bind(from.0)
                .execute(&mut *transaction)
                .await?;
            }
        }
        let latest: Option<i64> =
            sqlx::query_scalar("SELECT max(due_at) FROM due WHERE run_id = ? AND due_at < ?")
                .bind(run)
                .bind(LEFT.0)
                .fetch_one(&mut *transaction)
                .await?;
        transaction.commit().await?;
        Ok(Deferred {
            first,
            due,
            latest_due: latest.map(Timestamp),
        })
    }
}
