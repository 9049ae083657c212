//! What a request says of the platform as a whole, and what the push does about it.

use tokio::time::Instant;
use tracing::info;

use super::Writer;
use crate::{
    engine::{Event, Stop, pace::Firsts, sender::Gate},
    model::{RequestId, Timestamp},
    policy::{self, Signal},
};

impl Writer<'_, '_> {
    /// Heeds the signal of a request that was sent at `sent_at`.
    pub(super) fn heed(
        &mut self,
        request: RequestId,
        sent_at: Instant,
        signal: Signal,
        firsts: Firsts,
        now: Timestamp,
    ) {
        let lowered = match signal {
            Signal::Reached => {
                if let Some(after) = self.outage.reached(now) {
                    self.set_gate(Gate::Open);
                    self.news.push(Event::Resumed { after });
                }
                self.pace.answered(sent_at, firsts)
            }
            Signal::Silent => {
                self.outage.silent(request, now);
                None
            }
            Signal::Throttled {
                retry_after,
                reason,
            } => {
                self.outage.throttled(request, now, reason);
                let hold = retry_after.map(|asked| policy::probe_delay(0, Some(asked)));
                self.pace.refused(sent_at, hold)
            }
            Signal::Outage {
                retry_after,
                reason,
                overloaded,
            } => {
                let begins = !self.outage.is_paused();
                if let Some(pause) = self.outage.out_of_reach(request, now, retry_after, reason) {
                    self.set_gate(Gate::ProbesOnly);
                    self.news.push(Event::Paused(pause));
                }
                // A probe that fails says nothing about the rate.
                (begins && overloaded)
                    .then(|| self.pace.overloaded())
                    .flatten()
            }
            Signal::Stop { reason } => {
                self.begin_stop(Stop::Refused { reason });
                None
            }
        };
        if let Some(rate) = lowered {
            info!(rate, "the platform throttles: rate lowered");
            self.news.push(Event::RateLowered { rate });
        }
    }
}
