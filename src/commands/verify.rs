//! `fleetpush verify`: ask the platform what became of a run's commands, and show the evidence.
//!
//! The database is owned only while something is read or recorded, so that a push can take it at any time.

mod lent;
mod rows;

use std::sync::Arc;

use self::lent::Lent;
use super::{
    interrupt::Interrupt, limits, named::named_or_latest, named_history::NamedHistory,
    push::exit_of, repeat::repeat, session, target, thing_models,
};
use crate::{
    budget::Budget,
    clock::Clock,
    engine::{
        Asked, HistoryAsker, HistoryOptions, Stop, adopt, ask_about_commands, ask_about_doubts,
        next_doubts,
    },
    exit::{Exit, Failure},
    gateway::HistoryClient,
    journal::{
        delivery,
        verification::{self, Standing},
    },
    model::{Delivery, TaskId},
    settings::{FetchFrom, Verification as Settings},
    store::{AcceptedCommand, Run, Store},
    thing_model::Models,
    ui::{
        format::{RowWriter, writer},
        number::{counted, duration},
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

/// Everything that the work needs besides the database.
struct Work<'a, H> {
    settings: &'a Settings,
    asker: HistoryAsker<H>,
    clock: Clock,
    printer: &'a Printer,
}

/// Asks about the tasks in doubt of a run, and about its accepted commands.
pub(super) async fn verify(
    settings: Settings,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let mut lent = Lent::new(&settings.database, interrupt, printer);
    super::must_exist(&settings.database.path)?;
    let Some(mut store) = lent.take().await? else {
        return Ok(Exit::Stopped);
    };
    let run = named_or_latest(&mut store, settings.run.as_deref()).await?;
    target::must_be_of(&run, &settings.push)?;
    let push = limits::fit(&settings.push, printer)?;
    let waiting = store.resends_in_doubt(&run).await?;
    let products = products_in_doubt(&mut store, &run).await?;
    if !settings.dry_run {
        store.begin_session(Some(&run)).await?;
    }
    lent.give_back(store).await?;

    let models = models(&settings, &products, interrupt, printer).await?;
    let clock = Clock::start();
    let connection = target::connect(&push, &Budget::default(), clock).await?;
    let options = HistoryOptions {
        concurrency: push.pace.concurrency as usize,
        rate: push.pace.rate.per_second(),
        tolerance: settings.tolerance,
        max_outage: push.recovery.max_outage,
    };
    let history_client = Arc::new(NamedHistory::new(Arc::new(connection.platform), models));
    let work = Work {
        settings: &settings,
        asker: HistoryAsker::new(history_client, options, interrupt.stop()),
        clock,
        printer,
    };
    let mut rows = writer(settings.format, rows::COLUMNS, printer.stdout());
    let mut sum = Sum::default();
    let mut stop = work
        .doubts(&mut lent, &run, &mut sum, rows.as_mut())
        .await?;
    work.tell_doubts(&run, &sum, waiting);
    let mut scope = Scope::All;
    if stop.is_none() {
        (stop, scope) = work.commands(&mut lent, &run, rows.as_mut()).await?;
    }
    unless_closed(rows.finish())?;
    if let Some(simulator) = connection.simulator {
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
                "stopped, since no answer comes: {reason}; the same again goes on"
            ));
            Exit::Stopped
        }
        Stop::Complete => work.exit(&mut store, run, &scope).await?,
        _ => Exit::Stopped,
    };
    session::end(&mut store, &stop, exit).await;
    store.close().await?;
    Ok(exit)
}

/// The products of a run that has tasks in doubt.
async fn products_in_doubt(store: &mut Store, run: &Run) -> Result<Vec<String>, Failure> {
    if store.doubts(run, TaskId(0), 1).await?.is_empty() {
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
        database: settings.database.path.clone(),
    };
    thing_models::for_history(&settings.tsl, &from, products, interrupt, printer).await
}

