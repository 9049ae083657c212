//! How `pause` and `cancel` reach a run that another process may be pushing: as the owner of the database if there is none, else by a
//! request to the owner.

use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::{
    control::control,
    copied::{must_be_no_copy, must_be_no_copy_beside, must_have_pushes},
    named::named,
    open_existing_or_owner,
    reading::reader_of,
    repeat::repeat,
    requests_of, session, status,
};
use crate::{
    exit::{Exit, Failure},
    journal::control::is_possible,
    model::{Control, ControlAction, RunState},
    settings::{Database, Place},
    store::{
        ControlRequest, ControlRequests, ControlledRun, Owner, Run, RunRow, Store, StoreError,
    },
    ui::{printer::Printer, report::RunReport},
};

/// An owner that pushes the run looks twice a second. One that has not begun to obey after this does something else, or is an old version.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same when the run does not seem to be pushed: the owner may be about to.
const SHORT_PATIENCE: Duration = Duration::from_secs(2);

/// How the run was reached.
pub(super) enum Reached {
    /// Nobody pushes it, and the database is ours.
    Ours(Box<(Store, Run, Control)>),
    /// The process that pushes it has obeyed.
    Obeyed(Box<RunReport>),
    /// The request is kept, and nobody has obeyed yet.
    Kept,
}

/// Reaches the run that is meant, and asks the owner of the database when there is one.
pub(super) async fn reach(
    action: ControlAction,
    run: Option<&str>,
    database: &Database,
    printer: &Printer,
) -> Result<Reached, Failure> {
    let control = control(action);
    must_have_pushes(database, action.name()).await?;
    let owner = match open_existing_or_owner(database, printer).await? {
        Ok(store) => match ours(store, run, control.clone(), database).await? {
            Ok(reached) => return Ok(reached),
            Err(owner) => owner,
        },
        Err(owner) => owner,
    };
    let mut reader = reader_of(&database.place).await?;
    let row = if let Some(name) = run {
        reader.find_run(Some(name)).await?
    } else {
        let mut rows = reader.runs().await?;
        rows.retain(|row| database.tags.are_in(&row.tags));
        meant(action, rows, |row| (row.name.clone(), row.state))?
    };
    must_be_no_copy_beside(&mut reader, &row, action.name()).await?;
    reader.close().await?;
    must_be_possible(action, &row.name, row.state)?;
    let mut requests = requests_of(&database.place).await?;
    // Whoever carries it out notes this command among the sessions.
    let control = Control {
        asker: database.introduction.as_ref().map(session::asker),
        ..control
    };
    let request = ControlRequest {
        run: ControlledRun {
            id: row.id,
            created_at: row.created_at,
        },
        begun: false,
        control,
    };
    requests.ask(&request).await?;
    wait(&mut requests, &row, request, &owner, database, printer).await
}

/// Waits until the request has been obeyed: by the owner, or by this process when the owner has ended.
async fn wait(
    requests: &mut ControlRequests,
    row: &RunRow,
    request: ControlRequest,
    owner: &Owner,
    database: &Database,
    printer: &Printer,
) -> Result<Reached, Failure> {
    let action = request.control.action;
    let began = Instant::now();
    let timeout = if row.state == RunState::Running {
        PATIENCE
    } else {
        SHORT_PATIENCE
    };
    let mut is_told = false;
    loop {
        tokio::time::sleep(pause_between_looks(&database.place)).await;
        // The owner may have ended.
        if let Ok(store) = open_existing_or_owner(database, printer).await? {
            let control = request.control.clone();
            if let Ok(reached) = ours(store, Some(&row.name), control, database).await? {
                return Ok(reached);
            }
        }
        let report = report(database, &row.name).await?;
        if is_reached(action, report.state) {
            return Ok(Reached::Obeyed(Box::new(report)));
        }
        must_be_possible(action, &row.name, report.state)?;
        if requests.is_begun(action, row.id).await? {
            if !is_told && began.elapsed() > SHORT_PATIENCE {
                is_told = true;
                printer.say(&format!(
                    "run '{}' stops after the requests in flight",
                    row.name
                ));
            }
        } else if began.elapsed() > timeout {
            let (what, next) = match &database.place {
                Place::File(_) => (
                    "owns the database and does not push this run, or does not check for requests",
                    "owns the database",
                ),
                Place::Server(_) => (
                    "has the lease of the run and does not check for requests: it has died or stands still",
                    "takes the run",
                ),
            };
            printer.say(&format!(
                "run '{}': another process ({owner}) {what}; {} is kept, and the next process that {next} acts on it before it sends anything",
                row.name,
                requests.shown(&request)
            ));
            return Ok(Reached::Kept);
        }
    }
}

