//! The rollout: first a canary, then a rising rate. Decides when the canary is over and how it went, and which rate is allowed.

use std::{collections::BTreeSet, fmt::Write as _, sync::Arc};

use rand::Rng;

use super::{Options, RolloutPhase, RolloutStep, Stop};
use crate::{
    journal::{CanaryAsked, Choice, Journal, OpenCanary},
    model::{Canary, CanaryVerdict, Class, ProofAsked, Ramp, RunState, Steps, Timestamp},
    store::StoreError,
};

/// How a push begins.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct RolloutOptions {
    /// `--canary`: how many devices go first.
    pub(crate) canary: Canary,
    /// `--canary-devices`: which, when they are named.
    pub(crate) devices: Option<Arc<BTreeSet<String>>>,
    /// `--canary-pause`: whether to stop after a good one.
    pub(crate) canary_pause: bool,
    /// `--canary-verify`: what the canary's devices have to prove.
    pub(crate) proof: ProofAsked,
    /// Whether this push has already stopped for that, and goes on.
    pub(crate) after_proof: bool,
    /// `--ramp`: how the ceiling rises.
    pub(crate) ramp: Ramp,
    /// `--parts`: whether to stop when the canary has passed, or at once without one, so that the rest can be divided.
    pub(crate) then_divide: bool,
}

impl RolloutOptions {
    fn asked(&self) -> CanaryAsked<'_> {
        CanaryAsked {
            canary: self.canary,
            devices: self.devices.as_deref(),
            pause: self.canary_pause,
            proof: &self.proof,
        }
    }
}

/// Chooses the run's canary if it is time for that, and says what there is to say of it.
pub(super) async fn choose_canary(
    journal: &mut Journal<'_>,
    options: &RolloutOptions,
    random: &mut impl Rng,
    now: Timestamp,
) -> Result<Option<RolloutStep>, StoreError> {
    let choice = journal
        .choose_canary(options.asked(), random.next_u64(), now)
        .await?;
    Ok(match choice {
        Choice::None => None,
        Choice::Chosen(OpenCanary { devices, .. }) => Some(RolloutStep::CanaryChosen { devices }),
        // It has been told of at the start.
        Choice::Open(_) if options.after_proof => None,
        Choice::Open(open) => Some(RolloutStep::CanaryGoesOn {
            ended: open.ended(),
            devices: open.devices,
        }),
        Choice::WholeFleet { devices } => Some(RolloutStep::CanaryOfAll { devices }),
        Choice::TooLate => Some(RolloutStep::CanaryTooLate),
    })
}

/// Where a push stands in its rollout.
#[derive(Debug)]
pub(super) struct Rollout {
    ramp: Option<Steps>,
    /// The ceiling of the push, which the ramp rises to.
    rate: Option<f64>,
    /// What the ramp allows at present.
    ceiling: Option<f64>,
    /// Devices of the canary that have ended, as was told last.
    told: Option<u64>,
    /// Whether the canary had ended before this push, which is to go on all the same.
    overridden: bool,
    /// Whether that canary has been judged already, and was not good.
    aborted: bool,
    /// Whether the push ends with the canary.
    then_divide: bool,
}

/// What follows when the canary is over.
#[derive(Debug, PartialEq)]
enum CanaryDecision {
    /// The other devices go.
    GoOn {
        /// How it went, for a person.
        went: String,
        /// How it was judged.
        verdict: CanaryVerdict,
    },
    /// The push stops.
    Stop(Stop),
}

/// What a commit has changed of the rollout.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Advance {
    /// How far the canary has come, when that is news.
    pub(super) progress: Option<RolloutStep>,
    /// What happened besides.
    pub(super) steps: Vec<RolloutStep>,
    /// Why the push stops.
    pub(super) stop: Option<Stop>,
    /// Whether tasks that were held back may be claimed now.
    pub(super) opened: bool,
    /// Whether the ceiling has changed.
    pub(super) risen: bool,
}

impl Rollout {
    pub(super) fn new(options: &Options, journal: &Journal<'_>) -> Self {
        let over = journal.canary().is_some_and(|canary| canary.left == 0);
        let ramp = options.rollout.ramp.steps();
        let ceiling = match ramp {
            Some(steps) => {
                steps.ceiling(journal.accepted_after_canary(), options.ceilings.requests)
            }
            None => options.ceilings.requests,
        };
        Self {
            ramp,
            rate: options.ceilings.requests,
            ceiling,
            told: None,
            overridden: over && options.override_abort && !options.rollout.after_proof,
            aborted: journal.run().state == RunState::Aborted,
            then_divide: options.rollout.then_divide,
        }
    }

    /// The ceiling on the rate at present, in requests a second.
    pub(super) fn ceiling(&self) -> Option<f64> {
        self.ceiling
    }

    /// Where the ramp begins or goes on after the canary, unless it has reached the top already.
    pub(super) fn first_step(&self, journal: &Journal<'_>) -> Option<RolloutStep> {
        (journal.canary().is_none() && self.ceiling != self.rate).then(|| self.step(journal))
    }

    /// Why the push stops, whatever it has done, if it does.
    pub(super) fn stop(&self, journal: &Journal<'_>) -> Option<Stop> {
        if journal.is_stopped_elsewhere() {
            return Some(Stop::Elsewhere);
        }
        (self.then_divide && journal.canary().is_none()).then_some(Stop::Divide)
    }

