//! When a push begins to stop.

use tracing::warn;

use super::Writer;
use crate::{
    engine::{Event, Stop},
    policy::Sample,
};

impl Writer<'_, '_> {
    /// Begins to stop: nothing new is claimed, what no sender has begun comes back, what is under way is waited for.
    pub(super) fn begin_stop(&mut self, why: Stop) {
        if !self.stop.begin(why) {
            return;
        }
        self.senders.close_gate();
        let requests = self.claims.outstanding.under_way() as u32;
        if requests > 0 {
            let timeout = self.options.drain_timeout;
            self.events.push(Event::Draining { requests, timeout });
        }
    }

    /// Begins to stop when the platform has given no usable answer for too long, a last probe included.
    pub(super) fn give_up_if_due(&mut self) {
        if self.stop.has_begun() {
            return;
        }
        let now = self.clock.now();
        // What no sender has begun comes back in a pause, and can be a probe then.
        let can_carry = self.claims.backlog.has_some(now) || self.claims.outstanding.unsent() > 0;
        if let Some(change) = self.judge.platform.ask_once_more(now, can_carry) {
            self.follow(change, now);
        }
        if let Some(reason) = self.judge.platform.gives_up(now, can_carry) {
            self.begin_stop(Stop::Outage { reason });
        }
    }

    /// Begins to stop when the database is no longer where it was opened. What is under way is recorded in what is open.
    pub(super) fn stop_if_missing(&mut self) {
        let missing = self.journal.missing();
        if self.stop.note_missing(missing) {
            warn!("the results database is lost ({missing:?}): nothing more is sent");
            self.begin_stop(Stop::Signal);
        }
    }

    /// Aborts the push when too much of it has gone wrong.
    pub(super) fn abort_if_crossed(&mut self) {
        if self.stop.has_begun() {
            return;
        }
        if let Some(reason) = self.judge.thresholds.crossed(self.journal, Sample::Fleet) {
            self.begin_stop(Stop::Aborted { reason });
        }
    }

    /// Stops the push when nothing waits but what is left to younger runs.
    pub(super) fn stop_if_left(&mut self) {
        if self.claims.outstanding.count() == 0
            && self.claims.backlog.is_left()
            && let Some(reason) = self.journal.left_to_younger()
        {
            self.begin_stop(Stop::Overtaken { reason });
        }
    }
}
