//! `fleetpush resolve`: ask the platform what became of a run's tasks in doubt, and show the evidence.

use std::sync::Arc;

use super::{
    interrupt::Interrupt, limits, named::named_or_latest, named_history::NamedHistory,
    open_existing, push::exit_of, repeat::repeat, session, target, thing_models,
};
use crate::{
    clock::Clock,
    engine::{ResolveOptions, Resolved, Resolver, Stop},
    exit::{Exit, Failure},
    model::{Downlink, Ticket},
    policy::{Match, Verdict, Weighed},
    settings::Resolution as Settings,
    ui::{
        format::{Column, RowWriter, Value, writer},
        number::counted,
        printer::{OutputError, Printer, unless_closed},
    },
};

/// One row for each entry of a device's history, or one without an entry.
const COLUMNS: &[Column] = &[
    Column::shown("line"),
    Column::hidden("product_key"),
    Column::shown("device_key"),
    Column::shown("attempt"),
    Column::shown("sent_at"),
    Column::shown("ticket"),
    Column::shown("send_time"),
    Column::shown("send_status"),
    Column::shown("match"),
    Column::shown("verdict"),
    Column::hidden("entry_data"),
];

/// What the batches came to, all together.
#[derive(Default)]
struct Sum {
    asked: u64,
    adopted: u64,
    blocked: u64,
}

/// Asks about the tasks in doubt of a run.
pub(super) async fn resolve(
    settings: Settings,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let mut store = open_existing(&settings.database, printer).await?;
    let run = named_or_latest(&mut store, settings.run.as_deref()).await?;
    target::must_be_of(&run, &settings.push)?;
    let models = thing_models::at_hand(&settings.tsl, &settings.database.path)?;
    let push = limits::fit(&settings.push, printer)?;
    let waiting = store.resends_in_doubt(&run).await?;
    let clock = Clock::start();
    let connection = target::connect(&push, store.budget(), clock).await?;
    let pace = &push.pace;
    let options = ResolveOptions {
        concurrency: pace.concurrency as usize,
        rate: pace.rate.per_second(),
        tolerance: settings.tolerance,
        max_outage: push.recovery.max_outage,
        dry_run: settings.dry_run,
    };
    if !settings.dry_run {
        store.begin_session(Some(&run)).await?;
    }
    let mut resolver = Resolver::new(
        &mut store,
        run.clone(),
        Arc::new(NamedHistory::new(Arc::new(connection.platform), models)),
        options,
        clock,
        interrupt.stop(),
    );
    let mut rows = writer(settings.format, COLUMNS, printer.stdout());
    let mut sum = Sum::default();
    while let Some(batch) = resolver.next_batch().await? {
        sum.asked += batch.resolved.len() as u64;
        sum.adopted += batch.adopted;
        sum.blocked += batch.blocked;
        // A reader who has gone is no reason to stop: what is found is recorded all the same.
        unless_closed(
            batch
                .resolved
                .iter()
                .try_for_each(|resolved| print(resolved, settings.dry_run, rows.as_mut())),
        )?;
    }
    let stop = resolver.stop();
    unless_closed(rows.finish())?;
    if let Some(simulator) = connection.simulator {
        simulator.stop().await;
    }

    let name = &run.about.name;
    printer.say(&format!("run '{name}': {}", told(&sum, settings.dry_run)));
    let next = repeat(&settings.database);
    if sum.blocked > 0 {
        printer.say(&format!(
            "blocked by them, and failed as before: {}; to send: {}",
            counted(sum.blocked, "task"),
            next.command("retry", name, &run.about.base_url, " --class blocked")
        ));
    }
    if waiting > 0 {
        printer.say(&format!(
            "not asked about, since in line to be sent again after a send in doubt: {}; to go on with: {}",
            counted(waiting, "task"),
            next.command("resume", name, &run.about.base_url, "")
        ));
    }
    let exit = match &stop {
        Stop::Refused { reason } => {
            session::end(&mut store, &stop, Exit::Refused).await;
            return Err(Failure::refused(anyhow::anyhow!(reason.clone())));
        }
        Stop::Outage { reason } => {
            printer.warn(&format!(
                "stopped, since no answer comes: {reason}; the same again goes on"
            ));
            Exit::Stopped
        }
        Stop::Signal | Stop::Deadline { .. } | Stop::Paused { .. } | Stop::Cancelled { .. } => {
            Exit::Stopped
        }
        Stop::Complete | Stop::Aborted { .. } | Stop::Canary { .. } => {
            exit_of(&mut store, run, &push).await?
        }
    };
    session::end(&mut store, &stop, exit).await;
    store.close().await?;
    Ok(exit)
}

fn told(sum: &Sum, dry_run: bool) -> String {
    if sum.asked == 0 {
        return "no task is in doubt".to_owned();
    }
    let left = sum.asked - sum.adopted;
    let asked = counted(sum.asked, "task");
    if dry_run {
        format!(
            "{asked} in doubt; {} would be accepted, {left} would stay in doubt",
            sum.adopted
        )
    } else {
        format!(
            "{asked} in doubt asked about; {} accepted now, {left} still in doubt",
            sum.adopted
        )
    }
}

/// Prints one task's evidence.
fn print(
    resolved: &Resolved,
    dry_run: bool,
    writer: &mut dyn RowWriter,
) -> Result<(), OutputError> {
    let verdict = match &resolved.found {
        Ok(evidence) => words(&evidence.verdict, dry_run).to_owned(),
        Err(refusal) => format!("the platform tells nothing: {refusal}"),
    };
    let entries = resolved
        .found
        .as_ref()
        .map_or(&[] as &[Weighed], |evidence| &evidence.entries);
    if entries.is_empty() {
        return row(resolved, None, &verdict, writer);
    }
    entries
        .iter()
        .try_for_each(|entry| row(resolved, Some(entry), &verdict, writer))
}

fn row(
    resolved: &Resolved,
    entry: Option<&Weighed>,
    verdict: &str,
    writer: &mut dyn RowWriter,
) -> Result<(), OutputError> {
    let doubt = &resolved.doubt;
    let send = match entry {
        Some(entry) => doubt.sends.get(entry.send),
        None => doubt.sends.last(),
    };
    let downlink = entry.map(|entry| &entry.downlink);
    let told = downlink.and_then(Downlink::told).map(ToString::to_string);
    writer.row(&[
        Value::Integer(doubt.line),
        Value::Foreign(&doubt.product_key),
        Value::Foreign(&doubt.device_key),
        Value::integer(send.map(|send| send.attempt.into())),
        Value::own(send.map(|send| send.window.from)),
        Value::foreign(
            downlink
                .and_then(|downlink| downlink.ticket.as_ref())
                .map(Ticket::as_str),
        ),
        Value::own(downlink.and_then(|downlink| downlink.sent_at)),
        Value::integer(downlink.and_then(|downlink| downlink.status)),
        Value::own(entry.map(|entry| Match::name(entry.matches))),
        Value::Foreign(verdict),
        Value::foreign(told.as_deref()),
    ])
}

fn words(verdict: &Verdict, dry_run: bool) -> &'static str {
    match verdict {
        Verdict::Adopt { .. } if dry_run => "would be accepted",
        Verdict::Adopt { .. } => "accepted",
        Verdict::NoneFound => "in doubt: no entry matches",
        Verdict::Several => "in doubt: several entries may match",
        Verdict::Contested => "in doubt: another send may have made the entry",
        Verdict::Unusable => "in doubt: the entry has no ticket or no time",
        Verdict::TooMany => "in doubt: too many entries",
    }
}
