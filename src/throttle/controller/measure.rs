//! Measures a limit on the rate, whatever it counts.
//!
//! - **Measuring.** The first refusals show about how much is taken. From there the rate rises slowly until the next refusal; two of them
//!   tell the limit and the burst: `meter` finds what counts so, pauses included.
//! - **Holding.** The rate stays a little below the limit for a while, and then rises as a cubic does, slowly at first: into a limit that
//!   is still there with a single refusal, and soon away from one that is no more. The more often a limit has been found again, the longer
//!   it is held.
//! - **Easing.** Refusals that no meter explains lower the rate a little. It rises again, faster with each acceptance.

use super::Controller;
use crate::throttle::meter::Fit;

/// By which factor an acceptance raises a rate that has met no limit, and one that has met a limit which is not known yet.
const RISE: f64 = 1.2;
const SLOW_RISE: f64 = 1.02;
/// Beyond this rate nothing is paced, in requests a second.
const UNPACED: f64 = 100_000.0;

/// How far the rate is held below the limit.
const MARGIN: f64 = 0.99;
/// How long a limit is held before more is tried: at first, when it is not quite known, in seconds and in acceptances; when it is known;
/// at most.
const HOLD: f64 = 1.0;
const HOLD_TAKEN: f64 = 5.0;
const HOLD_KNOWN: f64 = 6.0;
const HOLD_FOR_PAUSE: f64 = 12.0;
const HOLD_MOST: f64 = 30.0;
/// How much more is tried after twice that time, as a share.
const PROBE: f64 = 0.04;
/// A limit is known when its bounds are so near, and confirmed when it is found again so near.
const KNOWN: f64 = 1.15;
const SAME: f64 = 0.06;
/// A limit is no more when it is exceeded, its meter stands so far above its burst, and such a share of it; that is looked at whenever so many have
/// been taken.
const BEYOND: f64 = 4.0;
const BEYOND_SHARE: f64 = 0.3;
const LOOK: f64 = 8.0;
/// A limit below the ceiling is no more when the rate would be so many times the ceiling by now.
const LEFT_BEHIND: f64 = 1.5;
/// So many acceptances say something about a rate, and so many make a ceiling a rate that is proven.
const TELLING: f64 = 8.0;
const PROVEN_BY: f64 = 50.0;

/// A refusal among so many acceptances is an isolated one.
const ISOLATED: f64 = 14.0;
/// Refusals are not explained when so many requests are explained wrongly, and so many more for each bunch: some, and those of so many
/// seconds, by which requests may reach the platform in another order.
const WRONG: f64 = 1.5;
const WRONG_EACH: f64 = 0.5;
const DISORDER: f64 = 0.02;
/// Refusals that are explained with more doubt are not explained; so many bunches have to be explained after that, at most.
const DOUBT: f64 = 0.25;
pub(super) const WANTED: usize = 2;
const WANTED_AT_MOST: usize = 5;
/// While refusals are not explained, an explanation is looked for only so often, in seconds.
const FITTED_EVERY: f64 = 1.0;
/// What refusals leave of the rate that are not explained. It rises again by such a share, and e times as fast after each so many
/// acceptances: those of so many seconds, at most so many, and such a multiple of what a pause costs.
const EASED: f64 = 0.88;
const REGAIN: f64 = 0.032;
const REGAINED_IN: f64 = 10.0;
const REGAINED: f64 = 100.0;
const REGAINED_FOR_PAUSE: f64 = 4.0;
/// Of the requests after a first refusal as many are taken for accepted, so that a few say little.
const ACCEPTED_ANYHOW: f64 = 1.4;
/// When a platform refuses for the second time and has taken so few, the rate falls to so many times what it took by the clock.
const FASTER: f64 = 1.5;
const BEYOND_BURST: f64 = 24.0;
/// The most that a first refusal leaves of the rate.
const AFTER_FIRST: f64 = 0.8;

