//! What refusals say of a rate: how close together they come, and what is accepted among them.

use std::time::{Duration, Instant};

/// About so many acceptances make a refusal forgotten.
const MEMORY: f64 = 14.0;
/// Refusals of this weight together are no accident.
const NO_ACCIDENT: f64 = 1.5;
/// The weight that the refusal keeps that has lowered the rate, and the one that has ended a probe. The rate is another one after it, but
/// not surely the right one.
const AFTER_LOWERING: f64 = 0.7;
const AFTER_PROBE: f64 = 0.6;
/// The least that refusals leave of the rate at a time.
const LEAST_SHARE: f64 = 0.5;
/// The most that they leave.
const MOST_SHARE: f64 = 0.97;
/// So many acceptances between two refusals tell what the platform takes.
const TELLING: u32 = 8;

/// The last refusals.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Each counts one, and less with every acceptance after it.
    weight: f64,
    /// How many there have been since their weight was last small, and how many acceptances.
    refused: u32,
    accepted: u32,
    /// When the last one was, and how many acceptances there have been since.
    last: Option<(Instant, u32)>,
}

impl Refusals {
    pub(super) fn accepted(&mut self) {
        self.weight *= 1.0 - 1.0 / MEMORY;
        self.accepted += 1;
        if let Some((_, since)) = &mut self.last {
            *since += 1;
        }
    }

    /// Counts a refusal. Gives the acceptances a second since the one before, when they are enough to tell something.
    pub(super) fn refused(&mut self, now: Instant) -> Option<f64> {
        if self.weight < NO_ACCIDENT - 1.0 {
            (self.weight, self.refused, self.accepted) = (0.0, 0, 0);
        }
        self.weight += 1.0;
        self.refused += 1;
        let (before, accepted) = self.last.replace((now, 0))?;
        let seconds = now.duration_since(before).as_secs_f64();
        (accepted >= TELLING && seconds > 0.0).then(|| f64::from(accepted) / seconds)
    }

    /// How many requests were answered since the first of the last refusals that came together, and how many of them refused.
    pub(super) fn counts(&self) -> (u32, u32) {
        (self.accepted + self.refused, self.refused)
    }

    /// The share that is accepted while there are refusals; `None` as long as these may be an accident.
    pub(super) fn share(&self) -> Option<f64> {
        // The first of them began the count, and one acceptance stands for what is not known.
        let accepted = f64::from(self.accepted) + 1.0;
        let all = accepted + f64::from(self.refused) - 1.0;
        (self.weight >= NO_ACCIDENT).then(|| (accepted / all).clamp(LEAST_SHARE, MOST_SHARE))
    }

    /// The rate has been lowered for their sake.
    pub(super) fn forget_some(&mut self) {
        (self.weight, self.refused, self.accepted) = (AFTER_LOWERING, 1, 0);
    }

    /// The rate is back where it was.
    pub(super) fn forget_most(&mut self) {
        (self.weight, self.refused, self.accepted) = (AFTER_PROBE, 1, 0);
    }
}

/// The most requests that have been answered in a second.
#[derive(Debug)]
pub(super) struct Best {
    begun: Instant,
    answered: u32,
    most: f64,
}

impl Best {
    const WINDOW: Duration = Duration::from_secs(1);
    /// Fewer seconds than this give no rate.
    const SHORTEST: f64 = 0.02;

    pub(super) fn new(now: Instant) -> Self {
        Self {
            begun: now,
            answered: 0,
            most: 0.0,
        }
    }

    /// Counts a request that has been answered.
    pub(super) fn count(&mut self, now: Instant) {
        if now.duration_since(self.begun) >= Self::WINDOW {
            self.most = self.most.max(f64::from(self.answered));
            self.begun = now;
            self.answered = 0;
        }
        self.answered += 1;
    }

    /// The most so far, the present second included.
    pub(super) fn a_second(&self, now: Instant) -> f64 {
        let seconds = now.duration_since(self.begun).as_secs_f64();
        self.most
            .max(f64::from(self.answered) / seconds.clamp(Self::SHORTEST, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_refusal_may_be_an_accident_and_two_close_together_are_none() {
        let now = Instant::now();
        let mut refusals = Refusals::default();
        let accept = |refusals: &mut Refusals, n| (0..n).for_each(|_| refusals.accepted());
        accept(&mut refusals, 100);
        refusals.refused(now);
        assert_eq!(refusals.share(), None);
        accept(&mut refusals, 2);
        refusals.refused(now);
        assert_eq!(refusals.share(), Some(0.75), "half is not quite believed");
        accept(&mut refusals, 40);
        refusals.refused(now);
        assert_eq!(refusals.share(), None);
    }

    #[test]
    fn what_was_taken_between_two_refusals_is_told() {
        let mut now = Instant::now();
        let mut refusals = Refusals::default();
        assert_eq!(refusals.refused(now), None);
        for _ in 0..40 {
            refusals.accepted();
        }
        now += Duration::from_secs(2);
        assert_eq!(refusals.refused(now), Some(20.0));
        refusals.accepted();
        assert_eq!(refusals.refused(now), None, "too few to tell");
    }

    #[test]
    fn the_best_second_stays() {
        let epoch = Instant::now();
        let mut best = Best::new(epoch);
        for n in 0..100 {
            best.count(epoch + Duration::from_millis(n * 10));
        }
        let idle = epoch + Duration::from_mins(1);
        best.count(idle);
        assert!((99.0..=101.0).contains(&best.a_second(idle)));
    }
}