impl<H: HistoryClient> Work<'_, H> {
    /// Asks about all tasks in doubt. Gives what has stopped it.
    async fn doubts(
        &self,
        lent: &mut Lent<'_>,
        run: &Run,
        sum: &mut Sum,
        rows: &mut dyn RowWriter,
    ) -> Result<Option<Stop>, Failure> {
        let dry_run = self.settings.dry_run;
        let mut after = TaskId(0);
        loop {
            let Some(mut store) = lent.take().await? else {
                return Ok(Some(Stop::Signal));
            };
            let doubts = next_doubts(&mut store, run, after).await?;
            lent.give_back(store).await?;
            let Some(last) = doubts.last() else {
                return Ok(None);
            };
            after = last.task;
            let (resolved, stop) = ask_about_doubts(&self.asker, doubts, || self.clock.now()).await;
            sum.asked += resolved.len() as u64;
            if dry_run {
                let adopted = resolved.iter().filter(|one| one.is_adopted());
                sum.adopted += adopted.count() as u64;
            } else {
                let Some(mut store) = lent.take().await? else {
                    return Ok(Some(Stop::Signal));
                };
                let adopted = adopt(&mut store, run, &resolved, self.clock.now()).await?;
                lent.give_back(store).await?;
                sum.adopted += adopted.accepted;
                sum.blocked += adopted.blocked;
            }
            // A reader who has gone is no reason to stop: what is found is recorded all the same.
            unless_closed(
                resolved
                    .iter()
                    .try_for_each(|one| rows::doubt(one, dry_run, rows)),
            )?;
            if stop.is_some() {
                return Ok(stop);
            }
        }
    }

    fn tell_doubts(&self, run: &Run, sum: &Sum, waiting: u64) {
        let name = &run.about.name;
        let printer = self.printer;
        printer.say(&format!(
            "run '{name}': {}",
            told(sum, self.settings.dry_run)
        ));
        let next = repeat(&self.settings.database);
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
    }

    /// Asks about accepted commands. Gives what has stopped it, and which were meant.
    async fn commands(
        &self,
        lent: &mut Lent<'_>,
        run: &Run,
        rows: &mut dyn RowWriter,
    ) -> Result<(Option<Stop>, Scope), Failure> {
        let reached = self.settings.level.reached();
        let Some(mut store) = lent.take().await? else {
            return Ok((Some(Stop::Signal), Scope::All));
        };
        let counts = store.delivery_counts(run).await?;
        let accepted: u64 = counts.iter().map(|(_, n)| n).sum();
        let (scope, questions) = match verification::drawn(self.settings.sampling, accepted) {
            None => (Scope::All, short_of(&counts, reached)),
            Some(wanted) => {
                // The same again for the same run, so that what was recorded before counts.
                let seed = run.id.0.unsigned_abs();
                let pick = |part, size| verification::pick(seed, part, size);
                let drawn = store.draw_accepted(run, wanted, pick).await?;
                let counts = store.delivery_counts_among(&drawn).await?;
                (Scope::Sample(drawn), short_of(&counts, reached))
            }
        };
        lent.give_back(store).await?;
        self.announce(questions, &scope, accepted);
        let mut after = TaskId(0);
        let mut rest: &[TaskId] = match &scope {
            Scope::All => &[],
            Scope::Sample(tasks) => tasks,
        };
        let stop = loop {
            let Some(mut store) = lent.take().await? else {
                break Some(Stop::Signal);
            };
            let (commands, is_last) = match &scope {
                Scope::All => {
                    let most = BATCH as u32;
                    let commands = store.accepted_commands(run, after, reached, most).await?;
                    let is_last = commands.is_empty();
                    (commands, is_last)
                }
                Scope::Sample(_) => {
                    let (batch, later) = rest.split_at(BATCH.min(rest.len()));
                    rest = later;
                    let commands = store.accepted_among(batch, reached).await?;
                    (commands, batch.is_empty())
                }
            };
            lent.give_back(store).await?;
            if is_last {
                break None;
            }
            after = commands.last().map_or(after, |command| command.task);
            if let Some(stop) = self.batch(lent, commands, rows).await? {
                break Some(stop);
            }
        };
        Ok((stop, scope))
    }

    /// Asks about some commands, and records what was found.
    async fn batch(
        &self,
        lent: &mut Lent<'_>,
        commands: Vec<AcceptedCommand>,
        rows: &mut dyn RowWriter,
    ) -> Result<Option<Stop>, Failure> {
        if commands.is_empty() {
            return Ok(None);
        }
        let (asked, stop) = ask_about_commands(&self.asker, commands, || self.clock.now()).await;
        let proofs: Vec<_> = asked.iter().filter_map(Asked::proof).collect();
        if !self.settings.dry_run && !proofs.is_empty() {
            let Some(mut store) = lent.take().await? else {
                return Ok(Some(Stop::Signal));
            };
            store
                .settle_deliveries(proofs, self.clock.now(), delivery::fold)
                .await?;
            lent.give_back(store).await?;
        }
        let reached = self.settings.level.reached();
        let is_short =
            |found: Option<Delivery>| found.is_none_or(|delivery| !reached.contains(&delivery));
        unless_closed(
            asked
                .iter()
                .filter(|one| is_short(one.proof().map(|proof| proof.proof.delivery)))
                .try_for_each(|one| rows::command(one, rows)),
        )?;
        Ok(stop)
    }

    /// Says how many questions there are, and how long they take.
    fn announce(&self, questions: u64, scope: &Scope, accepted: u64) {
        if questions == 0 {
            return;
        }
        let time = match self.asker.options().rate {
            Some(rate) => {
                let time = std::time::Duration::from_secs_f64(questions as f64 / rate);
                format!(", {} at {rate} a second", duration(time))
            }
            None => String::new(),
        };
        let which = match scope {
            Scope::All => String::new(),
            Scope::Sample(tasks) => format!(
                " of a sample of {} from {}",
                tasks.len(),
                counted(accepted, "accepted command")
            ),
        };
        self.printer.say(&format!(
            "asking the history about {}{which}{time}",
            counted(questions, "accepted command")
        ));
    }

    /// The exit code, once everything has been asked: the run's own, if it is not complete, else what the evidence says.
    async fn exit(&self, store: &mut Store, run: Run, scope: &Scope) -> Result<Exit, Failure> {
        let counts = match scope {
            Scope::All => store.delivery_counts(&run).await?,
            Scope::Sample(tasks) => store.delivery_counts_among(tasks).await?,
        };
        let settings = self.settings;
        let standing = verification::standing(&counts, settings.level, &settings.tolerate);
        self.tell(&counts, &standing, scope);
        // A push may have gone on with it meanwhile.
        let name = run.about.name.clone();
        let run = store.run_by_name(&name).await?.unwrap_or(run);
        let own = exit_of(store, run, &settings.push).await?;
        Ok(match own {
            Exit::Complete if !standing.is_good() => Exit::Failures,
            own => own,
        })
    }

    fn tell(&self, counts: &[(Delivery, u64)], standing: &Standing, scope: &Scope) {
        if standing.whole == 0 {
            return;
        }
        let parts: Vec<String> = counts
            .iter()
            .map(|(delivery, n)| format!("{n} {}", delivery.name()))
            .collect();
        let of_what = match scope {
            Scope::All => counted(standing.whole, "accepted command"),
            Scope::Sample(_) => format!("a sample of {}", counted(standing.whole, "command")),
        };
        self.printer
            .say(&format!("delivery of {of_what}: {}", parts.join(", ")));
        if matches!(scope, Scope::Sample(_)) {
            let (low, high) = verification::wilson(standing.reached, standing.whole);
            self.printer.say(&format!(
                "at least {}: {:.1} % of the sample, so {:.1} to {:.1} % of all accepted commands (Wilson interval, 95 % confidence)",
                self.settings.level,
                100.0 * standing.reached as f64 / standing.whole as f64,
                100.0 * low,
                100.0 * high,
            ));
        }
        for (limit, part) in &standing.exceeded {
            self.printer.say(&format!(
                "{part} of {} are {} (--tolerate '{limit}')",
                standing.whole,
                limit.counted.name()
            ));
        }
        for (counted_as, part) in &standing.untolerated {
            self.printer.say(&format!(
                "{part} of {} are {}, and no --tolerate allows it",
                standing.whole,
                counted_as.name()
            ));
        }
    }
}

/// How many have not come as far as they have to.
fn short_of(counts: &[(Delivery, u64)], reached: &[Delivery]) -> u64 {
    let short = counts
        .iter()
        .filter(|(delivery, _)| !reached.contains(delivery));
    short.map(|(_, n)| n).sum()
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
