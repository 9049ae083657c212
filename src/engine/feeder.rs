//! How much to claim, and when to record. Enough that no sender waits for the disk, but no more: after a crash, everything that was claimed
//! and not recorded is in doubt.

use std::time::Duration;

/// How far ahead of the throttle requests are claimed, in seconds.
const AHEAD_SECONDS: f64 = 0.1;

/// How many requests to claim now.
///
/// `unsent` requests wait for a sender or a token, `outstanding` ones have not been reported back (the unsent included), and `rate` is the
/// present limit in requests a second. A claim that `rides` shares the transaction of what is recorded. Outstanding ones never exceed twice
/// the concurrency, which is what the channel to the senders holds.
pub(super) fn room(
    concurrency: usize,
    rate: Option<f64>,
    unsent: usize,
    outstanding: usize,
    rides: bool,
) -> usize {
    let most = 2 * concurrency;
    let window = rate.map_or(most, |rate| {
        ((rate * AHEAD_SECONDS).ceil() as usize).clamp(1, most)
    });
    // A claim by itself costs a transaction of its own: it is left until what is unsent is about to run out.
    if !rides && unsent > window / 4 {
        return 0;
    }
    window
        .saturating_sub(unsent)
        .min(most.saturating_sub(outstanding))
}

/// How long what came back may wait to be recorded in the transaction of the next claim.
///
/// At a platform's pace a transaction costs more than what is recorded in it. The wait is no longer than that of a claim for its token, so
/// that a crash puts in doubt as little of what has come back as of what has not been sent. Nothing waits when no rate is the limit, since
/// then replies come together anyway, nor when no reply is outstanding that could bring the next claim about.
pub(super) fn linger(rate: Option<f64>, outstanding: usize) -> Duration {
    match rate {
        Some(_) if outstanding > 0 => Duration::from_secs_f64(AHEAD_SECONDS),
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_slow_rate_claims_one_at_a_time() {
        assert_eq!(room(16, Some(0.5), 0, 0, false), 1);
        assert_eq!(room(16, Some(0.5), 1, 1, true), 0);
        assert_eq!(room(16, Some(25.0), 0, 8, false), 3);
        assert_eq!(room(16, None, 0, 16, false), 16);
        assert_eq!(room(16, None, 0, 32, true), 0);
        assert_eq!(room(16, None, 0, 0, true), 32);
    }

    #[test]
    fn a_claim_that_costs_a_transaction_waits_until_little_is_unsent() {
        assert_eq!(room(16, Some(25.0), 1, 8, true), 2);
        assert_eq!(room(16, Some(25.0), 1, 8, false), 0);
        assert_eq!(room(64, None, 33, 60, false), 0);
        assert_eq!(room(64, None, 32, 60, false), 68);
        assert_eq!(room(64, None, 127, 127, true), 1);
    }

    #[test]
    fn what_came_back_waits_for_a_claim_only_if_one_is_to_come() {
        assert_eq!(linger(Some(25.0), 3), Duration::from_millis(100));
        assert_eq!(linger(Some(25.0), 0), Duration::ZERO);
        assert_eq!(linger(None, 64), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn never_more_than_twice_the_concurrency(
            concurrency in 1_usize..2000, rate in prop::option::of(0.001_f64..1e5), unsent in 0_usize..4000, in_flight in 0_usize..4000,
            rides: bool,
        ) {
            let outstanding = (unsent + in_flight).min(2 * concurrency);
            let room = room(concurrency, rate, unsent.min(outstanding), outstanding, rides);
            prop_assert!(outstanding + room <= 2 * concurrency);
            // Something is claimed whenever nothing waits: a run cannot stand still.
            prop_assert!(room > 0 || unsent > 0 || outstanding == 2 * concurrency);
        }
    }
}
