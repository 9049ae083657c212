//! Up to where the inbox has been settled for a run, and what is left to be looked at.

use serde_json::json;

use crate::{
    model::{RunId, TaskId},
    store::{InboxPlace, MessageDevice, Reader, Run, RunRow, Store, StoreError},
};

/// The tasks of the run ?1 that go to the devices ?2.
const OF_DEVICES: &str = "SELECT json_group_array(t.id) FROM json_each(?2) AS j \
     CROSS JOIN device_task AS d ON d.run_id = ?1 AND d.device_key = j.value ->> 1 \
     CROSS JOIN task AS t ON t.id = d.task_id \
     CROSS JOIN payload AS p ON p.id = t.payload_id AND p.run_id = d.run_id AND p.product_key = j.value ->> 0";

impl Store {
    /// Notes that all messages up to this place are settled for a run whose tickets are all known.
    pub(crate) async fn note_settled(
        &mut self,
        run: &Run,
        place: &InboxPlace,
    ) -> Result<(), StoreError> {
        debug_assert!(self.holds(run.id));
        let statement = sqlx::query(
            "INSERT INTO settled_inbox (run_id, inbox, position) VALUES (?, ?, ?) \
             ON CONFLICT (run_id) DO UPDATE SET inbox = excluded.inbox, position = excluded.position",
        )
        .bind(run.id.0)
        .bind(&place.inbox)
        .bind(place.position);
        self.execute(statement).await?;
        Ok(())
    }
}

impl Reader {
    /// Up to which position of this inbox all messages are settled for the run, if that is noted.
    pub(crate) async fn settled_inbox(
        &mut self,
        run: RunId,
        inbox: &str,
    ) -> Result<Option<i64>, StoreError> {
        Ok(
            sqlx::query_scalar("SELECT position FROM settled_inbox WHERE run_id = ? AND inbox = ?")
                .bind(run.0)
                .bind(inbox)
                .fetch_optional(&mut self.connection)
                .await?,
        )
    }

    /// The tasks of a run that go to these devices.
    pub(crate) async fn tasks_of_devices(
        &mut self,
        run: &RunRow,
        devices: &[MessageDevice],
    ) -> Result<Vec<TaskId>, StoreError> {
        let listed: String = sqlx::query_scalar(OF_DEVICES)
            .bind(run.id.0)
            .bind(json!(devices).to_string())
            .fetch_one(&mut self.connection)
            .await?;
        let ids: Vec<i64> = serde_json::from_str(&listed)
            .map_err(|error| StoreError::Damaged(format!("a task of a device: {error}")))?;
        Ok(ids.into_iter().map(TaskId).collect())
    }
}