/// While nothing is taken, a request is tried after such a share of the time since something was, and at the most after so many seconds.
const TRY_AFTER: f64 = 0.3;
const TRY_AT_MOST: f64 = 60.0;
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
    /// By which factor an acceptance raises the rate that is not held, and by what share more that is after each.
    rise: f64,
    faster: f64,
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
            rise: SLOW_RISE,
            faster: 0.0,
        }
    }

    /// A limit that was found by an earlier push.
    pub(super) fn remembered(rate: f64) -> Self {
        Self::unknown(rate / MARGIN, 0.0, Some(HOLD))
    }

    /// What is known after another bunch, after which sending `goes_on`; so many were taken before it at such a rate.
    fn confirmed_by(before: Option<Self>, fit: &Fit, asked: f64, goes_on: f64) -> Self {
        let is_known = fit.between.1 / fit.between.0 < KNOWN;
        let times = before.and_then(|before| {
            let confirmed = before.confirmed;
            confirmed.filter(|_| is_same(fit.rate, before.rate))
        });
        let confirmed = is_known.then_some(times.map_or(0, |times| times + 1));
        let hold = confirmed.map_or(HOLD, |times| {
            ((HOLD_KNOWN + HOLD_FOR_PAUSE * asked) * 2_f64.powi(times.min(10) as i32))
                .min(HOLD_MOST)
        });
        Self {
            rate: fit.rate,
            fit: is_known.then_some(*fit),
            since: goes_on,
            hold: Some(hold.max(HOLD_TAKEN / fit.rate)),
            confirmed,
            rise: SLOW_RISE,
            faster: 0.0,
        }
    }
}

fn is_same(rate: f64, before: f64) -> bool {
    (rate / before - 1.0).abs() < SAME
}

fn is_wrong(fit: &Fit, doubt: f64) -> bool {
    doubt > DOUBT || fit.misfit > WRONG + (WRONG_EACH + DISORDER * fit.rate) * fit.bunches as f64
}

/// What explains refusals.
#[derive(Debug)]
enum Explained {
    /// There are too few.
    Little,
    /// A meter.
    By(Fit),
    /// No meter does.
    Not,
}

impl Controller {
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
    /// Whoever asks for a pause mostly knows why, so that more is wanted to doubt that.
    pub(super) fn is_accident(&mut self, rate: f64, asks: bool, now: f64) -> bool {
        let is_expected = self.accidents.explain(rate);
        if !self.doubted {
            return false;
        }
        if is_expected && (!asks || self.accidents.are_few_and_all()) {
            return true;
        }
        let good = self.limit.and_then(|_| {
            if asks {
                self.accidents.as_good_though_asked(rate)
            } else {
                self.accidents.as_good(rate)
            }
        });
        if let Some(good) = good {
            self.hold(good.min(self.ceiling), now);
            self.accidents.begin_anew();
        }
        good.is_some()
    }

