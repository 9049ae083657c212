//! Combines the pages of one device's history.
//!
//! The order of the entries is not documented, and a history grows while it is read. Entries move from page to page, so some appear twice
//! and others not at all. The platform's count, `total`, shows whether all entries were read. If not, the pages are read again.

use std::collections::HashMap;

use crate::model::{HistoryEntry, Trace};

/// Pages that are read at a time.
const MOST_PAGES: u32 = 20;
/// How often they are read when they do not add up.
const MOST_PASSES: u32 = 4;
/// Pages that are asked for in all passes together: six seconds of the usual five questions a second. A history that grows and repeats
/// itself never adds up, and whatever is read of it then is read in the first passes; the others wait meanwhile.
const MOST_ASKED: u32 = 30;

/// What to do after a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextPage {
    /// Ask for this page.
    Ask(u32),
    /// All of it has been read, as far as the platform gives it.
    Done,
}

/// Collects the entries of all pages, each once.
#[derive(Debug)]
pub(crate) struct HistoryPages {
    trace: Trace,
    /// In which pass each entry was met last.
    met: HashMap<HistoryEntry, u32>,
    page: u32,
    pass: u32,
    /// Pages that were asked for in all passes.
    asked: u32,
    /// Entries that were new in this pass.
    new_in_pass: u64,
    /// How many there were when the pass began.
    total: Option<u64>,
}

impl HistoryPages {
    /// Begins with page 1.
    pub(crate) fn new() -> Self {
        Self {
            trace: Trace::default(),
            met: HashMap::new(),
            page: 1,
            pass: 1,
            asked: 0,
            new_in_pass: 0,
            total: None,
        }
    }

    /// Takes the page that was asked for.
    pub(crate) fn add(
        &mut self,
        entries: Vec<HistoryEntry>,
        more: bool,
        total: Option<u64>,
    ) -> NextPage {
        self.asked += 1;
        if self.page == 1 {
            self.total = total;
        }
        let mut met_now = 0;
        for entry in entries {
            match self.met.get_mut(&entry) {
                Some(pass) if *pass == self.pass => {}
                Some(pass) => {
                    *pass = self.pass;
                    met_now += 1;
                }
                None => {
                    self.met.insert(entry.clone(), self.pass);
                    self.trace.entries.push(entry);
                    met_now += 1;
                    self.new_in_pass += 1;
                }
            }
        }
        // A page that only repeats is one of a platform that does not count pages, or of a history that has grown by a whole page: the
        // total says which.
        if more && met_now > 0 {
            if self.page == MOST_PAGES || self.asked == MOST_ASKED {
                self.trace.cut = true;
                return NextPage::Done;
            }
            self.page += 1;
            return NextPage::Ask(self.page);
        }
        let is_whole = self
            .total
            .is_none_or(|total| self.trace.entries.len() as u64 >= total);
        // A platform that counts what it gives twice has given all when another pass brings nothing.
        if is_whole || (self.pass > 1 && self.new_in_pass == 0) {
            return NextPage::Done;
        }
        if self.pass == MOST_PASSES || self.asked == MOST_ASKED {
            self.trace.cut = true;
            return NextPage::Done;
        }
        self.pass += 1;
        (self.page, self.new_in_pass) = (1, 0);
        NextPage::Ask(1)
    }

