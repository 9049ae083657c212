//! How a push comes to its end: what makes it stop, what is waited for then, and when it is over.

use tokio::time::Instant;
use tracing::warn;

use super::Writer;
use crate::{
    clock::Running,
    engine::{Event, Stop, sender::Gate},
    journal::{Record, RequestEnd},
    model::{ControlAction, Deadline},
    store::StoreError,
};

/// A push that has begun to stop.
pub(super) struct Stopping {
    pub(super) why: Stop,
    /// How long what is under way is waited for.
    pub(super) drain: Running,
    /// Whether that is over.
    pub(super) is_over: bool,
}

impl Writer<'_, '_> {
    /// Begins to stop when a signal has asked for it, when the deadline has come, or when an outage has lasted too long.
    pub(super) fn stop_if_due(&mut self) {
        if let Some(stopping) = &mut self.stopping {
            let now = Instant::now();
            stopping.is_over = now >= stopping.drain.next_look() && stopping.drain.is_over(now);
        }
        if *self.stop.borrow() {
            self.begin_stop(Stop::Signal);
        }
        let asked = self.control.borrow().clone();
        if let Some(control) = asked {
            let reason = control.words();
            self.begin_stop(match control.action {
                ControlAction::Pause => Stop::Paused { reason },
                ControlAction::Cancel => Stop::Cancelled { reason },
            });
        }
        if *self.leave.borrow() {
            self.begin_stop(Stop::Signal);
            if let Some(stopping) = &mut self.stopping {
                stopping.is_over = true;
            }
        }
        let over = self
            .deadline
            .take_if(|deadline| self.clock.has_passed(deadline.at));
        if let Some(Deadline { what: reason, .. }) = over {
            self.begin_stop(Stop::Deadline { reason });
        }
        if self.stopping.is_none() {
            self.give_up_if_due();
        }
    }

    /// Begins to stop when the platform has given no usable answer for too long, a last probe included.
    fn give_up_if_due(&mut self) {
        let now = self.clock.now();
        // What no sender has begun comes back in a pause, and can be a probe then.
        let can_carry = self.has_some_to_send(now) || !self.waiting.is_empty();
        if let Some(change) = self.outage.ask_once_more(now, can_carry) {
            self.follow(change, now);
        }
        if self.outage.gives_up(now, can_carry) {
            let reason = self.giving_up();
            self.begin_stop(Stop::Outage { reason });
        }
    }

    /// Begins to stop when the database is no longer where it was opened. What is under way is recorded in what is open.
    pub(super) fn stop_if_missing(&mut self) {
        if self.missing.is_some() {
            return;
        }
        self.missing = self.journal.missing();
        if let Some(missing) = self.missing {
            warn!(
                ?missing,
                "the results database was deleted or replaced: nothing more is sent"
            );
            self.begin_stop(Stop::Signal);
        }
    }

    /// Begins to stop: nothing new is claimed, what no sender has begun comes back, what is under way is waited for.
    pub(super) fn begin_stop(&mut self, why: Stop) {
        if self.stopping.is_some() {
            return;
        }
        let timeout = self.options.drain_timeout;
        self.stopping = Some(Stopping {
            why,
            drain: Running::new(timeout, Instant::now()),
            is_over: false,
        });
        self.set_gate(Gate::Closed);
        let requests = self.under_way.len() as u32;
        if requests > 0 {
            self.pending_events
                .push(Event::Draining { requests, timeout });
        }
    }

    /// Why the push is over, if it is.
    pub(super) fn ended(&self) -> Option<Stop> {
        let nothing_out = self.waiting.is_empty() && self.under_way.is_empty();
        match &self.stopping {
            Some(stopping) if nothing_out => Some(stopping.why.clone()),
            Some(stopping) if stopping.is_over => {
                warn!(
                    requests = self.under_way.len(),
                    "no longer waited for; what is under way is in doubt"
                );
                Some(stopping.why.clone())
            }
            None if nothing_out && self.journal.counts().pending == 0 => Some(Stop::Complete),
            _ => None,
        }
    }

    /// Records what came back while the senders were being stopped, and releases what none of them had begun.
    pub(super) async fn drain(&mut self) -> Result<(), StoreError> {
        let mut records = Vec::new();
        while let Ok(report) = self.reports.try_recv() {
            records.extend(self.take(report));
        }
        records.extend(self.waiting.drain().map(|(_, claim)| Record {
            claim,
            end: RequestEnd::Released,
        }));
        if records.is_empty() {
            return Ok(());
        }
        self.exchange(records, 0, self.clock.now()).await
    }
}
