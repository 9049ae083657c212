//! `fleetpush cancel`: end a run by hand, also one that another process pushes.

use super::{
    ask::{KEPT, Reached, reach},
    session,
};
use crate::{
    clock, engine,
    exit::{Exit, Failure},
    journal::Journal,
    model::{AfterFailure, Control, ControlAction, InDoubt},
    settings::Control as Settings,
    store::{Run, Store, StoreError},
    ui::{
        number::{counted, grouped},
        printer::Printer,
    },
};

/// Ends a run: its pending tasks become skipped.
pub(super) async fn cancel(settings: Settings, printer: &Printer) -> Result<Exit, Failure> {
    let run = settings.run.as_deref();
    match reach(ControlAction::Cancel, run, &settings.database, printer).await? {
        Reached::Ours(ours) => {
            let (mut store, run, control) = *ours;
            let name = run.about.name.clone();
            store.begin_session(Some(&run)).await?;
            let ended = end(&mut store, run, &control).await?;
            let did = format!("{} will not be sent", counted(ended, "pending task"));
            session::end_done(&mut store, did.clone()).await;
            store.close().await?;
            printer.say(&format!("run '{name}' is cancelled: {did}"));
        }
        Reached::Obeyed(report) => printer.say(&format!(
            "run '{}' is cancelled: {} of {} sent, and nothing more of it will be",
            report.name,
            grouped(report.sent()),
            counted(report.counts.tasks, "task"),
        )),
        Reached::Kept => return Ok(KEPT),
    }
    Ok(Exit::Complete)
}

/// Ends an unfinished run; gives how many of its tasks were pending.
pub(super) async fn end(store: &mut Store, run: Run, control: &Control) -> Result<u64, StoreError> {
    let now = clock::wall_now();
    let mut journal = Journal::open(store, run, AfterFailure::Block).await?;
    // What may have been sent is not skipped: it ends in doubt.
    engine::recover(&mut journal, InDoubt::Hold, now).await?;
    journal.cancel(control, now).await
}
