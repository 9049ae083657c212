//! A push that knows the limit.

use super::Trial;
use crate::simulator::limiter::LimitKind;

/// So much is refused at most of what somebody sends who knows the limit.
const MOST_REFUSED: f64 = 0.02;
/// How late a timer may be without the next request being late, too, in seconds; and a rate that nothing is paced at.
const SLACK: f64 = 0.025;
const UNPACED: f64 = 10_000.0;

/// The pace of somebody who knows the limit: even, and pauses are kept to.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    interval: f64,
    slack: f64,
    pub(super) due: f64,
}

impl Known {
    pub(super) fn at(rate: f64, slack: f64) -> Self {
        Self {
            interval: 1.0 / rate,
            slack,
            due: 0.0,
        }
    }

    pub(super) fn from(self, begins: f64) -> Self {
        Self {
            due: begins,
            ..self
        }
    }

    pub(super) fn take(&mut self, now: f64) -> Result<(), f64> {
        if self.due > now {
            return Err(self.due);
        }
        self.due = self.due.max(now - self.slack) + self.interval;
        Ok(())
    }
}

impl Trial {
    /// What somebody gets who knows the limit, keeps to the best even pace or number in flight, and is refused 2 % at most, in requests a
    /// second. The limit is given in requests a second, too.
    pub fn known_best(&self, limit: f64, seconds: f64, seed: u64) -> f64 {
        let rates = (30..=100)
            .step_by(2)
            .map(|percent| limit * f64::from(percent) / 100.0);
        let paces: Vec<(usize, Known)> = match self.limit.map(|limit| limit.kind) {
            // As fast as replies come.
            Some(LimitKind::InFlight { requests }) => (1..=requests as usize)
                .map(|most| (most, Known::at(UNPACED, 0.0)))
                .collect(),
            _ => rates
                .flat_map(|rate| [Known::at(rate, 0.0), Known::at(rate, SLACK)])
                .map(|known| (self.concurrency, known))
                .collect(),
        };
        paces
            .into_iter()
            .map(|(concurrency, known)| {
                let trial = Self {
                    concurrency,
                    known: Some(known),
                    ..self.clone()
                };
                trial.play(seconds, seed).remove(0)
            })
            .filter(|played| played.refused_between(0.0, seconds) <= MOST_REFUSED)
            .map(|played| played.accepted_between(0.0, seconds) / seconds)
            .fold(0.0, f64::max)
    }
}
