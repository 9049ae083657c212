//! Which refusals are accidents: those that come whatever the rate, so that no lower one helps.
//!
//! What requests came to is kept by the rate that they were sent at. It has to be explained by a limit, beyond which only so many requests
//! a second are taken, and by a share that is refused whatever the rate. Of all limits, none included, that explain it not much worse than
//! the likeliest one, the lowest is believed in: so a refusal is blamed on the rate until it is refuted that this could help.
//!
//! - What is refused below that limit is the share of accidents. Refusals are taken for them as long as there are not noticeably more.
//! - A rate below that limit was lowered in vain: see [`Accidents::as_good`].
//!
//! The share is never learnt at one rate alone, where a limit looks the same. And no platform refuses less at a higher rate: what is known
//! and says so is of a time that is over, and forgotten. So accidents are forgotten when they stop, and a limit that has moved is met anew.

use std::collections::{BTreeMap, VecDeque};

/// The ratio of rates that are told apart.
const APART: f64 = 1.05;
/// Rates are told apart between these: one is zero as long as nothing was answered.
const SLOWEST: f64 = 0.01;
const FASTEST: f64 = 1e6;
/// So many of these below the lowest that was tried, a limit is thought of.
const FAR: i32 = 40;
/// So many of the last requests at a rate are remembered.
const MEMORY: f64 = 200.0;
/// How much less likely than the likeliest an explanation is that is refuted, as a logarithm.
const REFUTED: f64 = 3.0;
/// The same for the platform being as it was.
const CHANGED: f64 = 7.0;
/// What is believed is good for so many requests, as long as it explains what comes.
const REVIEW: u64 = 50;
/// What is left of what was known at a rate and above it when it has to be lowered: of so many of the last requests so many, and fewer
/// while there are no accidents, so that a limit that is lower now is not taken for them.
const LATELY: u64 = 200;
const LITTLE: f64 = 25.0;
const LITTLE_WITHOUT: f64 = 12.0;

/// So many refusals below a limit may be anything.
const ANYTHING: f64 = 3.0;
/// Fewer requests below a limit say nothing of accidents.
const ENOUGH: f64 = 20.0;
/// How much larger the share of accidents may be than it seems: by this factor, and by so many standard deviations.
const LARGER: f64 = 1.15;
const DEVIATIONS: f64 = 2.0;
/// The largest share that is taken for accidents.
const MOST: f64 = 0.35;
/// When of about so many more than such a share was refused, these are no accidents.
const FEW: f64 = 16.0;
const TOO_MANY: f64 = 0.45;
/// So many accidents may come at once, and so many more for each in a hundred requests.
const AT_ONCE: f64 = 4.0;
const AT_ONCE_EACH: f64 = 40.0;
/// Accidents in a row that are less likely than this are none.
const ROW: f64 = 1e-5;
/// Refusals that ask for pauses are accidents only below such a share; and a rate is taken back for them once in so many requests.
const FEW_SHARE: f64 = 0.1;
const GOOD_EVERY: u64 = 150;
/// More in a row tell nothing more, whatever they are.
const LONGEST_ROW: u32 = 8;

/// What is known of accidents.
#[derive(Debug, Default)]
pub(super) struct Accidents {
    /// By rate, in steps of [`APART`].
    accounts: BTreeMap<i32, Account>,
    /// Requests that were answered, all of them.
    answered: u64,
    /// Refusals since the last acceptance.
    in_a_row: u32,
    /// The limit that is believed in, infinite for none, and since how many requests.
    limit: f64,
    believed_at: u64,
    /// The share of requests that may be refused by accident.
    allowed: f64,
    /// How many requests had been answered when a rate was last found to be as good although refusals ask for pauses.
    good_at: u64,
    /// So many refusals would be accidents now.
    spare: f64,
    /// The share that was refused of the last few.
    lately: f64,
}

/// What requests at about one rate came to.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    answered: f64,
    refused: f64,
    /// How many requests had been answered in all when the last one was.
    last: u64,
}

impl Accidents {
    /// A request at this rate was taken.
    pub(super) fn accepted(&mut self, rate: f64) {
        self.in_a_row = 0;
        self.count(rate, false);
        if self.allowed > 0.0 && self.is_old() {
            self.review(rate);
        }
    }

    /// A request at this rate was refused. Gives whether that is an accident.
    pub(super) fn explain(&mut self, rate: f64) -> bool {
        self.in_a_row += 1;
        if self.in_a_row > LONGEST_ROW {
            return false;
        }
        self.count(rate, true);
        if self.spare < 1.0 || self.is_old() {
            self.review(rate);
        }
        let is_accident = self.spare >= 1.0 && !self.is_row() && self.lately < TOO_MANY;
        if is_accident {
            self.spare -= 1.0;
        }
        is_accident
    }

