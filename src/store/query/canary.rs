//! Where the canary of a run stands.

use crate::{
    model::{CanaryStatus, CanaryVerdict, RunId},
    store::{
        canary::LEFT,
        reader::{ReadError, Reader},
    },
};

impl Reader {
    /// Where the canary of a run stands, if it has one.
    pub(crate) async fn canary(&mut self, run: RunId) -> Result<Option<CanaryStatus>, ReadError> {
        let row: Option<(i64, bool, Option<String>)> = sqlx::query_as(
            "SELECT devices, passed_at IS NOT NULL, verdict FROM canary WHERE run_id = ?",
        )
        .bind(run.0)
        .fetch_optional(&mut self.connection)
        .await
        .map_err(|error| self.failure(error))?;
        let Some((devices, over, verdict)) = row else {
            return Ok(None);
        };
        let left: i64 = if over {
            0
        } else {
            sqlx::query_scalar(LEFT)
                .bind(run.0)
                .fetch_one(&mut self.connection)
                .await
                .map_err(|error| self.failure(error))?
        };
        let devices = devices.unsigned_abs();
        Ok(Some(CanaryStatus {
            devices,
            ended: devices.saturating_sub(left.unsigned_abs()),
            verdict: over.then(|| {
                // One that went on before verdicts were kept.
                let known = verdict.as_deref().and_then(CanaryVerdict::from_name);
                known.unwrap_or(CanaryVerdict::Passed)
            }),
        }))
    }
}
