//! Pushing a staged run: what `run`, `resume` and `retry` share.

mod options;
mod regain;
mod through;

use std::{sync::Arc, time::Duration};

use anyhow::anyhow;

use self::{
    options::options,
    through::{Through, Went},
};
pub(super) use super::verified::With;
use super::{
    canary::Broken,
    control::{Watch, settle},
    copied::must_be_no_copy,
    exit_code::{exit_after, exit_of},
    limits, reading,
    receiving::Receiving,
    repeat::repeat,
    report, session, status, target,
    verified::verified,
    verify::AfterPush,
};
use crate::{
    clock::Clock,
    engine::{Pushed, Stop},
    exit::{Exit, Failure},
    gateway::Platform,
    model::{Canary, Counts, Deadline, ProofAsked, RunState},
    policy,
    settings::{Database, Push},
    simulator::Simulator,
    store::{Looked, Missing, Run, SessionTotals, Store, StoreError},
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
    with: With<'_>,
) -> Result<Exit, Failure> {
    around(store, run, deadline, with, push_and_verify).await
}

/// Does what sends, unless the run is a copy, and receives messages meanwhile where that is asked for.
pub(super) async fn around<'a>(
    mut store: Store,
    run: Run,
    deadline: Option<Deadline>,
    with: With<'a>,
    send: impl AsyncFnOnce(Store, Run, Option<Deadline>, With<'a>) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    if let Some(deadline) = &deadline {
        with.printer.say(&format!("sends until {}", deadline.what));
    }
    if let Err(failure) = must_be_no_copy(&mut store, &run, "continue").await {
        session::end_failed(&mut store, &failure).await;
        store.close().await?;
        return Err(failure);
    }
    let With {
        push: settings,
        database,
        interrupt,
        printer,
    } = with;
    let receiving = Receiving::begin(settings, database, interrupt, printer).await;
    let exit = Box::pin(send(store, run, deadline, with)).await;
    receiving.end().await;
    exit
}

async fn push_and_verify(
    store: Store,
    run: Run,
    deadline: Option<Deadline>,
    with: With<'_>,
) -> Result<Exit, Failure> {
    let name = run.about.name.clone();
    let Sending {
        session,
        exit,
        platform,
        simulator,
    } = match send(store, run, deadline, with, None).await? {
        Ended::Sent(sending) => *sending,
        Ended::Elsewhere(store, run) => return nothing_to_do(*store, *run, with).await,
    };
    let verified = match session.stop {
        Stop::Complete => verified(&name, exit, AfterPush::of(platform), with).await,
        _ => Ok(exit),
    };
    if let Some(simulator) = simulator {
        simulator.stop().await;
    }
    summarize(&name, Some(session), with).await?;
    verified
}

/// How a push ended.
pub(super) enum Ended {
    Sent(Box<Sending>),
    /// While the database was lost, somebody else has ended or paused the run.
    Elsewhere(Box<Store>, Box<Run>),
}

/// A push that has ended, and given its database back.
pub(super) struct Sending {
    pub(super) session: Session,
    /// What it comes to by itself.
    pub(super) exit: Exit,
    platform: Arc<Platform>,
    simulator: Option<Simulator>,
}

impl Sending {
    /// Ends the simulator, if it was one.
    pub(super) async fn leave(self) {
        if let Some(simulator) = self.simulator {
            simulator.stop().await;
        }
    }
}

