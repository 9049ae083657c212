//! When a request was on its way, as far as that was recorded.

use std::time::Duration;

use sqlx::Row as _;

use super::{StoreError, db::DbRow};
use crate::model::{TimeRange, Timestamp};

/// How long after its claim a request may have been sent whose process ended before it noted when: claims are made for the next moment,
/// but a request waits for its turn and its reply.
pub(super) const UNNOTED: Duration = Duration::from_mins(2);

/// From the beginning of a send to its end, as far as they were noted.
pub(super) fn window(row: &DbRow) -> Result<TimeRange, StoreError> {
    let claimed_at = Timestamp(row.try_get("claimed_at")?);
    let sent_at: Option<i64> = row.try_get("sent_at")?;
    let latency: Option<i64> = row.try_get("latency_ms")?;
    let finished_at: Option<i64> = row.try_get("finished_at")?;
    Ok(match (sent_at.map(Timestamp), latency) {
        (Some(from), Some(ms)) => TimeRange {
            from,
            to: from.after(Duration::from_millis(ms.unsigned_abs())),
        },
        (sent_at, _) => {
            let from = sent_at.unwrap_or(claimed_at);
            let latest = from.after(UNNOTED);
            // A process that crashed noted an end only when it was started again, maybe days later.
            let to = finished_at.map_or(latest, |end| Timestamp(end).clamp(from, latest));
            TimeRange { from, to }
        }
    })
}
