//! The rate of requests that a platform has been found to take.

use super::{Store, StoreError};
use crate::model::Timestamp;

impl Store {
    /// The requests a second that this platform was last found to take; `None` when it has refused none.
    pub(crate) async fn found_rate(&mut self, base_url: &str) -> Result<Option<f64>, StoreError> {
        Ok(
            sqlx::query_scalar("SELECT rate FROM pace WHERE base_url = ?")
                .bind(base_url)
                .fetch_optional(&mut self.connection)
                .await?,
        )
    }

    /// Notes the requests a second that this platform takes, or that nothing is known of a limit.
    pub(crate) async fn keep_rate(
        &mut self,
        base_url: &str,
        rate: Option<f64>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
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
        query.execute(&mut self.connection).await?;
        Ok(())
    }
}
