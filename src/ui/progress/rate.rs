//! The pace of a session, over a moving window.

use std::{collections::VecDeque, time::Duration};

use crate::model::Timestamp;

/// How far back the pace looks: long enough to be steady, short enough to show a change.
const WINDOW: Duration = Duration::from_secs(30);

/// Samples closer together than this are one, so that memory does not grow with the number of events.
const APART: Duration = Duration::from_millis(250);

/// How fast a push goes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Throughput {
    /// Devices that end, each second.
    pub(super) devices: f64,
    /// Requests that are answered or lost, each second.
    pub(super) requests: f64,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Timestamp,
    ended: u64,
    requests: u64,
}

/// Samples of the last half minute, the oldest first; never empty.
#[derive(Debug)]
pub(super) struct RateWindow {
    oldest: Sample,
    samples: VecDeque<Sample>,
}

impl RateWindow {
    /// A window that begins when `ended` tasks had ended.
    pub(super) fn new(at: Timestamp, ended: u64) -> Self {
        Self {
            oldest: Sample {
                at,
                ended,
                requests: 0,
            },
            samples: VecDeque::new(),
        }
    }

    pub(super) fn add(&mut self, at: Timestamp, ended: u64, requests: u64) {
        let sample = Sample {
            at,
            ended,
            requests,
        };
        let before_last = self.samples.iter().rev().nth(1).unwrap_or(&self.oldest);
        if before_last.at.until(at) < APART
            && let Some(last) = self.samples.back_mut()
        {
            *last = sample;
        } else {
            self.samples.push_back(sample);
        }
        while let Some(next) = self.samples.front()
            && next.at.until(at) >= WINDOW
        {
            self.oldest = *next;
            self.samples.pop_front();
        }
    }

    /// When it began, or, later, how far back it looks.
    pub(super) fn begun(&self) -> Timestamp {
        self.oldest.at
    }

    /// The pace up to `now`, the time since the last sample included: a push that stands still slows down.
    pub(super) fn pace(&self, now: Timestamp) -> Throughput {
        self.pace_over(now, WINDOW)
    }

    /// The pace over so much of the window.
    pub(super) fn pace_over(&self, now: Timestamp, span: Duration) -> Throughput {
        let oldest = self
            .samples
            .iter()
            .rev()
            .find(|sample| sample.at.until(now) >= span)
            .unwrap_or(&self.oldest);
        let Some(last) = self.samples.back() else {
            return Throughput::default();
        };
        let seconds = oldest.at.until(now).as_secs_f64();
        if seconds <= 0.0 {
            return Throughput::default();
        }
        Throughput {
            devices: last.ended.saturating_sub(oldest.ended) as f64 / seconds,
            requests: last.requests.saturating_sub(oldest.requests) as f64 / seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_push_has_its_rate() {
        let mut window = RateWindow::new(Timestamp(0), 1000);
        for step in 1..=1000 {
            let now = Timestamp(step * 100);
            window.add(now, 1000 + step as u64 * 10, step as u64);
            let pace = window.pace(now);
            assert!(
                (pace.devices - 100.0).abs() < 1e-6 && (pace.requests - 10.0).abs() < 1e-6,
                "{step}: {pace:?}"
            );
        }
        assert!(
            window.samples.len() <= 2 + (WINDOW.as_millis() / APART.as_millis() * 2) as usize,
            "{}",
            window.samples.len()
        );
    }

    #[test]
    fn the_window_forgets() {
        let mut window = RateWindow::new(Timestamp(0), 0);
        window.add(Timestamp(1_000), 1_000_000, 10_000);
        for second in 2..=60 {
            window.add(
                Timestamp(second * 1000),
                1_000_000 + second as u64,
                10_000 + second as u64,
            );
        }
        let pace = window.pace(Timestamp(60_000));
        assert!((pace.devices - 1.0).abs() < 1e-6, "{pace:?}");
    }

    #[test]
    fn standing_still_is_no_pace() {
        let mut window = RateWindow::new(Timestamp(0), 0);
        assert_eq!(window.pace(Timestamp(0)), Throughput::default());
        window.add(Timestamp(0), 5, 1);
        assert_eq!(window.pace(Timestamp(0)), Throughput::default());
        window.add(Timestamp(10_000), 1000, 10);
        assert!((window.pace(Timestamp(20_000)).devices - 50.0).abs() < 1e-6);
        assert_eq!(window.pace(Timestamp(40_000)), Throughput::default());
    }
}
