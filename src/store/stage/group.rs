//! Gathers rows by payload in bounded memory, so that a chunk's tasks are stored side by side.

use std::collections::{HashMap, VecDeque, vec_deque};

use crate::model::PayloadId;

/// A row that waits to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WaitingRow {
    pub(super) line: u64,
    pub(super) device_key: Box<str>,
    pub(super) labels: Option<Box<str>>,
}

impl WaitingRow {
    /// About the memory that it takes, in bytes.
    fn weight(&self) -> usize {
        size_of::<Self>()
            + 2 * OVERHEAD
            + self.device_key.len()
            + self.labels.as_ref().map_or(0, |text| text.len())
    }
}

/// What an allocation takes beyond what it holds, about, in bytes.
const OVERHEAD: usize = 16;
/// What a group takes for itself, with the room for rows that it begins with, about, in bytes.
const OF_GROUP: usize =
    4 * size_of::<WaitingRow>() + OVERHEAD + 2 * size_of::<(PayloadId, Vec<WaitingRow>)>();

/// Rows of one payload that are laid side by side, about; always whole chunks.
const GROUP: usize = 4096;

/// Gathers rows by payload.
#[derive(Debug)]
pub(super) struct Grouper {
    /// Rows that wait for their neighbours.
    groups: HashMap<PayloadId, Vec<WaitingRow>>,
    /// Rows that wait for nothing but to be written, in this order.
    complete: VecDeque<(PayloadId, WaitingRow)>,
    /// Of all these rows.
    weight: usize,
    /// Beyond this weight rows must be taken before others come, in bytes.
    budget: usize,
    chunk_size: usize,
    fragmented: bool,
}

impl Grouper {
    pub(super) fn new(chunk_size: u32, budget: usize) -> Self {
        Self {
            groups: HashMap::new(),
            complete: VecDeque::new(),
            weight: 0,
            budget,
            chunk_size: chunk_size.max(1) as usize,
            fragmented: false,
        }
    }

    /// Gathers one row.
    pub(super) fn push(&mut self, payload: PayloadId, row: WaitingRow) {
        self.weight += row.weight();
        let group = self.groups.entry(payload).or_default();
        group.push(row);
        if group.len() >= GROUP.next_multiple_of(self.chunk_size)
            && let Some(group) = self.groups.remove(&payload)
        {
            self.complete
                .extend(group.into_iter().map(|row| (payload, row)));
        }
    }

    /// No more rows come: those that still wait are complete, in the order of the payloads.
    pub(super) fn end(&mut self) {
        let mut rest: Vec<_> = self.groups.drain().collect();
        rest.sort_unstable_by_key(|(payload, _)| *payload);
        for (payload, group) in rest {
            self.complete
                .extend(group.into_iter().map(|row| (payload, row)));
        }
    }

    /// Whether more waits than should.
    pub(super) fn is_full(&self) -> bool {
        self.weight + self.groups.len() * OF_GROUP > self.budget
    }

    /// Takes complete rows to be written, at most so many. When too much waits there are some.
    pub(super) fn take(&mut self, most: usize) -> vec_deque::Drain<'_, (PayloadId, WaitingRow)> {
        if self.complete.is_empty() && self.is_full() {
            self.complete_chunks();
        }
        let now = self.complete.len().min(most);
        let weight: usize = self
            .complete
            .range(..now)
            .map(|(_, row)| row.weight())
            .sum();
        self.weight -= weight;
        self.complete.drain(..now)
    }

    /// Whether groups that fill no chunk had to be written.
    pub(super) fn is_fragmented(&self) -> bool {
        self.fragmented
    }

    /// Completes the groups that fill a chunk, as far as they do.
    fn complete_chunks(&mut self) {
        self.groups.retain(|payload, group| {
            let whole = group.len() / self.chunk_size * self.chunk_size;
            self.complete
                .extend(group.drain(..whole).map(|row| (*payload, row)));
            !group.is_empty()
        });
        if self.complete.is_empty() {
            // Not even the largest group fills a chunk: written as they are, and sorted out at the end.
            self.fragmented = true;
            self.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn row(line: u64, size: usize) -> WaitingRow {
        WaitingRow {
            line,
            device_key: "k".repeat(size).into(),
            labels: None,
        }
    }

    proptest! {
        #[test]
        fn every_row_comes_out_once_and_in_order(
            payloads in prop::collection::vec(0_i64..20, 0..400),
            size in 1_usize..100_000,
            chunk in 1_u32..50,
            most in 1_usize..100,
        ) {
            let mut grouper = Grouper::new(chunk, 8 << 20);
            let mut expected: BTreeMap<PayloadId, Vec<u64>> = BTreeMap::new();
            let mut written = Vec::new();
            for (line, payload) in payloads.iter().enumerate() {
                let payload = PayloadId(*payload);
                expected.entry(payload).or_default().push(line as u64);
                grouper.push(payload, row(line as u64, size));
                while grouper.is_full() {
                    let taken = written.len();
                    written.extend(grouper.take(most));
                    prop_assert!(written.len() > taken);
                }
            }
            let early = written.len() + grouper.complete.len();
            grouper.end();
            written.extend(grouper.take(usize::MAX));
            prop_assert_eq!(grouper.weight, 0);
            let mut found: BTreeMap<PayloadId, Vec<u64>> = BTreeMap::new();
            for (payload, row) in &written {
                found.entry(*payload).or_default().push(row.line);
            }
            prop_assert_eq!(found, expected);
            if !grouper.is_fragmented() {
                let together = written[..early].chunk_by(|one, next| one.0 == next.0);
                prop_assert!(together.into_iter().all(|rows| rows.len() % chunk as usize == 0));
            }
        }
    }
}