    /// What was read.
    pub(crate) fn into_trace(self) -> Trace {
        self.trace
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Ticket;

    fn entry(n: u64) -> HistoryEntry {
        HistoryEntry {
            ticket: Ticket::new(&n.to_string()),
            ..HistoryEntry::default()
        }
    }

    /// Reads from a platform that gives this for pass and page.
    fn read(
        mut platform: impl FnMut(u32, u32) -> (Vec<u64>, bool, Option<u64>),
    ) -> (Vec<u64>, bool, u32) {
        let mut pages = HistoryPages::new();
        let mut next = NextPage::Ask(1);
        let mut asked = 0;
        while let NextPage::Ask(page) = next {
            let (numbers, more, total) = platform(pages.pass, page);
            next = pages.add(numbers.into_iter().map(entry).collect(), more, total);
            asked += 1;
        }
        let trace = pages.into_trace();
        let text = |entry: &HistoryEntry| entry.ticket.as_ref().unwrap().as_str().parse().unwrap();
        (trace.entries.iter().map(text).collect(), trace.cut, asked)
    }

    #[test]
    fn all_pages_are_read_once_when_they_add_up() {
        let told = read(|_, page| match page {
            1 => (vec![5, 4], true, Some(5)),
            2 => (vec![3, 2], true, Some(5)),
            _ => (vec![1], false, Some(5)),
        });
        assert_eq!(told, (vec![5, 4, 3, 2, 1], false, 3));
        let uncounted = read(|_, page| (vec![page.into()], page < 3, None));
        assert_eq!(uncounted, (vec![1, 2, 3], false, 3));
        assert_eq!(
            read(|_, _| (Vec::new(), false, Some(0))),
            (vec![], false, 1)
        );
    }

    #[test]
    fn what_has_moved_to_a_page_that_was_read_is_found_by_reading_again() {
        // In the first pass entry 3 moves to page 1 after page 1 was read.
        let told = read(|pass, page| match (pass, page) {
            (1, 1) => (vec![5, 4], true, Some(4)),
            (1, _) => (vec![4, 2], false, Some(4)),
            (_, 1) => (vec![5, 3], true, Some(4)),
            _ => (vec![4, 2], false, Some(4)),
        });
        assert_eq!(told, (vec![5, 4, 2, 3], false, 4));
        // The first page brings nothing new in the second pass, and the second page does.
        let told = read(|pass, page| match (pass, page) {
            (_, 1) => (vec![5, 4], true, Some(4)),
            (1, _) => (vec![4, 2], false, Some(4)),
            _ => (vec![3, 2], false, Some(4)),
        });
        assert_eq!(told, (vec![5, 4, 2, 3], false, 4));
    }

    #[test]
    fn a_history_that_is_promised_and_not_given_is_asked_for_once_more() {
        let told = read(|pass, _| match pass {
            1 => (vec![], false, Some(2)),
            _ => (vec![2, 1], false, Some(2)),
        });
        assert_eq!(told, (vec![2, 1], false, 2));
        assert_eq!(read(|_, _| (vec![], false, Some(2))), (vec![], false, 2));
    }

    #[test]
    fn a_history_that_grows_at_its_head_only_repeats_entries() {
        let told = read(|_, page| match page {
            1 => (vec![5, 4], true, Some(4)),
            2 => (vec![4, 3], true, Some(5)),
            _ => (vec![3, 2], false, Some(6)),
        });
        assert_eq!(told, (vec![5, 4, 3, 2], false, 3));
        // Even by a whole page.
        let told = read(|pass, page| match (pass, page) {
            (1, 1) => (vec![5, 4], true, Some(4)),
            (_, 1) => (vec![7, 6], true, Some(6)),
            (_, 2) => (vec![5, 4], true, Some(6)),
            _ => (vec![3, 2], false, Some(6)),
        });
        assert_eq!(told, (vec![5, 4, 7, 6, 3, 2], false, 5));
    }

    #[test]
    fn repeats_that_are_counted_end_with_a_pass_that_brings_nothing() {
        let told = read(|_, _| (vec![2, 2, 1], false, Some(3)));
        assert_eq!(told, (vec![2, 1], false, 2));
    }

    #[test]
    fn a_platform_that_gives_one_page_for_ever_is_left() {
        assert_eq!(
            read(|_, _| (vec![2, 1], true, None)),
            (vec![2, 1], false, 2)
        );
        let (entries, cut, asked) = read(|_, page| (vec![page.into()], true, None));
        assert_eq!((entries.len(), cut, asked), (20, true, MOST_PAGES));
        let mut n = 0;
        let (_, cut, asked) = read(|_, _| {
            n += 1;
            (vec![n], false, Some(100))
        });
        assert_eq!((cut, asked), (true, MOST_PASSES));
    }

    #[test]
    fn a_history_that_grows_and_repeats_itself_is_left_after_so_many_pages() {
        // Each page has one new entry and one from before, and the count runs ahead of what is given.
        let mut n = 0;
        let (entries, cut, asked) = read(|_, page| {
            n += 1;
            (vec![n, n.saturating_sub(1)], page < 15, Some(1000 + n))
        });
        assert_eq!((entries.len(), cut, asked), (31, true, MOST_ASKED));
    }
}
