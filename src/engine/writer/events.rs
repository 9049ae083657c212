//! What a push tells of itself.

use std::collections::BTreeMap;

use tracing::debug;

use super::Writer;
use crate::{
    engine::{Event, Measures},
    model::TaskState,
};

impl Writer<'_, '_> {
    /// Tells the counts, as of the last commit.
    pub(super) fn emit_progress(&self) {
        // The next one tells more; what is told once has the other half of the channel to itself.
        if 2 * self.events.capacity() < self.events.max_capacity() {
            return;
        }
        self.emit(Event::Progress {
            counts: self.journal.counts(),
            requests: self.traffic.durations.count(),
            latest_due: self.journal.latest_due(),
            found: self.pace.found(),
        });
        let mut failed = BTreeMap::new();
        for (tally, tasks) in self.journal.tally() {
            if let (TaskState::Failed, Some(class)) = (tally.state, tally.class) {
                *failed.entry(class).or_default() += tasks;
            }
        }
        self.emit(Event::Measured(Box::new(Measures {
            failed,
            traffic: self.traffic.clone(),
            rate_limit: self.pace.rate(self.options.chunk_size),
        })));
    }

    /// Tells what has been learnt since the last commit.
    pub(super) fn flush_events(&mut self) {
        for event in std::mem::take(&mut self.pending_events) {
            self.emit(event);
        }
    }

    /// A push never waits for its display: whoever listened may have gone, or may be stuck at a terminal that nobody reads.
    pub(super) fn emit(&self, event: Event) {
        if let Err(error) = self.events.try_send(event) {
            debug!(%error, "an event was not heard");
        }
    }
}
