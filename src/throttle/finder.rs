//! Finds the rate that a platform takes, which nobody documents, from what requests come to.
//!
//! - **Rising.** As long as nothing has been refused, every acceptance raises the rate, up to the ceiling.
//! - **Holding.** The first refusal ends that. From then on the rate is one that the platform has proven to take. An isolated refusal at
//!   such a rate says little about it and takes off no more than its share; refusals that come close together lower it to the share that
//!   is accepted among them, which for a limit of so many requests a second is the limit.
//! - **Probing.** Acceptances earn a step up, and larger steps as long as these are taken. A refusal takes the rate back to what was
//!   proven. The way to a rate that was refused before is short; a step beyond it costs a patience that doubles each time that it was in
//!   vain, so that a limit that stays is seldom met, and one that has been raised is found.
//! - **Accidents.** Refusals that no lower rate helps against are none of its business: see `accidents`. They count as acceptances.
//!
//! A rate can be held for a while above the limit, as long as the platform has requests to spare. Between two refusals it has none: what it
//! took then is no more than its limit, and corrects what was taken for proven.

mod evidence;

use std::time::Instant;

use super::accidents::Accidents;
use evidence::{Best, Refusals};

/// The rate to begin with when there is no ceiling, in requests a second: slow enough to be refused little, and soon left behind.
const START: f64 = 100.0;
/// The share of the ceiling to begin with.
const START_SHARE: f64 = 0.8;
/// Ceilings up to this need no gentleness, in requests a second.
const SLOW: f64 = 5.0;
/// By which factor an acceptance raises a rate that has met no limit.
const RISE: f64 = 1.15;
/// Beyond this rate nothing is paced, in requests a second.
const UNPACED: f64 = 100_000.0;
/// So many acceptances make a ceiling a rate that is proven.
const PROVEN_BY: u32 = 50;
/// The least rate that refusals lower to, in requests a second.
const FLOOR: f64 = 0.5;

/// What the first refusal leaves of the rate, and an overload.
const AFTER_FIRST: f64 = 0.7;
/// The least that a platform which throttles most devices leaves of the rate; at the most it is half.
const LEAST_OF_CROWDED: f64 = 0.125;
/// The least that an isolated refusal leaves.
const LEAST_OF_ISOLATED: f64 = 0.97;
/// What an isolated refusal is allowed to cost before it says something about the rate.
const BY_ACCIDENT: f64 = 0.985;
/// The least that a step in vain leaves of the rate that was proven before it.
const LEAST_OF_PROVEN: f64 = 0.93;
/// How far the rate is kept below what was taken.
const MARGIN: f64 = 0.99;

/// The first step of a probe, and the largest, as shares of the rate.
const FIRST_STEP: f64 = 0.02;
const LARGEST_STEP: f64 = 0.5;
/// Up to this share of it, a refused rate is approached by steps of a third of the way.
const NEAR: f64 = 0.97;
const APPROACH: f64 = 1.0 / 3.0;
/// A rate so far above the one that was refused shows that the limit has been raised.
const BEYOND: f64 = 1.08;
/// The least acceptances that earn a step: on the way to a refused rate, and beyond it. At higher rates it is those of a second.
const STEP_TOWARDS: f64 = 5.0;
const STEP_BEYOND: f64 = 16.0;
/// How many acceptances an isolated refusal costs.
const COST: u32 = 10;
/// How many steps' acceptances the first step beyond a refused rate costs: at first, and at most.
const FIRST_PATIENCE: u32 = 4;
const MOST_PATIENCE: u32 = 32;

/// Finds the rate.
#[derive(Debug)]
pub(super) struct Finder {
    /// Infinite when there is none.
    ceiling: f64,
    /// What it began with.
    start: f64,
    /// The rate below the ceiling; infinite when nothing is known to limit it.
    rate: f64,
    /// What is known of a limit, once one has been met.
    limit: Option<Limit>,
    /// Acceptances that count towards the next step.
    earned: u32,
    /// What was sent before says nothing about the present rate.
    lowered_at: Option<Instant>,
    /// Whether there has been a refusal at the present rate.
    refused_here: bool,
    refusals: Refusals,
    /// What is refused whatever the rate.
    accidents: Accidents,
    best: Best,
}

/// What is known of a limit.
#[derive(Debug, Clone, Copy)]
struct Limit {
    /// A rate that the platform takes.
    proven: f64,
    /// A rate that it refused.
    refused: f64,
    /// The next step beyond that.
    step: f64,
    /// What the first of these steps costs.
    patience: u32,
}

