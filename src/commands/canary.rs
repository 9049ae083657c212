//! A push whose canary must be proved: it stops after the canary, and continues when the canary is proved.

use std::{convert::Infallible, sync::Arc, time::Duration};

use rand::{SeedableRng, rngs::SmallRng};
use tokio::sync::{mpsc::Sender, watch};

use super::{
    canary_check::{Checked, check},
    canary_devices::named,
    interrupt::Interrupt,
    verified::With,
    verify::{Outcome, prove_canary},
};
use crate::{
    clock::Clock,
    engine::{self, Context, Event, Options, Pushed, Stop},
    exit::Failure,
    gateway::Platform,
    journal::Journal,
    model::{CanaryProof, CanaryVerify, Control, Counts, Deadline, RunState},
    store::{InboxError, StoreError},
    ui::number::duration,
};

/// What a push needs besides its journal.
pub(super) struct Pushing<'a> {
    pub(super) with: With<'a>,
    pub(super) platform: Arc<Platform>,
    pub(super) clock: Clock,
    pub(super) events: Sender<Event>,
    pub(super) control: watch::Receiver<Option<Control>>,
    pub(super) deadline: Option<Deadline>,
    pub(super) options: Options,
}

/// Why a push broke off.
pub(super) enum Broken {
    /// The database failed.
    Store(StoreError),
    /// Something else did.
    Other(Failure),
    /// While it was lost, somebody else has ended or paused the run.
    Elsewhere,
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A server that was lost while the canary was verified is waited for, as it is at any other time.
impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        let failure = match failure.downcast::<StoreError>() {
            Ok(error) => return Self::Store(error),
            Err(failure) => failure,
        };
        match failure.downcast::<InboxError>() {
            Ok(InboxError::Sql(error)) => Self::Store(error.into()),
            Ok(error) => Self::Other(error.into()),
            Err(failure) => Self::Other(failure),
        }
    }
}

/// How often those who listen to a push hear of it while it waits.
const BEAT: Duration = Duration::from_secs(1);

