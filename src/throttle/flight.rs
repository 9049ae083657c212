//! How many requests the platform takes at the same time.
//!
//! What was refused is `evidence` of a limit in flight, which is then put to the test: only this many at a time, and no other limit. Where
//! requests are still refused, the number in flight was not what they were refused for.

mod evidence;

pub(super) use evidence::{Before, Flights};

/// After how long one more is tried, in seconds: at first, at most, and after one more has been taken.
const HOLD: f64 = 30.0;
const HOLD_MOST: f64 = 240.0;
const HOLD_AGAIN: f64 = 1.0;
/// So many refusals in a hold may mean that the limit is lower by now, before they speak against the rate.
const SUSPECTS: u32 = 12;
/// One more is taken when so many requests have been sent as the last of so many at a time, and this number of seconds ago the first.
const TAKEN_AS_LAST: u32 = 20;
const TAKEN_FOR: f64 = 2.0;
/// A limit that was found is refuted by so many refusals, and one for each so many requests that were sent as the last of so many.
const REFUTING: u32 = 2;
const REFUTING_EACH: u32 = 10;
/// Of each so many seconds such a share must have been spent waiting for a reply, for the ceiling to be what limits the rate.
const WINDOW: f64 = 5.0;
const FULL: f64 = 0.5;

/// The most requests in flight: a ceiling, and below it what the platform is found to take.
#[derive(Debug)]
pub(super) struct Most {
    ceiling: usize,
    present: usize,
    /// Since when, and for how long before one more is tried.
    since: f64,
    hold: f64,
    /// Since when refusals speak for a limit that is lower by now, and how many have.
    suspected: Option<(f64, u32)>,
    /// While one more is tried: how many requests have been sent as the last of so many.
    trial: Option<u32>,
    /// While a limit that was found is put to the test: how many requests have been sent as the last of so many, and how many refused. And
    /// how often one has been refuted.
    test: Option<(u32, u32)>,
    refuted: u32,
    /// When the ceiling began to hold up the next request; how long it has since the window began.
    full_from: Option<f64>,
    full: f64,
    window: f64,
    is_full: bool,
}

/// What a refusal says of the limit in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Nothing: none is believed in, or there are too many refusals to mean that it is lower by now.
    None,
    /// It may be lower by now; the first refusal that says so.
    First,
    /// Another one.
    More,
    /// There is none.
    Refuted,
}

impl Most {
    pub(super) fn new(ceiling: usize) -> Self {
        Self {
            ceiling,
            present: ceiling,
            since: 0.0,
            hold: HOLD,
            suspected: None,
            trial: None,
            test: None,
            refuted: 0,
            full_from: None,
            full: 0.0,
            window: 0.0,
            is_full: false,
        }
    }

    /// The most at the time.
    pub(super) fn now(&mut self, now: f64) -> usize {
        let is_settled = self.trial.is_none() && self.test.is_none();
        if self.present < self.ceiling && is_settled && now >= self.since + self.hold {
            self.present += 1;
            self.since = now;
            self.trial = Some(0);
        }
        self.present
    }

    /// What the platform takes, when that is less than the ceiling and has been put to the test.
    pub(super) fn found(&self) -> Option<usize> {
        self.believed().filter(|_| self.test.is_none())
    }

    /// What has been found of the platform before.
    pub(super) fn before(&self) -> Before {
        self.found()
            .map_or(Before::Refuted(self.refuted), |_| Before::Known)
    }

    /// What the platform seems to take. One more that is being tried is not yet known to be taken.
    fn believed(&self) -> Option<usize> {
        let found = self.present - usize::from(self.trial.is_some());
        (found < self.ceiling).then_some(found)
    }

    /// The platform takes no more than this. Gives whether that is news.
    pub(super) fn limit(&mut self, most: usize, now: f64) -> bool {
        let is_news = most < self.present && self.trial.is_none();
        if is_news {
            (self.present, self.since, self.hold) = (most, now, HOLD);
            self.suspected = None;
            self.test = Some((0, 0));
        }
        is_news
    }

    /// What a refusal says of the limit that was believed in.
    pub(super) fn doubt(&mut self, now: f64) -> Doubt {
        if self.believed().is_none() {
            return Doubt::None;
        }
        if let Some((sent, refused)) = &mut self.test {
            *refused += 1;
            if *refused >= REFUTING && *refused * REFUTING_EACH > *sent {
                (self.present, self.test, self.suspected) = (self.ceiling, None, None);
                self.refuted += 1;
                return Doubt::Refuted;
            }
        }
        let (since, suspects) = self
            .suspected
            .filter(|(since, _)| now < since + HOLD)
            .unwrap_or((now, 0));
        self.suspected = Some((since, suspects + 1));
        match suspects {
            0 => Doubt::First,
            1..SUSPECTS => Doubt::More,
            _ => Doubt::None,
        }
    }

    /// A request has been sent as one of so many in flight; the next one is due in so many seconds.
    pub(super) fn sent(&mut self, in_flight: usize, due_in: f64, now: f64) {
        if in_flight < self.present {
            return;
        }
        if let Some(sent) = &mut self.trial {
            *sent += 1;
        }
        if let Some((sent, _)) = &mut self.test {
            *sent += 1;
        }
        if self.present == self.ceiling {
            self.full_from = Some(now + due_in);
        }
    }

    /// A request has come back. Gives whether one more has been found to be taken: what is known of requests in flight is out of date.
    pub(super) fn returned(&mut self, now: f64) -> bool {
        if let Some(from) = self.full_from.take() {
            self.full += (now - from).max(0.0);
        }
        if now >= self.window + WINDOW {
            self.is_full |= self.full > FULL * (now - self.window);
            (self.full, self.window) = (0.0, now);
        }
        let is_long = now >= self.since + TAKEN_FOR;
        if is_long && self.test.is_some_and(|(sent, _)| sent >= TAKEN_AS_LAST) {
            self.test = None;
        }
        let is_taken = self.trial >= Some(TAKEN_AS_LAST) && is_long;
        if is_taken {
            (self.trial, self.since, self.hold) = (None, now, HOLD_AGAIN);
        }
        is_taken
    }

    /// A request was refused. Gives whether that was one too many, and says nothing of the rate.
    pub(super) fn refused(&mut self, now: f64) -> bool {
        let is_too_many = self.trial.take().is_some();
        if is_too_many {
            self.present -= 1;
            self.since = now;
            self.hold = (2.0 * self.hold).clamp(HOLD, HOLD_MOST);
        }
        is_too_many
    }

    /// Whether the ceiling has been what limits the rate, for seconds.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }
}

#[cfg(test)]
mod tests;
