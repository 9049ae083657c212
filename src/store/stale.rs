//! Whether the pending tasks of a run are older than what its devices have accepted since.

use super::{Run, Store, StoreError, accepted_range::in_no_accepted_range, db::DbConnection};

#[cfg(test)]
mod tests;

/// Tasks of a run that would undo what a younger run has delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stale {
    /// How many devices they are for.
    pub devices: u64,
    /// One of the devices.
    pub example: String,
    /// The latest run that has delivered to it.
    pub newer: String,
}

/// Whether any run at the same platform is younger and has been accepted by any device, or found what it would have sent accepted already. As
/// a rule there is none.
const ANY_YOUNGER: &str = "SELECT EXISTS ( \
         SELECT 1 FROM run AS y JOIN tally AS n ON n.run_id = y.id AND (n.state = 1 OR n.state = 4 AND n.class = 13) AND n.n > 0 \
         WHERE y.id > ?1 AND y.base_url = ?2 AND y.state <> 'staging' \
     ) OR EXISTS (SELECT 1 FROM pruned_run WHERE id > ?1 AND base_url = ?2)";

// What a younger run has skipped as unchanged is its word on what the device is to have, as if it had been accepted once more.
macro_rules! overtaken {
    ($device:literal) => {
        concat!(
            "(EXISTS ( \
                 SELECT 1 FROM acceptance AS c \
                 WHERE c.device_key = ",
            $device,
            " AND c.product_key = s.product_key AND c.service IS NOT DISTINCT FROM s.service AND c.run > ?1 AND c.base_url = ?2 \
             ) OR EXISTS ( \
                 SELECT 1 FROM device_past AS b CROSS JOIN pruned_run AS g ON g.id = b.run_id \
                 WHERE b.device_key = ",
            $device,
            " AND b.product_key = s.product_key AND b.service = coalesce(s.service, '') AND b.run_id > ?1 AND g.base_url = ?2 \
             ) OR EXISTS ( \
                 SELECT 1 FROM run AS y CROSS JOIN device_task AS e ON e.run_id = y.id AND e.device_key = ",
            $device,
            " CROSS JOIN outcome AS u ON u.task_id = e.task_id AND u.state = 4 AND u.class = 13 \
                 CROSS JOIN task AS q ON q.id = e.task_id \
                 CROSS JOIN payload_service AS w ON w.payload_id = q.payload_id AND w.run_id = y.id \
                 WHERE y.id > ?1 AND y.base_url = ?2 AND y.state <> 'staging' \
                 AND w.product_key = s.product_key AND w.service IS NOT DISTINCT FROM s.service \
             ))"
        )
    };
}

pub(super) use overtaken;

/// Devices with a task that is pending, and a service of it that they have accepted from a younger run.
pub(super) const STALE: &str = concat!(
    "SELECT count(*) OVER (), device_key, product_key, service FROM ( \
         SELECT t.device_key, s.product_key, min(s.service) AS service \
         FROM task AS t CROSS JOIN payload_service AS s ON s.payload_id = t.payload_id AND s.run_id = ?1 \
         WHERE t.id >= ?3 AND t.id < ?4 \
         AND NOT EXISTS (SELECT 1 FROM outcome AS o WHERE o.task_id = t.id) AND ",
    in_no_accepted_range!("t.id"),
    " AND ",
    overtaken!("t.device_key"),
    " GROUP BY s.product_key, t.device_key \
     ) AS stale ORDER BY device_key, product_key LIMIT 1"
);

/// Marks the tasks in the table `reopened` of which the device has accepted a service from a younger run.
pub(super) const MARK_OVERTAKEN: &str = concat!(
    "UPDATE temp.reopened SET overtaken = 1 WHERE EXISTS ( \
         SELECT 1 FROM task AS t CROSS JOIN payload_service AS s ON s.payload_id = t.payload_id AND s.run_id = ?1 \
         WHERE t.id = reopened.task_id AND ",
    overtaken!("t.device_key"),
    ")"
);

const NEWER: &str = "SELECT name FROM ( \
         SELECT run, name FROM acceptance \
         WHERE device_key = ?3 AND product_key = ?4 AND service IS NOT DISTINCT FROM ?5 AND run > ?1 AND base_url = ?2 \
         UNION ALL \
         SELECT b.run_id, g.name FROM device_past AS b JOIN pruned_run AS g ON g.id = b.run_id \
         WHERE b.device_key = ?3 AND b.product_key = ?4 AND b.service = coalesce(?5, '') AND b.run_id > ?1 AND g.base_url = ?2 \
         UNION ALL \
         SELECT y.id, y.name FROM run AS y CROSS JOIN device_task AS e ON e.run_id = y.id AND e.device_key = ?3 \
         CROSS JOIN outcome AS u ON u.task_id = e.task_id AND u.state = 4 AND u.class = 13 \
         CROSS JOIN task AS q ON q.id = e.task_id CROSS JOIN payload_service AS w ON w.payload_id = q.payload_id AND w.run_id = y.id \
         WHERE y.id > ?1 AND y.base_url = ?2 AND y.state <> 'staging' AND w.product_key = ?4 AND w.service IS NOT DISTINCT FROM ?5 \
     ) AS newer ORDER BY run DESC LIMIT 1";

/// Whether any run at the same platform is younger than this one and has been accepted by any device.
pub(super) async fn any_younger(
    connection: &mut DbConnection,
    run: &Run,
) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar(ANY_YOUNGER)
        .bind(run.id.0)
        .bind(&run.about.base_url)
        .fetch_one(connection)
        .await?)
}

impl Store {
    /// What of this run is stale: its pending tasks, as far as a run that was made after it has been accepted by the same device for the
    /// same service.
    pub(crate) async fn stale(&mut self, run: &Run) -> Result<Option<Stale>, StoreError> {
        let target = &run.about.base_url;
        if !any_younger(&mut self.connection, run).await? {
            return Ok(None);
        }
        let stale: Option<(i64, String, String, Option<String>)> = sqlx::query_as(STALE)
            .bind(run.id.0)
            .bind(target)
            .bind(run.first_task.0)
            .bind(run.end_task.0)
            .fetch_optional(&mut self.connection)
            .await?;
        let Some((devices, example, product_key, service)) = stale else {
            return Ok(None);
        };
        let newer = sqlx::query_scalar(NEWER)
            .bind(run.id.0)
            .bind(target)
            .bind(&example)
            .bind(product_key)
            .bind(service)
            .fetch_one(&mut self.connection)
            .await?;
        Ok(Some(Stale {
            devices: devices.unsigned_abs(),
            example,
            newer,
        }))
    }
}
