//! Pushes that share an account, as those do that have one results database: each takes its part, one of them finds what the platform takes, and
//! the others follow it.

use super::{Pace, Push, Trial};
use crate::throttle::{Ceilings, Part};

/// How often they look what was found, in seconds.
const LOOK: f64 = 0.1;
/// A rate is kept when it has changed by such a share.
const NEWS: f64 = 0.05;

/// What they know of each other.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    /// What the first of them has found, for all of them together.
    kept: Option<f64>,
    looked_at: f64,
}

impl Sharing {
    /// Lets them look, when it is time for that.
    pub(super) fn look(&mut self, trial: &Trial, pushes: &mut [Push], now: f64) {
        if now - self.looked_at < LOOK {
            return;
        }
        self.looked_at = now;
        let is_alive = |push: &&mut Push| push.begins <= now && now < push.ends;
        let count = pushes.iter_mut().filter(is_alive).count();
        let alive = pushes.iter_mut().filter(is_alive);
        for (nth, push) in alive.enumerate() {
            let Pace::Found(controller) = &mut push.pace else {
                continue;
            };
            if nth == 0 {
                let found = controller.found().map(|found| found * count as f64);
                let is_news = match (found, self.kept) {
                    (Some(found), Some(kept)) => (found / kept - 1.0).abs() > NEWS,
                    (None, _) => !controller.is_limited(),
                    (Some(_), None) => true,
                };
                if is_news {
                    self.kept = found;
                }
            }
            let part = Part {
                of: count,
                followed: self
                    .kept
                    .filter(|_| nth > 0)
                    .map(|kept| kept / count as f64),
            };
            let ceilings = Ceilings {
                requests: trial.ceiling,
                devices: None,
            };
            controller.set_ceilings(part.ceilings(ceilings), trial.concurrency / count);
            push.wakes = push.wakes.min(now);
        }
    }
}