impl Limit {
    fn new(proven: f64, refused: f64) -> Self {
        Self {
            proven,
            refused,
            step: FIRST_STEP,
            patience: FIRST_PATIENCE,
        }
    }
}

impl Finder {
    /// Begins at the rate that was `found` before, or gently below the ceiling.
    pub(super) fn new(ceiling: Option<f64>, found: Option<f64>, now: Instant) -> Self {
        let ceiling = ceiling.unwrap_or(f64::INFINITY);
        let rate = match found {
            Some(found) => found.max(FLOOR),
            None if ceiling <= SLOW => ceiling,
            None => (ceiling * START_SHARE).min(START),
        };
        Self {
            ceiling,
            start: rate,
            rate,
            limit: found.map(|_| Limit::new(rate, rate)),
            earned: 0,
            lowered_at: None,
            refused_here: false,
            refusals: Refusals::default(),
            best: Best::new(now),
            accidents: Accidents::default(),
        }
    }

    /// Begins at this rate if it would begin at a lower one: what was found in a trough is no limit, and would be left behind slowly.
    pub(super) fn at_least(mut self, rate: f64) -> Self {
        if self.rate < rate {
            (self.rate, self.start, self.limit) = (rate, rate, None);
        }
        self
    }

    /// The present rate in requests a second; `None` when nothing limits it.
    pub(super) fn rate(&self) -> Option<f64> {
        Some(self.present()).filter(|rate| rate.is_finite())
    }

    /// The rate that the platform has been found to take, when it has refused a higher one.
    pub(super) fn found(&self) -> Option<f64> {
        self.limit.map(|limit| limit.proven)
    }

    /// Sets another ceiling.
    pub(super) fn set_ceiling(&mut self, ceiling: Option<f64>) {
        self.ceiling = ceiling.unwrap_or(f64::INFINITY);
    }

    /// The platform has answered a request, and that says neither anything for the rate nor, yet, against it.
    pub(super) fn answered(&mut self, now: Instant) {
        self.best.count(now);
    }

    /// The platform has taken a request.
    pub(super) fn accepted(&mut self, now: Instant) {
        self.best.count(now);
        self.accidents.accepted(self.paced(now));
        self.as_if_accepted();
    }

    /// The platform has taken a request, or would have but for an accident.
    fn as_if_accepted(&mut self) {
        self.refusals.accepted();
        self.earned += 1;
        if let Some(limit) = self.limit {
            self.step_if_earned(limit);
            return;
        }
        let raised = self.rate * RISE;
        self.rate = if raised >= UNPACED {
            f64::INFINITY
        } else {
            raised.min(self.ceiling.max(self.rate))
        };
    }

    /// A request sent at `sent_at` was refused because there are too many. Gives the new rate when one that had been held is lowered.
    pub(super) fn refused(&mut self, sent_at: Instant, now: Instant) -> Option<f64> {
        self.best.count(now);
        if self.lowered_at.is_some_and(|when| sent_at <= when) {
            return None;
        }
        if self.is_accident(now) {
            return None;
        }
        let taken = self.refusals.refused(now);
        let rate = self.present();
        match self.limit {
            None if self.earned < PROVEN_BY || self.rate < self.ceiling => {
                let paced = self.paced(now);
                Some(self.lower(paced * AFTER_FIRST, paced, now))
            }
            None => {
                let share = self.refusals.share()?;
                let paced = self.paced(now);
                Some(self.lower(paced * share, paced, now))
            }
            Some(limit) if rate > limit.proven => {
                self.step_back(limit, taken, now);
                None
            }
            Some(limit) => {
                if let Some(share) = self.refusals.share() {
                    return Some(self.lower(rate * share, rate, now));
                }
                // With two refusals at the same rate it is known what was taken between them.
                if let Some(taken) = taken
                    && self.refused_here
                    && taken < rate * BY_ACCIDENT
                {
                    self.rate = taken.max(rate * LEAST_OF_ISOLATED).max(self.floor());
                    self.limit = Some(Limit {
                        proven: self.rate,
                        ..limit
                    });
                    self.lowered_at = Some(now);
                }
                self.refused_here = true;
                self.earned = self.earned.saturating_sub(COST);
                None
            }
        }
    }

    /// The platform is overloaded, by whatever. Gives the new rate when it is lowered.
    pub(super) fn overloaded(&mut self, now: Instant) -> Option<f64> {
        self.best.count(now);
        if self.is_accident(now) {
            return None;
        }
        let present = self.held(now);
        Some(self.lower(present * AFTER_FIRST, present, now))
    }

