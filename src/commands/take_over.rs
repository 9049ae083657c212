//! Continues a run that another process may be pausing at this moment.

use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::{
    ask::pause_between_looks, interrupt::Interrupt, open_existing_or_owner, reading::reader_of,
    requests_of,
};
use crate::{
    exit::Failure,
    model::{ControlAction, RunState},
    settings::Database,
    store::{Owner, RunRow, Store, StoreError, TakenBack},
    ui::printer::Printer,
};

/// How long a process that has paused a run may take to end.
const ENDING: Duration = Duration::from_secs(5);

/// Opens the database to resume a run. A pause that nobody has obeyed yet is withdrawn; a process that is pausing the run is waited for.
/// `None` when a signal came meanwhile.
pub(super) async fn take_over(
    run: Option<&str>,
    database: &Database,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Option<Store>, Failure> {
    let began = Instant::now();
    // When the other process was seen to stop for a pause.
    let mut stopping_at: Option<Instant> = None;
    let mut is_told = false;
    loop {
        let owner = match open_existing_or_owner(database, printer).await? {
            Ok(store) => match hold_meant(store, database, run).await? {
                Ok(store) => return Ok(Some(store)),
                Err(owner) => owner,
            },
            Err(owner) => owner,
        };
        let Some(row) = meant(database, run).await else {
            return Err(owned(database, None, &owner));
        };
        let mut requests = requests_of(&database.place).await?;
        if requests.take_back(ControlAction::Pause, row.id).await? == TakenBack::Taken {
            printer.say(&format!("the pause of run '{}' is withdrawn", row.name));
        }
        if requests.is_begun(ControlAction::Pause, row.id).await? {
            stopping_at = Some(Instant::now());
        } else if row.state == RunState::Paused {
            stopping_at = stopping_at.or(Some(began));
        }
        // What was begun may have been recorded since, and its process may not have ended yet.
        if stopping_at.is_none_or(|at| at.elapsed() > ENDING) {
            return Err(owned(database, Some(&row), &owner));
        }
        if !is_told {
            is_told = true;
            printer.say(&format!(
                "run '{}' is being paused by another process ({owner}); waiting until that has ended",
                row.name
            ));
        }
        tokio::select! {
            () = tokio::time::sleep(pause_between_looks(&database.place)) => {}
            () = interrupt.stopped() => return Ok(None),
        }
    }
}

/// Makes the run that is meant this process's own, as far as it can be told which one that is; else gives who has it.
async fn hold_meant(
    mut store: Store,
    database: &Database,
    run: Option<&str>,
) -> Result<Result<Store, Owner>, Failure> {
    // The owner of a file has all of them.
    if !store.is_on_server() {
        return Ok(Ok(store));
    }
    let Some(row) = meant(database, run).await else {
        return Ok(Ok(store));
    };
    let Some(run) = store.run_by_id(row.id).await? else {
        return Ok(Ok(store));
    };
    match store.hold_run(&run).await {
        Ok(()) => Ok(Ok(store)),
        Err(StoreError::RunHeld { holder, .. }) => {
            store.close().await?;
            Ok(Err(holder))
        }
        Err(error) => Err(error.into()),
    }
}

/// The run that is meant, read beside its owner; `None` when that cannot be told.
async fn meant(database: &Database, run: Option<&str>) -> Option<RunRow> {
    let mut reader = reader_of(&database.place).await.ok()?;
    let found = if let Some(name) = run {
        reader.find_run(Some(name)).await.ok()
    } else {
        let mut rows = reader.runs().await.ok()?;
        rows.retain(|row| row.state.is_unfinished() && database.tags.are_in(&row.tags));
        (rows.len() == 1).then(|| rows.remove(0))
    };
    // A reader that stays open would lose its locks when the database is opened again.
    reader.close().await.ok()?;
    found
}

fn owned(database: &Database, row: Option<&RunRow>, owner: &Owner) -> Failure {
    let path = &database.place;
    match row {
        Some(row) if row.state == RunState::Running => Failure::locked(anyhow!(
            "run '{}' is under way: another process ({owner}) owns the database {path}; there is nothing to resume",
            row.name
        )),
        _ => Failure::locked(anyhow!(
            "the database {path} is owned by another process ({owner}); wait until it ends, or stop it with fleetpush pause"
        )),
    }
}
