//! How many requests the platform takes at the same time.
//!
//! What requests came to is kept by the number of others in flight that were sent before them. A limit on these is seen as no limit on
//! the rate is: from some number on most are refused, and below it next to none.

use std::collections::VecDeque;

/// So many must have been taken below a limit, and refused at it; of those below such a share may have been refused.
const TAKEN_BELOW: f64 = 20.0;
const TAKEN_NEXT: f64 = 3.0;
const REFUSED_AT: f64 = 3.0;
const REFUSED_BELOW: f64 = 0.05;
/// For each that is refused at the limit so many may be taken, since what is seen here and what is counted there differ by those that are
/// just on their way.
const TAKEN_AT: f64 = 0.5;
/// A limit on the rate with a small burst looks the same: there those are refused that are sent too soon after the ones before. So one of
/// those that were refused must have been sent so many times as long after them as one that was taken.
const LATER: f64 = 1.1;
/// So many of each number are remembered.
const MEMORY: f64 = 200.0;

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

    /// Counts a request; all that were sent before it have been counted.
    pub(super) fn count(&mut self, sent_at: f64, back_at: f64, taken: bool) {
        let others = self.back.iter().filter(|back| **back > sent_at).count();
        let others = others.min(self.by_others.len() - 1);
        let (was_taken, was_refused) = &mut self.by_others[others];
        if *was_taken + *was_refused >= MEMORY {
            *was_taken /= 2.0;
            *was_refused /= 2.0;
        }
        for (before, (least, most)) in self.sent.iter().zip(&mut self.since) {
            if taken {
                *least = least.min(sent_at - before);
            } else {
                *most = most.max(sent_at - before);
            }
        }
        if taken {
            self.sent.push_front(sent_at);
            self.sent.truncate(self.since.len());
            *was_taken += 1.0;
            self.back.push_back(back_at);
            if self.back.len() > 2 * self.by_others.len() {
                self.back.pop_front();
            }
        } else {
            *was_refused += 1.0;
        }
    }

    /// The most requests in flight, if they are limited.
    pub(super) fn limit(&self) -> Option<usize> {
        let sum = |part: &[(f64, f64)]| {
            part.iter()
                .fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
        };
        (1..self.by_others.len()).find(|&most| {
            let (below, at) = self.by_others.split_at(most);
            let ((taken_below, refused_below), (taken_at, refused_at)) = (sum(below), sum(at));
            taken_below >= TAKEN_BELOW
                && below[most - 1].0 >= TAKEN_NEXT
                && refused_at >= REFUSED_AT
                && refused_below <= REFUSED_BELOW * refused_at.min(taken_below)
                && taken_at <= TAKEN_AT * refused_at
                && self.since[most - 1].1 > LATER * self.since[most - 1].0
        })
    }
}
