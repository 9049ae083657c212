//! What a push looks for in the messages before it sends again what is in doubt.

use super::{
    InboxError, InboxMessage, InboxReader, MOST_OF_DEVICE,
    read::{COLUMNS, Since, messages},
};
use crate::store::db::DbConnection;

impl InboxReader {
    /// The places of the devices among these about which an `INPUT` has come.
    pub(in crate::store) async fn have_inputs(
        &mut self,
        devices: &[Since<'_>],
    ) -> Result<Vec<usize>, InboxError> {
        have_inputs(&mut self.connection, devices).await
    }

    /// The messages about this device from a time on, in the order in which they were recorded; one more than
    /// [`MOST_OF_DEVICE`] when there are too many.
    pub(in crate::store) async fn of_device_since(
        &mut self,
        since: &Since<'_>,
    ) -> Result<Vec<InboxMessage>, InboxError> {
        of_device_since(&mut self.connection, since).await
    }
}

/// The same by this connection to the database that has the messages.
pub(super) async fn have_inputs(
    connection: &mut DbConnection,
    devices: &[Since<'_>],
) -> Result<Vec<usize>, InboxError> {
    let devices: Vec<(&str, &str, i64)> = devices
        .iter()
        .map(|one| (one.device_key, one.product_key, one.from.0))
        .collect();
    let places: Vec<i64> = sqlx::query_scalar(
        "SELECT CAST(j.key AS bigint) FROM json_each(?) AS j WHERE EXISTS ( \
             SELECT 1 FROM message AS m WHERE m.device_key = j.value ->> 0 AND m.product_key = j.value ->> 1 \
             AND m.at >= CAST(j.value ->> 2 AS bigint) AND m.kind = 'input')",
    )
    .bind(serde_json::json!(devices).to_string())
    .fetch_all(connection)
    .await?;
    Ok(places.into_iter().map(|place| place as usize).collect())
}

/// The same by this connection.
pub(super) async fn of_device_since(
    connection: &mut DbConnection,
    since: &Since<'_>,
) -> Result<Vec<InboxMessage>, InboxError> {
    let rows = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{COLUMNS} WHERE device_key = ? AND product_key = ? AND at >= ? ORDER BY id LIMIT ?"
    )))
    .bind(since.device_key)
    .bind(since.product_key)
    .bind(since.from.0)
    .bind(MOST_OF_DEVICE as i64 + 1)
    .fetch_all(connection)
    .await?;
    messages(rows)
}
