//! Which ended tasks may be sent again.

use crate::{
    model::{Class, Delivery, TaskFilter, TaskState},
    store::Retriable,
};

/// What has not been accepted, but for bad rows of the manifest, which have nothing to send. What was blocked goes along with its blocker.
pub(crate) const RETRIABLE: Retriable = Retriable {
    states: &[TaskState::Failed, TaskState::InDoubt],
    never: Class::Invalid,
    along: (TaskState::Failed, Class::Blocked),
};

/// What has been accepted, for a filter that chooses by delivery: the platform took it, and evidence says that it was not sent.
pub(crate) const UNDELIVERED: Retriable = Retriable {
    states: &[TaskState::Accepted],
    ..RETRIABLE
};

/// What this filter may choose from.
pub(crate) fn of_filter(filter: &TaskFilter) -> &'static Retriable {
    if filter.deliveries.is_empty() {
        &RETRIABLE
    } else {
        &UNDELIVERED
    }
}

/// Why commands of a delivery are not sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotAgain {
    /// The platform may still send them: nothing says that it has not, or will not.
    MayStillBeSent,
    /// They have been sent.
    Sent,
}

/// Whether commands of this delivery may be sent again: only where evidence says that the platform has not sent them and tries no more.
pub(crate) fn again(delivery: Delivery) -> Result<(), NotAgain> {
    match delivery {
        Delivery::SendFailed | Delivery::Expired => Ok(()),
        Delivery::Unknown | Delivery::Queued => Err(NotAgain::MayStillBeSent),
        Delivery::Sent | Delivery::Answered | Delivery::AnswerFailed => Err(NotAgain::Sent),
    }
}

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

    #[test]
    fn only_what_was_not_sent_by_evidence_is_sent_again() {
        for delivery in Delivery::ALL {
            let expected = match delivery {
                Delivery::SendFailed | Delivery::Expired => Ok(()),
                Delivery::Unknown | Delivery::Queued => Err(NotAgain::MayStillBeSent),
                _ => Err(NotAgain::Sent),
            };
            assert_eq!(again(delivery), expected, "{delivery:?}");
            let filter = TaskFilter {
                deliveries: vec![delivery],
                ..TaskFilter::default()
            };
            assert_eq!(of_filter(&filter).states, [TaskState::Accepted]);
        }
        assert_eq!(of_filter(&TaskFilter::default()).states, RETRIABLE.states);
    }
}