/// Pushes a run, or the part of it that this is. Into so many parts the rest is divided when what goes first has gone.
pub(super) async fn send(
    mut store: Store,
    run: Run,
    deadline: Option<Deadline>,
    with: With<'_>,
    then_parts: Option<u32>,
) -> Result<Ended, Failure> {
    let (settings, database, printer) = (with.push, with.database, with.printer);
    let clock = Clock::start();
    store.begin_session(Some(&run)).await?;
    keep_to(&mut store, &run).await?;
    let ready = async {
        let settings = limits::fit(settings, printer)?;
        let connection = target::connect(&settings, store.budget(), clock).await?;
        let account = target::account(&settings.target);
        if let Some(account) = account.filter(|account| run.account.as_ref() != Some(account)) {
            store.set_account(run.id, &account).await?;
        }
        store.look_for_sharers().await?;
        let watch = Watch::begin(&store, &run, printer)?;
        Ok::<_, Failure>((settings, connection, watch))
    };
    let ready = ready.await;
    let (settings, connection, watch) = session::noted(&mut store, ready).await?;
    let settings = &settings;
    let time_left = deadline
        .as_ref()
        .map(|deadline| clock.now().until(deadline.at));
    let with = With {
        push: settings,
        ..with
    };
    let platform = Arc::new(connection.platform);
    let mut options = options(settings, time_left);
    options.rollout.then_divide = then_parts.is_some();
    if run.part.is_some() {
        // The canary of the run has passed.
        options.rollout.canary = Canary::None;
        options.rollout.proof = ProofAsked::default();
    }
    let through = Through {
        with,
        options,
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
        Err(Broken::Elsewhere) => return Ok(Ended::Elsewhere(Box::new(store), Box::new(run))),
    };
    let tolerance = policy::tolerance(&settings.recovery.tolerate, &ended);
    let exit = exit_after(&stop, &tolerance);
    let permission = store.permission();
    drop(watch);
    let noting = async {
        if let (Stop::Divide, Some(parts)) = (&stop, then_parts) {
            let chunk_size = settings.pace.chunk_size;
            store.divide(&run, parts, chunk_size, clock.now()).await?;
        }
        note_end(&mut store, &run, &stop, exit, printer).await
    };
    let totals = tokio::select! {
        biased;
        noted = Box::pin(noting) => noted?,
        () = permission.ended() => return Err(StoreError::Fenced.into()),
    };
    // This ends the permission, too.
    give_back(store).await?;
    Ok(Ended::Sent(Box::new(Sending {
        session: Session {
            took: started.until(clock.now()),
            ended: after.ended() - before.ended(),
            requests,
            found,
            stop,
            phase,
            sent: sent(database, before, totals),
        },
        exit,
        platform,
        simulator: connection.simulator,
    })))
}

/// From here on nothing is written but what is of this run.
async fn keep_to(store: &mut Store, run: &Run) -> Result<(), StoreError> {
    store.hold_run(run).await?;
    if run.part.is_none() {
        store.gather(run.id).await?;
    }
    store.register(run).await?;
    store.keep_to_runs().await
}

/// Notes how the push ended.
async fn note_end(
    store: &mut Store,
    run: &Run,
    stop: &Stop,
    exit: Exit,
    printer: &Printer,
) -> Result<Option<SessionTotals>, Failure> {
    let totals = session::end(store, stop, exit).await;
    // What has been obeyed is deleted now that it is recorded, and what came too late for the push is obeyed. Whoever has had the last part of a
    // run does that for it.
    if run.part.is_none() {
        settle(store, printer).await?;
    }
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
    let With {
        push: settings,
        database,
        interrupt,
        printer,
    } = with;
    let name = run.about.name.clone();
    let exit = exit_of(&mut store, run.clone(), settings).await?;
    session::idle(&mut store, Some(&run), "nothing", None, exit).await;
    store.close().await?;
    let verified = match run.state {
        RunState::Complete if settings.verifying.is_some() => {
            let receiving = Receiving::begin(settings, database, interrupt, printer).await;
            let after = AfterPush::default();
            let exit = verified(&name, exit, after, with).await;
            receiving.end().await;
            exit
        }
        _ => Ok(exit),
    };
    summarize(&name, None, with).await?;
    verified
}

/// Prints how a run stands, and what this process did to it.
pub(super) async fn summarize(
    name: &str,
    session: Option<Session>,
    with: With<'_>,
) -> Result<(), Failure> {
    let (settings, database, printer) = (with.push, with.database, with.printer);
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
