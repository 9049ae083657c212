//! The exit code for the end of a push, or for the state of its run.

use crate::{
    engine::Stop,
    exit::{Exit, Failure},
    journal::Journal,
    model::{RunState, Tolerance},
    policy,
    settings::Push,
    store::{Run, Store},
};

/// The exit code that tells how a run stands.
pub(super) async fn exit_of(store: &mut Store, run: Run, settings: &Push) -> Result<Exit, Failure> {
    Ok(match run.state {
        RunState::Complete => {
            let journal = Journal::open(store, run, settings.recovery.after_failure).await?;
            complete(&policy::tolerance(
                &settings.recovery.tolerate,
                &journal.tally(),
            ))
        }
        RunState::Cancelled => Exit::Failures,
        RunState::Aborted => Exit::Aborted,
        RunState::Running | RunState::Stopped | RunState::Paused => Exit::Stopped,
    })
}

/// The exit code of a push that has ended so.
pub(super) fn exit_after(stop: &Stop, tolerance: &Tolerance) -> Exit {
    match stop {
        Stop::Complete => complete(tolerance),
        Stop::Signal
        | Stop::Paused { .. }
        | Stop::Deadline { .. }
        | Stop::Outage { .. }
        | Stop::Canary { .. }
        | Stop::Unproved { .. }
        | Stop::Overtaken { .. }
        | Stop::Divide
        | Stop::Elsewhere => Exit::Stopped,
        Stop::Cancelled { .. } => Exit::Failures,
        Stop::Aborted { .. } => Exit::Aborted,
        Stop::Refused { .. } => Exit::Refused,
    }
}

/// The exit code of a run that is complete.
fn complete(tolerance: &Tolerance) -> Exit {
    if tolerance.is_kept() {
        Exit::Complete
    } else {
        Exit::Failures
    }
}
