//! `fleetpush cancel`: end a run by hand.

use anyhow::anyhow;

use super::{open_existing, resume::named, session};
use crate::{
    clock, engine,
    exit::{Exit, Failure},
    journal::Journal,
    model::{AfterFailure, InDoubt},
    settings::Cancel as Settings,
    store::{Run, Store},
    ui::{number::counted, printer::Printer},
};

/// Ends a run: its pending tasks become skipped.
pub(super) async fn cancel(settings: Settings, printer: &Printer) -> Result<Exit, Failure> {
    let mut store = open_existing(&settings.database, printer).await?;
    let run = named(&mut store, &settings.run).await?;
    let name = run.about.name.clone();
    if !run.state.is_unfinished() {
        return Err(Failure::usage(anyhow!(
            "run '{name}' is {} already; there is nothing to cancel",
            run.state.name()
        )));
    }
    store.begin_session(Some(&run)).await?;
    let ended = end(&mut store, run).await?;
    let did = format!("{} will not be sent", counted(ended, "pending task"));
    session::end_done(&mut store, did.clone()).await;
    store.close().await?;
    printer.say(&format!("run '{name}' is cancelled: {did}"));
    Ok(Exit::Complete)
}

/// Ends an unfinished run; gives how many of its tasks were pending.
pub(super) async fn end(store: &mut Store, run: Run) -> Result<u64, Failure> {
    let now = clock::wall_now();
    let mut journal = Journal::open(store, run, AfterFailure::Block).await?;
    // What may have been sent is not skipped: it ends in doubt.
    engine::recover(&mut journal, InDoubt::Hold, now).await?;
    Ok(journal.cancel(now).await?)
}
