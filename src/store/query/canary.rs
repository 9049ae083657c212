//! Where the canary of a run stands.

use crate::{
    model::{CanaryStanding, RunId},
    store::{
        canary::LEFT,
        reader::{ReadError, Reader},
    },
};

impl Reader {
    /// Where the canary of a run stands, if it has one.
    pub async fn canary(&mut self, run: RunId) -> Result<Option<CanaryStanding>, ReadError> {
        let row: Option<(i64, bool)> =
            sqlx::query_as("SELECT devices, passed_at IS NOT NULL FROM canary WHERE run_id = ?")
                .bind(run.0)
                .fetch_optional(&mut self.connection)
                .await
                .map_err(|error| self.failure(error))?;
        let Some((devices, passed)) = row else {
            return Ok(None);
        };
        let left: i64 = if passed {
            0
        } else {
            sqlx::query_scalar(LEFT)
                .bind(run.0)
                .fetch_one(&mut self.connection)
                .await
                .map_err(|error| self.failure(error))?
        };
        let devices = devices.unsigned_abs();
        Ok(Some(CanaryStanding {
            devices,
            ended: devices.saturating_sub(left.unsigned_abs()),
            passed,
        }))
    }
}
