//! Which ended tasks may be sent again.

use crate::{
    model::{Class, TaskState},
    store::Retriable,
};

/// What has not been accepted, but for bad rows of the manifest, which have nothing to send. What was blocked goes along with its blocker.
pub(crate) const RETRIABLE: Retriable = Retriable {
    states: &[TaskState::Failed, TaskState::InDoubt],
    never: Class::Invalid,
    along: (TaskState::Failed, Class::Blocked),
};

/// Whether a task that ended so may be sent again.
#[cfg(test)]
pub(crate) fn is_retriable(state: TaskState, class: Option<Class>) -> bool {
    RETRIABLE.states.contains(&state) && class.is_some_and(|class| class != RETRIABLE.never)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_failed_to_arrive_is_sent_again_and_nothing_else() {
        for (state, class, expected) in [
            (TaskState::Accepted, Some(Class::Accepted), false),
            (TaskState::Skipped, None, false),
            (TaskState::Failed, Some(Class::Offline), true),
            (TaskState::Failed, Some(Class::Blocked), true),
            (TaskState::Failed, Some(Class::Invalid), false),
            (TaskState::InDoubt, Some(Class::InDoubt), true),
        ] {
            assert_eq!(is_retriable(state, class), expected, "{state:?} {class:?}");
        }
    }
}
