//! How a pending task ends when its run is cancelled.
//!
//! A store cancels all tasks of a run with statements over sets. Tests compare them with this function, task by task.

use crate::{
    model::{Class, TaskId, TaskState},
    store::{Attempt, EndedTask},
};

/// A pending task of a run that is cancelled.
#[derive(Debug, Clone)]
pub(crate) struct PendingTask {
    pub(crate) task: TaskId,
    /// Its sends so far, in their order.
    pub(crate) sends: Vec<Attempt>,
    /// What its last send came to, when it waits in `due` for the next one.
    pub(crate) waits_after: Option<Class>,
}

/// How it ends: skipped, but in doubt when any of its sends is, since nobody knows whether that was acted on, and skipped would say that
/// it was not. A last send in doubt stands with the end, and an earlier one stays among the sends.
pub(crate) fn cancelled(pending: &PendingTask) -> EndedTask {
    let last = pending.sends.last();
    let all = last.map_or(0, |last| last.number);
    let in_doubt = |attempt: &Attempt| attempt.outcome.class == Class::InDoubt;
    let ended = EndedTask {
        task: pending.task,
        state: TaskState::Skipped,
        class: None,
        code: None,
        message: Some("cancelled".into()),
        ticket: None,
        request: None,
        sends: all,
    };
    match last {
        Some(last) if pending.waits_after == Some(Class::InDoubt) => EndedTask {
            state: TaskState::InDoubt,
            class: Some(Class::InDoubt),
            code: last.outcome.code,
            message: last.outcome.message.clone(),
            request: Some(last.request),
            ..ended
        },
        _ if pending.sends.iter().any(in_doubt) => EndedTask {
            state: TaskState::InDoubt,
            class: Some(Class::InDoubt),
            message: Some("cancelled; an earlier send is in doubt".into()),
            ..ended
        },
        _ => ended,
    }
}
