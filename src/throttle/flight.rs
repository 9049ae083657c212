//! How many requests the platform takes at the same time.
//!
//! What requests came to is kept by the number of others in flight that were sent before them. A limit on these is seen as no limit on
//! the rate is: from some number on most are refused, and below it next to none.

use std::collections::VecDeque;

/// So many must have been taken below a limit (fewer when the platform is known to have one), and so many refused at it; of those below such
/// a share may have been refused.
const TAKEN_BELOW: f64 = 20.0;
const TAKEN_BELOW_KNOWN: f64 = 8.0;
const TAKEN_NEXT: f64 = 3.0;
const REFUSED_AT: f64 = 3.0;
const REFUSED_BELOW: f64 = 0.05;
/// For each that is refused at the limit so many may be taken, since what is seen here and what is counted there differ by those that are
/// just on their way.
const TAKEN_AT: f64 = 0.5;
/// A limit on the rate with a small burst looks the same: there those are refused that are sent too soon after the ones before. So one of
/// those that were refused must have been sent later after them than one that was taken, by such a share of one refusal, of several by
/// less.
const LATER: f64 = 0.3;
/// So many of each number are remembered.
const MEMORY: f64 = 200.0;

/// After how long one more is tried, in seconds: at first, at most, and after one more has been taken.
const HOLD: f64 = 30.0;
const HOLD_MOST: f64 = 240.0;
const HOLD_AGAIN: f64 = 1.0;
/// So many refusals in a hold may mean that the limit is lower by now, before they speak against the rate.
const SUSPECTS: u32 = 12;
/// One more is taken when so many requests have been sent as the last of so many at a time, and this number of seconds ago the first.
const TAKEN_AS_LAST: u32 = 20;
const TAKEN_FOR: f64 = 2.0;
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
    /// When the ceiling began to hold up the next request; how long it has since the window began.
    full_from: Option<f64>,
    full: f64,
    window: f64,
    is_full: bool,
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
            full_from: None,
            full: 0.0,
            window: 0.0,
            is_full: false,
        }
    }

    /// The most at the time.
    pub(super) fn now(&mut self, now: f64) -> usize {
        if self.present < self.ceiling && self.trial.is_none() && now >= self.since + self.hold {
            self.present += 1;
            self.since = now;
            self.trial = Some(0);
        }
        self.present
    }

    /// What the platform takes, when that is less than the ceiling. One more that is being tried is not yet known to be taken.
    pub(super) fn found(&self) -> Option<usize> {
        let found = self.present - usize::from(self.trial.is_some());
        (found < self.ceiling).then_some(found)
    }

    /// The platform takes no more than this. Gives whether that is news.
    pub(super) fn limit(&mut self, most: usize, now: f64) -> bool {
        let is_news = most < self.present && self.trial.is_none();
        if is_news {
            (self.present, self.since, self.hold) = (most, now, HOLD);
            self.suspected = None;
        }
        is_news
    }

    /// How many refusals have spoken for a limit that is lower than the one that was found, with this one; none when none was found, or
    /// when they are too many to mean that.
    pub(super) fn may_be_lower(&mut self, now: f64) -> Option<u32> {
        self.found()?;
        let (since, suspects) = self
            .suspected
            .filter(|(since, _)| now < since + HOLD)
            .unwrap_or((now, 0));
        self.suspected = Some((since, suspects + 1));
        (suspects < SUSPECTS).then_some(suspects + 1)
    }

    /// A request has been sent as one of so many in flight; the next one is due in so many seconds.
    pub(super) fn sent(&mut self, in_flight: usize, due_in: f64, now: f64) {
        if in_flight < self.present {
            return;
        }
        if let Some(sent) = &mut self.trial {
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
        let is_taken = self.trial >= Some(TAKEN_AS_LAST) && now >= self.since + TAKEN_FOR;
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

/// What requests came to by the number in flight.
#[derive(Debug)]
pub(super) struct Flights {
    /// Taken and refused, by the number of others.
    by_others: Vec<(f64, f64)>,
    /// When the last requests that were taken came back.
    back: VecDeque<f64>,
    /// When the last requests were sent that were taken, the latest in front.
    sent: VecDeque<f64>,
    /// By how many before: the least time since that one was sent after which one was taken, and the most after which one was refused.
    since: Vec<(f64, f64)>,
}

impl Flights {
    pub(super) fn new(concurrency: usize) -> Self {
        Self {
            by_others: vec![(0.0, 0.0); concurrency + 1],
            back: VecDeque::new(),
            sent: VecDeque::new(),
            since: vec![(f64::INFINITY, 0.0); concurrency + 1],
        }
    }

    /// Forgets what requests came to, but not which are in flight.
    pub(super) fn begin_anew(&mut self) {
        let concurrency = self.since.len() - 1;
        self.by_others = vec![(0.0, 0.0); concurrency + 1];
        self.since = vec![(f64::INFINITY, 0.0); concurrency + 1];
    }

    /// Counts a request; all that were sent before it have been counted.
    pub(super) fn count(&mut self, sent_at: f64, back_at: f64, taken: bool) {
        let others = self.back.iter().filter(|back| **back > sent_at).count();
        let others = others.min(self.by_others.len() - 1);
        let (was_taken, was_refused) = &mut self.by_others[others];
        if *was_taken + *was_refused >= MEMORY {
            *was_taken /= 2.0;
            *was_refused /= 2.0;
        }
        // In one piece, since all of them are looked at for each request.
        let before = self.sent.make_contiguous().iter().zip(&mut self.since);
        if taken {
            for (before, (least, _)) in before {
                *least = least.min(sent_at - *before);
            }
            self.sent.push_front(sent_at);
            self.sent.truncate(self.since.len());
            *was_taken += 1.0;
            self.back.push_back(back_at);
            if self.back.len() > 2 * self.by_others.len() {
                self.back.pop_front();
            }
        } else {
            for (before, (_, most)) in before {
                *most = most.max(sent_at - *before);
            }
            *was_refused += 1.0;
        }
    }

    /// The most requests in flight, if they are limited. A limit on the rate is taken for one on these unless their times tell them apart;
    /// that is not asked where the platform is known to limit these.
    pub(super) fn limit(&self, is_known: bool) -> Option<usize> {
        let least = if is_known {
            TAKEN_BELOW_KNOWN
        } else {
            TAKEN_BELOW
        };
        let sum = |part: &[(f64, f64)]| {
            part.iter()
                .fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
        };
        (1..self.by_others.len()).find(|&most| {
            let (below, at) = self.by_others.split_at(most);
            let ((taken_below, refused_below), (taken_at, refused_at)) = (sum(below), sum(at));
            taken_below >= least
                && below[most - 1].0 >= TAKEN_NEXT
                && refused_at >= REFUSED_AT
                && refused_below <= REFUSED_BELOW * refused_at.min(taken_below)
                && taken_at <= TAKEN_AT * refused_at
                && (is_known
                    || self.since[most - 1].1 > (1.0 + LATER / refused_at) * self.since[most - 1].0)
        })
    }
}

#[cfg(test)]
mod tests;
