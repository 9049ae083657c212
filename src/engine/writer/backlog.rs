//! What can be claimed, as far as the last exchange has shown.

use crate::{journal::Exchange, model::Timestamp, store::LEFT};

/// What there is to claim.
#[derive(Debug)]
pub(super) struct Backlog {
    /// Whether there may be something to claim right now.
    more: bool,
    /// Whether it has to wait until a request is done.
    full: bool,
    next_due: Option<Timestamp>,
}

impl Backlog {
    /// Nobody has looked yet.
    pub(super) fn unknown() -> Self {
        Self {
            more: true,
            full: false,
            next_due: None,
        }
    }

    /// Learns from an exchange; whether one was `asked` for claims decides whether it knows what is left.
    pub(super) fn learn(&mut self, exchange: &Exchange, asked: bool) {
        if asked {
            self.more = exchange.more;
            self.full = exchange.full;
        }
        self.next_due = exchange.next_due;
    }

    /// A request has come back, and what it held of the memory is free.
    pub(super) fn request_ended(&mut self) {
        self.full = false;
    }

    /// Tasks that were held back may be claimed now.
    pub(super) fn opened(&mut self) {
        self.more = true;
    }

    /// Whether there is something to send, as soon as it may be claimed.
    pub(super) fn has_some(&self, now: Timestamp) -> bool {
        self.more || self.next_due.is_some_and(|due| due <= now)
    }

    /// Whether something can be claimed.
    pub(super) fn is_claimable(&self, now: Timestamp) -> bool {
        self.has_some(now) && !self.full
    }

    /// When something becomes due, however much there is to claim before.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.next_due
    }

    /// When there is something to claim, unless that is now.
    pub(super) fn not_before(&self) -> Option<Timestamp> {
        self.next_due.filter(|_| !self.more)
    }

    /// Whether nothing waits but what is left to younger runs.
    pub(super) fn is_left(&self) -> bool {
        !self.more && self.next_due == Some(LEFT)
    }
}
