//! Ending a run by hand.

use sqlx::Connection;

use super::{Run, Store, StoreError, accepted_range::in_no_accepted_range, owner::BEGIN};
use crate::model::{Control, RunState, Timestamp};

impl Store {
    /// Ends every pending task as skipped, but those of which any send is in doubt: they end in doubt, since nobody knows whether they
    /// were acted on, and skipped would say that they were not. Gives how many ended. Claims without an end must have been recorded before.
    pub(crate) async fn cancel(
        &mut self,
        run: &Run,
        control: &Control,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        debug_assert!(self.holds(run.id));
        self.gather(run.id).await?;
        let mut transaction = self.connection.begin_with(BEGIN).await?;
        // The last send stands with the outcome, and no longer among the earlier ones.
        let in_doubt = sqlx::query(
            "INSERT INTO outcome (task_id, state, class, code, message, request_id, attempts, finished_at) \
             SELECT d.task_id, 3, 6, a.code, a.message, a.request_id, d.sends, ? \
             FROM due AS d JOIN attempt AS a ON a.task_id = d.task_id AND a.attempt = d.sends \
             WHERE d.run_id = ? AND d.class = 6 ORDER BY d.task_id",
        )
        .bind(now.0)
        .bind(run.id.0)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        sqlx::query(
            "DELETE FROM attempt WHERE (task_id, attempt) IN (SELECT task_id, sends FROM due WHERE run_id = ? AND class = 6)",
        )
        .bind(run.id.0)
        .execute(&mut *transaction)
        .await?;
        // The last send has an outcome of its own, which stays among the attempts.
        let in_doubt_earlier = sqlx::query(
            "INSERT INTO outcome (task_id, state, class, message, attempts, finished_at) \
             SELECT a.task_id, 3, 6, 'cancelled; an earlier send is in doubt', \
             (SELECT max(l.attempt) FROM attempt AS l WHERE l.task_id = a.task_id), ? \
             FROM attempt AS a WHERE a.class = 6 AND a.task_id >= ? AND a.task_id < ? \
             AND NOT EXISTS (SELECT 1 FROM outcome AS o WHERE o.task_id = a.task_id) GROUP BY a.task_id ORDER BY a.task_id",
        )
        .bind(now.0)
        .bind(run.first_task.0)
        .bind(run.end_task.0)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        let skipped = sqlx::query(concat!(
            "INSERT INTO outcome (task_id, state, message, attempts, finished_at) \
             SELECT t.id, 4, 'cancelled', (SELECT coalesce(max(a.attempt), 0) FROM attempt AS a WHERE a.task_id = t.id), ? FROM task AS t \
             WHERE t.id >= ? AND t.id < ? AND NOT EXISTS (SELECT 1 FROM outcome AS o WHERE o.task_id = t.id) AND ",
            in_no_accepted_range!("t.id"),
            " ORDER BY t.id",
        ))
        .bind(now.0)
        .bind(run.first_task.0)
        .bind(run.end_task.0)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        sqlx::query("DELETE FROM due WHERE run_id = ?")
            .bind(run.id.0)
            .execute(&mut *transaction)
            .await?;
        // By state, class and code, as everywhere: in doubt with its codes, skipped without.
        sqlx::query(
            "INSERT INTO tally (run_id, state, class, code, n) \
             SELECT ?1, state, coalesce(class, 0), coalesce(code, 0), count(*) FROM outcome \
             WHERE task_id >= ?2 AND task_id < ?3 AND state IN (3, 4) GROUP BY 1, 2, 3, 4 \
             ON CONFLICT (run_id, state, class, code) DO UPDATE SET n = excluded.n",
        )
        .bind(run.id.0)
        .bind(run.first_task.0)
        .bind(run.end_task.0)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "UPDATE run SET state = ?2, finished_at = ?3, next_task = end_task, paused_at = NULL, paused_by = NULL, cancelled_by = ?4, \
             last_control = ?5 WHERE id = ?1",
        )
            .bind(run.id.0)
            .bind(RunState::Cancelled.name())
            .bind(now.0)
            .bind(&control.by)
            .bind(&control.id)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(in_doubt + in_doubt_earlier + skipped)
    }
}
