//! `fleetpush verify`: finds out what became of a run's commands, and shows the evidence.
//!
//! It owns the database only while it reads or records something, so a push can take the database at any time.

mod answers;
mod canary;
mod commands;
mod doubts;
mod lent;
mod messages;
mod rows;
mod untold;

use std::{path::Path, sync::Arc};

pub(super) use self::canary::{Outcome, prove_canary};
use self::{
    lent::Lent,
    messages::Messages,
    untold::{Refusals, Refused},
};
use super::{
    copied::{must_be_no_copy, must_have_pushes},
    interrupt::Interrupt,
    limits,
    named::named_or_latest,
    named_history::NamedHistory,
    receiving::Receiving,
    session, target, thing_models,
};
use crate::{
    budget::Budget,
    clock::Clock,
    engine::{HistoryAsker, HistoryOptions, Stop},
    exit::{Exit, Failure},
    gateway::{HistoryClient, Platform},
    model::{Delivery, TaskId},
    settings::{FetchFrom, Verification as Settings},
    store::{Run, Store},
    thing_model::Models,
    ui::{
        format::{RowWriter, writer},
        printer::{Printer, unless_closed},
    },
};

/// Commands that are asked about before anything is recorded: some seconds at the usual rate.
const BATCH: usize = 50;

/// What the doubts came to, all together.
#[derive(Default)]
struct Sum {
    asked: u64,
    adopted: u64,
    blocked: u64,
}

/// Which accepted commands are asked about.
enum Scope {
    All,
    Sample(Vec<TaskId>),
}

/// A push that verifies what it sent.
#[derive(Default)]
pub(super) struct AfterPush {
    /// The platform, where the push had a connection.
    platform: Option<Arc<Platform>>,
}

impl AfterPush {
    /// After a push by this platform.
    pub(super) fn of(platform: Arc<Platform>) -> Self {
        Self {
            platform: Some(platform),
        }
    }
}

/// Everything that the work needs besides the database.
struct Work<'a, H> {
    settings: &'a Settings,
    asker: HistoryAsker<H>,
    clock: Clock,
    interrupt: &'a Interrupt,
    printer: &'a Printer,
    refused: Refused,
}

