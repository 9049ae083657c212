//! How long a run's requests took, and whether it pauses.

use super::RunRow;
use crate::{
    model::{Latency, Timestamp},
    store::reader::{ReadError, Reader},
};

/// A pause that lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenPause {
    /// Since when.
    pub since: Timestamp,
    /// What the platform or the network said.
    pub reason: String,
}

/// Sessions say between which ids the requests of a run are. What was pushed before there were sessions may be anywhere.
const LATENCIES: &str = "SELECT latency_ms, count(*) FROM request
    WHERE id >= (
        SELECT CASE WHEN r.started_at >= min(s.began_at) THEN min(s.first_request) ELSE 0 END
        FROM run AS r LEFT JOIN session AS s ON s.run_id = r.id WHERE r.id = ?1 GROUP BY r.id
    ) AND id < coalesce(
        (SELECT CASE WHEN count(*) = count(end_request) THEN max(end_request) END FROM session WHERE run_id = ?1 AND first_request IS NOT NULL),
        9223372036854775807
    ) AND run_id = ?1 AND http_status IS NOT NULL AND latency_ms IS NOT NULL
    GROUP BY latency_ms ORDER BY latency_ms";

impl Reader {
    /// From now on everything is read as it stands at this moment, until the reader is closed.
    pub(crate) async fn freeze(&mut self) -> Result<(), ReadError> {
        sqlx::raw_sql("BEGIN")
            .execute(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))?;
        Ok(())
    }

    /// How long the run's requests took that were answered.
    pub(crate) async fn latency(&mut self, run: &RunRow) -> Result<Option<Latency>, ReadError> {
        let rows: Vec<(i64, i64)> = sqlx::query_as(LATENCIES)
            .bind(run.id.0)
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))?;
        let histogram: Vec<(u64, u64)> = rows
            .into_iter()
            .map(|(took, requests)| (took.unsigned_abs(), requests.unsigned_abs()))
            .collect();
        Ok(Latency::of(&histogram))
    }

    /// The pause of a session that lasts, if one does.
    pub(crate) async fn open_pause(
        &mut self,
        session: i64,
    ) -> Result<Option<OpenPause>, ReadError> {
        let row: Option<(i64, String)> = sqlx::query_as(
            "SELECT began_at, reason FROM pause WHERE session_id = ? AND ended_at IS NULL ORDER BY began_at DESC LIMIT 1",
        )
        .bind(session)
        .fetch_optional(&mut self.connection)
        .await
        .map_err(|error| self.failure(error))?;
        Ok(row.map(|(since, reason)| OpenPause {
            since: Timestamp(since),
            reason,
        }))
    }
}
