//! What the end of a task means for the device's next task: it becomes due, or it ends too if it is blocked.

use crate::{
    model::{AfterFailure, Class, Tally, TaskId, TaskState, Timestamp},
    store::{Blocker, EndedTask, NextTask},
};

/// A task that ends now.
#[derive(Debug)]
pub(super) struct TaskEnd {
    pub(super) task: EndedTask,
    /// Whether it has a row in `due`.
    pub(super) was_due: bool,
    /// Before when the device's next task is not sent; at once when `None`.
    pub(super) next_task_at: Option<Timestamp>,
}

impl TaskEnd {
    /// What the task is counted by.
    pub(super) fn tally(&self) -> Tally {
        Tally {
            state: self.task.state,
            class: self.task.class,
            code: self.task.code,
        }
    }

    /// A task that is not sent, since the one before it, of this line, ended in this state.
    fn blocked(task: TaskId, line: i64, state: TaskState, sends: u32, was_due: bool) -> Self {
        Self {
            task: EndedTask {
                task,
                state: TaskState::Failed,
                class: Some(Class::Blocked),
                code: None,
                message: Some(
                    format!(
                        "not sent: the device's task of line {line} ended as {}",
                        state.name()
                    )
                    .into(),
                ),
                ticket: None,
                request: None,
                sends,
            },
            was_due,
            next_task_at: None,
        }
    }

    /// A task that has waited in `due` for its end.
    pub(super) fn by(blocker: &Blocker) -> Self {
        let Blocker {
            task,
            sends,
            line,
            state,
        } = *blocker;
        Self::blocked(task, line, state, sends, true)
    }
}

/// What a task that has ended leaves to the device's next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PreviousTask {
    pub(super) task: TaskId,
    pub(super) state: TaskState,
    pub(super) class: Option<Class>,
    pub(super) next_task_at: Option<Timestamp>,
}

impl From<&TaskEnd> for PreviousTask {
    fn from(ending: &TaskEnd) -> Self {
        Self {
            task: ending.task.task,
            state: ending.task.state,
            class: ending.task.class,
            next_task_at: ending.next_task_at,
        }
    }
}

/// What follows for the device's next task.
#[derive(Debug)]
pub(super) enum Follows {
    /// It becomes due.
    Due {
        not_before: Timestamp,
        /// Blocked when it waits for its end only, and is not sent.
        class: Option<Class>,
    },
    /// It ends too.
    Ends(TaskEnd),
}

/// What follows for the device's next task. What is blocked ends at once, or soon when the transaction has no room for it.
pub(super) fn follows(
    next: &NextTask,
    previous: &PreviousTask,
    after_failure: AfterFailure,
    has_room: bool,
    now: Timestamp,
) -> Follows {
    let stands_in_the_way = matches!(previous.state, TaskState::Failed | TaskState::InDoubt);
    let is_blocked = stands_in_the_way && after_failure == AfterFailure::Block;
    if is_blocked && has_room {
        return Follows::Ends(TaskEnd::blocked(
            next.task,
            next.line,
            previous.state,
            next.sends,
            false,
        ));
    }
    Follows::Due {
        not_before: if is_blocked {
            now
        } else {
            previous.next_task_at.unwrap_or(now)
        },
        class: is_blocked.then_some(Class::Blocked),
    }
}

/// What one transaction may still spend on ending tasks that are blocked: one for each of them, and [`ROUND`] for each step along a
/// device's tasks. A device may have 100,000 tasks, and signals and replies wait for the end of a transaction. Tasks beyond it are due
/// with the class `blocked`, and end when they are claimed, also by another process.
#[derive(Debug)]
pub(super) struct Cascade(usize);

/// What a transaction may spend.
const MOST: usize = 8000;
/// What a step costs, measured in rows.
const ROUND: usize = 20;

impl Default for Cascade {
    fn default() -> Self {
        Self(MOST)
    }
}

impl Cascade {
    /// Whether more tasks may end.
    pub(super) fn has_room(&self) -> bool {
        self.0 > 0
    }

    /// A step has ended so many tasks.
    pub(super) fn spend(&mut self, tasks: usize) {
        self.0 = self.0.saturating_sub(ROUND + tasks);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PayloadId;

    const NOW: Timestamp = Timestamp(1_000);
    const LATER: Timestamp = Timestamp(2_000);

    fn next() -> NextTask {
        NextTask {
            previous: TaskId(1),
            line: 7,
            task: TaskId(2),
            payload: PayloadId(1),
            sends: 3,
        }
    }

    /// Every way in which a task can end, with and without a pause, in both modes, with and without room.
    #[test]
    fn what_failed_or_is_in_doubt_blocks_and_nothing_else_does() {
        for state in TaskState::ALL {
            for after_failure in [AfterFailure::Block, AfterFailure::Continue] {
                for has_room in [true, false] {
                    for next_task_at in [None, Some(LATER)] {
                        let previous = PreviousTask {
                            task: TaskId(1),
                            state,
                            class: None,
                            next_task_at,
                        };
                        let blocks = after_failure == AfterFailure::Block
                            && (state == TaskState::Failed || state == TaskState::InDoubt);
                        let follows = follows(&next(), &previous, after_failure, has_room, NOW);
                        let case = (state, after_failure, has_room, next_task_at);
                        match follows {
                            Follows::Ends(ending) => {
                                assert!(blocks && has_room, "{case:?}");
                                let task = ending.task;
                                assert_eq!((task.task, task.sends), (TaskId(2), 3));
                                assert_eq!(task.state, TaskState::Failed);
                                assert_eq!(task.class, Some(Class::Blocked));
                                assert_eq!(
                                    task.message.as_deref(),
                                    Some(&*format!(
                                        "not sent: the device's task of line 7 ended as {}",
                                        state.name()
                                    ))
                                );
                                assert!(!ending.was_due && ending.next_task_at.is_none());
                            }
                            Follows::Due { not_before, class } => {
                                assert!(!blocks || !has_room, "{case:?}");
                                assert_eq!(class, blocks.then_some(Class::Blocked), "{case:?}");
                                let pause = next_task_at.filter(|_| !blocks);
                                assert_eq!(not_before, pause.unwrap_or(NOW), "{case:?}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_transaction_ends_a_bounded_number_of_tasks_in_a_bounded_number_of_steps() {
        let steps = |tasks: usize| {
            let mut cascade = Cascade::default();
            let mut steps = 0;
            while cascade.has_room() {
                cascade.spend(tasks);
                steps += 1;
            }
            steps
        };
        assert_eq!(steps(0), MOST / ROUND);
        assert_eq!(steps(MOST), 1);
        assert!(steps(1) < steps(0));
    }
}
