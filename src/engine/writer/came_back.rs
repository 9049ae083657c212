//! What came back and is not committed yet.

use std::time::Duration;

use tokio::time::Instant;

use crate::journal::Record;

/// What came back and is not yet recorded.
#[derive(Debug, Default)]
pub(super) struct CameBack {
    records: Vec<Record>,
    /// When the first of them came.
    since: Option<Instant>,
}

impl CameBack {
    pub(super) fn add(&mut self, records: impl IntoIterator<Item = Record>) {
        self.records.extend(records);
        if !self.is_empty() {
            self.since.get_or_insert_with(Instant::now);
        }
    }

    pub(super) fn take(&mut self) -> Vec<Record> {
        self.since = None;
        std::mem::take(&mut self.records)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Until when it may wait, if there is something and it may `linger` for so long.
    pub(super) fn waits_until(&self, linger: Duration) -> Option<Instant> {
        self.since.map(|since| since + linger)
    }
}
