//! Tasks in doubt, as `verify` holds them against the history of their devices.

use std::{collections::HashSet, time::Duration};

use super::{TaskId, Ticket, Timestamp};

/// How far the platform's clock may be from ours, unless somebody says otherwise. The platform wants a login's clock within ten minutes, but
/// machines that push keep time to the second as a rule; what is left is for the way of a command through the platform. A wider window
/// finds no more commands and makes more of them ambiguous.
pub(crate) const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);

/// A stretch of time, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeRange {
    /// Its beginning.
    pub(crate) from: Timestamp,
    /// Its end.
    pub(crate) to: Timestamp,
}

impl TimeRange {
    /// This window, longer at both ends.
    #[must_use]
    pub(crate) fn widened(self, by: Duration) -> Self {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self {
            from: Timestamp(self.from.0.saturating_sub(ms)),
            to: self.to.after(by),
        }
    }

    /// Whether `time` lies in it.
    pub(crate) fn contains(self, time: Timestamp) -> bool {
        self.from <= time && time <= self.to
    }
}

/// A send of which nobody knows what became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InDoubtSend {
    /// Which send of its task it was, from 1.
    pub(crate) attempt: u32,
    /// From the beginning of the send to the end of its reply, or to when it was given up, on our clock.
    pub(crate) window: TimeRange,
}

/// Another send to the same device that may have made an entry of its history: in doubt too, under way, or accepted without a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CompetingSend {
    /// When it was sent, on our clock.
    pub(crate) window: TimeRange,
    /// What it carried.
    pub(crate) data: Box<str>,
}

/// A task that ended in doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InDoubtTask {
    pub(crate) task: TaskId,
    /// Its line in the manifest.
    pub(crate) line: i64,
    pub(crate) product_key: Box<str>,
    pub(crate) device_key: Box<str>,
    /// What was sent, as it went out.
    pub(crate) data: Box<str>,
    /// Its sends in doubt, in their order; at least one.
    pub(crate) sends: Vec<InDoubtSend>,
    /// Other sends to its device that may have made an entry.
    pub(crate) competing: Vec<CompetingSend>,
    /// The tickets of the device that are recorded already.
    pub(crate) recorded: HashSet<Ticket>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_both_its_ends_and_never_wraps() {
        let window = TimeRange {
            from: Timestamp(1000),
            to: Timestamp(2000),
        };
        let wide = window.widened(Duration::from_millis(1));
        assert!(wide.contains(Timestamp(999)) && wide.contains(Timestamp(2001)));
        assert!(!wide.contains(Timestamp(998)) && !wide.contains(Timestamp(2002)));
        let all = window.widened(Duration::MAX);
        assert!(all.contains(Timestamp(i64::MAX)) && all.contains(Timestamp(0)));
    }
}
