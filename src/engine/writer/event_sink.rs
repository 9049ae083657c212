//! The events that a push emits.

use std::collections::BTreeMap;

use tokio::sync::mpsc;
use tracing::debug;

use crate::{
    engine::{Event, Measures, Traffic, pace::Pace},
    journal::Journal,
    model::TaskState,
};

/// Where events go.
pub(super) struct EventSink {
    listeners: mpsc::Sender<Event>,
    /// What has been learnt and is told after the next commit.
    pending: Vec<Event>,
}

impl EventSink {
    /// Begins with what is told `first`.
    pub(super) fn new(listeners: mpsc::Sender<Event>, first: Option<Event>) -> Self {
        Self {
            listeners,
            pending: first.into_iter().collect(),
        }
    }

    /// Tells this after the next commit, if it is anything.
    pub(super) fn push(&mut self, event: impl Into<Option<Event>>) {
        self.pending.extend(event.into());
    }

    /// Tells what has been learnt since the last commit.
    pub(super) fn flush(&mut self) {
        for event in std::mem::take(&mut self.pending) {
            self.emit(event);
        }
    }

    /// A push never waits for its display: whoever listened may have gone, or may be stuck at a terminal that nobody reads.
    pub(super) fn emit(&self, event: Event) {
        if let Err(error) = self.listeners.try_send(event) {
            debug!(%error, "an event was not heard");
        }
    }

    /// Tells the counts, as of the last commit.
    pub(super) fn emit_progress(
        &self,
        journal: &Journal<'_>,
        traffic: &Traffic,
        pace: &Pace,
        chunk_size: u32,
    ) {
        // The next one tells more; what is told once has the other half of the channel to itself.
        if 2 * self.listeners.capacity() < self.listeners.max_capacity() {
            return;
        }
        self.emit(Event::Progress {
            counts: journal.counts(),
            requests: traffic.durations.count(),
            latest_due: journal.latest_due(),
            found: pace.found(),
        });
        let mut failed = BTreeMap::new();
        for (tally, tasks) in journal.tally() {
            if let (TaskState::Failed, Some(class)) = (tally.state, tally.class) {
                *failed.entry(class).or_default() += tasks;
            }
        }
        self.emit(Event::Measured(Box::new(Measures {
            failed,
            traffic: traffic.clone(),
            rate_limit: pace.rate(chunk_size),
        })));
    }
}
