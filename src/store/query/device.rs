//! All that is known of one device: an index leads to it in each run.

use serde_json::json;

use super::{ResultRow, RunRow, optional_class};
use crate::{
    model::{Class, TaskFilter, Timestamp},
    store::{
        reader::{ReadError, Reader},
        select::passing,
    },
};

/// Tasks that are looked at together when devices are looked for by what no index knows.
const PIECE: i64 = 20_000;

/// One send of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Send {
    pub task: i64,
    /// Its number among the sends of the task, from 1.
    pub attempt: i64,
    pub request_id: i64,
    /// How many devices the request had.
    pub devices: i64,
    /// What it came to.
    pub class: Class,
    /// The platform's code.
    pub code: Option<i64>,
    /// The platform's words, or ours.
    pub message: Option<String>,
    pub ticket: Option<String>,
    /// When it went out.
    pub sent_at: Timestamp,
    /// How long the reply took.
    pub latency_ms: Option<i64>,
    /// The status of the reply.
    pub http_status: Option<i64>,
}

/// The last command of a service that a device accepted in a run that has been pruned.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct PastAcceptance {
    /// The run's name.
    pub run: String,
    pub product_key: String,
    /// The service; empty when none could be read.
    pub service: String,
    /// The line of the manifest.
    pub line: i64,
    pub ticket: Option<String>,
    /// When, in milliseconds.
    pub accepted_at: i64,
}

/// The last throttled reply for a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastThrottle {
    pub product_key: String,
    /// How it was throttled.
    pub class: Class,
    /// When.
    pub throttled_at: Timestamp,
    /// Until when it is left alone.
    pub until: Timestamp,
}

