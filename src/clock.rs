//! The one place that reads the wall clock, except that the control files of `store` are asked for their age.
//!
//! A test of the binary gives the process another time with [`TEST_NOW`]: its wall clock starts there and runs on.

mod permission;
mod running;

use std::{sync::OnceLock, time::Instant};

pub(crate) use permission::{Permission, since_boot};
pub(crate) use running::Running;

use crate::model::Timestamp;

/// The variable with which a test sets the wall clock of a process: RFC 3339, `2026-03-29T00:59:58Z`.
pub const TEST_NOW: &str = "FLEETPUSH_TEST_NOW";

/// The variable with which a test has the lease on a results database on a server last for so many milliseconds.
pub(crate) const TEST_LEASE: &str = "FLEETPUSH_TEST_LEASE_MS";

/// The clock that stands in for the wall, when a test has set one.
static WALL: OnceLock<Clock> = OnceLock::new();

/// When the process began.
static START: OnceLock<Timestamp> = OnceLock::new();

/// [`TEST_NOW`] is no time.
#[derive(Debug, thiserror::Error)]
#[error("{TEST_NOW}={text:?} is not a time: write for example 2026-03-29T00:59:58Z, or remove it")]
pub(crate) struct TestNowError {
    text: String,
}

/// Looks whether a test has set the wall clock, and if so, starts it there and gives the time. To be called once, before anything reads
/// the time.
pub(crate) fn begin() -> Result<Option<Timestamp>, TestNowError> {
    let set = begin_as_told()?;
    process_start();
    Ok(set)
}

/// When the process began, or this was first asked for.
pub(crate) fn process_start() -> Timestamp {
    *START.get_or_init(wall_now)
}

fn begin_as_told() -> Result<Option<Timestamp>, TestNowError> {
    let Some(text) = std::env::var_os(TEST_NOW).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let start = test_now(&text.to_string_lossy())?;
    let clock = WALL.get_or_init(|| Clock {
        start,
        since: Instant::now(),
    });
    Ok(Some(clock.start))
}

fn test_now(text: &str) -> Result<Timestamp, TestNowError> {
    text.parse()
        .map(|time: jiff::Timestamp| Timestamp(time.as_millisecond()))
        .map_err(|_| TestNowError {
            text: text.to_owned(),
        })
}

/// A clock that reads the wall once and then follows the monotonic clock, so that a wall clock that jumps or goes back neither stalls
/// a snooze nor makes the engine spin.
///
/// A jump cannot matter by construction: [`Clock::start`] is the only place of this type that reads the wall, and no field changes
/// after it. What an earlier process has written by another wall is clamped when a push begins
/// ([`crate::policy::longest_pause`]).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Timestamp,
    since: Instant,
}

impl Clock {
    /// Starts at the wall clock's present time.
    pub(crate) fn start() -> Self {
        Self {
            start: wall_now(),
            since: Instant::now(),
        }
    }

    /// The present time on this clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.start.after(self.since.elapsed())
    }

    /// Whether `end` has come by this clock or by the wall. For what must not happen after a certain hour: a machine that sleeps stops
    /// this clock, and a wall that is set back would put the hour off.
    pub(crate) fn has_passed(&self, end: Timestamp) -> bool {
        self.now() >= end || wall_now() >= end
    }
}

/// The wall clock's present time.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the place that the rule names"
)]
pub fn wall_now() -> Timestamp {
    match WALL.get() {
        Some(clock) => clock.now(),
        None => Timestamp(jiff::Timestamp::now().as_millisecond()),
    }
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
    fn an_hour_has_passed_when_either_clock_says_so() {
        let behind = Clock {
            start: Timestamp(0),
            since: Instant::now(),
        };
        let wall = wall_now();
        let hour = Duration::from_hours(1);
        assert!(behind.has_passed(wall), "by the wall");
        let ahead = Clock {
            start: wall.after(2 * hour),
            since: Instant::now(),
        };
        assert!(ahead.has_passed(wall.after(hour)), "by the clock");
        assert!(!behind.has_passed(wall.after(hour)));
    }

    #[test]
    fn a_test_sets_a_time_or_learns_what_to_write() {
        assert_eq!(
            test_now("1970-01-01T00:00:01.5Z").unwrap(),
            Timestamp(1_500)
        );
        assert_eq!(
            test_now("yesterday").unwrap_err().to_string(),
            "FLEETPUSH_TEST_NOW=\"yesterday\" is not a time: write for example 2026-03-29T00:59:58Z, or remove it"
        );
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
