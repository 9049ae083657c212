//! What devices accepted in other runs than one, and what they had before.

use std::collections::HashMap;

use serde_json::json;

use super::{ResultRow, RunRow, results::read_rows};
use crate::{
    model::Timestamp,
    store::reader::{ReadError, Reader},
};

/// Devices that are looked at together.
const PAGE: i64 = 500;

/// A command of a service that a device accepted in another run, or may have got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Acceptance {
    pub(crate) device_key: String,
    pub(crate) product_key: String,
    pub(crate) service: String,
    /// The run's number.
    pub(crate) run: i64,
    /// The line of its manifest.
    pub(crate) line: i64,
    /// The request, which is numbered in the order in which the database has recorded all of them; none when it was pruned by a version
    /// that did not keep it.
    pub(crate) request: Option<i64>,
    /// When, by the clock of the push.
    pub(crate) at: Timestamp,
    /// The payload; none when it is no longer known, and when it is in doubt.
    pub(crate) payload: Option<PayloadId>,
    /// Whether it is in doubt.
    pub(crate) in_doubt: bool,
}

/// Where a payload is: on a server, runs have numbers of their own for their payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum PayloadId {
    /// That of this run with this number.
    OfRun(i64, i64),
    /// The one with this number among those of runs that have been pruned.
    Past(i64),
}

/// What a request carries besides its devices.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct StoredPayload {
    /// The wire string.
    pub(crate) data: String,
    /// `qos`
    pub(crate) qos: Option<i64>,
    /// `isCache`
    pub(crate) is_cache: Option<bool>,
    /// `cacheTime`
    pub(crate) cache_time: Option<i64>,
    /// `isCover`
    pub(crate) is_cover: Option<bool>,
    /// `extendPara`
    pub(crate) extend_para: Option<String>,
}

impl Reader {
    /// Begins to gather tasks of a run, device by device.
    pub(crate) async fn begin_gathering(&mut self) -> Result<(), ReadError> {
        self.make_temporary(
            "CREATE TEMP TABLE gathered (device_key TEXT, task_id INTEGER, PRIMARY KEY (device_key, task_id)) WITHOUT ROWID",
        )
        .await
    }

    /// Gathers these tasks.
    pub(crate) async fn gather(&mut self, rows: &[&ResultRow]) -> Result<(), ReadError> {
        let rows: Vec<(&str, i64)> = rows
            .iter()
            .map(|row| (row.device_key.as_str(), row.id))
            .collect();
        sqlx::query(
            "INSERT INTO temp.gathered SELECT value ->> 0, CAST(value ->> 1 AS bigint) FROM json_each(?) WHERE true ON CONFLICT DO NOTHING",
        )
        .bind(json!(rows).to_string())
        .execute(&mut self.connection)
        .await
        .map_err(|error| self.failure(error))?;
        Ok(())
    }

