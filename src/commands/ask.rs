//! How `pause` and `cancel` reach a run that another process may be pushing: as the owner of the database if there is none, else by a
//! request to the owner.

use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::{
    control::control, named::named, open_existing_or_owner, repeat::repeat, session, status,
};
use crate::{
    exit::{Exit, Failure},
    journal::control::is_possible,
    model::{Control, ControlAction, RunState},
    settings::Database,
    store::{ControlFiles, ControlledRun, Owner, Reader, Run, RunRow, Store},
    ui::{printer::Printer, report::RunReport},
};

/// How often to look whether the owner has obeyed.
const LOOK: Duration = Duration::from_millis(100);
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
    let owner = match open_existing_or_owner(database, printer).await? {
        Ok(store) => return ours(store, run, control, database).await,
        Err(owner) => owner,
    };
    let mut reader = Reader::open(database.file()?).await?;
    let row = if let Some(name) = run {
        reader.find_run(Some(name)).await?
    } else {
        let mut rows = reader.runs().await?;
        rows.retain(|row| database.tags.are_in(&row.tags));
        meant(action, rows, |row| (row.name.clone(), row.state))?
    };
    reader.close().await?;
    must_be_possible(action, &row.name, row.state)?;
    let files = ControlFiles::of(database.file()?)?;
    let asked = ControlledRun {
        id: row.id,
        created_at: row.created_at,
    };
    // Whoever carries it out notes this command among the sessions.
    let control = Control {
        asker: database.introduction.as_ref().map(session::asker),
        ..control
    };
    files.ask(asked, &control)?;
    wait(&files, &row, control, &owner, database, printer).await
}

/// Waits until the request has been obeyed: by the owner, or by this process when the owner has ended.
async fn wait(
    files: &ControlFiles,
    row: &RunRow,
    control: Control,
    owner: &Owner,
    database: &Database,
    printer: &Printer,
) -> Result<Reached, Failure> {
    let action = control.action;
    let began = Instant::now();
    let timeout = if row.state == RunState::Running {
        PATIENCE
    } else {
        SHORT_PATIENCE
    };
    let mut is_told = false;
    loop {
        tokio::time::sleep(LOOK).await;
        // The owner may have ended.
        if let Ok(store) = open_existing_or_owner(database, printer).await? {
            return ours(store, Some(&row.name), control, database).await;
        }
        let report = report(database, &row.name).await?;
        if is_reached(action, report.state) {
            return Ok(Reached::Obeyed(Box::new(report)));
        }
        must_be_possible(action, &row.name, report.state)?;
        if files.is_begun(action, row.id) {
            if !is_told && began.elapsed() > SHORT_PATIENCE {
                is_told = true;
                printer.say(&format!(
                    "run '{}' stops after the requests in flight",
                    row.name
                ));
            }
        } else if began.elapsed() > timeout {
            printer.say(&format!(
                "run '{}': another process ({owner}) owns the database and does not push this run, or does not check for requests; \
                 {} is kept, and the next process that owns the database acts on it before it sends anything",
                row.name,
                files.path(action, row.id).display()
            ));
            return Ok(Reached::Kept);
        }
    }
}

/// The database is ours. What was asked before, also by this command, has been obeyed by the last owner or when it was opened.
async fn ours(
    mut store: Store,
    run: Option<&str>,
    control: Control,
    database: &Database,
) -> Result<Reached, Failure> {
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
        return Ok(Reached::Obeyed(Box::new(report)));
    }
    must_be_possible(control.action, &run.about.name, run.state)?;
    Ok(Reached::Ours(Box::new((store, run, control))))
}

/// How the run stands now, read beside its owner if there is one.
pub(super) async fn report(database: &Database, run: &str) -> Result<RunReport, Failure> {
    let mut reader = Reader::open(database.file()?).await?;
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
