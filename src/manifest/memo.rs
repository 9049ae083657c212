//! Payloads of rows that have been read, by the cells that they were made of: most rows of a manifest ask for what others have asked for,
//! and need not be parsed, encoded and checked again.

use std::{collections::HashMap, sync::Arc};

use crate::model::Payload;

/// The most payloads that are remembered; then all are forgotten.
const MOST: usize = 512;
/// The longest cells that are remembered, in bytes.
const LONGEST: usize = 4096;
/// After so many rows in a row that ask for something else each, …
const IN_VAIN: usize = 2 * MOST;
/// … nothing is remembered for so many: a manifest whose rows all differ is not to pay for what others gain.
const REST: usize = 20 * MOST;

/// Payloads by their cells.
#[derive(Debug, Default)]
pub(super) struct Memo {
    payloads: HashMap<Box<[u8]>, Arc<Payload>>,
    /// The cells of the present row.
    cells: Vec<u8>,
    /// Rows since the last one whose payload was known.
    in_vain: usize,
    /// Rows for which nothing is remembered.
    rest: usize,
}

impl Memo {
    /// Forgets the cells of the row before.
    pub(super) fn begin(&mut self) {
        self.cells.clear();
    }

    /// Adds a cell of the present row, with the place of its column.
    pub(super) fn add(&mut self, place: usize, text: &str) {
        if self.rest > 0 {
            return;
        }
        // Their lengths keep two cells from running together into the bytes of two others.
        self.cells.extend_from_slice(&place.to_ne_bytes());
        self.cells.extend_from_slice(&text.len().to_ne_bytes());
        self.cells.extend_from_slice(text.as_bytes());
    }

    /// The payload of the present row's cells, made when none is remembered; nothing when none can be made.
    pub(super) fn payload(
        &mut self,
        make: impl FnOnce() -> Option<Payload>,
    ) -> Option<Arc<Payload>> {
        if self.rest > 0 {
            self.rest -= 1;
            return make().map(Arc::new);
        }
        if let Some(payload) = self.payloads.get(&*self.cells) {
            self.in_vain = 0;
            return Some(Arc::clone(payload));
        }
        self.in_vain += 1;
        if self.in_vain == IN_VAIN {
            self.in_vain = 0;
            self.rest = REST;
        }
        let payload = Arc::new(make()?);
        if self.payloads.len() >= MOST {
            self.payloads.clear();
        }
        if self.cells.len() <= LONGEST {
            self.payloads
                .insert(self.cells.as_slice().into(), Arc::clone(&payload));
        }
        Some(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(data: &str) -> Payload {
        Payload::plain("PK", data)
    }

    /// The payload of a row with these cells, which would be made with this data.
    fn ask(memo: &mut Memo, cells: &[(usize, &str)], data: &str) -> Arc<Payload> {
        memo.begin();
        for (place, text) in cells {
            memo.add(*place, text);
        }
        memo.payload(|| Some(payload(data))).unwrap()
    }

    #[test]
    fn the_same_cells_share_a_payload_and_others_do_not() {
        let mut memo = Memo::default();
        let cells: [&[(usize, &str)]; 6] = [
            &[(1, "a"), (2, "b")],
            &[(1, "ab")],
            &[(2, "ab")],
            &[(1, "a"), (3, "b")],
            &[(2, "b"), (1, "a")],
            &[],
        ];
        for round in 0..2 {
            for (number, cells) in cells.iter().enumerate() {
                let made = ask(&mut memo, cells, &format!("{number} in round {round}"));
                assert_eq!(*made.data, format!("{number} in round 0"));
            }
        }
    }

    #[test]
    fn what_is_wrong_is_wrong_again() {
        let mut memo = Memo::default();
        memo.add(1, "x");
        for _ in 0..2 {
            assert_eq!(memo.payload(|| None), None);
        }
    }

    #[test]
    fn rows_that_all_differ_are_no_longer_remembered_and_others_later_are() {
        let mut memo = Memo::default();
        let mut rows = 0..;
        let mut differ = |memo: &mut Memo, count| {
            for row in rows.by_ref().take(count) {
                ask(memo, &[(1, &format!("row {row}"))], "[]");
            }
        };
        let is_remembered = |memo: &mut Memo, cell| {
            let first = ask(memo, &[(1, cell)], "first");
            Arc::ptr_eq(&first, &ask(memo, &[(1, cell)], "second"))
        };
        differ(&mut memo, IN_VAIN - 2);
        assert!(is_remembered(&mut memo, "the last but one in vain"));
        differ(&mut memo, IN_VAIN);
        assert!(!is_remembered(&mut memo, "in the rest"));
        differ(&mut memo, REST - 2);
        assert!(is_remembered(&mut memo, "after it"));
    }

    #[test]
    fn its_memory_has_a_limit() {
        let mut memo = Memo::default();
        for number in 0..3 * MOST {
            ask(&mut memo, &[(1, &number.to_string())], "[]");
            assert!(memo.payloads.len() <= MOST);
        }
        let long = "x".repeat(LONGEST);
        memo.payloads.clear();
        ask(&mut memo, &[(1, &long)], "[]");
        assert!(memo.payloads.is_empty());
    }
}