    /// All gathered tasks of the next devices after this key, by device and in the order of the manifest; none is the end.
    pub(crate) async fn gathered(
        &mut self,
        run: &RunRow,
        after: &str,
    ) -> Result<Vec<ResultRow>, ReadError> {
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT task_id FROM temp.gathered WHERE device_key IN ( \
                 SELECT DISTINCT device_key FROM temp.gathered WHERE device_key > ?1 ORDER BY device_key LIMIT ?2)",
        )
        .bind(after)
        .bind(PAGE)
        .fetch_all(&mut self.connection)
        .await
        .map_err(|error| self.failure(error))?;
        let rows = read_rows(&mut self.connection, run.id, &ids)
            .await
            .map_err(|error| self.failure(error))?;
        let mut rows: Vec<ResultRow> = rows
            .into_iter()
            .map(|raw| raw.into_row().map_err(|what| self.damaged(what)))
            .collect::<Result<_, _>>()?;
        rows.sort_by(|a, b| (&a.device_key, a.line).cmp(&(&b.device_key, b.line)));
        Ok(rows)
    }

    /// Those of the tasks of which a send was in doubt, with the last request in which it was.
    pub(crate) async fn once_in_doubt(
        &mut self,
        rows: &[ResultRow],
    ) -> Result<HashMap<i64, i64>, ReadError> {
        let ids: Vec<i64> = rows
            .iter()
            .filter(|row| row.attempts > 0)
            .map(|row| row.id)
            .collect();
        let doubts: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT a.task_id, max(a.request_id) FROM json_each(?) AS j CROSS JOIN attempt AS a ON a.task_id = CAST(j.value AS bigint) \
             WHERE a.class = 6 GROUP BY a.task_id",
        )
        .bind(json!(ids).to_string())
        .fetch_all(&mut self.connection)
        .await
        .map_err(|error| self.failure(error))?;
        Ok(doubts.into_iter().collect())
    }

    /// What these devices accepted of these services in other runs to the same target, or may have got of them.
    pub(crate) async fn accepted_elsewhere(
        &mut self,
        run: &RunRow,
        devices: &[&str],
        services: &[String],
    ) -> Result<Vec<Acceptance>, ReadError> {
        let rows: Vec<RawAcceptance> = sqlx::query_as(ELSEWHERE)
            .bind(json!(devices).to_string())
            .bind(json!(services).to_string())
            .bind(run.id.0)
            .bind(&run.base_url)
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))?;
        Ok(rows
            .into_iter()
            .map(|raw| Acceptance {
                device_key: raw.device_key,
                product_key: raw.product_key,
                service: raw.service,
                run: raw.run,
                line: raw.line,
                request: raw.request,
                at: Timestamp(raw.at),
                payload: raw.payload_id.map(|id| {
                    if raw.past {
                        PayloadId::Past(id)
                    } else {
                        PayloadId::OfRun(raw.run, id)
                    }
                }),
                in_doubt: raw.in_doubt,
            })
            .collect())
    }

    /// A payload of this run, or of one that has been pruned.
    pub(crate) async fn payload(
        &mut self,
        id: PayloadId,
    ) -> Result<Option<StoredPayload>, ReadError> {
        match id {
            PayloadId::Past(id) => sqlx::query_as(
                "SELECT data, qos, is_cache, cache_time, is_cover, extend_para FROM past_payload WHERE id = ?",
            )
            .bind(id),
            PayloadId::OfRun(run, id) => sqlx::query_as(
                "SELECT data, qos, is_cache, cache_time, is_cover, extend_para FROM payload WHERE run_id = ? AND id = ?",
            )
            .bind(run)
            .bind(id),
        }
        .fetch_optional(&mut self.connection)
        .await
        .map_err(|error| self.failure(error))
    }

    /// The services that the run's payloads call.
    pub(crate) async fn services(&mut self, run: &RunRow) -> Result<Vec<String>, ReadError> {
        sqlx::query_scalar(
            "SELECT DISTINCT s.service FROM payload AS p CROSS JOIN payload_service AS s ON s.payload_id = p.id AND s.run_id = p.run_id \
             WHERE p.run_id = ? AND s.service IS NOT NULL ORDER BY 1",
        )
        .bind(run.id.0)
        .fetch_all(&mut self.connection)
        .await
        .map_err(|error| self.failure(error))
    }
}

#[derive(sqlx::FromRow)]
struct RawAcceptance {
    device_key: String,
    product_key: String,
    service: String,
    run: i64,
    line: i64,
    request: Option<i64>,
    at: i64,
    payload_id: Option<i64>,
    past: bool,
    in_doubt: bool,
}

/// Of the devices ?1 and the services ?2, what is not of the run ?3 and went to the target ?4.
pub(in crate::store) const ELSEWHERE: &str = "
SELECT a.device_key, a.product_key, a.service, a.run, a.line, a.request_id AS request, a.accepted_at AS at, a.payload_id, 0 AS past, 0 AS in_doubt
FROM json_each(?1) AS j CROSS JOIN acceptance AS a ON a.device_key = j.value
WHERE a.run <> ?3 AND a.base_url = ?4 AND a.service IN (SELECT value FROM json_each(?2))
UNION ALL
SELECT b.device_key, b.product_key, b.service, b.run_id, b.line, b.request_id, b.accepted_at, b.payload_id, 1, 0
FROM json_each(?1) AS j CROSS JOIN device_past AS b ON b.device_key = j.value CROSS JOIN pruned_run AS g ON g.id = b.run_id
WHERE g.base_url = ?4 AND b.service IN (SELECT value FROM json_each(?2))
UNION ALL
SELECT b.device_key, b.product_key, b.service, b.run_id, b.line, b.request_id, b.accepted_at, b.payload_id, 1, 0
FROM json_each(?1) AS j CROSS JOIN device_past_before AS b ON b.device_key = j.value CROSS JOIN pruned_run AS g ON g.id = b.run_id
WHERE g.base_url = ?4 AND b.service IN (SELECT value FROM json_each(?2))
UNION ALL
SELECT d.device_key, s.product_key, s.service, r.id, t.line,
    coalesce(o.request_id, (SELECT max(request_id) FROM attempt WHERE task_id = t.id)), o.finished_at, NULL, 0, 1
FROM json_each(?1) AS j CROSS JOIN run AS r ON true CROSS JOIN device_task AS d ON d.run_id = r.id AND d.device_key = j.value
CROSS JOIN outcome AS o ON o.task_id = d.task_id AND o.state = 3
CROSS JOIN task AS t ON t.id = d.task_id
CROSS JOIN payload_service AS s ON s.payload_id = t.payload_id AND s.run_id = r.id
WHERE r.id <> ?3 AND r.state <> 'staging' AND r.base_url = ?4 AND s.service IN (SELECT value FROM json_each(?2))";