impl Reader {
    /// Keys of devices whose tasks in the run have the labels, products and other conditions of the filter, at most so many. It reads the
    /// run piece by piece until it has found them.
    pub(crate) async fn devices_by_row(
        &mut self,
        run: &RunRow,
        filter: &TaskFilter,
        most: usize,
    ) -> Result<Vec<String>, ReadError> {
        let mut found: Vec<String> = Vec::new();
        for from in (run.first_task..run.end_task).step_by(PIECE as usize) {
            let end = run.end_task.min(from + PIECE);
            let keys: Vec<String> = self.devices_in(filter, from, end).await?;
            for key in keys {
                if !found.contains(&key) {
                    found.push(key);
                }
                if found.len() == most {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    async fn devices_in(
        &mut self,
        filter: &TaskFilter,
        from: i64,
        end: i64,
    ) -> Result<Vec<String>, ReadError> {
        // The text of a label is looked for before a row is parsed.
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let mut texts: Vec<String> = Vec::new();
        for (name, values) in &filter.labels {
            texts.push(quoted(name));
            if let [value] = values.iter().collect::<Vec<_>>()[..] {
                // A number has no quotes.
                texts.push(quoted(value).trim_matches('"').to_owned());
            }
        }
        let ids: Vec<i64> = sqlx::query_scalar(WITH_TEXTS)
            .bind(from)
            .bind(end)
            .bind(json!(texts).to_string())
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<i64> = passing(&mut self.connection, filter, &ids)
            .await
            .map_err(|error| self.failure(error))?;
        sqlx::query_scalar(
            "SELECT t.device_key FROM json_each(?) AS j CROSS JOIN task AS t ON t.id = CAST(j.value AS bigint) GROUP BY 1 ORDER BY min(t.id)",
        )
        .bind(json!(ids).to_string())
        .fetch_all(&mut self.connection)
        .await
        .map_err(|error| self.failure(error))
    }

    /// Every send of these tasks that has come to something, by task and number.
    pub(crate) async fn sends(&mut self, rows: &[ResultRow]) -> Result<Vec<Send>, ReadError> {
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        let raw: Vec<RawSend> = sqlx::query_as(SENDS)
            .bind(json!(ids).to_string())
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))?;
        raw.into_iter()
            .map(|raw| {
                let class = Class::from_number(raw.class)
                    .ok_or_else(|| self.damaged(format!("class {} of a send", raw.class)))?;
                Ok(Send {
                    task: raw.task_id,
                    attempt: raw.attempt,
                    request_id: raw.request_id,
                    devices: raw.devices,
                    class,
                    code: raw.code,
                    message: raw.message,
                    ticket: raw.ticket,
                    sent_at: Timestamp(raw.sent_at),
                    latency_ms: raw.latency_ms,
                    http_status: raw.http_status,
                })
            })
            .collect()
    }

    /// What the device accepted last in runs that have been pruned.
    pub(crate) async fn past_acceptances(
        &mut self,
        device_key: &str,
    ) -> Result<Vec<PastAcceptance>, ReadError> {
        sqlx::query_as(
            "SELECT g.name AS run, b.product_key, b.service, b.line, CAST(b.ticket AS TEXT) AS ticket, b.accepted_at \
             FROM device_past AS b JOIN pruned_run AS g ON g.id = b.run_id WHERE b.device_key = ? ORDER BY b.request_id NULLS FIRST, b.run_id, b.line",
        )
        .bind(device_key)
        .fetch_all(&mut self.connection)
        .await
        .map_err(|error| self.failure(error))
    }

    /// The last throttled replies for the device, one for each of its products.
    pub(crate) async fn last_throttles(
        &mut self,
        device_key: &str,
    ) -> Result<Vec<LastThrottle>, ReadError> {
        let rows: Vec<(String, i64, i64, i64)> = sqlx::query_as(
            "SELECT product_key, class, throttled_at, until FROM device_throttle WHERE device_key = ? ORDER BY 1",
        )
        .bind(device_key)
        .fetch_all(&mut self.connection)
        .await
        .map_err(|error| self.failure(error))?;
        rows.into_iter()
            .map(|(product_key, class, throttled_at, until)| {
                let class = optional_class(Some(class))
                    .ok()
                    .flatten()
                    .ok_or_else(|| self.damaged(format!("class {class} of a throttle")))?;
                Ok(LastThrottle {
                    product_key,
                    class,
                    throttled_at: Timestamp(throttled_at),
                    until: Timestamp(until),
                })
            })
            .collect()
    }
}

/// Tasks from ?1 up to ?2 whose labels have each of the texts in ?3.
const WITH_TEXTS: &str = "
SELECT t.id FROM task AS t WHERE t.id >= ?1 AND t.id < ?2
AND NOT EXISTS (SELECT 1 FROM json_each(?3) AS j WHERE instr(coalesce(t.labels, ''), j.value) = 0)
ORDER BY t.id";

/// The sends of the tasks in ?1, wherever they stand.
pub(in crate::store) const SENDS: &str = "
SELECT
    e.task_id, e.attempt, e.request_id, e.class, e.code, e.message, CAST(e.ticket AS TEXT) AS ticket, q.devices,
    coalesce(q.sent_at, q.claimed_at) AS sent_at, q.latency_ms, q.http_status
FROM (
    SELECT a.task_id, a.attempt, a.request_id, a.class, a.code, a.message, a.ticket
    FROM json_each(?1) AS j CROSS JOIN attempt AS a ON a.task_id = CAST(j.value AS bigint)
    UNION ALL
    SELECT t.id, t.attempts, t.request_id, t.class, t.code, t.message, t.ticket
    FROM json_each(?1) AS j CROSS JOIN task_end AS t ON t.id = CAST(j.value AS bigint) WHERE t.request_id IS NOT NULL
) AS e CROSS JOIN request AS q ON q.id = e.request_id
ORDER BY e.task_id, e.attempt";

#[derive(sqlx::FromRow)]
struct RawSend {
    task_id: i64,
    attempt: i64,
    request_id: i64,
    class: i64,
    code: Option<i64>,
    message: Option<String>,
    ticket: Option<String>,
    devices: i64,
    sent_at: i64,
    latency_ms: Option<i64>,
    http_status: Option<i64>,
}