/// Asks about the tasks in doubt of a run, and about its accepted commands.
pub(super) async fn verify(
    settings: Settings,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Exit, Failure> {
    if settings.dry_run {
        return find_out(settings, None, interrupt, printer).await;
    }
    super::must_exist(&settings.database)?;
    let (push, database) = (&settings.push, &settings.database);
    let receiving = Receiving::begin(push, database, interrupt, printer).await;
    let exit = Box::pin(find_out(settings, None, interrupt, printer)).await;
    receiving.end().await;
    exit
}

/// The same at the end of a push, as part of it: nothing goes to stdout, and the session is that of the push.
pub(super) async fn verify_after(
    settings: Settings,
    after: AfterPush,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Exit, Failure> {
    find_out(settings, Some(after), interrupt, printer).await
}

async fn find_out(
    settings: Settings,
    after: Option<AfterPush>,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let mut lent = Lent::new(&settings.database, interrupt, printer);
    super::must_exist(&settings.database)?;
    must_have_pushes(&settings.database, "verify").await?;
    let Some(mut store) = lent.take().await? else {
        return Ok(Exit::Stopped);
    };
    let run = named_or_latest(&mut store, settings.run.as_deref()).await?;
    must_be_no_copy(&mut store, &run, "verify").await?;
    target::must_be_of(&run, &settings.push)?;
    if !settings.dry_run {
        // Whoever sends the run has let it go when its own push comes to this.
        let waits = after.is_some();
        lent.record_about(&run, &mut store, waits).await?;
    }
    let push = limits::fit(&settings.push, printer)?;
    let waiting = store.resends_in_doubt(&run).await?;
    let products = products(&settings, &mut store, &run).await?;
    if !settings.dry_run && after.is_none() {
        store.begin_session(Some(&run)).await?;
    }
    lent.give_back(store).await?;

    let models = models(&settings, &products, interrupt, printer).await?;
    let clock = Clock::start();
    let mut rows: Box<dyn RowWriter + Send> = match &after {
        None => writer(settings.format, rows::COLUMNS, printer.stdout()),
        Some(_) => Box::new(rows::NoRows),
    };
    let (platform, simulator) = if let Some(platform) = after.and_then(|after| after.platform) {
        (platform, None)
    } else {
        let connection = target::connect(&push, &Budget::default(), clock).await?;
        if connection.simulator.is_some() {
            printer.warn(
                "the simulated platform starts empty with each command and does not know earlier pushes, so all commands are unknown to it; \
                 to try a verification, use --simulate --verify with a push, or fleetpush simulator with --base-url",
            );
        }
        (Arc::new(connection.platform), connection.simulator)
    };
    let options = HistoryOptions {
        concurrency: push.pace.concurrency as usize,
        rate: push.pace.rate.per_second(),
        tolerance: settings.tolerance,
        max_outage: push.recovery.max_outage,
    };
    let history_client = Arc::new(NamedHistory::new(platform, models));
    let work = Work {
        settings: &settings,
        asker: HistoryAsker::new(history_client, options, interrupt.stop()),
        clock,
        interrupt,
        printer,
        refused: Refused::default(),
    };
    let (stop, scope) = work.all(&mut lent, &run, waiting, rows.as_mut()).await?;
    unless_closed(rows.finish())?;
    if let Some(simulator) = simulator {
        simulator.stop().await;
    }
    let stop = stop.unwrap_or(Stop::Complete);
    let Some(mut store) = lent.take().await? else {
        return Ok(Exit::Stopped);
    };
    let exit = match &stop {
        Stop::Refused { reason } => {
            session::end(&mut store, &stop, Exit::Refused).await;
            return Err(Failure::refused(anyhow::anyhow!(reason.clone())));
        }
        Stop::Outage { reason } => {
            printer.warn(&format!(
                "stopped, because the platform does not answer: {reason}; run the same command again to continue"
            ));
            Exit::Stopped
        }
        Stop::Complete => work.exit(&mut store, run, &scope).await?,
        _ => Exit::Stopped,
    };
    session::end(&mut store, &stop, exit).await;
    lent.give_back(store).await?;
    Ok(exit)
}

impl<H: HistoryClient> Work<'_, H> {
    /// Everything, one after the other: doubts and commands by messages, then what is left by the history. `waiting` tasks are in line to
    /// be sent again. Gives what has stopped it, and which commands were meant.
    async fn all(
        &self,
        lent: &mut Lent<'_>,
        run: &Run,
        waiting: u64,
        rows: &mut dyn RowWriter,
    ) -> Result<(Option<Stop>, Scope), Failure> {
        let mut sum = Sum::default();
        // Another expectation may have judged what is kept, and what is short by this one is asked about and shown.
        self.judge_answers(lent, run).await?;
        let mut messages = Messages::open(self.settings, self.printer).await;
        let mut stop = None;
        if let Some(messages) = &mut messages {
            stop = self
                .doubts_by_messages(lent, run, messages, &mut sum, rows)
                .await?;
            if stop.is_none() {
                // An answer that is not the expected one has come, so that no message is waited for.
                let mut enough = self.settings.level.reached().to_vec();
                enough.push(Delivery::AnswerFailed);
                let until = (self.settings.wait, &*enough);
                stop = self.settle_messages(lent, run, messages, until).await?;
            }
        }
        if stop.is_none() {
            stop = self
                .doubts(lent, run, messages.as_mut(), &mut sum, rows)
                .await?;
        }
        self.tell_doubts(run, &sum, waiting);
        let mut scope = Scope::All;
        if stop.is_none() {
            (stop, scope) = self.commands(lent, run, messages.as_ref(), rows).await?;
        }
        if let Some(messages) = messages {
            messages.close().await?;
        }
        self.judge_answers(lent, run).await?;
        Ok((stop, scope))
    }
}

/// The products whose thing models are needed: of a run that has tasks in doubt, or whose answers are judged by their names.
async fn products(
    settings: &Settings,
    store: &mut Store,
    run: &Run,
) -> Result<Vec<String>, Failure> {
    if settings.expected.is_empty() && store.doubts(run, TaskId(0), 1).await?.is_empty() {
        return Ok(Vec::new());
    }
    Ok(store.products(run).await?)
}

/// The models by which histories are compared with doubts.
async fn models(
    settings: &Settings,
    products: &[String],
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Models, Failure> {
    let from = FetchFrom {
        push: settings.push.clone(),
        database: settings.database.file().ok().map(Path::to_owned),
    };
    thing_models::for_history(&settings.tsl, &from, products, interrupt, printer).await
}
