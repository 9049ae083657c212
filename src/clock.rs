//! The one place that reads the wall clock.

use std::time::Instant;

use crate::model::Timestamp;

/// A clock that reads the wall once and then follows the monotonic clock, so that a wall clock that jumps or goes back neither stalls
/// a snooze nor makes the engine spin.
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
