//! When waiting tasks become due.

use crate::{model::Timestamp, store::LEFT};

/// Something in the database that is looked up when it has changed, and not each time it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cached<T> {
    /// It may have changed since it was looked up.
    Unknown,
    /// As it is.
    Known(T),
}

/// When waiting tasks become due.
#[derive(Debug)]
pub(super) struct Waiting {
    /// When the next one does.
    next: Cached<Option<Timestamp>>,
    /// When the last one does; not earlier than that.
    latest: Option<Timestamp>,
}

impl Waiting {
    /// Begins with what is known of the last one.
    pub(super) fn new(latest: Option<Timestamp>) -> Self {
        Self {
            next: Cached::Unknown,
            latest,
        }
    }

    /// When the next one becomes due, unless that has to be looked up.
    pub(super) fn next(&self) -> Cached<Option<Timestamp>> {
        self.next
    }

    /// That has been looked up.
    pub(super) fn found(&mut self, next: Option<Timestamp>) {
        self.next = Cached::Known(next);
    }

    /// Waiting tasks have come or gone.
    pub(super) fn changed(&mut self) {
        self.next = Cached::Unknown;
    }

    /// A task has come that waits until then.
    pub(super) fn add(&mut self, until: Timestamp) {
        self.next = Cached::Unknown;
        if until != LEFT {
            self.latest = self.latest.max(Some(until));
        }
    }

    /// The latest time at which one becomes due.
    pub(super) fn latest(&self) -> Option<Timestamp> {
        self.latest
    }

    /// The latest time has been looked up.
    pub(super) fn found_latest(&mut self, latest: Option<Timestamp>) {
        self.next = Cached::Unknown;
        self.latest = latest;
    }

    /// What was due later than this has been brought forward.
    pub(super) fn clamp(&mut self, latest: Timestamp) {
        self.next = Cached::Unknown;
        self.latest = self.latest.map(|due| due.min(latest));
    }
}
