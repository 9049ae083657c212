//! Pushing a staged run: what `run`, `resume` and `retry` share.

use std::sync::Arc;

use rand::{SeedableRng, rngs::SmallRng};
use tokio::sync::mpsc;

use super::{interrupt::Interrupt, status, target};
use crate::{
    clock::Clock,
    engine::{self, Context, Options, Pushed, Stop},
    exit::{Exit, Failure},
    model::{Counts, RunState},
    policy::Rules,
    settings::{Database, Push},
    store::{Reader, Run, Store},
    throttle::Ceilings,
    ui::{
        next::Repeat,
        printer::{Printer, unless_closed},
        progress,
        summary::{Session, Summary},
    },
};

/// Events that may wait for the display; the engine waits for none of them to be shown.
const EVENTS: usize = 1024;

/// Pushes a run until it is complete or something stops it, and prints the summary.
pub(super) async fn push(
    mut store: Store,
    run: Run,
    settings: &Push,
    database: &Database,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let clock = Clock::start();
    let connection = target::connect(settings, clock).await?;
    let name = run.about.name.clone();
    let options = options(settings);
    let mut journal = store.journal(run, settings.recovery.after_failure).await?;
    let before = journal.counts();
    let (events, heard) = mpsc::channel(EVENTS);
    let display = tokio::spawn(progress::watch(
        heard,
        printer.clone(),
        settings.progress,
        before,
        move || clock.now(),
    ));
    let context = Context {
        gateway: Arc::new(connection.platform),
        clock,
        random: SmallRng::from_rng(&mut rand::rng()),
        events,
        stop: interrupt.stop(),
    };
    let started = clock.now();
    let pushed = engine::push(&mut journal, &options, context).await;
    let after = journal.counts();
    // The display shows what led to an error, too.
    let _ = display.await;
    let Pushed {
        stop,
        requests,
        found,
    } = pushed?;
    store.close().await?;
    if let Some(simulator) = connection.simulator {
        simulator.stop().await;
    }
    let session = Session {
        took: started.until(clock.now()),
        ended: after.ended() - before.ended(),
        requests,
        found,
        stop: stop.clone(),
    };
    summarize(&name, Some(session), settings, database, printer).await?;
    Ok(match stop {
        Stop::Complete => complete(&after),
        Stop::Signal | Stop::Outage { .. } => Exit::Stopped,
        Stop::Aborted { .. } => Exit::Aborted,
        Stop::Refused { .. } => Exit::Refused,
    })
}

/// Tells how a run stands to which there is nothing to add.
pub(super) async fn nothing_to_do(
    mut store: Store,
    run: Run,
    settings: &Push,
    database: &Database,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let name = run.about.name.clone();
    let exit = standing(&mut store, run, settings).await?;
    store.close().await?;
    summarize(&name, None, settings, database, printer).await?;
    Ok(exit)
}

/// The exit code that tells how a run stands.
pub(super) async fn standing(
    store: &mut Store,
    run: Run,
    settings: &Push,
) -> Result<Exit, Failure> {
    Ok(match run.state {
        RunState::Complete => {
            let journal = store.journal(run, settings.recovery.after_failure).await?;
            complete(&journal.counts())
        }
        RunState::Cancelled => Exit::Failures,
        RunState::Aborted => Exit::Aborted,
        RunState::Running | RunState::Stopped => Exit::Stopped,
    })
}

/// The exit code of a run that is complete.
fn complete(counts: &Counts) -> Exit {
    if counts.failed + counts.in_doubt == 0 {
        Exit::Complete
    } else {
        Exit::Failures
    }
}

async fn summarize(
    name: &str,
    session: Option<Session>,
    settings: &Push,
    database: &Database,
    printer: &Printer,
) -> Result<(), Failure> {
    let mut reader = Reader::open(&database.path).await?;
    let run = status::report(&mut reader, name, repeat(database)).await?;
    reader.close().await?;
    unless_closed(Summary { run, session }.print(printer, settings.summary_format))?;
    Ok(())
}

/// The flags that the next command needs to find the same database.
pub(super) fn repeat(database: &Database) -> Repeat {
    Repeat {
        // Absolute, since the next command may be typed in another folder; a path without one is told as it was given.
        db: (!database.usual)
            .then(|| std::path::absolute(&database.path).unwrap_or_else(|_| database.path.clone())),
        simulate: database.simulated,
    }
}

fn options(settings: &Push) -> Options {
    let recovery = &settings.recovery;
    Options {
        chunk_size: settings.pace.chunk_size,
        concurrency: settings.pace.concurrency as usize,
        ceilings: Ceilings {
            requests: settings.pace.rate.per_second(),
            devices: settings.pace.device_rate.per_second(),
        },
        rules: Rules {
            max_attempts: recovery.max_attempts,
            max_snooze: recovery.max_snooze,
            in_doubt: recovery.in_doubt,
            retry_offline: recovery.retry_offline,
            offline_delay: recovery.offline_delay,
        },
        max_outage: recovery.max_outage,
        drain_timeout: recovery.drain_timeout,
        abort_if: recovery.abort_if,
        override_abort: recovery.override_abort,
    }
}
