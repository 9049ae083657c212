//! Whether it is the requests in flight that a platform limits.
//!
//! Two explanations of what was refused are compared by how likely each makes it: that those are refused which find so many others in
//! flight, and that those are refused which come too soon after the ones before, as a limit on the rate has it. Neither has to explain
//! everything: a reply that is read late lets a request seem to be in flight that is not, and some are refused by accident.

use std::collections::VecDeque;

/// So many requests are remembered.
const MEMORY: usize = 600;
/// A request is sent before its reply is read, when the platform has ended it already. One that comes back within such a share of the usual
/// time may count as ended.
const LATENESS: f64 = 0.25;
/// So many must have been taken below a limit (fewer when the platform is known to have one), so many of these with one fewer in flight,
/// and so many refused at it.
const TAKEN_BELOW: f64 = 20.0;
const TAKEN_BELOW_KNOWN: f64 = 8.0;
const TAKEN_NEXT: f64 = 3.0;
const REFUSED_AT: f64 = 3.0;
/// Of those at the limit such a share must have been refused, and below it at most such a share of that.
const SHARE_AT: f64 = 0.4;
const SHARE_BELOW: f64 = 0.1;
/// By so much the logarithm of the likelihood must be higher than with the best limit on the rate, and by so much more for each time that
/// this was an error.
const SURE: f64 = 2.0;
const SURER: f64 = 2.0;
/// A limit on the rate is seen by the time since the request before, or the one before that, up to so many.
const BEFORE: usize = 64;
/// After so many refusals, as a share of those that are remembered, it is worth another look.
const LOOK_AGAIN: f64 = 0.1;

/// What requests came to, by what was in flight.
#[derive(Debug)]
pub(in crate::throttle) struct Flights {
    concurrency: usize,
    /// The last requests in the order in which they were sent, and how many of them count.
    requests: VecDeque<Request>,
    counted: usize,
    /// Refusals since the last look.
    unseen: f64,
}

/// What has been found before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::throttle) enum Before {
    /// The platform limits the requests in flight.
    Known,
    /// It was believed so often that it does, and was not so.
    Refuted(u32),
}

#[derive(Debug, Clone, Copy)]
struct Request {
    sent: f64,
    back: f64,
    is_taken: bool,
}

/// How many requests were taken and refused.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Outcomes {
    taken: f64,
    refused: f64,
}

/// A figure of a request, and whether it was taken.
type Figure = (f64, bool);

impl Outcomes {
    fn of(requests: impl Iterator<Item = bool>) -> Self {
        let mut outcomes = Self::default();
        requests.for_each(|is_taken| outcomes.add(is_taken));
        outcomes
    }

    fn add(&mut self, is_taken: bool) {
        if is_taken {
            self.taken += 1.0;
        } else {
            self.refused += 1.0;
        }
    }

    fn without(self, others: Self) -> Self {
        Self {
            taken: self.taken - others.taken,
            refused: self.refused - others.refused,
        }
    }

    /// The share that was refused.
    fn share(self) -> f64 {
        self.refused / (self.taken + self.refused).max(1.0)
    }

    /// The logarithm of how likely they are when each request is refused with the same probability, whichever fits best.
    fn likelihood(self) -> f64 {
        let all = self.taken + self.refused;
        let of = |n: f64| if n > 0.0 { n * (n / all).ln() } else { 0.0 };
        of(self.taken) + of(self.refused)
    }
}

/// How many requests before a request it is looked for one that it came too soon after: each of the first few, then ever fewer.
fn places_before() -> impl Iterator<Item = usize> {
    let next = |nth: &usize| Some((nth + 1).max(nth * 5 / 4));
    std::iter::successors(Some(1), next).take_while(|nth| *nth <= BEFORE)
}

/// Cuts the figures in two at each place where they differ. Shows what the first ones came to, and the first figure of the others.
fn cuts(figures: &[Figure], mut show: impl FnMut(Outcomes, Option<f64>)) {
    let mut first = Outcomes::default();
    for (nth, (figure, is_taken)) in figures.iter().enumerate() {
        first.add(*is_taken);
        let next = figures.get(nth + 1).map(|(next, _)| *next);
        if next != Some(*figure) {
            show(first, next);
        }
    }
}

/// How many were taken whose figure lies beyond the cut.
fn taken_beyond(figures: &[Figure], cut: f64) -> f64 {
    let is_beyond = |(figure, is_taken): &&Figure| *is_taken && *figure > cut;
    figures.iter().filter(is_beyond).count() as f64
}

fn is_likelier(likelihood: f64, best: f64) -> bool {
    likelihood > best
}

impl Flights {
    pub(in crate::throttle) fn new(concurrency: usize) -> Self {
        Self {
            concurrency,
            requests: VecDeque::new(),
            counted: 0,
            unseen: 0.0,
        }
    }

