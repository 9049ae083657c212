//! Accepted commands: which of them to look up in the history, and what their delivery means for the run.

use super::{BATCH, Lent, Messages, Scope, Work, rows};
use crate::{
    commands::exit_code::exit_of,
    engine::{Asked, Stop, ask_about_commands},
    exit::{Exit, Failure},
    gateway::HistoryClient,
    journal::{
        delivery,
        verification::{self, DeliverySummary},
    },
    model::{Delivery, TaskId},
    store::{AcceptedCommand, Run, Store},
    ui::{
        format::RowWriter,
        number::{counted, duration},
        printer::unless_closed,
    },
};

impl<H: HistoryClient> Work<'_, H> {
    /// Asks about accepted commands. Gives what has stopped it, and which were meant.
    pub(super) async fn commands(
        &self,
        lent: &mut Lent<'_>,
        run: &Run,
        messages: Option<&Messages>,
        rows: &mut dyn RowWriter,
    ) -> Result<(Option<Stop>, Scope), Failure> {
        let reached = self.settings.level.reached();
        let Some(mut store) = lent.take().await? else {
            return Ok((Some(Stop::Signal), Scope::All));
        };
        let counts = store.delivery_counts(run).await?;
        let accepted: u64 = counts.iter().map(|(_, n)| n).sum();
        // What messages have settled needs no question.
        let of = match messages {
            Some(_) => short_of(&counts, reached),
            None => accepted,
        };
        let (scope, questions) = match verification::drawn(self.settings.sampling, of) {
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
            if let Some(stop) = self.batch(lent, run, commands, rows).await? {
                break Some(stop);
            }
        };
        Ok((stop, scope))
    }

    /// Asks about some commands, and records what was found.
    async fn batch(
        &self,
        lent: &mut Lent<'_>,
        run: &Run,
        commands: Vec<AcceptedCommand>,
        rows: &mut dyn RowWriter,
    ) -> Result<Option<Stop>, Failure> {
        if commands.is_empty() {
            return Ok(None);
        }
        let (mut asked, stop) =
            ask_about_commands(&self.asker, commands, || self.clock.now()).await;
        for one in &mut asked {
            match &mut one.found {
                Ok(Some(proof)) => self.judge(proof),
                Ok(None) => {}
                Err(refusal) => self.refused.add(one.command.known, refusal),
            }
        }
        let proofs: Vec<_> = asked.iter().filter_map(Asked::proof).collect();
        if !self.settings.dry_run && !proofs.is_empty() {
            let Some(mut store) = lent.take().await? else {
                return Ok(Some(Stop::Signal));
            };
            store
                .settle_deliveries(run, proofs, self.clock.now(), self.fold())
                .await?;
            lent.give_back(store).await?;
        }
        let reached = self.settings.level.reached();
        let stands = |one: &Asked| delivery::after(one.command.known, one.found(), self.fold());
        unless_closed(
            asked
                .iter()
                .map(|one| (one, stands(one)))
                .filter(|(_, delivery)| !reached.contains(delivery))
                .try_for_each(|(one, delivery)| rows::command(one, delivery, rows)),
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
    pub(super) async fn exit(
        &self,
        store: &mut Store,
        run: Run,
        scope: &Scope,
    ) -> Result<Exit, Failure> {
        let counts = match scope {
            Scope::All => store.delivery_counts(&run).await?,
            Scope::Sample(tasks) => store.delivery_counts_among(tasks).await?,
        };
        let settings = self.settings;
        let summary = verification::summarize(&counts, settings.level, &settings.tolerate);
        self.tell(&counts, &summary, scope);
        let refusals = self.refused.take();
        let is_open = summary.is_open(refusals.untold);
        if let Some(words) = refusals.words() {
            let next = if is_open {
                "; nothing else is missing, so verify again later"
            } else {
                ""
            };
            self.printer.warn(&format!("{words}{next}"));
        }
        // A push may have gone on with it meanwhile.
        let name = run.about.name.clone();
        let run = store.run_by_name(&name).await?.unwrap_or(run);
        let own = exit_of(store, run, &settings.push).await?;
        Ok(match own {
            Exit::Complete if is_open => Exit::Stopped,
            Exit::Complete if !summary.is_good() => Exit::Failures,
            own => own,
        })
    }

    fn tell(&self, counts: &[(Delivery, u64)], summary: &DeliverySummary, scope: &Scope) {
        if summary.whole == 0 {
            return;
        }
        let parts: Vec<String> = counts
            .iter()
            .map(|(delivery, n)| format!("{n} {}", delivery.name()))
            .collect();
        let of_what = match scope {
            Scope::All => counted(summary.whole, "accepted command"),
            Scope::Sample(_) => format!("a sample of {}", counted(summary.whole, "command")),
        };
        self.printer
            .say(&format!("delivery of {of_what}: {}", parts.join(", ")));
        if matches!(scope, Scope::Sample(_)) {
            let (low, high) = verification::wilson(summary.reached, summary.whole);
            self.printer.say(&format!(
                "at least {}: {:.1} % of the sample, so {:.1} to {:.1} % of all accepted commands (Wilson interval, 95 % confidence)",
                self.settings.level,
                100.0 * summary.reached as f64 / summary.whole as f64,
                100.0 * low,
                100.0 * high,
            ));
        }
        for (limit, part) in &summary.exceeded {
            self.printer.say(&format!(
                "{part} of {} are {} (--tolerate '{limit}')",
                summary.whole,
                limit.counted.name()
            ));
        }
        for (counted_as, part) in &summary.untolerated {
            self.printer.say(&format!(
                "{part} of {} are {}, and no --tolerate allows it",
                summary.whole,
                counted_as.name()
            ));
        }
    }
}

/// How many have not come as far as they have to.
pub(super) fn short_of(counts: &[(Delivery, u64)], reached: &[Delivery]) -> u64 {
    let short = counts
        .iter()
        .filter(|(delivery, _)| !reached.contains(delivery));
    short.map(|(_, n)| n).sum()
}
