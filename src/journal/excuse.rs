//! Tasks that an outage has ended count for no threshold, neither of `--abort-if` nor of a canary.

use std::collections::BTreeMap;

use super::outage::Excuse;

/// Counts of ended tasks, by what they are counted by, that are left out of thresholds.
#[derive(Debug)]
pub(crate) struct Excused<K> {
    /// Those that do not count.
    sure: BTreeMap<K, u64>,
    /// Those that count unless they turn out to belong to an outage.
    perhaps: BTreeMap<K, u64>,
    /// What has become sure since it was asked for last.
    pending: BTreeMap<K, u64>,
}

impl<K: Ord + Copy> Excused<K> {
    /// Begins with what does not count from before.
    pub(crate) fn new(before: BTreeMap<K, u64>) -> Self {
        Self {
            sure: before,
            perhaps: BTreeMap::new(),
            pending: BTreeMap::new(),
        }
    }

    /// Tasks have ended with a request; `paused` tells whether the push pauses now.
    pub(crate) fn ended(
        &mut self,
        tasks: impl Iterator<Item = K>,
        excuse: Excuse,
        answered: bool,
        paused: bool,
    ) {
        if answered {
            self.perhaps.clear();
        }
        if excuse == Excuse::No {
            return;
        }
        let mut tasks: Vec<K> = tasks.collect();
        tasks.sort_unstable();
        if excuse == Excuse::Perhaps {
            for key in tasks {
                *self.perhaps.entry(key).or_default() += 1;
            }
            return;
        }
        let row = if paused {
            std::mem::take(&mut self.perhaps)
        } else {
            BTreeMap::new()
        };
        for (key, n) in row.into_iter().chain(tasks.into_iter().map(|key| (key, 1))) {
            *self.sure.entry(key).or_default() += n;
            *self.pending.entry(key).or_default() += n;
        }
    }

    /// How many of these tasks count, of all that have ended.
    pub(crate) fn counted(&self, key: &K, all: u64) -> u64 {
        let of = |map: &BTreeMap<K, u64>| map.get(key).copied().unwrap_or_default();
        all.saturating_sub(of(&self.sure))
            .saturating_sub(of(&self.perhaps))
    }

    /// What has become sure since this was asked for last.
    pub(crate) fn take_pending(&mut self) -> BTreeMap<K, u64> {
        std::mem::take(&mut self.pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(excused: &Excused<char>, all: u64) -> (u64, u64) {
        (excused.counted(&'f', all), excused.counted(&'d', all))
    }

    #[test]
    fn what_ends_in_a_row_counts_once_the_row_is_broken() {
        let mut excused = Excused::new(BTreeMap::from([('d', 2)]));
        excused.ended("ffd".chars(), Excuse::Perhaps, false, false);
        assert_eq!(counted(&excused, 10), (8, 7));
        excused.ended("".chars(), Excuse::No, true, false);
        assert_eq!(counted(&excused, 10), (10, 8));
        assert!(excused.take_pending().is_empty());
    }

    #[test]
    fn what_ends_in_an_outage_never_counts_and_neither_does_the_row_before_it() {
        let mut excused = Excused::new(BTreeMap::new());
        excused.ended("f".chars(), Excuse::Perhaps, false, false);
        excused.ended("ff".chars(), Excuse::Yes, false, true);
        // Something was refused and says nothing of the row.
        excused.ended("ff".chars(), Excuse::No, false, true);
        excused.ended("".chars(), Excuse::No, true, false);
        // It was under way all the time.
        excused.ended("d".chars(), Excuse::Yes, false, false);
        assert_eq!(counted(&excused, 10), (7, 9));
        assert_eq!(excused.take_pending(), BTreeMap::from([('d', 1), ('f', 3)]));
        assert!(excused.take_pending().is_empty());
        assert_eq!(counted(&excused, 1), (0, 0));
    }
}