    pub(super) fn as_if_accepted(&mut self, sent_at: f64) {
        self.last_taken = self.last_taken.max(sent_at);
        self.trying = false;
        match &mut self.limit {
            None => {
                let raised = self.rate * RISE;
                self.rate = if raised >= UNPACED {
                    f64::INFINITY
                } else {
                    raised.min(self.ceiling.max(self.rate))
                };
            }
            Some(Limit {
                hold: None,
                rise,
                faster,
                ..
            }) if sent_at > self.bunch_ends => {
                self.rate = (self.rate * *rise).min(self.ceiling.max(self.rate));
                *rise += (*rise - 1.0) * *faster;
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
        // It has been held at the ceiling long enough: nothing is left of a limit below it.
        if self.rate >= UNPACED || self.rate > LEFT_BEHIND * self.ceiling {
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
            && self.rate > fit.between.1
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
        let is_isolated = refused < 2.0 && taken >= ISOLATED;
        let explained = self.explained();
        match explained {
            Explained::Little => {}
            Explained::By(_) => {
                self.doubted = false;
                self.unexplained = (0.0, 0.0);
                self.unexplained_from = goes_on;
            }
            Explained::Not => self.doubted = true,
        }
        if !matches!(explained, Explained::Not) {
            self.accidents
                .lowered(paced, (taken + refused) as u32, refused as u32);
        }
        let limit = match (self.limit, explained) {
            (Some(before), Explained::Little) if is_isolated && before.hold.is_some() => Limit {
                since: goes_on,
                ..before
            },
            (None, Explained::Little)
                if is_isolated && self.rate >= self.ceiling && self.taken >= PROVEN_BY =>
            {
                return;
            }
            (before, Explained::By(fit)) => {
                let limit = Limit::confirmed_by(before, &fit, self.asked, goes_on);
                if limit.confirmed.is_some_and(|times| times > 0) {
                    self.record.usual = Some(fit);
                }
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
            (Some(before), Explained::Little) if before.confirmed.is_some() && taken >= TELLING => {
                Limit {
                    rate: before.rate.min(paced),
                    since: goes_on,
                    confirmed: None,
                    ..before
                }
            }
            (_, Explained::Little) => {
                let by_the_clock = self.taken / (goes_on - self.taken_from).max(0.05);
                let first = self.record.taken_since_refused();
                let share = (first + ACCEPTED_ANYHOW) / (first + refused + 1.0);
                // Of the first few the burst is so large a part that they say little of a fast platform; forced pauses say nothing.
                let is_slow =
                    self.limit.is_some() && self.asked == 0.0 && self.taken < BEYOND_BURST;
                let most = if is_slow {
                    FASTER * by_the_clock
                } else {
                    paced
                };
                self.rate = (paced * share)
                    .min(most)
                    .max(by_the_clock)
                    .min(AFTER_FIRST * paced)
                    .max(self.floor());
                Limit::unknown(self.rate, goes_on, None)
            }
            (before, Explained::Not) => match self.ease(before, paced, (taken, refused), goes_on) {
                Some(limit) => limit,
                None => return,
            },
        };
        self.limit = Some(limit);
        self.rise(now);
    }

    /// Lowers a rate at which so many were taken and refused without an explanation, when they are enough to say something.
    fn ease(
        &mut self,
        before: Option<Limit>,
        paced: f64,
        (taken, refused): (f64, f64),
        goes_on: f64,
    ) -> Option<Limit> {
        self.unexplained.0 += taken;
        self.unexplained.1 += refused;
        let (taken, refused) = self.unexplained;
        if taken + refused < TELLING && before.is_some_and(|before| before.hold.is_none()) {
            return None;
        }
        self.accidents
            .forget_if_changed(paced, (taken + refused) as u32, refused as u32);
        self.unexplained = (0.0, 0.0);
        let by_the_clock = taken / (goes_on - self.unexplained_from).max(0.05);
        self.unexplained_from = goes_on;
        let share = (taken + ACCEPTED_ANYHOW) / (taken + refused + 1.0);
        self.rate = (paced * EASED.min(share))
            .max(by_the_clock)
            .min(paced)
            .max(self.floor());
        let regained = (REGAINED_IN * self.rate).clamp(TELLING, REGAINED)
            + REGAINED_FOR_PAUSE * self.asked * self.rate;
        Some(Limit {
            rise: 1.0 + REGAIN / regained,
            faster: 1.0 / regained,
            ..Limit::unknown(self.rate, goes_on, None)
        })
    }

    /// What explains the refusals of late.
    fn explained(&mut self) -> Explained {
        // While none is explained there may be very many, and a fit is not free.
        if self.doubted && self.bunch_ends < self.fitted_at + FITTED_EVERY {
            return Explained::Not;
        }
        self.fitted_at = self.bunch_ends;
        let Some(fit) = self.fit() else {
            return Explained::Little;
        };
        if self.record.taken_between_bunches() < TELLING {
            return Explained::Little;
        }
        if is_wrong(&fit, self.record.doubt(&fit)) {
            self.wanted = (self.wanted + 1).min(WANTED_AT_MOST);
            self.record.forget_but_last();
            self.bounds.drain(..self.bounds.len().saturating_sub(1));
            return Explained::Not;
        }
        if fit.bunches < self.wanted {
            return Explained::Not;
        }
        Explained::By(fit)
    }

    /// The meter that explains at least two bunches.
    fn fit(&mut self) -> Option<Fit> {
        let bound = self.bounds.iter().copied().fold(f64::INFINITY, f64::min);
        self.record.fit(bound).filter(|fit| fit.bunches >= 2)
    }
}

#[cfg(test)]
mod explained_tests;
#[cfg(test)]
mod tests;
