//! Measures a limit whose refusals ask for a pause.
//!
//! - **Measuring.** The first refusals show about how much is taken. From there the rate rises slowly until the next refusal; two of them
//!   tell the limit and the burst: `meter` finds what counts so, pauses included.
//! - **Holding.** The rate stays a little below the limit for a while, and then rises as a cubic does, slowly at first: into a limit that
//!   is still there with a single refusal, and soon away from one that is no more. The more often a limit has been found again, the longer
//!   it is held.
//! - **Giving up.** Where what is found is not confirmed again and again, the pauses cost more than they teach.

use std::time::Instant;

use super::Controller;
use crate::throttle::meter::Fit;

/// By which factor an acceptance raises a rate that has met no limit, and one that has met a limit which is not known yet.
const RISE: f64 = 1.15;
const SLOW_RISE: f64 = 1.02;
/// Beyond this rate nothing is paced, in requests a second.
const UNPACED: f64 = 100_000.0;

/// How far the rate is held below the limit.
const MARGIN: f64 = 0.985;
/// How long a limit is held before more is tried: at first, when it is not quite known, in seconds and in acceptances; when it is known;
/// at most.
const HOLD: f64 = 1.0;
const HOLD_TAKEN: f64 = 5.0;
const HOLD_KNOWN: f64 = 6.0;
const HOLD_MOST: f64 = 30.0;
/// How much more is tried after twice that time, as a share.
const PROBE: f64 = 0.04;
/// A limit is known when its bounds are so near, and confirmed when it is found again so near.
const KNOWN: f64 = 1.15;
const SAME: f64 = 0.06;
/// A limit is no more when its meter stands so far above its burst, and such a share of it; that is looked at whenever so many more have
/// been taken.
const BEYOND: f64 = 4.0;
const BEYOND_SHARE: f64 = 0.3;
const LOOK: f64 = 8.0;
/// So many acceptances say something about a rate, and so many make a ceiling a rate that is proven.
const TELLING: f64 = 10.0;
const PROVEN_BY: f64 = 50.0;

/// A refusal among so many acceptances is an isolated one; what each of these leaves of the strain.
const ISOLATED: f64 = 14.0;
pub(super) const STRAIN_LEFT: f64 = 1.0 - 1.0 / ISOLATED;
/// Refusals that are explained with more doubt say nothing, unless so many of them come together.
const DOUBT: f64 = 0.3;
const TOGETHER: f64 = 2.0;
/// Of the requests after a first refusal as many are taken for accepted, so that a few say little.
const ACCEPTED_ANYHOW: f64 = 1.4;
/// The most that a first refusal leaves of the rate.
const AFTER_FIRST: f64 = 0.8;

/// While nothing is taken, a request is tried after such a share of the time since something was, and at the most after so many seconds.
const TRY_AFTER: f64 = 0.3;
const TRY_AT_MOST: f64 = 60.0;
/// It is given up after so many bunches in a row with fewer acceptances in between than tell something, and when over so many pauses less
/// than such a share of the rate was made use of.
const EARLY: u32 = 4;
const PAUSES: usize = 6;
const LEAST_MADE_USE_OF: f64 = 0.6;

/// What is known of a limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    /// Requests a second.
    pub(super) rate: f64,
    /// The meter, when there is one.
    pub(super) fit: Option<Fit>,
    /// Since when, and for how long before more is tried; never when acceptances raise the rate.
    since: f64,
    hold: Option<f64>,
    /// How often it has been found again; none when it is not known well.
    pub(super) confirmed: Option<u32>,
    /// Whether refusals are not explained by it.
    is_doubted: bool,
}

impl Limit {
    /// A limit of which no meter is known, and above which more is tried after so many seconds; without any, acceptances raise the rate.
    fn unknown(rate: f64, since: f64, hold: Option<f64>) -> Self {
        Self {
            rate,
            fit: None,
            since,
            hold,
            confirmed: None,
            is_doubted: false,
        }
    }

    /// What is known after another bunch, after which sending `goes_on`; so many were taken before it at such a rate.
    fn confirmed_by(before: Option<Self>, fit: &Fit, is_told: bool, goes_on: f64) -> Self {
        let is_known = is_told && fit.between.1 / fit.between.0 < KNOWN;
        let times = before.and_then(|before| {
            let is_same = (fit.rate / before.rate - 1.0).abs() < SAME;
            before.confirmed.filter(|_| is_same)
        });
        let confirmed = is_known.then_some(times.map_or(0, |times| times + 1));
        let hold = confirmed.map_or(HOLD, |times| {
            (HOLD_KNOWN * 2_f64.powi(times.min(10) as i32)).min(HOLD_MOST)
        });
        Self {
            rate: fit.rate,
            fit: is_known.then_some(*fit),
            since: goes_on,
            hold: Some(hold.max(HOLD_TAKEN / fit.rate)),
            confirmed,
            is_doubted: false,
        }
    }
}

