//! Reads a list whose pages may shift while they are read: when a reading is over, and what it proves.
//!
//! The platform builds its list anew for each page. If a device is deleted, others move to pages that were read already, and are missed. If
//! one is added, some appear twice. The platform reports neither. A reading is good if nothing appeared twice and `total` was the same on
//! every page and equals what was read, or if another reading has found exactly the same. One case cannot be detected: one device is
//! deleted and another one added between the same two pages, so that one hides the other.

use crate::store::Difference;

/// Readings before it is told that the list does not hold still.
const READINGS: u32 = 5;
/// Pages in a row without anything new, though `total` promises more.
const IN_VAIN: u32 = 3;

/// One reading of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Which one, from 1.
    pub(crate) number: u32,
    /// Pages that have been read.
    pub(crate) pages: u32,
    /// Different entries.
    pub(crate) seen: u64,
    /// Entries that came before in this reading.
    pub(crate) repeated: u64,
    /// The last `total`.
    pub(crate) total: Option<u64>,
    /// Whether `total` was another one on some page.
    is_moving: bool,
    /// The entries of the longest page.
    longest: u64,
    /// Pages in a row without anything new.
    in_vain: u32,
}

/// A page as it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageRead {
    pub(crate) entries: u64,
    /// Those that are new in this reading.
    pub(crate) new: u64,
    /// What it says that the list has.
    pub(crate) total: Option<u64>,
}

/// What readings have proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadingVerdict {
    /// The reading is the list.
    Whole,
    /// Two readings agree, and `total` says something else.
    Steady,
    /// It has to be read again.
    Again,
    /// It does not hold still: entries may be missing.
    Uncertain,
}

impl Reading {
    /// The next reading after this one.
    pub(crate) fn next(&self) -> Self {
        Self {
            number: self.number + 1,
            ..Self::default()
        }
    }

    /// Takes in the next page; true when another one has to be asked for.
    pub(crate) fn takes_more(&mut self, page: PageRead) -> bool {
        self.is_moving |= self.pages > 0 && self.total != page.total;
        self.pages = self.pages.saturating_add(1);
        self.seen += page.new;
        self.repeated += page.entries - page.new;
        self.total = page.total;
        self.longest = self.longest.max(page.entries);
        self.in_vain = if page.new == 0 { self.in_vain + 1 } else { 0 };
        if page.entries == 0 {
            return false;
        }
        let read = u64::from(self.pages).saturating_mul(self.longest);
        let promised = self.total.is_some_and(|total| read < total);
        page.new > 0 || (promised && self.in_vain < IN_VAIN)
    }

    /// What it proves once its last page has been read; `difference` is that to the reading before it, if there is one.
    pub(crate) fn verdict(&self, difference: Option<Difference>) -> ReadingVerdict {
        let is_consistent = self.repeated == 0 && !self.is_moving && self.total == Some(self.seen);
        if is_consistent {
            return ReadingVerdict::Whole;
        }
        if difference == Some(Difference::default()) && !self.is_moving {
            return ReadingVerdict::Steady;
        }
        if self.number < READINGS {
            ReadingVerdict::Again
        } else {
            ReadingVerdict::Uncertain
        }
    }
}

#[cfg(test)]
mod tests;
