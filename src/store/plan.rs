//! What pushing a run will take, computed before anything is sent.

use std::ops::Range;

use super::{Run, Store, StoreError, db::DbConnection};
use crate::model::{RunId, TaskId};

/// What pushing a run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Devices, each counted once, however many rows it has.
    pub devices: u64,
    pub products: u64,
    /// Different payloads.
    pub payloads: u64,
    /// Requests, if each is answered at the first time. Tasks that wait for an earlier one of their device are reckoned to travel in
    /// chunks as well.
    pub requests: u64,
}

impl Store {
    /// What pushing this run in chunks of `chunk_size` takes, if nothing of it has been sent yet; a canary that has been chosen is left
    /// out.
    pub(crate) async fn plan(&mut self, run: &Run, chunk_size: u32) -> Result<Plan, StoreError> {
        plan(
            &mut self.connection,
            run.id,
            run.first_task..run.end_task,
            chunk_size,
        )
        .await
    }
}

/// The same for these tasks of a run.
pub(super) async fn plan(
    connection: &mut DbConnection,
    run: RunId,
    tasks: Range<TaskId>,
    chunk_size: u32,
) -> Result<Plan, StoreError> {
    let (payloads, products, requests): (i64, i64, i64) = sqlx::query_as(
        "SELECT count(DISTINCT payload_id), count(DISTINCT product_key), CAST(coalesce(sum((n + ?3 - 1) / ?3), 0) AS bigint) FROM ( \
             SELECT t.payload_id, p.product_key, t.held, count(*) AS n FROM task AS t JOIN payload AS p ON p.id = t.payload_id AND p.run_id = ?4 \
             WHERE t.id >= ?1 AND t.id < ?2 AND NOT EXISTS (SELECT 1 FROM outcome AS o WHERE o.task_id = t.id) \
             AND NOT EXISTS (SELECT 1 FROM due AS d WHERE d.task_id = t.id) \
             GROUP BY t.payload_id, p.product_key, t.held) AS chunks",
    )
    .bind(tasks.start.0)
    .bind(tasks.end.0)
    .bind(chunk_size)
    .bind(run.0)
    .fetch_one(&mut *connection)
    .await?;
    // Every device has exactly one task that waits for no other.
    let devices: i64 =
        sqlx::query_scalar("SELECT count(*) FROM task WHERE id >= ? AND id < ? AND held = 0")
            .bind(tasks.start.0)
            .bind(tasks.end.0)
            .fetch_one(connection)
            .await?;
    Ok(Plan {
        devices: devices.unsigned_abs(),
        products: products.unsigned_abs(),
        payloads: payloads.unsigned_abs(),
        requests: requests.unsigned_abs(),
    })
}
