//! Gathers rows by payload in bounded memory, so that a chunk's tasks are stored side by side.

use std::collections::HashMap;

use crate::model::PayloadId;

/// A row that waits for its neighbours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pending {
    pub(super) line: u64,
    pub(super) device_key: Box<str>,
    pub(super) labels: Option<Box<str>>,
}

impl Pending {
    /// About the memory that it takes, in bytes.
    fn weight(&self) -> usize {
        size_of::<Self>()
            + self.device_key.len()
            + self.labels.as_ref().map_or(0, |text| text.len())
    }
}

/// Rows of one payload that are written together, about; always whole chunks.
const GROUP: usize = 4096;

/// Gathers rows by payload.
#[derive(Debug)]
pub(super) struct Grouper {
    groups: HashMap<PayloadId, Vec<Pending>>,
    /// The payload that was pushed last: the only group that can have become too large.
    last: Option<PayloadId>,
    weight: usize,
    /// The most memory that waiting rows may take, in bytes.
    budget: usize,
    chunk_size: usize,
    fragmented: bool,
}

impl Grouper {
    pub(super) fn new(chunk_size: u32, budget: usize) -> Self {
        Self {
            groups: HashMap::new(),
            last: None,
            weight: 0,
            budget,
            chunk_size: chunk_size.max(1) as usize,
            fragmented: false,
        }
    }

    /// Takes one row.
    pub(super) fn push(&mut self, payload: PayloadId, row: Pending) {
        self.weight += row.weight();
        self.groups.entry(payload).or_default().push(row);
        self.last = Some(payload);
    }

    /// A group that has to be written now, or nothing.
    pub(super) fn overflow(&mut self) -> Option<(PayloadId, Vec<Pending>)> {
        let whole_chunks = GROUP.next_multiple_of(self.chunk_size);
        if let Some(last) = self.last
            && self
                .groups
                .get(&last)
                .is_some_and(|group| group.len() >= whole_chunks)
        {
            return self.take(last, whole_chunks);
        }
        if self.weight <= self.budget {
            return None;
        }
        let (&largest, group) = self.groups.iter().max_by_key(|(_, group)| group.len())?;
        let chunks = group.len() / self.chunk_size;
        if chunks == 0 {
            // Not even the largest group fills a chunk: written as it is, and sorted out at the end.
            self.fragmented = true;
            let all = group.len();
            return self.take(largest, all);
        }
        let whole = chunks * self.chunk_size;
        self.take(largest, whole)
    }

    /// What still waits, a group at a time, in the order of the payloads.
    pub(super) fn rest(&mut self) -> Option<(PayloadId, Vec<Pending>)> {
        let next = self.groups.keys().min().copied()?;
        self.groups.remove(&next).map(|group| (next, group))
    }

    /// Whether groups that fill no chunk had to be written.
    pub(super) fn is_fragmented(&self) -> bool {
        self.fragmented
    }

    fn take(&mut self, payload: PayloadId, rows: usize) -> Option<(PayloadId, Vec<Pending>)> {
        let group = self.groups.get_mut(&payload)?;
        let taken = if rows >= group.len() {
            self.groups.remove(&payload)?
        } else {
            let rest = group.split_off(rows);
            std::mem::replace(group, rest)
        };
        self.weight -= taken.iter().map(Pending::weight).sum::<usize>();
        Some((payload, taken))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn row(line: u64, size: usize) -> Pending {
        Pending {
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
        ) {
            let mut grouper = Grouper::new(chunk, 8 << 20);
            let mut out: BTreeMap<PayloadId, Vec<u64>> = BTreeMap::new();
            let mut expected = out.clone();
            let mut keep = |(payload, group): (PayloadId, Vec<Pending>)| {
                out.entry(payload).or_default().extend(group.iter().map(|row| row.line));
            };
            for (line, payload) in payloads.iter().enumerate() {
                let payload = PayloadId(*payload);
                expected.entry(payload).or_default().push(line as u64);
                grouper.push(payload, row(line as u64, size));
                while let Some(group) = grouper.overflow() {
                    prop_assert!(grouper.fragmented || group.1.len() % chunk as usize == 0);
                    keep(group);
                }
                prop_assert!(grouper.weight <= grouper.budget);
            }
            while let Some(group) = grouper.rest() {
                keep(group);
            }
            prop_assert_eq!(out, expected);
        }
    }
}