    /// Whether no limit is believed in, and few requests are refused by accident.
    pub(super) fn are_few_and_all(&self) -> bool {
        self.limit.is_infinite() && self.allowed < FEW_SHARE
    }

    /// The same where refusals ask for pauses: not again before many more have been answered, since these may know better.
    pub(super) fn as_good_though_asked(&mut self, rate: f64) -> Option<f64> {
        let is_due = self.answered >= self.good_at + GOOD_EVERY;
        let good = self.as_good(rate).filter(|_| is_due)?;
        self.good_at = self.answered;
        Some(good)
    }

    /// A higher rate than this one that has been tried and is as good, when refusals go on and are no fewer here: it was lowered in vain.
    pub(super) fn as_good(&self, rate: f64) -> Option<f64> {
        let (tried, _) = self.accounts.last_key_value()?;
        let good = (self.limit / APART).min(rate_at(*tried));
        (self.allowed > 0.0 && !self.is_row() && self.lately < TOO_MANY && good > rate * APART)
            .then_some(good)
    }

    /// Of the last requests at this rate so many were refused. What is known of it and of higher rates is forgotten when the platform has
    /// obviously changed.
    pub(super) fn forget_if_changed(&mut self, rate: f64, answered: u32, refused: u32) {
        let here = place(rate);
        let last = Account {
            answered: f64::from(answered),
            refused: f64::from(refused),
            last: self.answered,
        };
        let has_changed = |known: &Account| refused > 1 && known.without(last).differs(last);
        if self.accounts.get(&here).is_some_and(has_changed) {
            self.accounts.retain(|place, _| *place < here - 1);
            self.accounts.insert(here, last);
            self.allowed = 0.0;
        }
    }

    /// The rate is going to be lowered from this one, because of the last requests so many were refused. What is known of it and of higher
    /// ones counts for little from now on, and for nothing when the platform has obviously changed.
    pub(super) fn lowered(&mut self, rate: f64, answered: u32, refused: u32) {
        self.forget_if_changed(rate, answered, refused);
        let from = place(rate) - 1;
        let before = self.answered.saturating_sub(LATELY);
        self.accounts
            .retain(|place, account| *place < from || account.last > before);
        let known = Account::sum(self.accounts.range(from..)).answered;
        let little = if self.allowed > 0.0 {
            LITTLE
        } else {
            LITTLE_WITHOUT
        };
        let left = (little / known).min(1.0);
        for (_, account) in self.accounts.range_mut(from..) {
            account.shrink(left);
        }
        self.begin_anew();
    }

    /// Refusals at one rate say nothing against another one.
    pub(super) fn begin_anew(&mut self) {
        self.spare = self.at_once();
    }

    fn count(&mut self, rate: f64, refused: bool) {
        self.answered += 1;
        self.lately += (f64::from(u8::from(refused)) - self.lately) / FEW;
        let account = self.accounts.entry(place(rate)).or_default();
        account.last = self.answered;
        account.add(refused);
        self.spare = (self.spare + self.allowed).min(self.at_once());
    }

    /// Whether what is believed is to be looked at again.
    fn is_old(&self) -> bool {
        self.answered >= self.believed_at + REVIEW
    }

    fn review(&mut self, rate: f64) {
        self.forget_what_is_over(place(rate));
        self.believe();
    }

    fn at_once(&self) -> f64 {
        if self.allowed > 0.0 {
            AT_ONCE + AT_ONCE_EACH * self.allowed
        } else {
            0.0
        }
    }

    /// Whether so many refusals in a row are no accident.
    fn is_row(&self) -> bool {
        self.allowed.powf(f64::from(self.in_a_row)) < ROW
    }

    /// Forgets higher rates at which less is refused than here, and lower ones at which more is.
    fn forget_what_is_over(&mut self, here: i32) {
        let Some(&now) = self.accounts.get(&here) else {
            return;
        };
        // The rate may have risen meanwhile, so that little is known of each.
        let before = self.answered.saturating_sub(LATELY);
        let lately = self.accounts.range(..=here);
        let lately = Account::sum(lately.filter(|(_, account)| account.last > before));
        let above = Account::sum(self.accounts.range(here + 1..));
        if lately.refuses_more(above) {
            self.accounts.retain(|place, _| *place <= here);
        }
        let below = Account::sum(self.accounts.range(..here));
        if below.refuses_more(now) {
            self.accounts.retain(|place, _| *place >= here);
        }
    }

    /// Finds the limit to believe in, and the share of accidents that goes with it.
    fn believe(&mut self) {
        let limits = self.limits();
        let likeliest = limits
            .iter()
            .map(|(_, _, likelihood)| *likelihood)
            .fold(f64::NEG_INFINITY, f64::max);
        let Some((limit, below, _)) = limits
            .into_iter()
            .find(|(_, _, likelihood)| !is_refuted(*likelihood, likeliest))
        else {
            return;
        };
        let refused = (below.refused - ANYTHING).max(0.0);
        let larger = LARGER * refused + DEVIATIONS * refused.sqrt();
        let were_any = self.allowed > 0.0;
        self.limit = limit;
        self.believed_at = self.answered;
        self.allowed = if below.answered < ENOUGH {
            0.0
        } else {
            (larger / below.answered).min(MOST)
        };
        if !were_any {
            self.begin_anew();
        }
    }

