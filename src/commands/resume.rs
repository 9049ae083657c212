//! `fleetpush resume`: continue a run without its manifest at hand.

use anyhow::anyhow;

use super::{
    hold::{Held, hold},
    hours::{closed, hours},
    interrupt::Interrupt,
    named::named,
    parts::push_run,
    push::{With, must_be_able_to_report, nothing_to_do},
    stale,
    take_over::take_over,
    target,
};
use crate::{
    exit::{Exit, Failure},
    model::{Hours, RunState},
    settings::Resume as Settings,
    store::{Run, Store},
    ui::printer::Printer,
};

/// Continues a run.
pub(super) async fn resume(
    settings: Settings,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let store = take_over(
        settings.run.as_deref(),
        &settings.database,
        interrupt,
        printer,
    )
    .await?;
    let Some(mut store) = store else {
        return Ok(Exit::Stopped);
    };
    let run = match &settings.run {
        Some(name) => named(&mut store, name).await?,
        None => only_unfinished(&mut store).await?,
    };
    target::must_be_of(&run, &settings.push)?;
    let goes_on = match run.state {
        RunState::Running | RunState::Stopped | RunState::Paused => true,
        RunState::Aborted => settings.push.recovery.override_abort,
        RunState::Complete | RunState::Cancelled => false,
    };
    let with = With::new(&settings.push, &settings.database, interrupt, printer);
    if !goes_on {
        return nothing_to_do(store, run, with).await;
    }
    let deadline = match hours(&settings.push.schedule)? {
        Hours::Open(deadline) => deadline,
        Hours::Closed(why) => return closed(store, &why, printer).await,
    };
    let run = match hold(&mut store, run, &settings.database.place, printer).await? {
        Held::Goes(run) => run,
        Held::Over(run) => return nothing_to_do(store, run, with).await,
    };
    if !stale::guard(
        &mut store,
        &run,
        settings.push.allow_stale,
        interrupt,
        printer,
    )
    .await?
    {
        return Ok(Exit::Stopped);
    }
    must_be_able_to_report(&settings.push, &run.about.name)?;
    printer.say(&format!("run '{}' continues", run.about.name));
    push_run(store, run, None, deadline, with).await
}

async fn only_unfinished(store: &mut Store) -> Result<Run, Failure> {
    let mut unfinished = store.scoped_runs().await?;
    unfinished.retain(|run| run.state.is_unfinished());
    let path = store.shown();
    let tagged = tagged(store);
    match unfinished.len() {
        1 => Ok(unfinished.remove(0)),
        0 => Err(Failure::usage(anyhow!(
            "no run in {path}{tagged} is unfinished; fleetpush run starts one"
        ))),
        _ => Err(Failure::usage(anyhow!(
            "several runs in {path}{tagged} are unfinished, name one of them: {}",
            names(&unfinished)
        ))),
    }
}

/// The tags that a run needs to be meant without its name, as words.
fn tagged(store: &Store) -> String {
    if store.scope().is_empty() {
        String::new()
    } else {
        format!(" with the tags {}", store.scope())
    }
}

/// The latest of these runs by name.
fn names(runs: &[Run]) -> String {
    const MOST: usize = 10;
    let names: Vec<&str> = runs
        .iter()
        .rev()
        .take(MOST)
        .map(|run| run.about.name.as_str())
        .collect();
    let more = if runs.len() > MOST { ", …" } else { "" };
    format!("the latest are {}{more}", names.join(", "))
}
