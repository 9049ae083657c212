//! When the next request may go: two token buckets of burst one, as times and not as saved-up rights, so that no burst follows a stall.

use std::time::{Duration, Instant};

/// How late a token may be taken and the next one still be due as if it had not been. Timers are late by a millisecond or two, and a busy
/// machine by more: without this every lateness would lower the rate.
pub(super) const SLACK: Duration = Duration::from_millis(25);

/// The present limits, each a second; `None` for none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limits {
    pub(super) requests: Option<f64>,
    pub(super) devices: Option<f64>,
    /// How late a token may be taken and the next one still be due as if it had not been, when it is less than [`SLACK`]. What is
    /// later then saves up nothing.
    pub(super) slack: Option<Duration>,
}

/// The times of the last token, from which that of the next one follows. The interval is that of the limits at the time of asking, so that
/// a change of theirs holds at once.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    last: Option<Last>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    /// When the last token was due, by each of the limits.
    request: Instant,
    device: Instant,
    /// How many devices it was for.
    devices: usize,
}

impl Schedule {
    /// Takes the token of a request of `devices` devices, or gives the time at which it is due.
    pub(super) fn take(
        &mut self,
        devices: usize,
        limits: Limits,
        now: Instant,
    ) -> Result<(), Instant> {
        let after = |last: Instant, n: usize, limit: Option<f64>| match limit {
            Some(a_second) => last + Duration::from_secs_f64(n as f64 / a_second),
            None => last,
        };
        let (request, device) = match self.last {
            Some(last) => (
                after(last.request, 1, limits.requests),
                after(last.device, last.devices, limits.devices),
            ),
            None => (now, now),
        };
        let due = request.max(device);
        if due > now {
            return Err(due);
        }
        let since = |due: Instant| match limits.slack {
            None => due.max(now.checked_sub(SLACK).unwrap_or(now)),
            Some(slack) if due + slack < now => now,
            Some(_) => due,
        };
        self.last = Some(Last {
            request: since(request),
            device: since(device),
            devices,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whenever tokens are asked for, and however the limits change, no stretch of time sees more than the limits of that time allow.
        #[test]
        fn no_stretch_of_time_has_more_than_its_limit(
            requests in 0.5_f64..2000.0,
            devices in prop::option::of(1.0_f64..5000.0),
            asked in prop::collection::vec((0_u64..300, 1_usize..100), 1..200),
        ) {
            let epoch = Instant::now();
            let limits = Limits { requests: Some(requests), devices, slack: None };
            let mut schedule = Schedule::default();
            let mut now = epoch;
            let mut taken: Vec<(Duration, usize)> = Vec::new();
            for (pause, n) in asked {
                now += Duration::from_millis(pause);
                if let Err(due) = schedule.take(n, limits, now) {
                    prop_assert!(due > now);
                    now = due;
                    prop_assert!(schedule.take(n, limits, now).is_ok(), "it is due when it says");
                }
                taken.push((now.duration_since(epoch), n));
            }
            for (first, (from, _)) in taken.iter().enumerate() {
                let mut sum = 0;
                for (nth, (to, n)) in taken[first..].iter().enumerate() {
                    let seconds = (to.saturating_sub(*from) + SLACK).as_secs_f64() + 1e-6;
                    prop_assert!(nth as f64 <= seconds * requests + 1e-6);
                    if let Some(devices) = devices {
                        // The last request's devices are paid for afterwards.
                        prop_assert!(f64::from(sum) <= seconds * devices + 1e-6);
                    }
                    sum += *n as u32;
                }
            }
        }
    }

    #[test]
    fn a_late_timer_does_not_lower_the_rate() {
        let epoch = Instant::now();
        let limits = Limits {
            requests: Some(100.0),
            devices: None,
            slack: None,
        };
        let mut schedule = Schedule::default();
        let mut now = epoch;
        let mut taken = 0;
        while now.duration_since(epoch) < Duration::from_secs(10) {
            match schedule.take(1, limits, now) {
                Ok(()) => taken += 1,
                Err(due) => now = due + Duration::from_millis(3),
            }
        }
        assert!((995..=1005).contains(&taken), "{taken}");
    }

    #[test]
    fn after_a_rest_no_two_requests_go_close_together() {
        let epoch = Instant::now();
        let limits = Limits {
            requests: Some(100.0),
            devices: None,
            slack: Some(SLACK),
        };
        let mut schedule = Schedule::default();
        schedule.take(1, limits, epoch).unwrap();
        let rested = epoch + Duration::from_secs(1);
        schedule.take(1, limits, rested).unwrap();
        let due = schedule.take(1, limits, rested).unwrap_err();
        assert_eq!(due, rested + Duration::from_millis(10));
    }

    #[test]
    fn a_request_may_be_late_by_the_slack_and_the_next_one_is_not() {
        let epoch = Instant::now();
        let millis = Duration::from_millis;
        // The slack, when a request goes that is due after ten milliseconds, and when the next one is due.
        for (slack, goes, next) in [
            (Some(5), 10, 20),
            (Some(5), 14, 20),
            (Some(5), 15, 20),
            (Some(5), 16, 26),
            (Some(0), 10, 20),
            (Some(0), 11, 21),
            (None, 35, 20),
            (None, 36, 21),
        ] {
            let limits = Limits {
                requests: Some(100.0),
                devices: None,
                slack: slack.map(millis),
            };
            let mut schedule = Schedule::default();
            schedule.take(1, limits, epoch).unwrap();
            schedule.take(1, limits, epoch + millis(goes)).unwrap();
            let due = schedule.take(1, limits, epoch).unwrap_err();
            assert_eq!(due, epoch + millis(next), "{slack:?} {goes}");
        }
    }

    #[test]
    fn a_changed_limit_holds_at_once() {
        let now = Instant::now();
        let at = |requests| Limits {
            requests: Some(requests),
            devices: None,
            slack: None,
        };
        let mut schedule = Schedule::default();
        schedule.take(1, at(1.0), now).unwrap();
        let due = |schedule: &mut Schedule, rate| schedule.take(1, at(rate), now).unwrap_err();
        assert_eq!(due(&mut schedule, 1.0), now + Duration::from_secs(1));
        assert_eq!(due(&mut schedule, 10.0), now + Duration::from_millis(100));
    }
}