/// How long to wait before looking once more whether the owner has obeyed or ended. Each look connects to a server.
pub(super) fn pause_between_looks(place: &Place) -> Duration {
    Duration::from_millis(match place {
        Place::File(_) => 100,
        Place::Server(_) => 300,
    })
}

/// The database is ours. What was asked before, also by this command, has been obeyed by the last owner or when it was opened. Gives who has
/// the run if somebody else has.
async fn ours(
    mut store: Store,
    run: Option<&str>,
    control: Control,
    database: &Database,
) -> Result<Result<Reached, Owner>, Failure> {
    let run = if let Some(name) = run {
        named(&mut store, name).await?
    } else {
        let runs = store.scoped_runs().await?;
        meant(control.action, runs, |run| {
            (run.about.name.clone(), run.state)
        })?
    };
    if run.last_control.as_ref() == Some(&control.id) {
        store.close().await?;
        let report = report(database, &run.about.name).await?;
        return Ok(Ok(Reached::Obeyed(Box::new(report))));
    }
    must_be_no_copy(&mut store, &run, control.action.name()).await?;
    must_be_possible(control.action, &run.about.name, run.state)?;
    match store.hold_run(&run).await {
        Err(StoreError::RunHeld { holder, .. }) => {
            store.close().await?;
            return Ok(Err(holder));
        }
        held => held?,
    }
    Ok(Ok(Reached::Ours(Box::new((store, run, control)))))
}

/// How the run stands now, read beside its owner if there is one.
pub(super) async fn report(database: &Database, run: &str) -> Result<RunReport, Failure> {
    let mut reader = reader_of(&database.place).await?;
    let report = status::report(&mut reader, run, repeat(database)).await?;
    // A reader that stayed open would lose its locks when the database is opened again.
    reader.close().await?;
    Ok(report)
}

/// Whether the run is what the request wants it to be.
fn is_reached(action: ControlAction, state: RunState) -> bool {
    match action {
        ControlAction::Pause => state == RunState::Paused,
        ControlAction::Cancel => state == RunState::Cancelled,
    }
}

/// The run that is meant when none is named: the only one that can be paused or cancelled, or else the only one that is running.
fn meant<R>(
    action: ControlAction,
    runs: Vec<R>,
    about: impl Fn(&R) -> (String, RunState),
) -> Result<R, Failure> {
    let (mut possible, others): (Vec<R>, Vec<R>) = runs
        .into_iter()
        .partition(|run| is_possible(action, about(run).1));
    if possible.len() > 1 && action == ControlAction::Pause {
        let is_running = |run: &R| about(run).1 == RunState::Running;
        if possible.iter().filter(|run| is_running(run)).count() == 1 {
            possible.retain(is_running);
        }
    }
    match possible.len() {
        1 => Ok(possible.remove(0)),
        0 => {
            let mut unfinished = others.iter().map(&about);
            if let Some((name, state)) = unfinished.find(|(_, state)| state.is_unfinished()) {
                must_be_possible(action, &name, state)?;
            }
            Err(Failure::usage(anyhow!(
                "no run is unfinished; there is nothing to {}",
                action.name()
            )))
        }
        _ => {
            let names: Vec<String> = possible.iter().map(|run| about(run).0).collect();
            Err(Failure::usage(anyhow!(
                "several runs are unfinished; name the one to {}: {}",
                action.name(),
                names.join(", ")
            )))
        }
    }
}

/// Refuses what makes no sense for a run in this state.
fn must_be_possible(action: ControlAction, name: &str, state: RunState) -> Result<(), Failure> {
    if is_possible(action, state) {
        return Ok(());
    }
    let hint = if state == RunState::Aborted {
        "; it sends nothing until --override-abort, and fleetpush cancel ends it"
    } else {
        ""
    };
    Err(Failure::usage(anyhow!(
        "run '{name}' is {} already; there is nothing to {}{hint}",
        state.name(),
        action.name()
    )))
}

/// The exit code of a command whose request is kept: the owner of the database has it in hand.
pub(super) const KEPT: Exit = Exit::Locked;
