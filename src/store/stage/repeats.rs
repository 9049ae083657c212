//! Which devices may have several rows, found while rows come, so that a manifest without any need not be searched for them.

use std::hash::{BuildHasher, RandomState};

/// Words of 64 bits in a block: a cache line, so that a key costs one access to memory.
const BLOCK: usize = 8;
/// Blocks: 8 MiB. Of a million keys some thirty are taken for another by chance, of ten millions one in a hundred.
const BLOCKS: usize = 1 << 17;
/// The most keys that are remembered as met before. Looking up more costs as much as searching for all.
const MOST: usize = 10_000;

/// Device keys that have been met: a blocked Bloom filter (Putze, Sanders and Singler 2007), which never takes a key that has been met for
/// a new one.
#[derive(Debug)]
pub(super) struct Repeats {
    words: Vec<u64>,
    hasher: RandomState,
    met: Met,
}

/// Keys that may have been met before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Met {
    /// These and no others.
    These(Vec<Box<str>>),
    /// Too many to name them.
    Many,
}

impl Default for Repeats {
    fn default() -> Self {
        Self {
            words: vec![0; BLOCK * BLOCKS],
            hasher: RandomState::new(),
            met: Met::These(Vec::new()),
        }
    }
}

impl Repeats {
    /// Notes a row's key.
    pub(super) fn note(&mut self, device_key: &str) {
        let Met::These(met) = &mut self.met else {
            return;
        };
        let hash = self.hasher.hash_one(device_key);
        let block = (hash >> 47) as usize * BLOCK;
        let mut is_new = false;
        // Nine bits choose one of the block's 512; four of them for a key.
        for part in 0..4 {
            let bit = (hash >> (9 * part)) as usize % (64 * BLOCK);
            let word = &mut self.words[block + bit / 64];
            let mask = 1 << (bit % 64);
            is_new |= *word & mask == 0;
            *word |= mask;
        }
        if is_new {
            return;
        }
        if met.len() < MOST {
            met.push(device_key.into());
        } else {
            self.met = Met::Many;
            // Nothing is asked of them any more.
            self.words = Vec::new();
        }
    }

    /// The keys that may have been met more than once.
    pub(super) fn met(self) -> Met {
        self.met
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn met(keys: impl Iterator<Item = String>) -> Met {
        let mut repeats = Repeats::default();
        keys.for_each(|key| repeats.note(&key));
        repeats.met()
    }

    #[test]
    fn no_repeated_key_is_missed_and_few_others_are_taken_for_one() {
        let keys = (0..200_000).map(|n| format!("8670000{n:08}"));
        let again = (0..5000).map(|n| format!("8670000{:08}", n * 37));
        let Met::These(found) = met(keys.chain(again)) else {
            panic!("there are not so many");
        };
        let found: HashSet<_> = found.iter().map(ToString::to_string).collect();
        assert!((0..5000).all(|n| found.contains(&format!("8670000{:08}", n * 37))));
        assert!(found.len() < 5200, "{} by chance", found.len() - 5000);
    }

    #[test]
    fn many_are_not_named() {
        let keys = (0..20_100).map(|n| format!("DK{}", n % 10_050));
        assert_eq!(met(keys), Met::Many);
        let keys = (0..MOST * 2).map(|n| format!("DK{}", n % MOST));
        assert!(matches!(met(keys), Met::These(found) if found.len() == MOST));
        assert_eq!(met(std::iter::empty()), Met::These(Vec::new()));
    }
}
