//! Tasks that failed because their devices were offline.

use super::{Run, Store, StoreError};
use crate::model::{Class, TaskId, TaskState, Timestamp};

/// A task that failed because its device was offline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OfflineFailure {
    pub(crate) task: TaskId,
    pub(crate) product_key: String,
    pub(crate) device_key: String,
    pub(crate) failed_at: Timestamp,
}

impl Store {
    /// The next tasks of a run that failed so since a time, at most `most` behind this one.
    pub(crate) async fn offline_failures(
        &mut self,
        run: &Run,
        since: Timestamp,
        after: TaskId,
        most: u32,
    ) -> Result<Vec<OfflineFailure>, StoreError> {
        let rows: Vec<(i64, String, String, i64)> = sqlx::query_as(
            "SELECT o.task_id, p.product_key, t.device_key, o.finished_at FROM outcome AS o \
             JOIN task AS t ON t.id = o.task_id JOIN payload AS p ON p.id = t.payload_id AND p.run_id = ?7 \
             WHERE o.task_id > ?1 AND o.task_id < ?2 AND o.state = ?3 AND o.class = ?4 AND o.finished_at >= ?5 \
             ORDER BY o.task_id LIMIT ?6",
        )
        .bind(after.0.max(run.first_task.0 - 1))
        .bind(run.end_task.0)
        .bind(TaskState::Failed as u8)
        .bind(Class::Offline as u8)
        .bind(since.0)
        .bind(most)
        .bind(run.id.0)
        .fetch_all(&mut self.connection)
        .await?;
        let failure = |(task, product_key, device_key, failed_at)| OfflineFailure {
            task: TaskId(task),
            product_key,
            device_key,
            failed_at: Timestamp(failed_at),
        };
        Ok(rows.into_iter().map(failure).collect())
    }
}
