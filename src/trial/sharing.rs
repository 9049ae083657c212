//! Pushes that share an account, as those do that have one results database: each takes its part, one of them finds what the platform takes, and
//! the others follow it.

use std::time::Instant;

use super::{Pace, Push, Trial};
use crate::{
    model::Lead,
    throttle::{Ceilings, Part},
};

/// How often they look what was found, in seconds.
const LOOK: f64 = 0.3;

/// What they know of each other.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    /// How many they were.
    count: usize,
    looked_at: f64,
}

impl Sharing {
    /// Lets them look, when it is time for that.
    pub(super) fn look(&mut self, trial: &Trial, pushes: &mut [Push], (now, at): (f64, Instant)) {
        if now - self.looked_at < LOOK {
            return;
        }
        self.looked_at = now;
        let is_alive = |push: &&mut Push| push.begins <= now && now < push.ends;
        let count = pushes.iter_mut().filter(is_alive).count();
        let before = std::mem::replace(&mut self.count, count);
        let ceilings = Ceilings {
            requests: trial.ceiling,
            devices: None,
        };
        let mut followed: Option<Lead> = None;
        for push in pushes.iter_mut().filter(is_alive) {
            let Pace::Found(controller) = &mut push.pace else {
                continue;
            };
            let part = Part {
                of: count,
                followed,
            };
            if followed.is_none() && before > 0 {
                controller.share_anew(before, count, at);
            }
            controller.set_ceilings(part.ceilings(ceilings), part.in_flight(trial.concurrency));
            followed = followed.or_else(|| Some(controller.lead(count, at)));
            push.wakes = push.wakes.min(now);
        }
    }
}
