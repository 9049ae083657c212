//! How many tasks are in which state.

use std::collections::BTreeMap;

use crate::model::{Counts, Tally, TaskState};

/// What is counted of a run's tasks.
#[derive(Debug, Default)]
pub(super) struct TaskCounts {
    /// Tasks of the run.
    tasks: u64,
    /// Ended tasks by state, class and code.
    ended: BTreeMap<Tally, u64>,
    /// What has been added to that and has not been written.
    unsaved: BTreeMap<Tally, u64>,
    /// Waiting tasks whose device the platform throttles.
    snoozing: u64,
    in_flight: u64,
}

impl TaskCounts {
    /// Begins with what has ended, snoozes and is in flight.
    pub(super) fn new(
        tasks: u64,
        ended: impl IntoIterator<Item = (Tally, u64)>,
        snoozing: u64,
        in_flight: u64,
    ) -> Self {
        Self {
            tasks,
            ended: ended.into_iter().collect(),
            unsaved: BTreeMap::new(),
            snoozing,
            in_flight,
        }
    }

    /// So many more have ended.
    pub(super) fn end(&mut self, key: Tally, tasks: u64) {
        *self.ended.entry(key).or_default() += tasks;
        *self.unsaved.entry(key).or_default() += tasks;
    }

    /// So many more wait because their device is throttled.
    pub(super) fn snooze(&mut self, tasks: u64) {
        self.snoozing += tasks;
    }

    /// So many of them wait no longer.
    pub(super) fn wake(&mut self, tasks: u64) {
        self.snoozing -= tasks;
    }

    /// So many are members of a request that has been claimed.
    pub(super) fn claim(&mut self, tasks: usize) {
        self.in_flight += tasks as u64;
    }

    /// So many were members of a request that has ended.
    pub(super) fn finish(&mut self, tasks: usize) {
        self.in_flight -= tasks as u64;
    }

    /// What has been added since this was asked for last.
    pub(super) fn take_unsaved(&mut self) -> Vec<(Tally, u64)> {
        std::mem::take(&mut self.unsaved).into_iter().collect()
    }

    /// How many tasks have ended how.
    pub(super) fn ended(&self) -> impl Iterator<Item = (Tally, u64)> {
        self.ended.iter().map(|(key, n)| (*key, *n))
    }

    /// How many tasks are in which state.
    pub(super) fn counts(&self) -> Counts {
        let of = |state| {
            self.ended
                .iter()
                .filter(|(key, _)| key.state == state)
                .map(|(_, n)| n)
                .sum()
        };
        let mut counts = Counts {
            tasks: self.tasks,
            accepted: of(TaskState::Accepted),
            failed: of(TaskState::Failed),
            in_doubt: of(TaskState::InDoubt),
            skipped: of(TaskState::Skipped),
            pending: 0,
            snoozing: self.snoozing,
            in_flight: self.in_flight,
        };
        counts.pending = counts.tasks - counts.ended();
        counts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Class;

    proptest! {
        #[test]
        fn states_add_up_and_what_is_written_is_what_was_added(before in 0_u64..5, ends in prop::collection::vec((0_usize..4, any::<bool>()), 0..60)) {
            let key = |state| Tally { state, class: (state != TaskState::Skipped).then_some(Class::Rejected), code: None };
            let skipped = key(TaskState::Skipped);
            let mut counts = TaskCounts::new(100, [(skipped, before)], 0, 0);
            let mut written: BTreeMap<Tally, u64> = BTreeMap::from([(skipped, before)]);
            for (state, save) in ends {
                counts.end(key(TaskState::ALL[state]), 1);
                if save {
                    for (key, n) in counts.take_unsaved() {
                        *written.entry(key).or_default() += n;
                    }
                }
                let now = counts.counts();
                prop_assert_eq!(now.ended() + now.pending, now.tasks);
            }
            for (key, n) in counts.take_unsaved() {
                *written.entry(key).or_default() += n;
            }
            prop_assert_eq!(counts.ended().collect::<BTreeMap<_, _>>(), written);
            prop_assert!(counts.take_unsaved().is_empty());
        }
    }
}
