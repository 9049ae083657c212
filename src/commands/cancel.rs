//! `fleetpush cancel`: end a run by hand, also one that another process pushes.

use super::{
    ask::{KEPT, Reached, reach},
    end::end,
    session,
};
use crate::{
    exit::{Exit, Failure},
    model::ControlAction,
    settings::Control as Settings,
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
            let ended = end(&mut store, run, &control).await;
            let ended = session::noted(&mut store, ended).await?;
            let did = format!("{} will not be sent", counted(ended, "pending task"));
            session::end_done(&mut store, did.clone()).await;
            store.close().await?;
            printer.say(&format!("run '{name}' is cancelled: {did}"));
        }
        Reached::Obeyed(report) => printer.say(&format!(
            "run '{}' is cancelled: {} of {} sent; the others will not be sent",
            report.name,
            grouped(report.sent()),
            counted(report.counts.tasks, "task"),
        )),
        Reached::Kept => return Ok(KEPT),
    }
    Ok(Exit::Complete)
}
