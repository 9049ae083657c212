//! What a process takes of a database on a server: the whole while it decides what to do, and then one run, so that several push at once, each
//! another run.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use tokio::time::sleep;

use super::{control::settle, reading, session};
use crate::{
    exit::Failure,
    model::RunState,
    settings::{Place, Server},
    store::{Run, ServerStore, Store, StoreError},
    ui::{
        number::{counted, grouped},
        printer::Printer,
    },
};

/// How long to wait for another process that decides what to push, which may stage a large fleet.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often to look whether it has.
const LOOK: Duration = Duration::from_millis(250);
/// A wait that is longer than this is told.
const NOTICE: Duration = Duration::from_secs(2);

/// Takes a database on a server for as long as it takes to decide what to do. Only one process does that at a time.
pub(super) async fn decide_on(server: &Server, printer: &Printer) -> Result<Store, StoreError> {
    let began = Instant::now();
    let mut told = false;
    loop {
        let connection = ServerStore::connect(&server.address, server.password.as_ref()).await?;
        let opened = Store::on_server(connection, &session::holder()).await;
        let Err(StoreError::Leased { holder, .. }) = &opened else {
            return opened;
        };
        if began.elapsed() >= PATIENCE {
            return opened;
        }
        if !told && began.elapsed() >= NOTICE {
            told = true;
            printer.say(&format!(
                "waiting for another process ({holder}), which stages a push or changes runs in {}",
                server.address
            ));
        }
        sleep(LOOK).await;
    }
}

/// A run that is this process's own now, as its last owner has left it.
pub(super) enum Held {
    /// It is as it was when it was read.
    Goes(Run),
    /// Somebody has ended or paused it since.
    Over(Run),
}

/// Has the run be this process's, unless another one has it. What was asked of it while it was somebody else's is obeyed before anything is
/// sent.
pub(super) async fn hold(
    store: &mut Store,
    run: Run,
    database: &Place,
    printer: &Printer,
) -> Result<Held, Failure> {
    if !store.is_on_server() {
        return Ok(Held::Goes(run));
    }
    hold_for_moments(store, &run, database).await?;
    Box::pin(settle(store, printer)).await?;
    let before = run.state;
    // Settling gives back what it has settled.
    store.hold_run(&run).await?;
    let run = store.run_by_id(run.id).await?.unwrap_or(run);
    if run.state != before && !matches!(run.state, RunState::Running | RunState::Stopped) {
        return Ok(Held::Over(run));
    }
    store.register(&run).await?;
    Ok(Held::Goes(run))
}

/// Has the run be this process's for what sends nothing of it, unless another one has it.
pub(super) async fn hold_for_moments(
    store: &mut Store,
    run: &Run,
    database: &Place,
) -> Result<(), Failure> {
    match store.hold_run(run).await {
        Err(error @ StoreError::RunHeld { .. }) => Err(under_way(error, run, database).await),
        held => Ok(held?),
    }
}

async fn under_way(error: StoreError, run: &Run, database: &Place) -> Failure {
    // A courtesy.
    let pending = async {
        let mut reader = reading::reader_of(database).await.ok()?;
        let row = reader.find_run(Some(&run.about.name)).await.ok()?;
        reader.close().await.ok()?;
        Some(format!(
            "{} of {} are pending",
            grouped(row.counts.pending),
            counted(row.counts.tasks, "task")
        ))
    };
    match pending.await {
        Some(pending) => Failure::locked(anyhow!("{error}; {pending}")),
        None => error.into(),
    }
}
