//! Which tasks of a run are meant: one filter for all commands that choose tasks.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use super::{Class, Delivery, TaskStatus, Timestamp};

/// Which tasks are meant. Each field is a condition, and what a field lists are alternatives; an empty one does not narrow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TaskFilter {
    pub(crate) statuses: Vec<TaskStatus>,
    /// The class of the last outcome.
    pub(crate) classes: Vec<Class>,
    /// The code of the last outcome.
    pub(crate) codes: Vec<RangeInclusive<i64>>,
    /// The device; `None` is any.
    pub(crate) devices: Option<Devices>,
    pub(crate) products: Vec<String>,
    /// What became of the accepted command; only accepted tasks have any.
    pub(crate) deliveries: Vec<Delivery>,
    /// Labels with the values that each may have.
    pub(crate) labels: BTreeMap<String, BTreeSet<String>>,
    /// How often the task was sent.
    pub(crate) attempts: Option<RangeInclusive<u64>>,
    /// Ended at this time or later.
    pub(crate) ended_after: Option<Timestamp>,
    /// Ended before this time.
    pub(crate) ended_before: Option<Timestamp>,
}

/// Devices by their keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Devices {
    /// Whole keys.
    pub(crate) keys: BTreeSet<String>,
    /// How keys may begin.
    pub(crate) prefixes: BTreeSet<String>,
}

impl TaskFilter {
    /// Tasks that have ended in one of these states.
    pub(crate) fn ended(states: &[super::TaskState]) -> Self {
        Self {
            statuses: states.iter().copied().map(TaskStatus::Ended).collect(),
            ..Self::default()
        }
    }

    /// Whether a task of this status passes, as far as its status goes.
    pub(crate) fn wants(&self, status: TaskStatus) -> bool {
        self.statuses.is_empty() || self.statuses.contains(&status)
    }

    /// Whether only tasks with an outcome can pass.
    pub(crate) fn needs_outcome(&self) -> bool {
        !self.classes.is_empty() || !self.codes.is_empty()
    }

    /// Whether a task with this last outcome passes, as far as that goes.
    pub(crate) fn passes_outcome(&self, class: Option<Class>, code: Option<i64>) -> bool {
        (self.classes.is_empty() || class.is_some_and(|class| self.classes.contains(&class)))
            && (self.codes.is_empty()
                || code.is_some_and(|code| self.codes.iter().any(|range| range.contains(&code))))
    }

    /// Whether it narrows by more than the status, the outcome and the device.
    pub(crate) fn needs_row(&self) -> bool {
        !self.products.is_empty()
            || !self.deliveries.is_empty()
            || !self.labels.is_empty()
            || self.attempts.is_some()
            || self.ended_after.is_some()
            || self.ended_before.is_some()
    }
}

impl Devices {
    /// Devices by words of the command line: a key, or how keys begin, with `*` at its end.
    pub(crate) fn of_patterns(patterns: impl IntoIterator<Item = String>) -> Self {
        let mut devices = Self::default();
        for pattern in patterns {
            match pattern.strip_suffix('*') {
                Some(prefix) => devices.prefixes.insert(prefix.to_owned()),
                None => devices.keys.insert(pattern),
            };
        }
        devices
    }

    /// Whether this device is among them.
    pub(crate) fn contains(&self, key: &str) -> bool {
        self.keys.contains(key)
            || self
                .prefixes
                .iter()
                .any(|prefix| key.starts_with(prefix.as_str()))
    }

    /// Those of the keys that are among these devices.
    #[must_use]
    pub(crate) fn among(&self, keys: BTreeSet<String>) -> Self {
        Self {
            keys: keys.into_iter().filter(|key| self.contains(key)).collect(),
            prefixes: BTreeSet::new(),
        }
    }

    /// The same devices, each covered once: by the shortest prefix, or else by its key.
    #[must_use]
    pub(crate) fn without_overlap(&self) -> Self {
        let mut prefixes: BTreeSet<String> = BTreeSet::new();
        // In order, a prefix comes before all that it covers.
        for prefix in &self.prefixes {
            if !prefixes
                .last()
                .is_some_and(|last| prefix.starts_with(last.as_str()))
            {
                prefixes.insert(prefix.clone());
            }
        }
        let covered = Self {
            keys: BTreeSet::new(),
            prefixes,
        };
        Self {
            keys: self
                .keys
                .iter()
                .filter(|key| !covered.contains(key))
                .cloned()
                .collect(),
            prefixes: covered.prefixes,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn devices(words: &[&str]) -> Devices {
        Devices::of_patterns(words.iter().map(ToString::to_string))
    }

    #[test]
    fn a_star_at_the_end_makes_a_prefix() {
        let devices = devices(&["86*", "A1", "B*2"]);
        for key in ["86", "860001", "A1", "B*2"] {
            assert!(devices.contains(key), "{key}");
        }
        for key in ["8", "A", "A12", "B12", "b*2"] {
            assert!(!devices.contains(key), "{key}");
        }
        assert!(super::tests::devices(&["*"]).contains("anything"));
    }

    #[test]
    fn a_list_is_narrowed_by_patterns() {
        let list = ["860001", "870001", "A1"].map(str::to_owned).into();
        assert_eq!(
            devices(&["86*", "A1", "C"]).among(list),
            devices(&["860001", "A1"])
        );
    }

    #[test]
    fn codes_are_ranges() {
        let filter = TaskFilter {
            codes: vec![61000..=61999, 200..=200],
            ..TaskFilter::default()
        };
        let passes = |code| filter.passes_outcome(None, code);
        assert!(passes(Some(61000)) && passes(Some(61999)) && passes(Some(200)));
        assert!(!passes(Some(62000)) && !passes(Some(201)) && !passes(None));
    }

    proptest! {
        #[test]
        fn what_does_not_overlap_has_the_same_devices(
            words in prop::collection::vec("[ab]{0,3}[*]?", 0..8),
            keys in prop::collection::vec("[abc]{0,4}", 0..20),
        ) {
            let all = Devices::of_patterns(words);
            let once = all.without_overlap();
            for key in &keys {
                prop_assert_eq!(all.contains(key), once.contains(key), "{}", key);
                let covers = once.prefixes.iter().filter(|prefix| key.starts_with(prefix.as_str())).count()
                    + usize::from(once.keys.contains(key));
                prop_assert!(covers <= 1, "{} is covered {} times", key, covers);
            }
        }
    }
}
