//! All sends to one device that may have reached the platform, in every run for that platform.

use std::collections::HashSet;

use sqlx::Row as _;

use super::{
    Run, Store, StoreError,
    db::{DbConnection, DbRow},
    send_time::window,
};
use crate::model::{TaskId, TimeRange};

/// A send to a device that may have reached the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceSend {
    pub(crate) task: TaskId,
    /// Which send of the task it was.
    pub(crate) attempt: u32,
    /// Whether the platform is known to have taken it. Without that it is in doubt or under way.
    pub(crate) is_accepted: bool,
    /// From the beginning of the send to the end of its reply, on our clock.
    pub(crate) sent: TimeRange,
    /// What it carried.
    pub(crate) data: Box<str>,
    /// `isCache` of its payload.
    pub(crate) is_cache: Option<bool>,
    /// `cacheTime` of its payload.
    pub(crate) cache_time: Option<i64>,
}

/// The tasks of one device, in every run that went to the same platform.
macro_rules! of_device {
    ($rest:literal) => {
        concat!(
            "WITH mine (task_id, data, is_cache, cache_time) AS ( \
                 SELECT t.id, p.data, p.is_cache, p.cache_time FROM run AS r \
                 JOIN device_task AS d ON d.run_id = r.id AND d.device_key = ?1 \
                 JOIN task AS t ON t.id = d.task_id \
                 JOIN payload AS p ON p.id = t.payload_id AND p.run_id = r.id AND p.product_key = ?2 \
                 WHERE r.base_url = ?3 AND r.state <> 'staging' \
             ) ",
            $rest
        )
    };
}

const SENDS: &str = of_device!(
    "SELECT m.*, e.attempt, e.class, q.claimed_at, q.sent_at, q.latency_ms, q.finished_at FROM ( \
         SELECT m.task_id, a.attempt, a.class, a.request_id FROM mine AS m JOIN attempt AS a ON a.task_id = m.task_id WHERE a.class IN (1, 6) \
         UNION ALL \
         SELECT m.task_id, o.attempts, o.class, o.request_id FROM mine AS m JOIN outcome AS o ON o.task_id = m.task_id \
         WHERE o.class IN (1, 6) AND o.request_id IS NOT NULL \
         UNION ALL \
         SELECT m.task_id, 1, 1, g.request_id FROM mine AS m JOIN accepted_span AS g \
         ON g.first_task = (SELECT max(first_task) FROM accepted_span WHERE first_task <= m.task_id) AND g.end_task > m.task_id \
         UNION ALL \
         SELECT m.task_id, d.sends + 1, 0, d.request_id FROM mine AS m JOIN due AS d ON d.task_id = m.task_id WHERE d.request_id IS NOT NULL \
         UNION ALL \
         SELECT m.task_id, 1, 0, q.id FROM mine AS m JOIN task AS t ON t.id = m.task_id AND t.held = 0 \
         JOIN request AS q ON q.finished_at IS NULL AND q.first_task <= t.id AND q.end_task > t.id \
     ) AS e JOIN mine AS m ON m.task_id = e.task_id JOIN request AS q ON q.id = e.request_id ORDER BY 1, 5"
);

const TICKETS: &str = of_device!(
    "SELECT CAST(a.ticket AS TEXT) FROM mine AS m JOIN attempt AS a ON a.task_id = m.task_id WHERE a.ticket IS NOT NULL \
     UNION ALL \
     SELECT CAST(t.ticket AS TEXT) FROM mine AS m JOIN task_end AS t ON t.id = m.task_id WHERE t.ticket IS NOT NULL"
);

impl Store {
    /// All sends to a device that may have reached the platform of this run, in every run.
    pub(crate) async fn sends_to_device(
        &mut self,
        run: &Run,
        product_key: &str,
        device_key: &str,
    ) -> Result<Vec<DeviceSend>, StoreError> {
        let rows = sqlx::query(SENDS)
            .bind(device_key)
            .bind(product_key)
            .bind(&run.about.base_url)
            .fetch_all(&mut self.connection)
            .await?;
        let send = |row: &DbRow| -> Result<DeviceSend, StoreError> {
            Ok(DeviceSend {
                task: TaskId(row.try_get("task_id")?),
                attempt: row.try_get("attempt")?,
                is_accepted: row.try_get::<i64, _>("class")? == 1,
                sent: window(row)?,
                data: row.try_get::<&str, _>("data")?.into(),
                is_cache: row.try_get("is_cache")?,
                cache_time: row.try_get("cache_time")?,
            })
        };
        rows.iter().map(send).collect()
    }

    /// All tickets of a device at the platform of this run, in every run.
    pub(crate) async fn tickets_of_device(
        &mut self,
        run: &Run,
        product_key: &str,
        device_key: &str,
    ) -> Result<HashSet<String>, StoreError> {
        let base_url = &run.about.base_url;
        let tickets = tickets_of(&mut self.connection, base_url, product_key, device_key).await?;
        Ok(tickets.into_iter().collect())
    }
}

/// All tickets of a device at this platform, in every run.
pub(super) async fn tickets_of(
    connection: &mut DbConnection,
    base_url: &str,
    product_key: &str,
    device_key: &str,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(TICKETS)
        .bind(device_key)
        .bind(product_key)
        .bind(base_url)
        .fetch_all(connection)
        .await
}
