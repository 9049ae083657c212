//! Which messages of a queue are missing when listening starts again.

use std::time::Duration;

use crate::model::{GapCause, MessageGap, Timestamp};

/// How long the platform keeps a message ("AMQP Message Subscription Overview"; older pages say 30 days).
pub(crate) const KEPT: Duration = Duration::from_hours(6);

/// The bytes that a queue holds; further messages are lost.
const HOLDS: u64 = 500_000_000;

/// Whether a queue with so many bytes is full, or so nearly that one more message may not fit.
pub(crate) fn is_full(bytes: u64) -> bool {
    bytes >= HOLDS / 100 * 99
}

/// The time of which messages may be missing when a queue is listened to from `now` on, and was until `until` before.
///
/// Of what came before the first time that anybody listened, nothing is expected.
pub(crate) fn message_gap(
    queue: &str,
    until: Option<Timestamp>,
    now: Timestamp,
    is_full: bool,
) -> Option<MessageGap> {
    let gap = |from, to, cause| MessageGap {
        queue: queue.to_owned(),
        from,
        to,
        cause,
    };
    let oldest = now.before(KEPT);
    match until {
        // Nobody knows when it was filled up, so everything since is doubtful.
        _ if is_full => Some(gap(until.unwrap_or(oldest), now, GapCause::Full)),
        Some(until) if until < oldest => Some(gap(until, oldest, GapCause::Away)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const NOW: Timestamp = Timestamp(100 * HOUR);

    fn found(until: Option<i64>, is_full: bool) -> Option<(i64, i64, GapCause)> {
        let gap = message_gap(
            "a.1.q",
            until.map(|hour| Timestamp(hour * HOUR)),
            NOW,
            is_full,
        )?;
        assert_eq!(gap.queue, "a.1.q");
        Some((gap.from.0 / HOUR, gap.to.0 / HOUR, gap.cause))
    }

    #[test]
    fn what_the_queue_keeps_is_no_gap() {
        assert_eq!(found(Some(100), false), None);
        assert_eq!(found(Some(94), false), None);
        assert_eq!(found(None, false), None, "nobody has listened yet");
        assert_eq!(found(Some(200), false), None, "a clock that was ahead");
    }

    #[test]
    fn what_is_older_than_the_queue_keeps_is_lost() {
        assert_eq!(found(Some(93), false), Some((93, 94, GapCause::Away)));
        assert_eq!(found(Some(10), false), Some((10, 94, GapCause::Away)));
    }

    #[test]
    fn a_full_queue_puts_everything_in_doubt_since_somebody_listened() {
        assert_eq!(found(Some(99), true), Some((99, 100, GapCause::Full)));
        assert_eq!(found(Some(10), true), Some((10, 100, GapCause::Full)));
        assert_eq!(found(None, true), Some((94, 100, GapCause::Full)));
        assert!(is_full(500_000_000) && is_full(495_000_000) && !is_full(400_000_000));
    }
}
