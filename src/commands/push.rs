//! Pushing a staged run: what `run`, `resume` and `retry` share.

mod regain;
mod through;

use std::{sync::Arc, time::Duration};

use anyhow::anyhow;

use self::through::{Through, Went};
pub(super) use super::verified::With;
use super::{
    canary::Broken,
    control::{Watch, settle},
    copied::must_be_no_copy,
    exit_code::{exit_after, exit_of},
    interrupt::Interrupt,
    limits, reading,
    receiving::Receiving,
    repeat::repeat,
    report, session, status, target,
    verified::verified,
    verify::AfterPush,
};
use crate::{
    clock::Clock,
    engine::{Options, Pushed, RolloutOptions, Stop},
    exit::{Exit, Failure},
    model::{Counts, Deadline, RunState},
    policy::{self, Rules},
    settings::{Database, Push},
    store::{Looked, Missing, Run, SessionTotals, Store, StoreError},
    throttle::Ceilings,
    ui::{
        printer::{Printer, unless_closed},
        repeat::{quoted, quoted_path},
        report::EndingLine,
        summary::{Part, Sent, Session, Summary},
    },
};

/// How long a server may take to let a push go whose end it has recorded.
const LEAVING: Duration = Duration::from_secs(10);

/// Pushes a run until it is complete or something stops it, at the latest the deadline, and prints the summary.
pub(super) async fn push(
    store: Store,
    run: Run,
    deadline: Option<Deadline>,
    settings: &Push,
    database: &Database,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Exit, Failure> {
    if let Some(deadline) = &deadline {
        printer.say(&format!("sends until {}", deadline.what));
    }
    let mut store = store;
    if let Err(failure) = must_be_no_copy(&mut store, &run, "continue").await {
        session::end_failed(&mut store, &failure).await;
        store.close().await?;
        return Err(failure);
    }
    let with = With::new(settings, database, interrupt, printer);
    let receiving = Receiving::begin(settings, database, interrupt, printer).await;
    let exit = Box::pin(send(store, run, deadline, with)).await;
    receiving.end().await;
    exit
}

async fn send(
    mut store: Store,
    run: Run,
    deadline: Option<Deadline>,
    with: With<'_>,
) -> Result<Exit, Failure> {
    let (settings, database, printer) = (with.push, with.database, with.printer);
    let clock = Clock::start();
    store.begin_session(Some(&run)).await?;
    // From here on nothing is written but what is of this run.
    store.hold_run(&run).await?;
    store.keep_to_runs().await?;
    let ready = async {
        let settings = limits::fit(settings, printer)?;
        let connection = target::connect(&settings, store.budget(), clock).await?;
        let account = target::account(&settings.target);
        if let Some(account) = account.filter(|account| run.account.as_ref() != Some(account)) {
            store.set_account(run.id, &account).await?;
        }
        store.count_sharers().await?;
        let watch = Watch::begin(&store, &run, printer)?;
        Ok::<_, Failure>((settings, connection, watch))
    };
    let ready = ready.await;
    let (settings, connection, watch) = session::noted(&mut store, ready).await?;
    let settings = &settings;
    let about = run.about.clone();
    let time_left = deadline
        .as_ref()
        .map(|deadline| clock.now().until(deadline.at));
    let with = With {
        push: settings,
        ..with
    };
    let platform = Arc::new(connection.platform);
    let through = Through {
        with,
        options: options(settings, time_left),
        platform: Arc::clone(&platform),
        clock,
        control: watch.control(),
        deadline,
    };
    let started = clock.now();
    let Went {
        mut store,
        run,
        before,
        pushed,
        after,
        ended,
    } = Box::pin(through.push(store, run)).await?;
    let Pushed {
        stop,
        requests,
        phase,
        found,
    } = match pushed {
        Ok(pushed) => pushed,
        Err(Broken::Store(error)) => return Err(broken_off(store, error).await),
        Err(Broken::Other(failure)) => {
            session::end_failed(&mut store, &failure).await;
            return Err(failure);
        }
        Err(Broken::Elsewhere) => return nothing_to_do(store, run, with).await,
    };
    let tolerance = policy::tolerance(&settings.recovery.tolerate, &ended);
    let exit = exit_after(&stop, &tolerance);
    let permission = store.permission();
    drop(watch);
    let totals = tokio::select! {
        biased;
        noted = Box::pin(note_end(&mut store, &stop, exit, printer)) => noted?,
        () = permission.ended() => return Err(StoreError::Fenced.into()),
    };
    // This ends the permission, too.
    give_back(store).await?;
    let verified = match stop {
        Stop::Complete => verified(&about.name, exit, AfterPush::of(platform), with).await,
        _ => Ok(exit),
    };
    if let Some(simulator) = connection.simulator {
        simulator.stop().await;
    }
    let session = Session {
        took: started.until(clock.now()),
        ended: after.ended() - before.ended(),
        requests,
        found,
        stop,
        phase,
        sent: sent(database, before, totals),
    };
    summarize(&about.name, Some(session), settings, database, printer).await?;
    verified
}

/// Notes how the push ended.
async fn note_end(
    store: &mut Store,
    stop: &Stop,
    exit: Exit,
    printer: &Printer,
) -> Result<Option<SessionTotals>, Failure> {
    let totals = session::end(store, stop, exit).await;
    // What has been obeyed is deleted now that it is recorded, and what came too late for the push is obeyed.
    settle(store, printer).await?;
    Ok(totals)
}

/// Gives the database back. All is recorded by now, and a lease that cannot be given back ends by itself.
async fn give_back(store: Store) -> Result<(), Failure> {
    if !store.is_on_server() {
        return Ok(store.close().await?);
    }
    if let Ok(closed) = tokio::time::timeout(LEAVING, store.close()).await {
        return Ok(closed?);
    }
    tracing::warn!("the server did not answer when its lease was given back");
    Ok(())
}

/// Fails when the page that `--report` asks for cannot be written: to be asked before anything is changed for the push.
pub(super) fn must_be_able_to_report(settings: &Push, run: &str) -> Result<(), Failure> {
    match &settings.report {
        Some(report) => report::must_be_writable(report, run),
        None => Ok(()),
    }
}

/// What a push sent, and how that relates to what was sent before.
fn sent(database: &Database, before: Counts, totals: Option<SessionTotals>) -> Option<Sent> {
    let is_retry = database
        .introduction
        .as_ref()
        .is_some_and(|introduction| introduction.command == "retry");
    let part = if is_retry {
        Part::Again
    } else if before.accepted + before.in_doubt > 0 {
        Part::Rest
    } else {
        Part::All
    };
    totals.map(|totals| Sent { totals, part })
}

/// Leaves a database that has failed under the push.
async fn broken_off(mut store: Store, error: StoreError) -> Failure {
    // Whoever has taken the lease over has ended this one's connection, which is all that a statement tells.
    let error = if store.permission().holds() {
        error
    } else {
        StoreError::Fenced
    };
    // One that another process holds or has taken over takes no note, and to wait for it would hold up the end.
    let takes_note = !matches!(
        error,
        StoreError::Busy | StoreError::TakenOver | StoreError::Fenced
    );
    if let StoreError::Gone(missing) = error {
        return gone(store, missing).await;
    }
    let failure = error.into();
    if takes_note {
        session::end_failed(&mut store, &failure).await;
    }
    failure
}

/// Saves what can be saved of a database that somebody has deleted or replaced, and says how to go on with it.
async fn gone(mut store: Store, missing: Missing) -> Failure {
    session::end_failed(&mut store, &StoreError::Gone(missing).into()).await;
    let path = std::path::PathBuf::from(store.shown());
    if missing == Missing::Log {
        // Closing moves the log, which is still open here, into the database.
        return match store.close().await {
            Ok(()) => Failure::database(anyhow!(
                "the write-ahead log of {} was deleted or replaced during the push, so the push has stopped; all results are in the database: start the same command again",
                path.display()
            )),
            Err(error) => error.into(),
        };
    }
    let failure = match store.save_aside().await {
        Ok(saved) => {
            let beside = |end: &str| quoted(&format!("{}{end}", path.display()));
            anyhow!(
                "the results database {} was deleted or replaced during the push, so the push has stopped; all results are saved as {}\nput it back before you start the same command again, or everything is sent again:\n\
                 rm -f {} {} {} && mv {} {}",
                path.display(),
                saved.display(),
                beside(""),
                beside("-wal"),
                beside("-shm"),
                quoted_path(&saved),
                beside(""),
            )
        }
        Err(error) => anyhow::Error::new(error).context(format!(
            "the results database {} was deleted or replaced during the push, and the results could not be saved; restore a \
             backup before you start the same command again, or everything is sent again",
            path.display()
        )),
    };
    // The file that is open has no name any more.
    let _ = store.close().await;
    Failure::database(failure)
}

/// Tells how a run stands to which there is nothing to add.
pub(super) async fn nothing_to_do(
    mut store: Store,
    run: Run,
    with: With<'_>,
) -> Result<Exit, Failure> {
    let (settings, database, printer) = (with.push, with.database, with.printer);
    let name = run.about.name.clone();
    let exit = exit_of(&mut store, run.clone(), settings).await?;
    session::idle(&mut store, Some(&run), "nothing", None, exit).await;
    store.close().await?;
    let verified = match run.state {
        RunState::Complete if settings.verifying.is_some() => {
            let receiving = Receiving::begin(settings, database, with.interrupt, printer).await;
            let after = AfterPush::default();
            let exit = verified(&name, exit, after, with).await;
            receiving.end().await;
            exit
        }
        _ => Ok(exit),
    };
    summarize(&name, None, settings, database, printer).await?;
    verified
}

async fn summarize(
    name: &str,
    session: Option<Session>,
    settings: &Push,
    database: &Database,
    printer: &Printer,
) -> Result<(), Failure> {
    let mut reader = reading::reader_of(&database.place).await?;
    let row = reader.find_run(Some(name)).await?;
    if let Err(failure) =
        reading::settle(&mut reader, &database.place, Looked::Run(&row), printer).await
    {
        tracing::warn!("messages are not shown: {}", failure.message());
    }
    let run = status::report_of(&mut reader, row, repeat(database)).await?;
    printer.monitor().set_status(&run);
    let ended: Vec<_> = run.endings.iter().map(EndingLine::counted).collect();
    let tolerance = policy::tolerance(&settings.recovery.tolerate, &ended);
    let summary = Summary {
        tolerance: (run.state == RunState::Complete).then_some(tolerance),
        run,
        session,
    };
    if let Err(error) = unless_closed(summary.print(printer, settings.summary_format)) {
        // The exit code tells how the run stands, whether anybody can read the rest or not.
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::warn!(
            cause = cause.unwrap_or_default(),
            "the summary is lost: {error}"
        );
    }
    if let Some(path) = &settings.report
        && let Err(failure) = report::after_push(&mut reader, name, path, database, printer).await
    {
        tracing::warn!("the report was not written: {}", failure.message());
    }
    reader.close().await?;
    Ok(())
}

/// `time_left` is how long the push may send, when that is known.
fn options(settings: &Push, time_left: Option<Duration>) -> Options {
    let recovery = &settings.recovery;
    Options {
        request_timeout: settings.timeouts.request,
        chunk_size: settings.pace.chunk_size,
        concurrency: settings.pace.concurrency as usize,
        ceilings: Ceilings {
            requests: settings.pace.rate.per_second(),
            devices: settings.pace.device_rate.per_second(),
        },
        rollout: RolloutOptions {
            canary: settings.rollout.canary,
            canary_pause: settings.rollout.canary_pause,
            devices: None,
            proof: settings.rollout.proof.clone(),
            after_proof: false,
            ramp: settings.rollout.ramp,
        },
        rules: Rules {
            max_attempts: recovery.max_attempts,
            max_snooze: recovery.max_snooze,
            in_doubt: recovery.in_doubt,
            retry_offline: recovery.retry_offline,
            offline_delay: recovery.offline_delay,
        },
        // Who has said how long the push may take has said how long it may wait.
        max_outage: match time_left {
            Some(left) if !recovery.max_outage_is_set => left,
            _ => recovery.max_outage,
        },
        drain_timeout: recovery.drain_timeout,
        abort_if: recovery.abort_if.clone(),
        override_abort: recovery.override_abort,
    }
}
