use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// A change of the list.
#[derive(Debug, Clone, Copy)]
enum Change {
    /// Another device, at this place.
    Add(usize),
    /// The device at this place is deleted.
    Delete(usize),
}

/// A list that is cut anew for each page, and changes before some pages.
struct List {
    devices: Vec<u32>,
    page_size: usize,
    /// Changes before the next pages.
    changes: Vec<Vec<Change>>,
    /// How far `total` is off.
    off: u64,
    next_device: u32,
    asked: u32,
    /// Devices that have been there all the time.
    constant: BTreeSet<u32>,
}

impl List {
    fn new(count: u32, page_size: usize) -> Self {
        Self {
            devices: (0..count).collect(),
            page_size,
            changes: Vec::new(),
            off: 0,
            next_device: count,
            asked: 0,
            constant: (0..count).collect(),
        }
    }

    fn page(&mut self, number: u32) -> (Vec<u32>, u64) {
        let changes = if self.changes.is_empty() {
            Vec::new()
        } else {
            self.changes.remove(0)
        };
        for change in changes {
            match change {
                Change::Add(at) => {
                    let at = at % (self.devices.len() + 1);
                    self.devices.insert(at, self.next_device);
                    self.next_device += 1;
                }
                Change::Delete(at) if !self.devices.is_empty() => {
                    let gone = self.devices.remove(at % self.devices.len());
                    self.constant.remove(&gone);
                }
                Change::Delete(_) => {}
            }
        }
        self.asked += 1;
        let page = self
            .devices
            .chunks(self.page_size)
            .nth(number as usize - 1)
            .unwrap_or_default();
        (page.to_vec(), self.devices.len() as u64 + self.off)
    }
}

/// Reads it as a command does, and gives the devices that are found.
fn read(list: &mut List) -> (ReadingVerdict, BTreeSet<u32>) {
    let mut reading = Reading::default();
    let mut all = BTreeSet::new();
    let mut before: Option<BTreeSet<u32>> = None;
    loop {
        reading = reading.next();
        let mut now = BTreeSet::new();
        for number in 1.. {
            let (entries, total) = list.page(number);
            let new = entries.iter().filter(|entry| now.insert(**entry)).count();
            let page = PageRead {
                entries: entries.len() as u64,
                new: new as u64,
                total: Some(total),
            };
            if !reading.takes_more(page) {
                break;
            }
        }
        all.extend(now.iter().copied());
        let difference = before.as_ref().map(|before| Difference {
            added: now.difference(before).count() as u64,
            gone: before.difference(&now).count() as u64,
        });
        match reading.verdict(difference) {
            ReadingVerdict::Again => before = Some(now),
            verdict @ ReadingVerdict::Uncertain => return (verdict, all),
            verdict @ (ReadingVerdict::Whole | ReadingVerdict::Steady) => return (verdict, now),
        }
    }
}

#[test]
fn a_list_that_holds_still_is_read_once() {
    for (count, pages) in [(0, 1), (1, 2), (9, 2), (10, 2), (11, 3), (35, 5)] {
        let mut list = List::new(count, 10);
        let (verdict, found) = read(&mut list);
        assert_eq!(
            (verdict, found),
            (ReadingVerdict::Whole, (0..count).collect())
        );
        assert_eq!(list.asked, pages, "{count}");
    }
}

#[test]
fn a_total_that_disagrees_is_outvoted_by_two_readings() {
    let mut list = List::new(25, 10);
    list.off = 3;
    let (verdict, found) = read(&mut list);
    assert_eq!((verdict, found.len()), (ReadingVerdict::Steady, 25));
    assert_eq!(list.asked, 8);
}

#[test]
fn a_device_that_slips_by_while_another_is_deleted_is_found_in_the_next_reading() {
    let mut list = List::new(25, 10);
    // Between the first page and the second one.
    list.changes = vec![vec![], vec![Change::Delete(0)]];
    let (verdict, found) = read(&mut list);
    assert_eq!((verdict, found), (ReadingVerdict::Whole, (1..25).collect()));
}

