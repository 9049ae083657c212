//! The tasks of a push: how many are in which state, when the waiting ones become due, and what follows when one ends.

use std::collections::HashMap;

use super::{
    accepted_range::accepted_ranges,
    canary::CanaryState,
    counts::TaskCounts,
    step::Step,
    task_end::{Ended, Follows, TaskEnd, follows},
    throttled::{defer_throttled, is_throttled},
    waiting::Waiting,
};
use crate::{
    model::{AfterFailure, Class, History, TaskId, Timestamp},
    store::{Due, Member, NextTask, StoreError},
};

/// What a push knows of its tasks.
#[derive(Debug)]
pub(super) struct Tasks {
    /// Whether a device has several tasks that go out in order.
    ordered: bool,
    after_failure: AfterFailure,
    pub(super) counts: TaskCounts,
    pub(super) waiting: Waiting,
    pub(super) canary: CanaryState,
}

impl Tasks {
    pub(super) fn new(
        ordered: bool,
        after_failure: AfterFailure,
        counts: TaskCounts,
        waiting: Waiting,
        canary: CanaryState,
    ) -> Self {
        Self {
            ordered,
            after_failure,
            counts,
            waiting,
            canary,
        }
    }

    /// These tasks wait until they are due.
    pub(super) fn make_due(&mut self, step: &mut Step, due: Vec<Due>) {
        for due in &due {
            self.waiting.add(due.not_before);
        }
        let snoozing = due.iter().filter(|due| is_throttled(due.class)).count();
        self.counts.snooze(snoozing as u64);
        step.changes.due.extend(due);
    }

    /// Ends these tasks. What follows for the next of their devices is decided by [`follow`](Self::follow), as long as the step has
    /// [`ended`](Step::ended) ones.
    pub(super) fn end(&mut self, step: &mut Step, mut ended: Vec<TaskEnd>) {
        ended.sort_unstable_by_key(|ending| ending.task.task);
        for alike in ended.chunk_by(|one, next| one.tally() == next.tally()) {
            self.counts.end(alike[0].tally(), alike.len() as u64);
        }
        let was_due = ended.iter().filter(|ending| ending.was_due);
        let before = step.changes.no_longer_due.len();
        step.changes
            .no_longer_due
            .extend(was_due.map(|ending| ending.task.task));
        let were_due = step.changes.no_longer_due.len() - before;
        if were_due > 0 {
            // Those of a refused payload were waiting.
            self.waiting.changed();
        }
        self.canary.leave_due(were_due);
        if self.ordered {
            step.ended.extend(ended.iter().map(Ended::from));
        }
        let (ranges, others) = accepted_ranges(ended);
        step.changes.accepted_ranges.extend(ranges);
        step.changes.ended.extend(others);
    }

    /// Whether any of the step's ended tasks leaves its device to a pause.
    pub(super) fn has_throttled(step: &Step) -> bool {
        step.ended.iter().any(|ended| is_throttled(ended.class))
    }

    /// Makes the next task of each device due, no earlier than its device rests, and gives those that are blocked instead. `next` is in
    /// the order of the ids.
    pub(super) fn follow(
        &mut self,
        step: &mut Step,
        next: Vec<NextTask>,
        rests: &HashMap<TaskId, Timestamp>,
    ) -> Result<Vec<TaskEnd>, StoreError> {
        let ended = std::mem::take(&mut step.ended);
        let mut due = Vec::new();
        let mut blocked = Vec::new();
        for next in next {
            let previous = ended
                .binary_search_by_key(&next.previous, |ended| ended.task)
                .map(|at| &ended[at])
                .map_err(|_| {
                    StoreError::Damaged("a task follows one that was not asked for".to_owned())
                })?;
            let has_room = step.cascade.has_room();
            match follows(&next, previous, self.after_failure, has_room, step.now) {
                Follows::Ends(ending) => blocked.push(ending),
                Follows::Due { not_before, class } => due.push(Due {
                    task: next.task,
                    payload: next.payload,
                    bundle: None,
                    not_before,
                    class,
                    history: History {
                        sends: next.sends,
                        ..History::default()
                    },
                }),
            }
        }
        defer_throttled(&mut due, |task| rests.get(&task).copied());
        self.canary.follow(due.len());
        self.make_due(step, due);
        step.cascade.spend(blocked.len());
        Ok(blocked)
    }
}

/// Whether a task of `due` waits for its end, and is not sent.
pub(super) fn is_blocked(member: &Member) -> bool {
    member.class == Some(Class::Blocked)
}
