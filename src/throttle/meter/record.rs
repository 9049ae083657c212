//! What requests came to, in the order in which they were sent.

use std::collections::VecDeque;

use super::Fit;

/// Requests that were taken within so many seconds are one entry.
const TOGETHER: f64 = 0.005;
/// So many acceptances before a refusal show how fast they came.
const SHOWING: f64 = 10.0;
/// So many entries are kept.
const ENTRIES: usize = 3000;

/// What requests came to that were sent at about the same time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) at: f64,
    pub(super) taken: f64,
    pub(super) refused: f64,
    pub(super) mark: Mark,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mark {
    None,
    /// The first refusal of a bunch, and the last one when nothing was taken in between.
    First,
    Last,
}

/// What requests came to, in the order in which they were sent.
#[derive(Debug, Default)]
pub(in crate::throttle) struct Record {
    pub(super) entries: VecDeque<Entry>,
    /// What was before this time has to be explained no more; how high a bucket stood then is found out.
    pub(super) since: f64,
    pub(super) stood: f64,
    /// The meter that has explained refusals again and again.
    pub(in crate::throttle) usual: Option<Fit>,
}

impl Record {
    /// A request that was sent at this time was taken.
    pub(in crate::throttle) fn taken(&mut self, at: f64) {
        match self.entries.back_mut() {
            Some(last) if last.mark == Mark::None && at < last.at + TOGETHER => last.taken += 1.0,
            _ => self.push(at, 1.0, Mark::None),
        }
    }

    /// A request that was sent at this time was refused; it may be the first of a bunch.
    pub(in crate::throttle) fn refused(&mut self, at: f64, first: bool) {
        let last = self.entries.back().map(|last| last.mark);
        match (last, first) {
            (Some(Mark::First), true) => self.push(at, 0.0, Mark::Last),
            (Some(Mark::Last), true) => {
                if let Some(last) = self.entries.back_mut() {
                    last.mark = Mark::None;
                }
                self.push(at, 0.0, Mark::Last);
            }
            (_, true) => self.push(at, 0.0, Mark::First),
            (_, false) => match self.entries.back_mut() {
                Some(last) if at < last.at + TOGETHER => last.refused += 1.0,
                _ => {
                    self.push(at, 0.0, Mark::None);
                }
            },
        }
    }

    fn push(&mut self, at: f64, taken: f64, mark: Mark) {
        self.entries.push_back(Entry {
            at,
            taken,
            refused: 1.0 - taken,
            mark,
        });
        if self.entries.len() > ENTRIES
            && let Some(oldest) = self.entries.pop_front()
            && oldest.at >= self.since
        {
            // How high a meter stood is known at refusals alone.
            self.since = self.bunches().first().copied().unwrap_or(at);
        }
    }

    /// Explains nothing that was before this time any more.
    pub(in crate::throttle) fn forget(&mut self, before: f64) {
        self.since = before;
        self.usual = None;
    }

    /// Explains the last two bunches alone.
    pub(in crate::throttle) fn forget_but_last(&mut self) {
        if let [.., before, _] = self.bunches()[..] {
            self.forget(before);
        }
    }

    /// The times of the first refusals of bunches that are to be explained.
    pub(super) fn bunches(&self) -> Vec<f64> {
        self.entries
            .iter()
            .filter(|entry| entry.mark == Mark::First && entry.at >= self.since)
            .map(|entry| entry.at)
            .collect()
    }

    /// How many were taken of those that are to be explained, and in how many seconds.
    pub(in crate::throttle) fn taken_and_seconds(&self) -> (f64, f64) {
        let from = self.entries.partition_point(|entry| entry.at < self.since);
        let explained = self.entries.range(from..);
        let taken: f64 = explained.clone().map(|entry| entry.taken).sum();
        let seconds = match (explained.clone().next(), explained.clone().next_back()) {
            (Some(first), Some(last)) => last.at - first.at,
            _ => 0.0,
        };
        (taken, seconds)
    }

    /// How many were taken between the first and the last bunch that are to be explained.
    pub(in crate::throttle) fn taken_between_bunches(&self) -> f64 {
        let bunches = self.bunches();
        let (Some(from), Some(to)) = (bunches.first(), bunches.last()) else {
            return 0.0;
        };
        self.entries
            .iter()
            .filter(|entry| (*from..*to).contains(&entry.at))
            .map(|entry| entry.taken)
            .sum()
    }

    /// How many were taken since the first refusal of the last bunch.
    pub(in crate::throttle) fn taken_since_refused(&self) -> f64 {
        self.entries
            .iter()
            .rev()
            .take_while(|entry| entry.mark != Mark::First)
            .map(|entry| entry.taken)
            .sum()
    }

    /// No platform takes more a second than this, as its last refusal shows: how fast requests were taken that led to it. Those were sent
    /// since `resumed`; before that there was a pause.
    pub(in crate::throttle) fn bound(&self, resumed: f64) -> Option<f64> {
        let mut before = self
            .entries
            .iter()
            .rev()
            .skip_while(|entry| entry.mark != Mark::First);
        let end = before.next()?.at;
        let (mut taken, mut from) = (0.0, end);
        for entry in before {
            if taken >= SHOWING || entry.mark == Mark::First || entry.at < resumed {
                break;
            }
            if entry.taken > 0.0 {
                (taken, from) = (taken + entry.taken, entry.at);
            }
        }
        (taken >= 1.0).then(|| (taken + 0.5) / (end - from).max(1e-4))
    }
}

#[cfg(test)]
mod tests;
