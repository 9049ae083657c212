//! Stalls of a process on a busy machine.

use rand::{RngExt, SeedableRng, rngs::SmallRng};

/// When somebody stands still.
pub(super) struct Stalls {
    random: SmallRng,
    from: f64,
    to: f64,
}

impl Stalls {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: SmallRng::seed_from_u64(seed),
            from: 0.0,
            to: 0.0,
        }
    }

    /// When what comes at this time is seen. Times never go back.
    pub(super) fn seen_at(&mut self, at: f64, (every, longest): (f64, f64)) -> f64 {
        while self.to <= at {
            self.from = self.to - every * self.random.random_range(0.0_f64..1.0).max(1e-9).ln();
            self.to = self.from + self.random.random_range(0.0..longest);
        }
        if self.from <= at { self.to } else { at }
    }
}
