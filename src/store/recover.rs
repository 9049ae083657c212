//! What a process that was killed has left: requests without an end.

use sqlx::Row;

use super::{
    Store, StoreError,
    payload::read_payload,
    push::member,
    row::{Member, OpenRequest},
};
use crate::model::{BundleId, PayloadId, RequestId, RunId};

impl Store {
    /// The claims that have no end: a process was ended between the claim and its record, so that nobody knows whether they were sent.
    pub(crate) async fn unfinished(&mut self, run: RunId) -> Result<Vec<RequestId>, StoreError> {
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM request WHERE run_id = ? AND finished_at IS NULL ORDER BY id",
        )
        .bind(run.0)
        .fetch_all(&mut self.connection)
        .await?;
        Ok(ids.into_iter().map(RequestId).collect())
    }

    /// One of the claims that have no end, as it was made.
    pub(crate) async fn open_request(
        &mut self,
        request: RequestId,
    ) -> Result<OpenRequest, StoreError> {
        let connection = &mut self.connection;
        let row = sqlx::query(
            "SELECT run_id, payload_id, bundle_id, first_task, end_task FROM request WHERE id = ?",
        )
        .bind(request.0)
        .fetch_one(&mut *connection)
        .await?;
        let run = RunId(row.try_get("run_id")?);
        let payload_id = PayloadId(row.try_get("payload_id")?);
        let bundle = row.try_get::<Option<i64>, _>("bundle_id")?.map(BundleId);
        let range = row
            .try_get::<Option<i64>, _>("first_task")?
            .zip(row.try_get::<Option<i64>, _>("end_task")?);
        let rows = match range {
            Some((first, end)) => {
                sqlx::query(
                    "SELECT id AS task_id, device_key, NULL AS class, 0 AS sends, 0 AS attempts, 0 AS throttles, 0 AS snoozed_ms, \
                     0 AS offline_retries FROM task WHERE id >= ? AND id < ? AND held = 0 ORDER BY id",
                )
                .bind(first)
                .bind(end)
                .fetch_all(&mut *connection)
                .await?
            }
            None => {
                sqlx::query(
                    "SELECT d.task_id, t.device_key, d.class, d.sends, d.attempts, d.throttles, d.snoozed_ms, d.offline_retries \
                     FROM due AS d JOIN task AS t ON t.id = d.task_id WHERE d.request_id = ? ORDER BY d.task_id",
                )
                .bind(request.0)
                .fetch_all(&mut *connection)
                .await?
            }
        };
        let members = rows
            .iter()
            .map(|row| member(row, range.is_none()))
            .collect::<Result<Vec<Member>, StoreError>>()?;
        Ok(OpenRequest {
            payload_id,
            payload: read_payload(connection, run, payload_id).await?,
            bundle,
            members,
        })
    }
}