impl Controller {
    /// From now on refusals ask for a pause: the limit is measured.
    pub(super) fn take_over(&mut self, now: Instant) {
        let Some(finder) = self.finder.take() else {
            return;
        };
        self.rate = finder.rate().unwrap_or(f64::INFINITY);
        let now = self.seconds(now);
        self.limit = finder
            .found()
            .map(|found| Limit::unknown(found, now, Some(HOLD)));
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.given_up >= EARLY
    }

    /// Holds a rate that was not measured.
    pub(super) fn hold(&mut self, rate: f64, now: f64) {
        let rate = rate.max(self.floor());
        self.limit = Some(Limit {
            confirmed: Some(0),
            ..Limit::unknown(rate / MARGIN, now, Some(HOLD))
        });
        self.rate = rate;
        self.forget(now);
    }

    /// What was before says nothing of what will be.
    pub(super) fn forget(&mut self, now: f64) {
        self.record.forget(now);
        self.bounds.clear();
        (self.taken, self.taken_from) = (0.0, now);
        (self.bunch_ends, self.bunch_open, self.trying) = (now, false, false);
        self.wait_until = 0.0;
    }

    /// Whether a refusal says nothing against the rate. When it says that lowering it was in vain, the rate is taken back to where it was.
    pub(super) fn is_accident(&mut self, rate: f64, now: f64) -> bool {
        if self.accidents.explain(rate) {
            return true;
        }
        let good = self.limit.and_then(|_| self.accidents.as_good(rate));
        if let Some(good) = good {
            self.hold(good.min(self.ceiling), now);
            self.accidents.begin_anew();
        }
        good.is_some()
    }

    pub(super) fn as_if_accepted(&mut self, sent_at: f64) {
        self.last_taken = self.last_taken.max(sent_at);
        self.trying = false;
        match self.limit {
            None => {
                let raised = self.rate * RISE;
                self.rate = if raised >= UNPACED {
                    f64::INFINITY
                } else {
                    raised.min(self.ceiling.max(self.rate))
                };
            }
            Some(Limit { hold: None, .. }) if sent_at > self.bunch_ends => {
                self.rate = (self.rate * SLOW_RISE).min(self.ceiling.max(self.rate));
            }
            Some(_) => {}
        }
    }

    /// The rate after a limit has been held for a while.
    pub(super) fn rise(&mut self, now: f64) {
        let Some(Limit {
            rate,
            since,
            hold: Some(hold),
            ..
        }) = self.limit
        else {
            return;
        };
        let beyond = ((now - since - hold) / hold).max(0.0);
        let raised = rate * MARGIN * (1.0 + PROBE * beyond.powi(3));
        self.rate = raised.max(self.floor());
        if self.rate >= UNPACED || (self.rate > self.ceiling && rate * MARGIN > self.ceiling) {
            self.limit = None;
        }
        self.rate = self.rate.min(self.ceiling);
    }

    /// Forgets a limit when more has been taken than it would have let through.
    pub(super) fn look_beyond(&mut self, now: f64) {
        if let Some(Limit {
            fit: Some(fit),
            hold: Some(_),
            ..
        }) = self.limit
            && self.rate > fit.rate
            && self.since_bunch.0 % LOOK == 0.0
            && self.record.reading(&fit) > fit.burst * (1.0 + BEYOND_SHARE) + BEYOND
        {
            self.forget(now);
            self.limit = Some(Limit::unknown(self.rate, now, None));
        }
    }

