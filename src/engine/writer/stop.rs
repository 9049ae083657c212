//! The end of a push: why it stops, how long it waits for requests in flight, and when it is over.

use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::outstanding::Outstanding;
use crate::{clock::Running, engine::Stop, store::Missing};

/// Whether and how a push stops.
#[derive(Debug)]
pub(super) struct StopState {
    drain_timeout: Duration,
    stopping: Option<Stopping>,
    /// What somebody has taken away from under the push.
    missing: Option<Missing>,
}

/// A push that has begun to stop.
#[derive(Debug)]
struct Stopping {
    why: Stop,
    /// How long what is under way is waited for.
    drain: Running,
    /// Whether that is over.
    is_over: bool,
}

impl StopState {
    pub(super) fn new(drain_timeout: Duration) -> Self {
        Self {
            drain_timeout,
            stopping: None,
            missing: None,
        }
    }

    pub(super) fn has_begun(&self) -> bool {
        self.stopping.is_some()
    }

    /// Begins to stop, unless that has begun; gives whether it begins now.
    pub(super) fn begin(&mut self, why: Stop) -> bool {
        if self.has_begun() {
            return false;
        }
        self.stopping = Some(Stopping {
            why,
            drain: Running::new(self.drain_timeout, Instant::now()),
            is_over: false,
        });
        true
    }

    /// What is under way is not waited for any longer.
    pub(super) fn leave(&mut self) {
        if let Some(stopping) = &mut self.stopping {
            stopping.is_over = true;
        }
    }

    /// Looks whether what is under way has been waited for long enough.
    pub(super) fn look(&mut self, now: Instant) {
        if let Some(stopping) = &mut self.stopping
            && now >= stopping.drain.next_look()
        {
            stopping.is_over |= stopping.drain.is_over(now);
        }
    }

    /// When to look again.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let stopping = self.stopping.as_ref()?;
        Some(stopping.drain.next_look())
    }

    /// Notes what the journal misses; gives whether that is news.
    pub(super) fn note_missing(&mut self, missing: Option<Missing>) -> bool {
        if self.missing.is_some() || missing.is_none() {
            return false;
        }
        self.missing = missing;
        true
    }

    pub(super) fn missing(&self) -> Option<Missing> {
        self.missing
    }

    /// Why the push is over, if it is.
    pub(super) fn ended(&self, outstanding: &Outstanding, pending: u64) -> Option<Stop> {
        let nothing_out = outstanding.count() == 0;
        match &self.stopping {
            Some(stopping) if nothing_out => Some(stopping.why.clone()),
            Some(stopping) if stopping.is_over => {
                warn!(
                    requests = outstanding.under_way(),
                    "not waiting any longer; requests in flight are in doubt"
                );
                Some(stopping.why.clone())
            }
            None if nothing_out && pending == 0 => Some(Stop::Complete),
            _ => None,
        }
    }
}
