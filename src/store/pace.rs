//! The rate of requests that a platform has been found to take.

use std::time::Duration;

use super::{Store, StoreError};
use crate::model::Timestamp;

/// A rate that the database knows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct KeptRate {
    /// Requests a second.
    pub(crate) rate: f64,
    /// For how long the platform had been found to take it.
    pub(crate) span: Duration,
    /// When it was kept.
    pub(crate) found_at: Timestamp,
}

impl Store {
    /// What this platform was last found to take; `None` when it has refused nothing.
    pub(crate) async fn found_rate(
        &mut self,
        base_url: &str,
    ) -> Result<Option<KeptRate>, StoreError> {
        let row: Option<(f64, i64, i64)> =
            sqlx::query_as("SELECT rate, span_ms, found_at FROM pace WHERE base_url = ?")
                .bind(base_url)
                .fetch_optional(&mut self.connection)
                .await?;
        Ok(row.map(|(rate, span_ms, found_at)| KeptRate {
            rate,
            span: Duration::from_millis(u64::try_from(span_ms).unwrap_or_default()),
            found_at: Timestamp(found_at),
        }))
    }

    /// Notes the requests a second that this platform takes and for how long it has been found to, or that it limits nothing.
    pub(crate) async fn keep_rate(
        &mut self,
        base_url: &str,
        rate: Option<(f64, Duration)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let query = match rate {
            Some((rate, span)) => sqlx::query(
                "INSERT INTO pace (base_url, rate, span_ms, found_at) VALUES (?, ?, ?, ?) ON CONFLICT (base_url) DO UPDATE \
                 SET rate = excluded.rate, span_ms = excluded.span_ms, found_at = excluded.found_at",
            )
            .bind(base_url)
            .bind(rate)
            .bind(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
            .bind(now.0),
            None => sqlx::query("DELETE FROM pace WHERE base_url = ?").bind(base_url),
        };
        self.execute(query).await?;
        Ok(())
    }
}