    /// Gets on after a commit: ends the canary when all its devices have ended, and rises. `crossed` tells which threshold the canary has
    /// crossed; it is not judged when the push `is_stopping`.
    pub(super) async fn advance(
        &mut self,
        journal: &mut Journal<'_>,
        is_stopping: bool,
        crossed: impl FnOnce(&Journal<'_>) -> Option<String>,
        now: Timestamp,
    ) -> Result<Advance, StoreError> {
        let mut advance = Advance::default();
        if let Some(canary) = journal.canary() {
            advance.progress = self.canary_progress(canary);
            if canary.left == 0 && !is_stopping {
                match self.judge(canary, journal, crossed(journal)) {
                    CanaryDecision::Stop(why) => advance.stop = Some(why),
                    CanaryDecision::GoOn { went, verdict } => {
                        journal.end_canary(verdict, now).await?;
                        journal.defer_throttled(now).await?;
                        advance.opened = true;
                        advance
                            .steps
                            .push(RolloutStep::CanaryOver { went, verdict });
                        advance.steps.extend(self.first_step(journal));
                    }
                }
            }
        }
        if let Some(step) = self.rise(journal) {
            advance.risen = true;
            advance.steps.push(step);
        }
        advance.stop = advance.stop.or_else(|| self.stop(journal));
        Ok(advance)
    }

    /// Rises with the tasks that have been accepted, and says so when the ceiling has changed.
    fn rise(&mut self, journal: &Journal<'_>) -> Option<RolloutStep> {
        let ceiling = self
            .ramp?
            .ceiling(journal.accepted_after_canary(), self.rate);
        if ceiling == self.ceiling {
            return None;
        }
        self.ceiling = ceiling;
        Some(self.step(journal))
    }

    fn step(&self, journal: &Journal<'_>) -> RolloutStep {
        RolloutStep::Ramp {
            accepted: journal.accepted_after_canary(),
            ceiling: self.ceiling,
            is_top: self.ceiling == self.rate,
        }
    }

    /// How far the canary has come, unless that has been told.
    fn canary_progress(&mut self, canary: OpenCanary) -> Option<RolloutStep> {
        let ended = canary.ended();
        (self.told.replace(ended) != Some(ended)).then_some(RolloutStep::Canary {
            ended,
            devices: canary.devices,
        })
    }

    /// Where the push stands.
    pub(super) fn phase(&self, journal: &Journal<'_>) -> RolloutPhase {
        match (journal.canary(), self.ceiling) {
            (Some(canary), _) => RolloutPhase::Canary {
                ended: canary.ended(),
                devices: canary.devices,
            },
            (None, Some(ceiling)) if self.ceiling != self.rate => RolloutPhase::Ramp { ceiling },
            (None, _) => RolloutPhase::Rest,
        }
    }

    /// What follows for a push whose canary is over, and has `crossed` a threshold or none.
    fn judge(
        &self,
        canary: OpenCanary,
        journal: &Journal<'_>,
        crossed: Option<String>,
    ) -> CanaryDecision {
        let went = went(canary, journal);
        let nothing_left = journal.counts().pending == 0;
        let verdict = match crossed {
            // What is forgiven crosses nothing any more, but the verdict on the canary stands.
            None if self.overridden && self.aborted => CanaryVerdict::Overridden,
            Some(_) if nothing_left => CanaryVerdict::Failed,
            Some(_) if self.overridden => CanaryVerdict::Overridden,
            Some(reason) => {
                return CanaryDecision::Stop(Stop::Aborted {
                    reason: format!("the canary is not good: {reason}"),
                });
            }
            None if canary.is_unproved && !nothing_left && !self.overridden => {
                return CanaryDecision::Stop(Stop::Unproved { reason: went });
            }
            None if canary.pause && !nothing_left && !self.overridden => {
                return CanaryDecision::Stop(Stop::Canary { went });
            }
            None => CanaryVerdict::Passed,
        };
        CanaryDecision::GoOn { went, verdict }
    }
}

/// What has become of the tasks of the canary's devices: `canary of 50 devices: 48 accepted, 1 offline, 1 rejected`.
fn went(canary: OpenCanary, journal: &Journal<'_>) -> String {
    let mut words = format!(
        "canary of {} {}",
        canary.devices,
        if canary.devices == 1 {
            "device"
        } else {
            "devices"
        }
    );
    let mut separator = ": ";
    for (name, tasks) in by_class(journal) {
        let _ = write!(words, "{separator}{tasks} {name}");
        separator = ", ";
    }
    words
}

/// How many tasks ended as which class, accepted ones first. Rows that are wrong were never part of the canary.
fn by_class(journal: &Journal<'_>) -> Vec<(&'static str, u64)> {
    let mut classes: Vec<(&'static str, u64)> = Vec::new();
    // What a retry has opened again leaves a zero behind.
    for (key, tasks) in journal.tally().into_iter().filter(|(_, tasks)| *tasks > 0) {
        let Some(class) = key.class.filter(|class| *class != Class::Invalid) else {
            continue;
        };
        match classes.iter_mut().find(|(name, _)| *name == class.name()) {
            Some((_, sum)) => *sum += tasks,
            None => classes.push((class.name(), tasks)),
        }
    }
    classes
}
