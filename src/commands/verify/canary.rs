//! The proof of a canary: the push waits, and verifies repeatedly, until evidence shows that the canary's commands were sent.

use std::{sync::Arc, time::Duration};

use super::{Lent, Messages, Refusals, Refused, Scope, Work, models, products, rows::NoRows};
use crate::{
    clock::Clock,
    commands::{interrupt::Interrupt, named_history::NamedHistory},
    engine::{HistoryAsker, HistoryOptions, Stop},
    exit::Failure,
    gateway::{HistoryClient, Platform},
    model::{AbortIf, Delivery},
    policy::canary_proof::{Proof, judge},
    settings::Verification as Settings,
    store::{Run, Store},
    ui::{number::duration, printer::Printer},
};

/// Between two rounds of questions at first, and at most.
const REST: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(1));

/// What the proof came to.
#[derive(Debug)]
pub(in crate::commands) enum Outcome {
    /// The other devices may go.
    Good(String),
    /// They must not.
    Bad(String),
    /// Nobody knows, since nothing can be asked.
    NoEvidence(String),
    /// Something has stopped it.
    Stopped,
}

/// Waits until evidence says whether the commands to the canary of a run were sent, at most so long as the settings say. Nothing else of the
/// run has been sent, so that its accepted commands are those to the canary. The last round of questions is asked to its end.
pub(in crate::commands) async fn prove_canary(
    store: &mut Store,
    run: &Run,
    settings: Settings,
    platform: Arc<Platform>,
    interrupt: &Interrupt,
    printer: &Printer,
) -> Result<Outcome, Failure> {
    let products = products(&settings, store, run).await?;
    let models = models(&settings, &products, interrupt, printer).await?;
    let clock = Clock::start();
    let push = &settings.push;
    let options = HistoryOptions {
        concurrency: push.pace.concurrency as usize,
        rate: push.pace.rate.per_second(),
        tolerance: settings.tolerance,
        // A platform that does not answer for so long cannot be asked.
        max_outage: push.recovery.max_outage.min(settings.wait),
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
    let mut lent = Lent::of_push(store, &settings.database, interrupt, printer);
    let mut messages = Messages::open(&settings, printer).await;
    let outcome = work.prove(&mut lent, run, messages.as_mut()).await;
    if let Some(messages) = messages {
        messages.close().await?;
    }
    outcome
}

impl<H: HistoryClient> Work<'_, H> {
    async fn prove(
        &self,
        lent: &mut Lent<'_>,
        run: &Run,
        mut messages: Option<&mut Messages>,
    ) -> Result<Outcome, Failure> {
        let abort_if = &self.settings.push.recovery.abort_if;
        let began = self.clock.now();
        let until = began.after(self.settings.wait);
        // The history is slow: messages have half of the time before it is asked.
        let mut rest = self.settings.wait / 2;
        let mut next_rest = REST.0;
        loop {
            if let Some(messages) = messages.as_deref_mut()
                && let Some(stop) = self
                    .settle_messages(lent, run, messages, (rest, self.settings.level.reached()))
                    .await?
            {
                return Ok(stopped(stop));
            }
            let known = messages.as_deref();
            let (stop, scope) = self.commands(lent, run, known, &mut NoRows).await?;
            if let Some(stop) = stop {
                return Ok(stopped(stop));
            }
            self.judge_answers(lent, run).await?;
            let counts = self.counts(lent, run, &scope).await?;
            let Some(counts) = counts else {
                return Ok(Outcome::Stopped);
            };
            let refusals = self.refused.take();
            let now = self.clock.now();
            if let Some(outcome) = self.outcome(&counts, abort_if, &refusals, now >= until) {
                return Ok(outcome);
            }
            rest = next_rest.min(now.until(until));
            next_rest = (next_rest * 2).min(REST.1);
            self.printer.say(&format!(
                "the canary is not proved yet: {}; asking again in {}, for at most {}",
                words(&counts),
                duration(rest),
                duration(now.until(until))
            ));
            let listens = match messages.as_deref_mut() {
                Some(messages) => messages.is_listened_to().await?,
                None => false,
            };
            if !listens && self.interrupt.stopped_within(rest).await {
                return Ok(Outcome::Stopped);
            }
        }
    }

    /// What follows from the evidence; `None` while there is time and more of it may come.
    fn outcome(
        &self,
        counts: &[(Delivery, u64)],
        abort_if: &AbortIf,
        refusals: &Refusals,
        is_over: bool,
    ) -> Option<Outcome> {
        match judge(counts, self.settings.level, abort_if, refusals.untold) {
            Proof::Good => Some(Outcome::Good(words(counts))),
            _ if !is_over && !counts.is_empty() => None,
            Proof::GoodSoFar => Some(Outcome::Good(words(counts))),
            Proof::Bad(reason) => Some(Outcome::Bad(reason)),
            Proof::Unknown(reason) => Some(Outcome::NoEvidence(match refusals.reason() {
                Some((refusal, _)) => format!("{reason}: {refusal}"),
                None => reason,
            })),
        }
    }

    async fn counts(
        &self,
        lent: &mut Lent<'_>,
        run: &Run,
        scope: &Scope,
    ) -> Result<Option<Vec<(Delivery, u64)>>, Failure> {
        let Some(mut store) = lent.take().await? else {
            return Ok(None);
        };
        let counts = match scope {
            Scope::All => store.delivery_counts(run).await?,
            Scope::Sample(tasks) => store.delivery_counts_among(tasks).await?,
        };
        lent.give_back(store).await?;
        Ok(Some(counts))
    }
}

fn stopped(stop: Stop) -> Outcome {
    match stop {
        Stop::Refused { reason } | Stop::Outage { reason } => Outcome::NoEvidence(reason),
        _ => Outcome::Stopped,
    }
}

/// `47 sent, 3 unknown`.
fn words(counts: &[(Delivery, u64)]) -> String {
    let parts: Vec<String> = counts
        .iter()
        .map(|(delivery, n)| format!("{n} {}", delivery.name()))
        .collect();
    parts.join(", ")
}