impl Pushing<'_> {
    /// Pushes, and waits for the proof of the canary when that is over.
    pub(super) async fn push(&self, journal: &mut Journal<'_>) -> Result<Pushed, Broken> {
        let mut options = self.options.clone();
        if let Some(path) = &self.with.push.rollout.canary_devices {
            let named = named(journal, path, self.with.printer).await;
            options.rollout.devices = Some(named?);
        }
        let mut requests = 0;
        loop {
            let mut pushed = engine::push(journal, &options, self.context()).await?;
            requests += pushed.requests;
            pushed.requests = requests;
            let Stop::Unproved { reason: went } = &pushed.stop else {
                self.warn_of_idle_conditions(journal).await?;
                return Ok(pushed);
            };
            let stop = self.prove(journal, went, requests).await?;
            if let Some(stop) = stop {
                let state = match stop {
                    Stop::Aborted { .. } => RunState::Aborted,
                    _ => RunState::Stopped,
                };
                journal.end(state, self.clock.now()).await?;
                return Ok(Pushed { stop, ..pushed });
            }
            options.rollout.after_proof = true;
        }
    }

    fn context(&self) -> Context<Platform> {
        let interrupt = self.with.interrupt;
        Context {
            gateway: Arc::clone(&self.platform),
            clock: self.clock,
            random: SmallRng::from_rng(&mut rand::rng()),
            events: self.events.clone(),
            stop: interrupt.stop(),
            leave: interrupt.leave(),
            control: self.control.clone(),
            deadline: self.deadline.clone(),
        }
    }

    /// Waits for what the canary has to prove. Gives why the push stops, if it does; what else has stopped it the push itself hears.
    async fn prove(
        &self,
        journal: &mut Journal<'_>,
        went: &str,
        requests: u64,
    ) -> Result<Option<Stop>, Broken> {
        let printer = self.with.printer;
        let proof = journal.canary_proof().await?.unwrap_or_default();
        let counts = journal.counts();
        let (interrupt, _guard) = self.interrupt();
        let bad = |reason: String| {
            Some(Stop::Aborted {
                reason: format!("the canary is not good: {reason}"),
            })
        };
        if let Some(wait) = proof.evidence() {
            printer.say(&format!(
                "{went}; waiting up to {} for evidence of them before sending to the other devices",
                duration(wait)
            ));
            let evidence = self.evidence(journal, &proof, wait, &interrupt);
            let outcome = tokio::select! {
                outcome = evidence => outcome,
                never = self.beat(counts, requests) => match never {},
            };
            match outcome? {
                Outcome::Good(words) => {
                    printer.say(&format!("the canary is proved: {words}"));
                    journal.canary_is_proved(self.clock.now()).await?;
                }
                Outcome::Stopped => return Ok(None),
                Outcome::Bad(reason) => return Ok(bad(reason)),
                Outcome::NoEvidence(reason) => {
                    return Ok(Some(Stop::Unproved {
                        reason: format!(
                            "{reason}; nothing was sent to the other devices: start the same command again when the platform answers, or with \
                             --canary-verify none to go on without evidence"
                        ),
                    }));
                }
            }
        }
        if let Some(command) = proof.open_check() {
            let (store, run) = journal.store_and_run();
            let checked = check(command, store, &run, &interrupt, printer);
            let checked = tokio::select! {
                checked = checked => checked,
                never = self.beat(counts, requests) => match never {},
            };
            match checked? {
                Checked::Passed => {
                    printer.say("the canary has passed its check");
                    journal.canary_is_checked(self.clock.now()).await?;
                }
                Checked::Stopped => {}
                Checked::Failed(reason) => return Ok(bad(reason)),
            }
        }
        Ok(None)
    }

    async fn evidence(
        &self,
        journal: &mut Journal<'_>,
        proof: &CanaryProof,
        wait: Duration,
        interrupt: &Interrupt,
    ) -> Result<Outcome, Failure> {
        let With {
            push,
            database,
            printer,
            ..
        } = self.with;
        let verifying = push.verifying_canary.for_canary(proof, wait);
        let (store, run) = journal.store_and_run();
        let settings = verifying.of(&run.about.name, push, database);
        let platform = Arc::clone(&self.platform);
        prove_canary(store, &run, settings, platform, interrupt, printer).await
    }

    /// Stops with a signal, with what is asked of the run, and at the end of the push's time.
    fn interrupt(&self) -> (Interrupt, tokio::task::JoinSet<()>) {
        let mut control = self.control.clone();
        let left = self
            .deadline
            .as_ref()
            .map(|deadline| self.clock.now().until(deadline.at));
        self.with.interrupt.or(async move {
            let asked = async {
                if control.wait_for(Option::is_some).await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            let over = async {
                match left {
                    Some(left) => tokio::time::sleep(left).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = asked => {}
                () = over => {}
            }
        })
    }

    /// Tells the counts every second, as the engine does: whoever watches the push sees that it lives.
    async fn beat(&self, counts: Counts, requests: u64) -> Infallible {
        loop {
            tokio::time::sleep(BEAT).await;
            let _ = self.events.try_send(Event::Progress {
                counts,
                requests,
                latest_due: None,
                found: None,
            });
        }
    }

    /// Says so when conditions on deliveries have nothing to judge.
    async fn warn_of_idle_conditions(&self, journal: &mut Journal<'_>) -> Result<(), StoreError> {
        let push = self.with.push;
        let asked = push.rollout.proof.verify.and_then(CanaryVerify::time);
        let given = push.recovery.abort_if.deliveries();
        let Some(condition) = given.first().filter(|_| asked.is_none()) else {
            return Ok(());
        };
        let proof = journal.canary_proof().await?.unwrap_or_default();
        if proof.verify.is_none() {
            self.with.printer.warn(&format!(
                "--abort-if '{condition}' was not evaluated: only --canary-verify verifies commands before the end"
            ));
        }
        Ok(())
    }
}
