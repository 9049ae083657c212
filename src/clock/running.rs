//! Time in which this process ran.

use std::time::Duration;

use tokio::time::Instant;

/// In how many steps a time is counted.
const STEPS: u32 = 16;
/// A look that is so many steps late was not late for want of a processor: the process was stopped, or its machine.
const STOPPED_STEPS: u32 = 3;

/// A time limit that counts only while this process runs.
///
/// A process that is stopped (SIGSTOP, a frozen machine) finds every timer over when it goes on, and what it waited for arrived long ago.
/// So the time is counted in steps: none counts for more than itself, however late it is looked at, and after a stop there is always
/// another step in which what has arrived can be read.
#[derive(Debug)]
pub(crate) struct Running {
    left: Duration,
    step: Duration,
    last: Instant,
    was_late: bool,
}

impl Running {
    /// A limit of `time`, which begins now.
    pub(crate) fn new(time: Duration, now: Instant) -> Self {
        Self {
            left: time,
            step: (time / STEPS).clamp(Duration::from_millis(1), Duration::from_secs(1)),
            last: now,
            was_late: false,
        }
    }

    /// When to look again at the latest.
    pub(crate) fn next_look(&self) -> Instant {
        self.last + self.step.min(self.left)
    }

    /// Whether the time is over, looked at `now`.
    pub(crate) fn is_over(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.last);
        self.last = now;
        // On a machine that is always late, every second step counts.
        self.was_late = passed > STOPPED_STEPS * self.step && !self.was_late;
        if !self.was_late {
            self.left = self.left.saturating_sub(passed.min(self.step));
        }
        self.left.is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(8);
    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn a_process_that_runs_counts_every_step() {
        let start = Instant::now();
        let mut running = Running::new(LIMIT, start);
        let mut looks = 0;
        let end = loop {
            let now = running.next_look();
            looks += 1;
            if running.is_over(now) {
                break now;
            }
        };
        assert_eq!((end - start, looks), (LIMIT, STEPS));
    }

    #[test]
    fn a_stop_counts_for_nothing_and_is_followed_by_a_step() {
        let start = Instant::now();
        for before in 0..16 {
            let mut running = Running::new(LIMIT, start);
            for _ in 0..before {
                assert!(!running.is_over(running.next_look()));
            }
            let left = running.left;
            assert!(!running.is_over(running.next_look() + HOUR));
            assert_eq!(running.left, left);
            assert_eq!(running.is_over(running.next_look()), before == 15);
        }
    }

    #[test]
    fn a_machine_that_is_always_late_comes_to_an_end_too() {
        let mut running = Running::new(LIMIT, Instant::now());
        let looks = (1..100).find(|_| running.is_over(running.next_look() + HOUR));
        assert_eq!(looks, Some(2 * STEPS));
    }
}