#[test]
fn a_list_that_never_holds_still_is_called_uncertain() {
    let mut list = List::new(25, 10);
    list.changes = (0..1000)
        .map(|at| {
            vec![if at % 2 == 0 {
                Change::Delete(0)
            } else {
                Change::Add(0)
            }]
        })
        .collect();
    assert_eq!(read(&mut list).0, ReadingVerdict::Uncertain);
    assert!(list.asked < 40);
}

#[test]
fn a_platform_that_gives_the_same_page_again_and_again_is_not_asked_for_ever() {
    let mut reading = Reading::default().next();
    let page = |new| PageRead {
        entries: 10,
        new,
        total: Some(1_000_000),
    };
    assert!(reading.takes_more(page(10)));
    let more = (0..100).take_while(|_| reading.takes_more(page(0))).count();
    assert_eq!(more, 2);
    assert_eq!(reading.verdict(None), ReadingVerdict::Again);
    // As many pages as `total` takes are enough.
    let page = |new| PageRead {
        total: Some(20),
        ..page(new)
    };
    let mut reading = Reading::default().next();
    assert!(reading.takes_more(page(10)));
    assert!(!reading.takes_more(page(0)));
}

#[test]
fn what_came_twice_proves_nothing_even_where_total_is_what_was_read() {
    let mut reading = Reading::default().next();
    for (entries, new) in [(10, 10), (2, 1), (0, 0)] {
        let total = Some(11);
        reading.takes_more(PageRead {
            entries,
            new,
            total,
        });
    }
    assert_eq!((reading.seen, reading.repeated), (11, 1));
    assert_eq!(reading.verdict(None), ReadingVerdict::Again);
}

#[test]
fn the_last_reading_is_the_fifth() {
    let mut reading = Reading::default();
    for number in 1..=READINGS {
        reading = reading.next();
        reading.takes_more(PageRead {
            entries: 0,
            new: 0,
            total: Some(1),
        });
        let expected = if number < 5 {
            ReadingVerdict::Again
        } else {
            ReadingVerdict::Uncertain
        };
        assert_eq!(reading.verdict(None), expected, "{number}");
    }
}

/// Changes of one kind: only additions, or only deletions. A device that goes while another comes can hide it.
fn changes() -> impl Strategy<Value = Vec<Vec<Change>>> {
    let some = |one: fn(usize) -> Change| {
        let at_once = prop::collection::vec((0..100_usize).prop_map(one), 0..3);
        prop::collection::vec(at_once, 0..30)
    };
    prop_oneof![some(Change::Add), some(Change::Delete)]
}

proptest! {
    #[test]
    fn nothing_that_was_there_all_the_time_is_missed_by_a_list_that_is_called_whole(
        count in 0..60_u32,
        page_size in 1..12_usize,
        changes in changes(),
        off in prop_oneof![3 => Just(0_u64), 1 => 1..4_u64],
    ) {
        let mut list = List::new(count, page_size);
        list.changes = changes;
        list.off = off;
        let (verdict, found) = read(&mut list);
        if verdict != ReadingVerdict::Uncertain {
            prop_assert!(list.constant.is_subset(&found), "{:?} of {:?}", found, list.constant);
        }
        // Never more than READINGS readings, each a few pages longer than the list ever was.
        let longest = (count as usize + 60) / page_size + 2 + IN_VAIN as usize;
        prop_assert!(list.asked as usize <= READINGS as usize * longest);
    }

    #[test]
    fn once_a_list_holds_still_it_is_read_exactly(
        count in 0..60_u32,
        page_size in 1..12_usize,
        change in (0..12_usize, any::<bool>(), 0..100_usize),
    ) {
        let (when, adds, place) = change;
        let mut list = List::new(count, page_size);
        list.changes = vec![Vec::new(); when];
        list.changes.push(vec![if adds { Change::Add(place) } else { Change::Delete(place) }]);
        let (verdict, found) = read(&mut list);
        prop_assert_ne!(verdict, ReadingVerdict::Uncertain);
        prop_assert!(list.constant.is_subset(&found));
    }
}
