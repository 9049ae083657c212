//! How much to claim: enough that no sender waits for the disk, and little, since all that is claimed is in doubt after a crash.

/// How far ahead of the throttle requests are claimed, in seconds.
const AHEAD_SECONDS: f64 = 0.1;

/// How many requests to claim now.
///
/// `unsent` requests wait for a sender or a token, `outstanding` ones have not been reported back (the unsent included), and `rate` is the
/// present limit in requests a second. Outstanding ones never exceed twice the concurrency, which is what the channel to the senders holds.
pub(super) fn room(
    concurrency: usize,
    rate: Option<f64>,
    unsent: usize,
    outstanding: usize,
) -> usize {
    let window = match rate {
        Some(rate) => ((rate * AHEAD_SECONDS).ceil() as usize).clamp(1, concurrency),
        None => concurrency,
    };
    // Claims are made by halves of the window and not one by one, which would be a transaction for each request.
    if unsent > window / 2 {
        return 0;
    }
    (window - unsent).min((2 * concurrency).saturating_sub(outstanding))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_slow_rate_claims_one_at_a_time() {
        assert_eq!(room(16, Some(0.5), 0, 0), 1);
        assert_eq!(room(16, Some(0.5), 1, 1), 0);
        assert_eq!(room(16, Some(25.0), 0, 8), 3);
        assert_eq!(room(16, Some(25.0), 2, 8), 0);
        assert_eq!(room(16, None, 0, 16), 16);
        assert_eq!(room(16, None, 0, 32), 0);
    }

    proptest! {
        #[test]
        fn never_more_than_twice_the_concurrency(
            concurrency in 1_usize..2000, rate in prop::option::of(0.001_f64..1e5), unsent in 0_usize..4000, in_flight in 0_usize..4000,
        ) {
            let outstanding = (unsent + in_flight).min(2 * concurrency);
            let room = room(concurrency, rate, unsent.min(outstanding), outstanding);
            prop_assert!(outstanding + room <= 2 * concurrency);
            // Something is claimed whenever nothing waits: a run cannot stand still.
            prop_assert!(room > 0 || unsent > 0 || outstanding == 2 * concurrency);
        }
    }
}
