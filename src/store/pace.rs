//! The rate of requests that a platform has been found to take.

use super::{Journal, StoreError};
use crate::model::Timestamp;

impl Journal<'_> {
    /// The requests a second that the run's platform was last found to take; `None` when it has refused none.
    pub async fn found_rate(&mut self) -> Result<Option<f64>, StoreError> {
        let (store, ledger) = self.parts();
        Ok(
            sqlx::query_scalar("SELECT rate FROM pace WHERE base_url = ?")
                .bind(&ledger.run.about.base_url)
                .fetch_optional(&mut store.connection)
                .await?,
        )
    }

    /// Notes the requests a second that the run's platform takes, or that nothing is known of a limit.
    pub async fn keep_rate(&mut self, rate: Option<f64>, now: Timestamp) -> Result<(), StoreError> {
        let (store, ledger) = self.parts();
        let base_url = &ledger.run.about.base_url;
        let query = match rate {
            Some(rate) => sqlx::query(
                "INSERT INTO pace (base_url, rate, found_at) VALUES (?, ?, ?) \
                 ON CONFLICT DO UPDATE SET rate = excluded.rate, found_at = excluded.found_at",
            )
            .bind(base_url)
            .bind(rate)
            .bind(now.0),
            None => sqlx::query("DELETE FROM pace WHERE base_url = ?").bind(base_url),
        };
        query.execute(&mut store.connection).await?;
        Ok(())
    }
}
