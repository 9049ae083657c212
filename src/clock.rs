//! The one place that reads the wall clock.

use std::time::Instant;

use crate::model::Timestamp;

/// A clock that reads the wall once and then follows the monotonic clock, so that a wall clock that jumps or goes back neither stalls
/// a snooze nor makes the engine spin.
///
/// A jump cannot matter by construction: [`Clock::start`] is the only place of this type that reads the wall, and no field changes
/// after it. What an earlier process has written by another wall is clamped when a push begins
/// ([`crate::policy::longest_pause`]).
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Timestamp,
    since: Instant,
}

impl Clock {
    /// Starts at the wall clock's present time.
    pub fn start() -> Self {
        Self {
            start: wall_now(),
            since: Instant::now(),
        }
    }

    /// The present time on this clock.
    pub fn now(&self) -> Timestamp {
        self.start.after(self.since.elapsed())
    }
}

/// The wall clock's present time.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the place that the rule names"
)]
pub fn wall_now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_wall_that_jumps_does_not_move_a_clock_that_has_started() {
        // The wall has gone on by half a century since this clock read it.
        let clock = Clock {
            start: Timestamp(0),
            since: Instant::now(),
        };
        let Timestamp(passed) = clock.now();
        assert!((0..60_000).contains(&passed), "{passed} ms have passed");
    }

    #[test]
    fn a_clock_goes_on_with_the_monotonic_one() {
        let clock = Clock {
            start: Timestamp(1_000),
            since: Instant::now().checked_sub(Duration::from_secs(5)).unwrap(),
        };
        let Timestamp(now) = clock.now();
        assert!((6_000..66_000).contains(&now), "{now}");
    }
}
