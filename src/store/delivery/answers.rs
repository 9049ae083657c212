//! Answers that are kept, and what they count as.

use sqlx::{Connection, Row as _};

use super::{delivery_of, number_of};
use crate::{
    model::{Delivery, TaskId},
    store::{Run, Store, StoreError, owner::BEGIN},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptAnswer {
    pub(crate) task: TaskId,
    pub(crate) attempt: u32,
    /// What it counts as.
    pub(crate) delivery: Delivery,
    /// What the device said, as JSON, if that is known.
    pub(crate) answer: Option<String>,
}

impl Store {
    /// The next answers of a run, at most `most` after this send.
    pub(crate) async fn kept_answers(
        &mut self,
        run: &Run,
        after: (TaskId, u32),
        most: u32,
    ) -> Result<Vec<KeptAnswer>, StoreError> {
        let rows = sqlx::query(
            "SELECT d.task_id, d.attempt, d.delivery, a.answer FROM delivery AS d \
             LEFT JOIN delivery_answer AS a ON a.task_id = d.task_id AND a.attempt = d.attempt \
             WHERE d.task_id >= ?1 AND d.task_id < ?2 AND (d.task_id, d.attempt) > (?3, ?4) AND d.delivery IN (?5, ?6) \
             ORDER BY d.task_id, d.attempt LIMIT ?7",
        )
        .bind(run.first_task.0)
        .bind(run.end_task.0)
        .bind(after.0.0)
        .bind(after.1)
        .bind(number_of(Delivery::Answered))
        .bind(number_of(Delivery::AnswerFailed))
        .bind(most)
        .fetch_all(&mut self.connection)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(KeptAnswer {
                    task: TaskId(row.try_get(0)?),
                    attempt: row.try_get(1)?,
                    delivery: delivery_of(row.try_get(2)?).unwrap_or(Delivery::Answered),
                    answer: row.try_get(3)?,
                })
            })
            .collect()
    }

    /// Notes what these answers of a run count as.
    pub(crate) async fn judge_answers(
        &mut self,
        run: &Run,
        judged: &[(TaskId, u32, Delivery)],
    ) -> Result<(), StoreError> {
        debug_assert!(self.holds(run.id));
        let mut transaction = self.connection.begin_with(BEGIN).await?;
        for (task, attempt, delivery) in judged {
            sqlx::query("UPDATE delivery SET delivery = ? WHERE task_id = ? AND attempt = ?")
                .bind(number_of(*delivery))
                .bind(task.0)
                .bind(attempt)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}
