//! Whether sending is allowed now, by the schedule and the clocks of this machine.

use anyhow::Context as _;
use jiff::tz::TimeZone;

use super::session;
use crate::{
    clock,
    exit::{Exit, Failure},
    model::{Hours, Schedule},
    store::Store,
    ui::printer::Printer,
};

/// What the schedule says of this moment.
pub(super) fn hours(schedule: &Schedule) -> Result<Hours, Failure> {
    let local = if schedule.is_local() {
        TimeZone::try_system()
            .context("the system's time zone is not known: name one after the time, as in '05:00 Europe/Oslo', or set TZ")
            .map_err(Failure::usage)?
    } else {
        TimeZone::UTC
    };
    Ok(schedule.at(clock::wall_now(), &local))
}

/// Ends a command that may send nothing now.
pub(super) async fn closed(
    mut store: Store,
    why: &str,
    printer: &Printer,
) -> Result<Exit, Failure> {
    session::idle(
        &mut store,
        None,
        "closed",
        Some(why.to_owned()),
        Exit::Stopped,
    )
    .await;
    store.close().await?;
    printer.say(why);
    Ok(Exit::Stopped)
}
