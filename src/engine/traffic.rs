//! Counts of a push's requests by their outcome. They only grow.

use std::{collections::BTreeMap, time::Duration};

use crate::model::Class;

/// The requests of a push that were answered or lost.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Traffic {
    /// How long they took, from the send to the reply or the failure.
    pub(crate) durations: Durations,
    /// What they came to for each of their devices, by class.
    pub(crate) attempts: BTreeMap<Class, u64>,
}

/// How many of the requests took how long.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Durations {
    /// By bound; the last are those that took longer.
    buckets: [u64; Self::BOUNDS.len() + 1],
    sum: Duration,
}

impl Traffic {
    /// A request has ended that took so long and came to this for its devices.
    pub(crate) fn add(&mut self, took: Duration, classes: impl IntoIterator<Item = Class>) {
        self.durations.add(took);
        for class in classes {
            *self.attempts.entry(class).or_default() += 1;
        }
    }
}

impl Durations {
    /// The longest duration of each bucket, in milliseconds: from a simulator beside the process to the longest timeout.
    const BOUNDS: [u64; 12] = [
        10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000,
    ];

    fn add(&mut self, took: Duration) {
        let is_within = |bound: &u64| took <= Duration::from_millis(*bound);
        let bucket = Self::BOUNDS.iter().position(is_within);
        self.buckets[bucket.unwrap_or(Self::BOUNDS.len())] += 1;
        self.sum += took;
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// How long they took together.
    pub(crate) fn sum(&self) -> Duration {
        self.sum
    }

    /// How many took at most so long, from the shortest bound to the longest.
    pub(crate) fn up_to(&self) -> impl Iterator<Item = (Duration, u64)> {
        let bounds = Self::BOUNDS.into_iter().map(Duration::from_millis);
        bounds.zip(self.buckets.iter().scan(0, |sum, n| {
            *sum += n;
            Some(*sum)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_in_every_bucket_that_it_fits() {
        let mut traffic = Traffic::default();
        for (milliseconds, classes) in [
            (10, vec![Class::Accepted, Class::Accepted]),
            (11, vec![Class::Accepted, Class::Frequency]),
            (60_001, vec![Class::InDoubt]),
        ] {
            traffic.add(Duration::from_millis(milliseconds), classes);
        }
        let durations = traffic.durations;
        let up_to: Vec<u64> = durations.up_to().map(|(_, n)| n).collect();
        assert_eq!(up_to[..2], [1, 2]);
        assert_eq!(up_to.last(), Some(&2), "one took longer than all bounds");
        assert_eq!(durations.count(), 3);
        assert_eq!(durations.sum(), Duration::from_millis(60_022));
        let attempts = [
            (Class::Accepted, 3),
            (Class::Frequency, 1),
            (Class::InDoubt, 1),
        ];
        assert_eq!(traffic.attempts, BTreeMap::from(attempts));
    }
}