    /// Finds the limit after a bunch of refusals.
    pub(super) fn judge(&mut self, now: f64) {
        let paced = self.paced();
        let (taken, refused) = std::mem::take(&mut self.since_bunch);
        self.accidents
            .lowered(paced, (taken + refused) as u32, refused as u32);
        self.note_use(taken, paced, now);
        self.wait_until = 0.0;
        let goes_on = now.max(self.asked_until);
        if taken == 0.0
            && let Some(limit) = &mut self.limit
        {
            // That nothing is taken says nothing about the rate.
            limit.since = goes_on;
            let silence = now - self.last_taken;
            self.trying = true;
            self.wait_until = now
                + (TRY_AFTER * silence)
                    .max(1.0 / self.present())
                    .min(TRY_AT_MOST);
            return;
        }
        if let Some(bound) = self.record.bound(self.resumed[1]) {
            self.bounds.push_back(bound);
            if self.bounds.len() > 2 {
                self.bounds.pop_front();
            }
        }
        let (fit, is_doubted) = self.fit_or_doubt(paced);
        let is_isolated = refused < 2.0 && taken >= ISOLATED;
        let limit = match (self.limit, fit) {
            (Some(before), Some(_)) if is_doubted => self.doubted(before, goes_on),
            (Some(before), None) if is_isolated && before.hold.is_some() => Limit {
                since: goes_on,
                ..before
            },
            (None, None) if is_isolated && self.rate >= self.ceiling && self.taken >= PROVEN_BY => {
                return;
            }
            (before, Some(fit)) => {
                let is_told = self.record.taken_between_bunches() >= TELLING;
                let limit = Limit::confirmed_by(before, &fit, is_told, goes_on);
                // What is refused at a rate is no limit below it.
                let is_refused = limit.fit.is_some() && taken >= TELLING && paced > 0.8 * fit.rate;
                self.rate = fit.rate.max(self.floor());
                Limit {
                    rate: if is_refused {
                        fit.rate.min(paced)
                    } else {
                        fit.rate
                    },
                    ..limit
                }
            }
            (Some(before), None) if before.confirmed.is_some() && taken >= TELLING => Limit {
                rate: before.rate.min(paced),
                since: goes_on,
                confirmed: None,
                ..before
            },
            (_, None) => {
                let by_the_clock = self.taken / (goes_on - self.taken_from).max(0.05);
                let first = self.record.taken_since_refused();
                let share = (first + ACCEPTED_ANYHOW) / (first + refused + 1.0);
                self.rate = (paced * share)
                    .max(by_the_clock)
                    .min(AFTER_FIRST * paced)
                    .max(self.floor());
                Limit::unknown(self.rate, goes_on, None)
            }
        };
        self.limit = Some(limit);
        self.rise(now);
    }

    /// Notes how much was made use of between pauses, and gives up when it is too little.
    fn note_use(&mut self, taken: f64, paced: f64, now: f64) {
        self.given_up = if taken < TELLING {
            self.given_up + 1
        } else {
            0
        };
        self.pauses.push_back((now, taken));
        if self.pauses.len() > PAUSES {
            self.pauses.pop_front();
            let seconds = now - self.pauses.front().map_or(now, |first| first.0);
            let all: f64 = self.pauses.iter().skip(1).map(|pause| pause.1).sum();
            if all < LEAST_MADE_USE_OF * paced * seconds {
                self.given_up = EARLY;
            }
        }
    }

    /// The meter that explains what was refused of late, and whether what was refused below its limit has nothing to do with it. When that
    /// is much, the limit is another one now.
    fn fit_or_doubt(&mut self, paced: f64) -> (Option<Fit>, bool) {
        let is_held = self
            .limit
            .is_some_and(|limit| paced <= limit.rate || limit.is_doubted);
        let fit = self.fit();
        let is_doubted =
            is_held && fit.is_some_and(|fit| fit.bunches > 2 && self.record.doubt(&fit) > DOUBT);
        let is_much = self.strain >= TOGETHER;
        if is_much {
            self.strain = 1.0;
        }
        if is_doubted && is_much {
            self.record.forget_but_last();
            self.bounds.drain(..self.bounds.len().saturating_sub(1));
            return (self.fit(), false);
        }
        (fit, is_doubted)
    }

    /// More than this limit is tried from here.
    fn doubted(&self, limit: Limit, goes_on: f64) -> Limit {
        if limit.is_doubted {
            return limit;
        }
        let hold = HOLD.max(HOLD_TAKEN / limit.rate);
        Limit {
            rate: self.rate / MARGIN,
            since: goes_on - hold,
            hold: limit.hold.map(|_| hold),
            confirmed: None,
            is_doubted: true,
            ..limit
        }
    }

    /// The meter that explains at least two bunches.
    fn fit(&mut self) -> Option<Fit> {
        let bound = self.bounds.iter().copied().fold(f64::INFINITY, f64::min);
        self.record.fit(bound).filter(|fit| fit.bunches >= 2)
    }
}
