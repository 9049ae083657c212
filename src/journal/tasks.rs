//! The tasks of a push: how many are in which state, when the waiting ones become due, and what follows when one ends.

use std::collections::HashMap;

use super::{
    accepted_range::accepted_ranges,
    canary::CanaryState,
    counts::TaskCounts,
    step::Step,
    task_end::{Follows, PreviousTask, TaskEnd, follows},
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
        let snoozing = due.iter().filter(|due| is_throttled(due.class)).count();
        self.counts.snooze(snoozing as u64);
        self.put_off(step, due);
    }

    /// Has tasks become due that have been waiting before, or are not waiting for their device.
    pub(super) fn put_off(&mut self, step: &mut Step, due: Vec<Due>) {
        for due in &due {
            self.waiting.add(due.not_before);
        }
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
            step.ended.extend(ended.iter().map(PreviousTask::from));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        journal::waiting::Cached,
        model::{PayloadId, TaskState},
        store::EndedTask,
    };

    const NOW: Timestamp = Timestamp(1_000);

    fn tasks() -> Tasks {
        let counts = TaskCounts::new(10, [], 0, 0);
        let mut waiting = Waiting::new(None);
        waiting.found(None);
        Tasks::new(
            true,
            AfterFailure::Continue,
            counts,
            waiting,
            CanaryState::None,
        )
    }

    fn ended(task: i64, class: Class, was_due: bool) -> TaskEnd {
        let state = if class == Class::Accepted {
            TaskState::Accepted
        } else {
            TaskState::Failed
        };
        TaskEnd {
            task: EndedTask {
                task: TaskId(task),
                state,
                class: Some(class),
                code: None,
                message: None,
                ticket: None,
                request: None,
                sends: 1,
            },
            was_due,
            next_task_at: None,
        }
    }

    #[test]
    fn each_task_is_counted_as_it_ended() {
        let (mut tasks, mut step) = (tasks(), Step::new(NOW));
        let ends = [
            Class::Accepted,
            Class::Offline,
            Class::Accepted,
            Class::Accepted,
            Class::Rejected,
        ];
        let ends = (1..)
            .zip(ends)
            .map(|(task, class)| ended(task, class, false));
        tasks.end(&mut step, ends.collect());
        let found: Vec<_> = tasks
            .counts
            .ended()
            .map(|(key, n)| (key.class, n))
            .collect();
        let expected = [
            (Class::Accepted, 3),
            (Class::Offline, 1),
            (Class::Rejected, 1),
        ];
        for (class, n) in expected {
            assert!(found.contains(&(Some(class), n)), "{found:?}");
        }
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn when_a_waiting_task_has_ended_the_next_one_is_looked_up() {
        for was_due in [false, true] {
            let (mut tasks, mut step) = (tasks(), Step::new(NOW));
            // Of another request of the same step.
            step.changes.no_longer_due.push(TaskId(9));
            tasks.end(&mut step, vec![ended(1, Class::Rejected, was_due)]);
            let expected = if was_due {
                Cached::Unknown
            } else {
                Cached::Known(None)
            };
            assert_eq!(tasks.waiting.next(), expected);
            assert_eq!(step.changes.no_longer_due.len(), 1 + usize::from(was_due));
        }
    }

    #[test]
    fn only_a_throttle_leaves_a_pause() {
        for (class, throttled) in [
            (Class::Frequency, true),
            (Class::Quota, true),
            (Class::Offline, false),
        ] {
            let (mut tasks, mut step) = (tasks(), Step::new(NOW));
            tasks.end(
                &mut step,
                vec![ended(1, Class::Rejected, false), ended(2, class, false)],
            );
            assert_eq!(Tasks::has_throttled(&step), throttled, "{class:?}");
        }
    }

    #[test]
    fn a_task_that_was_sent_in_an_earlier_start_keeps_its_sends() {
        let (mut tasks, mut step) = (tasks(), Step::new(NOW));
        tasks.end(&mut step, vec![ended(1, Class::Accepted, false)]);
        let next = NextTask {
            previous: TaskId(1),
            task: TaskId(4),
            payload: PayloadId(2),
            line: 5,
            sends: 3,
        };
        let blocked = tasks
            .follow(&mut step, vec![next], &HashMap::new())
            .unwrap();
        assert!(blocked.is_empty());
        let due = &step.changes.due[0];
        assert_eq!(
            (due.task, due.history.sends, due.not_before),
            (TaskId(4), 3, NOW)
        );
    }

    #[test]
    fn only_what_waits_for_its_end_is_not_sent() {
        for (class, blocked) in [
            (None, false),
            (Some(Class::Blocked), true),
            (Some(Class::Offline), false),
        ] {
            let member = Member {
                class,
                ..Member::never_sent(TaskId(1), "DK".into())
            };
            assert_eq!(is_blocked(&member), blocked);
        }
    }
}
