//! `fleetpush cancel`: end a run by hand.

use anyhow::anyhow;

use super::resume::named;
use crate::{
    clock, engine,
    exit::{Exit, Failure},
    model::{AfterFailure, InDoubt},
    settings::Cancel as Settings,
    store::Store,
    ui::{number::counted, printer::Printer},
};

/// Ends a run: its pending tasks become skipped.
pub(super) async fn cancel(settings: Settings, printer: &Printer) -> Result<Exit, Failure> {
    let mut store = Store::open(&settings.database.path).await?;
    let run = named(&mut store, &settings.run).await?;
    let name = run.about.name.clone();
    if !run.state.is_unfinished() {
        return Err(Failure::usage(anyhow!(
            "run '{name}' is {} already; there is nothing to cancel",
            run.state.name()
        )));
    }
    let now = clock::wall_now();
    let mut journal = store.journal(run, AfterFailure::Block).await?;
    // What may have been sent is not skipped: it ends in doubt.
    engine::recover(&mut journal, InDoubt::Hold, now).await?;
    let ended = journal.cancel(now).await?;
    store.close().await?;
    printer.say(&format!(
        "run '{name}' is cancelled: {} will not be sent",
        counted(ended, "pending task")
    ));
    Ok(Exit::Complete)
}