    /// Forgets what requests came to, but not which are in flight.
    pub(in crate::throttle) fn begin_anew(&mut self) {
        self.counted = 0;
    }

    /// Counts a request; all that were sent before it have been counted.
    pub(in crate::throttle) fn count(&mut self, sent: f64, back: f64, is_taken: bool) {
        self.requests.push_back(Request {
            sent,
            back,
            is_taken,
        });
        if self.requests.len() > MEMORY {
            self.requests.pop_front();
        }
        self.counted = (self.counted + 1).min(self.requests.len());
        self.unseen += f64::from(u8::from(!is_taken));
    }

    /// The most requests in flight, if they are limited.
    pub(in crate::throttle) fn limit(&mut self, before: Before) -> Option<usize> {
        if self.unseen <= 0.0 {
            return None;
        }
        let all = Outcomes::of(self.evidence().map(|(_, request)| request.is_taken));
        if all.refused < REFUSED_AT || self.unseen < LOOK_AGAIN * all.refused {
            return None;
        }
        self.unseen = 0.0;
        let (likelihood, most) = self.by_flight(all, before)?;
        let (rival, sure) = match before {
            Before::Known => (all.likelihood(), SURE),
            Before::Refuted(times) => (self.by_rate(all), SURE + SURER * f64::from(times)),
        };
        (likelihood >= rival + sure).then_some(most)
    }

    /// The requests that count, with their places.
    fn evidence(&self) -> impl Iterator<Item = (usize, &Request)> {
        let from = self.requests.len() - self.counted;
        self.requests.iter().enumerate().skip(from)
    }

    /// For each number: how long it took from sending a request until fewer than so many of those before were in flight, the longest first.
    fn until_fewer(&self) -> Vec<Vec<Figure>> {
        let mut until_fewer = vec![Vec::new(); self.concurrency + 1];
        for (place, request) in self.evidence() {
            let before = place.saturating_sub(4 * self.concurrency)..place;
            let mut backs: Vec<f64> = self
                .requests
                .range(before)
                .filter(|other| other.is_taken && other.back > request.sent)
                .map(|other| other.back - request.sent)
                .collect();
            backs.sort_by(|one, other| other.total_cmp(one));
            let figures = std::iter::once(f64::INFINITY).chain(backs);
            for (figures, figure) in until_fewer.iter_mut().zip(figures) {
                figures.push((figure, request.is_taken));
            }
        }
        for figures in &mut until_fewer {
            figures.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        }
        until_fewer
    }

    /// The limit in flight that makes what requests came to most likely, after the logarithm of that likelihood.
    fn by_flight(&self, all: Outcomes, before: Before) -> Option<(f64, usize)> {
        let trips: f64 = self
            .evidence()
            .map(|(_, request)| request.back - request.sent)
            .sum();
        let late = LATENESS * trips / self.counted as f64;
        let least = match before {
            Before::Known => TAKEN_BELOW_KNOWN,
            Before::Refuted(_) => TAKEN_BELOW,
        };
        let until_fewer = self.until_fewer();
        let mut best: Option<(f64, usize)> = None;
        for most in 1..until_fewer.len() {
            cuts(&until_fewer[most], |at, next| {
                let cut = next.unwrap_or(0.0);
                let below = all.without(at);
                if cut > late
                    || at.refused < REFUSED_AT
                    || at.share() < SHARE_AT
                    || below.taken < least
                    || below.share() > SHARE_BELOW * at.share()
                {
                    return;
                }
                let taken_with = taken_beyond(&until_fewer[most - 1], cut);
                let likelihood = at.likelihood() + below.likelihood();
                if taken_with - at.taken >= TAKEN_NEXT
                    && best.is_none_or(|(best, _)| is_likelier(likelihood, best))
                {
                    best = Some((likelihood, most));
                }
            });
        }
        best
    }

    /// The logarithm of how likely what requests came to is at most, if those are refused that come too soon after the ones before.
    fn by_rate(&self, all: Outcomes) -> f64 {
        let taken: Vec<f64> = self
            .requests
            .iter()
            .filter(|request| request.is_taken)
            .map(|request| request.sent)
            .collect();
        let mut best = all.likelihood();
        for nth in places_before() {
            let mut since: Vec<Figure> = self
                .evidence()
                .map(|(_, request)| {
                    let before = taken.partition_point(|sent| *sent < request.sent);
                    let then = before.checked_sub(nth).and_then(|nth| taken.get(nth));
                    let since = then.map_or(f64::INFINITY, |then| request.sent - then);
                    (since, request.is_taken)
                })
                .collect();
            since.sort_by(|(one, _), (other, _)| one.total_cmp(other));
            cuts(&since, |soon, _| {
                let later = all.without(soon);
                if soon.share() > later.share() {
                    best = best.max(soon.likelihood() + later.likelihood());
                }
            });
        }
        best
    }
}

#[cfg(test)]
mod tests;