    /// The platform takes requests and throttles most of their devices: this share of the rate would be right. Gives the new rate.
    pub(super) fn crowded(&mut self, share: f64, now: Instant) -> f64 {
        self.best.count(now);
        let present = self.held(now);
        self.lower(present * share.clamp(LEAST_OF_CROWDED, 0.5), present, now)
    }

    /// Whether a refusal says nothing against the rate. When it says that lowering it was in vain, the rate is taken back to where it was.
    fn is_accident(&mut self, now: Instant) -> bool {
        let paced = self.paced(now);
        if self.accidents.explain(paced) {
            self.as_if_accepted();
            return true;
        }
        let Some(good) = self.limit.and_then(|_| self.accidents.as_good(paced)) else {
            return false;
        };
        self.rate = good.min(self.ceiling);
        self.limit = Some(Limit::new(self.rate, self.rate * MARGIN));
        self.note_lowered(now);
        self.refusals.forget_most();
        self.accidents.begin_anew();
        true
    }

    fn present(&self) -> f64 {
        self.rate.min(self.ceiling)
    }

    /// The rate that requests really go out at: a rate that has met no limit may be far above it.
    fn paced(&self, now: Instant) -> f64 {
        match self.limit {
            Some(_) => self.present(),
            None => self.present().min(self.best.a_second(now)),
        }
    }

    /// The same, but for the beginning, when what has been answered is too little to tell: the rate that was begun with is a gentle one.
    fn held(&self, now: Instant) -> f64 {
        self.paced(now).max(self.present().min(self.start))
    }

    fn floor(&self) -> f64 {
        FLOOR.min(self.ceiling)
    }

    /// Goes a step up when there have been acceptances enough.
    fn step_if_earned(&mut self, limit: Limit) {
        let rate = self.rate;
        // Below the ceiling there is nothing to be found out above it.
        if rate > self.ceiling {
            return;
        }
        let near = limit.refused * NEAR;
        let is_near = rate * (1.0 + FIRST_STEP) >= near;
        let cost = if !is_near {
            rate.max(STEP_TOWARDS)
        } else if rate > limit.proven {
            rate.max(STEP_BEYOND)
        } else {
            rate.max(STEP_BEYOND) * f64::from(limit.patience)
        };
        if f64::from(self.earned) < cost {
            return;
        }
        self.earned = 0;
        self.refused_here = false;
        if rate >= self.ceiling {
            // It was held: nothing is left of a limit below it.
            if rate > limit.refused {
                self.limit = None;
            }
            return;
        }
        let next = if is_near {
            rate * (1.0 + limit.step)
        } else {
            (rate + (near - rate) * APPROACH).max(rate * (1.0 + FIRST_STEP))
        };
        self.limit = Some(Limit {
            proven: rate,
            refused: limit.refused,
            step: if is_near {
                (limit.step * 2.0).min(LARGEST_STEP)
            } else {
                FIRST_STEP
            },
            patience: if rate > limit.refused * BEYOND {
                FIRST_PATIENCE
            } else {
                limit.patience
            },
        });
        self.rate = next.min(self.ceiling);
    }

    /// Goes back to what was proven, or to what was `taken` between refusals if that is less.
    fn step_back(&mut self, limit: Limit, taken: Option<f64>, now: Instant) {
        let in_vain = self.present();
        let proven = taken
            .unwrap_or(limit.proven)
            .clamp(limit.proven * LEAST_OF_PROVEN, limit.proven);
        self.rate = (proven * MARGIN).max(self.floor());
        self.limit = Some(Limit {
            patience: (limit.patience * 2).min(MOST_PATIENCE),
            // Steps that were taken may have been above the limit already.
            ..Limit::new(self.rate, f64::midpoint(self.rate, in_vain))
        });
        self.note_lowered(now);
        self.refusals.forget_most();
    }

    /// Lowers the rate to this one, because one was `refused`.
    fn lower(&mut self, rate: f64, refused: f64, now: Instant) -> f64 {
        let (answered, times) = self.refusals.counts();
        self.accidents.lowered(refused, answered, times);
        let refused = match self.limit {
            // While nothing at all is taken, a refusal says nothing about the rate.
            Some(limit) if self.earned == 0 => refused.max(limit.refused),
            // A limit may have been lowered, or refusals have come together by accident.
            Some(limit) => refused.max(f64::midpoint(refused, limit.refused)),
            None => refused,
        };
        self.rate = rate.max(self.floor());
        self.limit = Some(Limit::new(self.rate, refused));
        self.note_lowered(now);
        self.refusals.forget_some();
        self.rate
    }

    fn note_lowered(&mut self, now: Instant) {
        self.earned = 0;
        self.refused_here = false;
        self.lowered_at = Some(now);
    }
}
