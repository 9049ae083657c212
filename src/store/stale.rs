//! Whether what a run has yet to send is older than what its devices have accepted since.

use sqlx::Connection;

use super::{RetryFilter, Run, Store, StoreError, owner::BEGIN, retry, span::in_no_span};

#[cfg(test)]
mod tests;

/// Tasks of a run that would undo what a younger run has delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// How many devices they are for.
    pub devices: u64,
    /// One of the devices.
    pub example: String,
    /// The latest run that has delivered to it.
    pub newer: String,
}

/// Whether any run at the same platform is younger and has been accepted by any device. As a rule there is none.
const ANY_YOUNGER: &str = "SELECT EXISTS ( \
         SELECT 1 FROM run AS y JOIN tally AS n ON n.run_id = y.id AND n.state = 1 AND n.n > 0 \
         WHERE y.id > ?1 AND y.base_url = ?2 AND y.state <> 'staging' \
     ) OR EXISTS (SELECT 1 FROM pruned_run WHERE id > ?1 AND base_url = ?2)";

/// Devices with a task that is pending or in the table `reopened`, and a service of it that they have accepted from a younger run.
pub(super) const STALE: &str = concat!(
    "SELECT count(*), min(device_key), product_key, service FROM ( \
         SELECT t.device_key, s.product_key, s.service \
         FROM task AS t CROSS JOIN payload_service AS s ON s.payload_id = t.payload_id \
         WHERE t.id >= ?3 AND t.id < ?4 \
         AND (NOT EXISTS (SELECT 1 FROM outcome AS o WHERE o.task_id = t.id) AND ",
    in_no_span!("t.id"),
    " \
             OR EXISTS (SELECT 1 FROM temp.reopened AS e WHERE e.task_id = t.id)) \
         AND (EXISTS ( \
             SELECT 1 FROM acceptance AS c \
             WHERE c.device_key = t.device_key AND c.product_key = s.product_key AND c.service IS s.service \
             AND c.run > ?1 AND c.base_url = ?2 \
         ) OR EXISTS ( \
             SELECT 1 FROM device_past AS b CROSS JOIN pruned_run AS g ON g.id = b.run_id \
             WHERE b.device_key = t.device_key AND b.product_key = s.product_key AND b.service = coalesce(s.service, '') \
             AND b.run_id > ?1 AND g.base_url = ?2 \
         )) \
         GROUP BY s.product_key, t.device_key \
     )"
);

const NEWER: &str = "SELECT name FROM ( \
         SELECT run, name FROM acceptance \
         WHERE device_key = ?3 AND product_key = ?4 AND service IS ?5 AND run > ?1 AND base_url = ?2 \
         UNION ALL \
         SELECT b.run_id, g.name FROM device_past AS b JOIN pruned_run AS g ON g.id = b.run_id \
         WHERE b.device_key = ?3 AND b.product_key = ?4 AND b.service = coalesce(?5, '') AND b.run_id > ?1 AND g.base_url = ?2 \
     ) ORDER BY run DESC LIMIT 1";

impl Store {
    /// What of this run is stale: its pending tasks, and those that a retry with this filter would send again, as far as a run that was
    /// made after it has been accepted by the same device for the same service. Changes nothing.
    pub async fn stale(
        &mut self,
        run: &Run,
        retry: Option<&RetryFilter>,
    ) -> Result<Option<Stale>, StoreError> {
        let target = &run.about.base_url;
        let any_younger: bool = sqlx::query_scalar(ANY_YOUNGER)
            .bind(run.id.0)
            .bind(target)
            .fetch_one(&mut self.connection)
            .await?;
        if !any_younger {
            return Ok(None);
        }
        let mut transaction = self.connection.begin_with(BEGIN).await?;
        match retry {
            Some(filter) => {
                retry::choose(&mut transaction, run, filter).await?;
            }
            None => retry::choose_none(&mut transaction).await?,
        }
        let (devices, example, product_key, service): (
            i64,
            Option<String>,
            Option<String>,
            Option<String>,
        ) = sqlx::query_as(STALE)
            .bind(run.id.0)
            .bind(target)
            .bind(run.first_task.0)
            .bind(run.end_task.0)
            .fetch_one(&mut *transaction)
            .await?;
        transaction.rollback().await?;
        let Some(example) = example else {
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
