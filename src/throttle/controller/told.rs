//! What is told of what has been found.

use std::time::Instant;

use super::Controller;
use crate::model::Lead;

/// A limit is told when so many requests were taken, and a second so many by the clock but for such a share.
const SHOWING: f64 = 40.0;
const NEAR: f64 = 0.12;

impl Controller {
    /// The requests a second that the platform takes, when it has been found out.
    pub(crate) fn found(&self) -> Option<f64> {
        let limit = self.limit.filter(|limit| limit.confirmed > Some(0))?;
        limit.fit?;
        let (taken, seconds) = self.record.taken_and_seconds();
        let by_the_clock = taken / seconds;
        (taken >= SHOWING && (by_the_clock / limit.rate - 1.0).abs() < NEAR).then_some(limit.rate)
    }

    /// Whether the platform has refused requests for their rate, and nothing has shown since that it would take more.
    pub(in crate::throttle) fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// The pace of so many pushes that share the account, by what this one has found. Its own ceilings are no concern of the others.
    pub(crate) fn lead(&mut self, pushes: usize, now: Instant) -> Lead {
        let most = self.most.now(self.seconds(now));
        Lead {
            rate: self.limit.map(|_| self.rate * pushes as f64),
            in_flight: (most < self.concurrency)
                .then(|| u32::try_from(most * pushes).unwrap_or(u32::MAX)),
        }
    }

    /// The most requests in flight that the platform takes, when it limits them.
    pub(crate) fn found_in_flight(&self) -> Option<usize> {
        self.most.found()
    }

    /// Whether the ceiling on the requests in flight is what limits a rate that has a limit, and how many requests go a second then.
    pub(in crate::throttle) fn held_up(&self) -> Option<(usize, f64)> {
        let is_held_up = self.most.is_full() && self.present().is_finite();
        is_held_up.then(|| (self.concurrency, self.concurrency as f64 / self.latency))
    }
}

#[cfg(test)]
mod tests;