    /// Limits from below the lowest rate that was tried, as far as they are not refuted, and none at the end; each with what is known of
    /// lower rates, and with the logarithm of the likelihood of all that is known.
    fn limits(&self) -> Vec<(f64, Account, f64)> {
        let known: Vec<(i32, f64, Account)> = self
            .accounts
            .iter()
            .map(|(place, account)| (*place, rate_at(*place), *account))
            .collect();
        let (Some((lowest, ..)), Some((highest, ..))) = (known.first(), known.last()) else {
            return Vec::new();
        };
        let explain = |place: i32, below: Account, beyond: &[(i32, f64, Account)]| {
            let share = below.share();
            let limit = rate_at(place) / APART.sqrt();
            let beyond: f64 = beyond
                .iter()
                .map(|(_, rate, account)| account.likelihood(1.0 - (1.0 - share) * limit / rate))
                .sum();
            let limit = if place > *highest {
                f64::INFINITY
            } else {
                limit
            };
            (limit, below, below.likelihood(share) + beyond)
        };
        let mut limits = VecDeque::new();
        let mut likeliest = f64::NEG_INFINITY;
        let (mut below, mut lower) = (Account::default(), 0);
        for place in *lowest..=highest + 1 {
            while let Some((tried, _, account)) = known.get(lower)
                && *tried < place
            {
                below = below.with(*account);
                lower += 1;
            }
            let explained = explain(place, below, &known[lower..]);
            likeliest = likeliest.max(explained.2);
            limits.push_back(explained);
        }
        // Below all rates that were tried the likelihood has one maximum: beyond it all limits are refuted when one is.
        for place in (lowest - FAR..*lowest).rev() {
            let explained = explain(place, Account::default(), &known);
            let is_past_it = limits.front().is_some_and(|above| explained.2 <= above.2);
            likeliest = likeliest.max(explained.2);
            limits.push_front(explained);
            if is_past_it && is_refuted(explained.2, likeliest) {
                break;
            }
        }
        limits.into()
    }
}

/// Whether an explanation is so much less likely than the likeliest that it is refuted.
fn is_refuted(likelihood: f64, likeliest: f64) -> bool {
    likelihood <= likeliest - REFUTED
}

fn place(rate: f64) -> i32 {
    (rate.clamp(SLOWEST, FASTEST).ln() / APART.ln()).round() as i32
}

fn rate_at(place: i32) -> f64 {
    APART.powi(place)
}

impl Account {
    fn sum<'a>(accounts: impl Iterator<Item = (&'a i32, &'a Self)>) -> Self {
        accounts.fold(Self::default(), |sum, (_, account)| sum.with(*account))
    }

    fn with(self, other: Self) -> Self {
        Self {
            answered: self.answered + other.answered,
            refused: self.refused + other.refused,
            last: self.last.max(other.last),
        }
    }

    fn without(self, other: Self) -> Self {
        Self {
            answered: (self.answered - other.answered).max(0.0),
            refused: (self.refused - other.refused).max(0.0),
            ..self
        }
    }

    fn add(&mut self, refused: bool) {
        if self.answered >= MEMORY {
            self.shrink(1.0 - 1.0 / MEMORY);
        }
        self.answered += 1.0;
        self.refused += f64::from(u8::from(refused));
    }

    fn shrink(&mut self, by: f64) {
        self.answered *= by;
        self.refused *= by;
    }

    fn share(self) -> f64 {
        self.refused / self.answered.max(1.0)
    }

    /// Whether a larger share is refused than in the other one, and not by chance.
    fn refuses_more(self, other: Self) -> bool {
        self.share() > other.share() && self.differs(other)
    }

    /// Whether other shares are refused than in the other one, and not by chance.
    fn differs(self, other: Self) -> bool {
        let share = (self.refused + other.refused) / (self.answered + other.answered).max(1.0);
        let alike = self.likelihood(share) + other.likelihood(share);
        self.likelihood(self.share()) + other.likelihood(other.share()) > alike + CHANGED
    }

    /// The logarithm of the likelihood of this when such a share is refused.
    fn likelihood(self, share: f64) -> f64 {
        let share = share.clamp(0.002, 0.998);
        self.refused * share.ln() + (self.answered - self.refused) * (1.0 - share).ln()
    }
}

#[cfg(test)]
mod belief_tests;
#[cfg(test)]
mod rules_tests;
#[cfg(test)]
mod tests;
