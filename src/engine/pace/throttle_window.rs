//! First sends of late: whether the platform throttles most devices to which nothing else has been sent.

use std::collections::VecDeque;

use tokio::time::Instant;

use crate::{
    journal::{Claim, Settlement},
    model::Class,
};

/// What one request says of devices to which nothing else has been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::engine) struct FirstSendStats {
    devices: u64,
    throttled: u64,
}

impl FirstSendStats {
    /// Counts the first sends of a request, and those that were throttled.
    pub(in crate::engine) fn of(claim: &Claim, tasks: &[Settlement]) -> Self {
        let mut firsts = Self::default();
        for (member, task) in claim.members.iter().zip(tasks) {
            if member.is_first_of_device() {
                firsts.devices += 1;
                firsts.throttled += u64::from(matches!(
                    task.outcome.class,
                    Class::Frequency | Class::Quota
                ));
            }
        }
        firsts
    }

    fn are_mostly_throttled(self) -> bool {
        2 * self.throttled > self.devices
    }
}

/// First sends of late: whether most of them are throttled.
#[derive(Debug, Default)]
pub(super) struct ThrottleWindow {
    /// Those of the last requests, the latest at the back.
    requests: VecDeque<FirstSendStats>,
    all: FirstSendStats,
    lowered: Option<Lowered>,
}

/// That the rate has been lowered because most first sends were throttled.
#[derive(Debug, Clone, Copy)]
struct Lowered {
    at: Instant,
    /// The share that was throttled then.
    share: f64,
    /// Whether that was of no help: the devices are throttled whatever the rate.
    in_vain: bool,
}

/// What first sends say.
#[derive(Debug, PartialEq)]
pub(super) enum ThrottleVerdict {
    /// Nothing against the rate.
    Free,
    /// The request was throttled, but not yet enough of them were.
    Throttled,
    /// This share of the rate would be taken.
    TooFast { share: f64 },
}

impl ThrottleWindow {
    /// So many devices at least must speak.
    const LEAST: u64 = 200;
    /// A lowered rate has helped when it leaves less than this of the share that was throttled.
    const HELPED: f64 = 0.95;

    /// Adds those of a request that was sent at `sent_at`.
    pub(super) fn add(&mut self, sent_at: Instant, firsts: FirstSendStats) -> ThrottleVerdict {
        if firsts.devices == 0 || self.lowered.is_some_and(|lowered| sent_at <= lowered.at) {
            return ThrottleVerdict::Free;
        }
        self.requests.push_back(firsts);
        self.all.devices += firsts.devices;
        self.all.throttled += firsts.throttled;
        while let Some(oldest) = self.requests.front()
            && self.all.devices - oldest.devices >= Self::LEAST
        {
            self.all.devices -= oldest.devices;
            self.all.throttled -= oldest.throttled;
            self.requests.pop_front();
        }
        if self.all.devices >= Self::LEAST {
            return self.judge();
        }
        let is_in_vain = self.lowered.is_some_and(|lowered| lowered.in_vain);
        if firsts.are_mostly_throttled() && !is_in_vain {
            ThrottleVerdict::Throttled
        } else {
            ThrottleVerdict::Free
        }
    }

    /// Judges as many as are wanted.
    fn judge(&mut self) -> ThrottleVerdict {
        let share = self.all.throttled as f64 / self.all.devices as f64;
        if !self.all.are_mostly_throttled() {
            self.lowered = None;
            return ThrottleVerdict::Free;
        }
        if let Some(lowered) = &mut self.lowered {
            lowered.in_vain |= share >= lowered.share * Self::HELPED;
            if lowered.in_vain {
                return ThrottleVerdict::Free;
            }
        }
        self.lowered = Some(Lowered {
            at: Instant::now(),
            share,
            in_vain: false,
        });
        self.requests.clear();
        self.all = FirstSendStats::default();
        ThrottleVerdict::TooFast { share: 1.0 - share }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn firsts(devices: u64, throttled: u64) -> FirstSendStats {
        FirstSendStats { devices, throttled }
    }

    /// Adds requests of a hundred devices of which so many are throttled, each sent now.
    async fn add(throttle_window: &mut ThrottleWindow, throttled: &[u64]) -> Vec<ThrottleVerdict> {
        let mut verdicts = Vec::new();
        for &throttled in throttled {
            tokio::time::advance(Duration::from_millis(10)).await;
            verdicts.push(throttle_window.add(Instant::now(), firsts(100, throttled)));
        }
        verdicts
    }

    #[tokio::test(start_paused = true)]
    async fn most_of_the_last_two_hundred_first_sends_must_be_throttled() {
        let mut throttle_window = ThrottleWindow::default();
        let told = add(&mut throttle_window, &[100, 0, 60, 90, 60]).await;
        let too_fast = ThrottleVerdict::TooFast { share: 0.25 };
        assert_eq!(
            told,
            [
                ThrottleVerdict::Throttled,
                ThrottleVerdict::Free,
                ThrottleVerdict::Free,
                too_fast,
                ThrottleVerdict::Throttled
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_sent_before_the_rate_was_lowered_says_nothing() {
        let mut throttle_window = ThrottleWindow::default();
        let before = Instant::now();
        add(&mut throttle_window, &[100, 100]).await;
        assert_eq!(
            throttle_window.add(before, firsts(400, 400)),
            ThrottleVerdict::Free
        );
        assert_eq!(
            throttle_window.add(before, FirstSendStats::default()),
            ThrottleVerdict::Free
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_lowering_that_helps_is_repeated_and_one_in_vain_is_not() {
        let mut throttle_window = ThrottleWindow::default();
        add(&mut throttle_window, &[90, 90]).await;
        let told = add(&mut throttle_window, &[80, 80, 80, 80]).await;
        let too_fast = |told: &[ThrottleVerdict]| {
            told.iter()
                .filter(|verdict| matches!(verdict, ThrottleVerdict::TooFast { .. }))
                .count()
        };
        assert_eq!(too_fast(&told), 1, "{told:?}");
        // The same again: the devices themselves are throttled.
        let told = add(&mut throttle_window, &[80; 20]).await;
        assert_eq!(too_fast(&told), 0, "{told:?}");
        assert_eq!(told.last(), Some(&ThrottleVerdict::Free));
        // Until most of them are not.
        add(&mut throttle_window, &[0, 0]).await;
        let told = add(&mut throttle_window, &[80, 80]).await;
        assert_eq!(too_fast(&told), 1, "{told:?}");
    }
}
