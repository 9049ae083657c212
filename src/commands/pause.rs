//! `fleetpush pause`: stops a run until it is resumed, also one that another process pushes.

use super::{
    ask::{KEPT, Reached, reach, report},
    session,
};
use crate::{
    exit::{Exit, Failure},
    model::ControlAction,
    settings::Control as Settings,
    ui::{
        number::{counted, grouped},
        printer::Printer,
        report::RunReport,
    },
};

/// Pauses a run.
pub(super) async fn pause(settings: Settings, printer: &Printer) -> Result<Exit, Failure> {
    let database = &settings.database;
    let run = settings.run.as_deref();
    match reach(ControlAction::Pause, run, database, printer).await? {
        Reached::Ours(ours) => {
            let (mut store, run, control) = *ours;
            store.begin_session(Some(&run)).await?;
            store.pause(run.id, &control).await?;
            session::end_done(&mut store, "paused".to_owned()).await;
            store.close().await?;
            say(&report(database, &run.about.name).await?, printer);
        }
        Reached::Obeyed(report) => say(&report, printer),
        Reached::Kept => return Ok(KEPT),
    }
    Ok(Exit::Complete)
}

/// `run 'night' is paused: 5,312 of 20,000 tasks sent; resume with: …`
fn say(report: &RunReport, printer: &Printer) {
    let resume = report
        .repeat
        .command("resume", &report.name, &report.target, "");
    printer.say(&format!(
        "run '{}' is paused: {} of {} sent; resume with: {resume}",
        report.name,
        grouped(report.sent()),
        counted(report.counts.tasks, "task"),
    ));
}
