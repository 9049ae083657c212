//! The pace of a push: what requests say of the platform becomes what the pacer is told.
//!
//! Two things speak for a platform that is throttling as a whole: that it refuses requests for their number, and that it throttles most
//! devices to which nothing else has been sent. One device that is sent a second message, or the same one again, says nothing.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tracing::info;

use self::throttle_window::{ThrottleVerdict, ThrottleWindow};
use super::Event;
use crate::{
    model::{Lead, Timestamp},
    policy::{self, Signal},
    store::{KeptRate, Sharing},
    throttle::{Ceilings, Pacer, Part, Ticket},
};

mod throttle_window;

pub(super) use throttle_window::FirstSendStats;

/// A rate that was measured for less than this is not begun with, nor one that is older than this.
const MEASURED: Duration = Duration::from_secs(10);
const OLD: Duration = Duration::from_hours(24 * 7);
/// A rate is another one when it is off by more than this share.
const SAME: f64 = 0.1;

/// Whether a rate that the database knows is one to begin with.
pub(super) fn is_worth_it(kept: &KeptRate, now: Timestamp) -> bool {
    // One of the future is of a clock that was ahead: nobody knows how old it is.
    kept.span >= MEASURED && kept.found_at <= now && kept.found_at.until(now) <= OLD
}

/// A rate, and for how long the platform has been found to take it.
type Measured = (f64, Duration);

/// The pace of a push.
#[derive(Debug)]
pub(super) struct Pace {
    pacer: Arc<Pacer>,
    /// What is allowed to all pushes that share a platform's account, and how many that are.
    ceilings: Ceilings,
    concurrency: usize,
    part: Part,
    /// Whether this push finds what the platform takes, for all that share the account.
    finds: bool,
    throttle_window: ThrottleWindow,
    /// The rate that the database knows, and for how long it had been measured.
    kept: Option<Measured>,
    /// The rate that was found, as long as it is about the same, and since when.
    since: Option<(f64, Instant)>,
    /// The number in flight that was told last.
    told_in_flight: Option<usize>,
    /// Whether it was told that the ceiling on the requests in flight is what limits the rate.
    told_held_up: bool,
}

impl Pace {
    /// Begins at the rate that the database knows, if it is worth it.
    pub(super) fn new(
        ceilings: Ceilings,
        concurrency: usize,
        kept: Option<KeptRate>,
        now: Timestamp,
    ) -> Self {
        let begun_with = kept.filter(|kept| is_worth_it(kept, now));
        let begun_with = begun_with.map(|kept| kept.rate);
        Self {
            pacer: Arc::new(Pacer::new(ceilings, concurrency, begun_with)),
            ceilings,
            concurrency,
            part: Part::ALL,
            finds: true,
            throttle_window: ThrottleWindow::default(),
            kept: kept.map(|kept| (kept.rate, kept.span)),
            since: None,
            told_in_flight: None,
            told_held_up: false,
        }
    }

    /// The pacer, for the senders.
    pub(super) fn pacer(&self) -> Arc<Pacer> {
        Arc::clone(&self.pacer)
    }

    /// The present rate of requests of this size, a second; `None` when nothing limits it.
    pub(super) fn rate(&self, devices: u32) -> Option<f64> {
        self.pacer.rate(devices)
    }

    /// The requests a second that the platform has been found to take, when it has refused more.
    pub(super) fn found(&self) -> Option<f64> {
        self.pacer.found()
    }

    /// Sets another ceiling in requests a second.
    pub(super) fn set_ceiling(&mut self, requests: Option<f64>) {
        self.ceilings.requests = requests;
        self.take_share();
    }

    /// Keeps to an equal part of what is allowed to those who share the account. One of them finds what the platform takes, and the others keep
    /// to their parts of its pace. Gives what to tell if that is news.
    pub(super) fn share(&mut self, sharing: Sharing, lead: Option<Lead>) -> Option<Event> {
        let Sharing { pushes, finds } = sharing;
        let part = Part {
            of: pushes,
            followed: lead.filter(|_| !finds),
        };
        let before = std::mem::replace(&mut self.part, part);
        if finds
            && !self.finds
            && let Some(rate) = before.followed_rate()
        {
            self.pacer.remember(rate);
        } else if finds {
            self.pacer.share_anew(before.of, pushes);
        }
        self.finds = finds;
        if part != before {
            self.take_share();
        }
        (pushes != before.of).then(|| {
            info!(pushes, "the account's rate is shared");
            Event::RateShared { pushes }
        })
    }

    /// The pace that the others are to keep to, if there are any, and this one finds what the platform takes.
    pub(super) fn lead(&self) -> Option<Lead> {
        let pushes = self.part.of;
        (self.finds && pushes > 1).then(|| self.pacer.lead(pushes))
    }

    fn take_share(&self) {
        let ceilings = self.part.ceilings(self.ceilings);
        let in_flight = self.part.in_flight(self.concurrency);
        self.pacer.set_ceilings(ceilings, in_flight);
    }

    /// What was found, when the database does not know it yet and this push is the one to find it: a rate is worth a commit when it has changed by a twentieth, and in the
    /// end (`all`) whenever it has changed.
    pub(super) fn unkept(&mut self, all: bool) -> Option<FoundRate> {
        if !self.finds {
            return None;
        }
        let found = self.measured();
        // What is not yet measured again is still the best that is known.
        if found.is_none() && self.pacer.is_limited() {
            return None;
        }
        let is_news = match (found, self.kept) {
            (Some((found, span)), Some((kept, known))) if !all => {
                (found / kept - 1.0).abs() > 0.05 || (span >= MEASURED && known < MEASURED)
            }
            (found, kept) => found != kept,
        };
        is_news.then(|| {
            self.kept = found;
            FoundRate { found }
        })
    }

    /// What was found, and for how long it has been about the same.
    fn measured(&mut self) -> Option<Measured> {
        let Some(found) = self.found() else {
            self.since = None;
            return None;
        };
        let now = Instant::now();
        let since = match self.since {
            Some((rate, since)) if (found / rate - 1.0).abs() <= SAME => since,
            _ => {
                self.since = Some((found, now));
                now
            }
        };
        Some((found, now - since))
    }

    /// Heeds what a request says of the pace, and gives what there is to tell of it. `was_paused` and `is_paused` are before and after it.
    pub(super) fn apply_signal(
        &mut self,
        signal: &Signal,
        (ticket, sent_at): (Ticket, Instant),
        firsts: FirstSendStats,
        was_paused: bool,
        is_paused: bool,
    ) -> Vec<Event> {
        let lowered = match signal {
            Signal::Reached => self.answered(ticket, sent_at, firsts),
            Signal::Throttled { retry_after, .. } => {
                self.pacer.refused(ticket, asked_for(*retry_after))
            }
            Signal::Unusable {
                overloaded: true, ..
            } if is_paused && !was_paused => {
                self.pacer.silent(ticket);
                self.pacer.overloaded()
            }
            // A probe that fails says nothing about the rate.
            Signal::Unusable {
                overloaded: true,
                retry_after,
                ..
            } if !was_paused => self.pacer.refused(ticket, asked_for(*retry_after)),
            _ => {
                self.pacer.silent(ticket);
                None
            }
        };
        let mut told = Vec::new();
        if let Some(rate) = lowered {
            info!(rate, "the platform throttles: rate lowered");
            told.push(Event::RateLowered { rate });
        }
        if let Some(requests) = self.new_in_flight() {
            info!(requests, "the platform limits the requests in flight");
            told.push(Event::InFlightLimited { requests });
        }
        if let Some((requests, rate)) = self.newly_held_up() {
            info!(requests, rate, "the concurrency limits the rate");
            told.push(Event::HeldUp { requests, rate });
        }
        told
    }

    /// A request has ended in a way that says nothing of the pace.
    pub(super) fn silent(&self, ticket: Ticket) {
        self.pacer.silent(ticket);
    }

    /// The platform has answered a request that was sent at `sent_at`. Gives the new rate when it is lowered.
    fn answered(
        &mut self,
        ticket: Ticket,
        sent_at: Instant,
        firsts: FirstSendStats,
    ) -> Option<f64> {
        match self.throttle_window.add(sent_at, firsts) {
            ThrottleVerdict::Free => {
                self.pacer.accepted(ticket);
                None
            }
            ThrottleVerdict::Throttled => {
                self.pacer.silent(ticket);
                None
            }
            ThrottleVerdict::TooFast { share } => {
                self.pacer.silent(ticket);
                Some(self.pacer.crowded(share))
            }
        }
    }

    /// The most requests in flight that the platform takes, when that is news.
    fn new_in_flight(&mut self) -> Option<usize> {
        let found = self.pacer.found_in_flight()?;
        (self.told_in_flight.replace(found) != Some(found)).then_some(found)
    }

    /// When the ceiling on the requests in flight is what limits the rate: that ceiling, and about how many requests go a second. Said once.
    fn newly_held_up(&mut self) -> Option<(usize, f64)> {
        if self.told_held_up {
            return None;
        }
        let held_up = self.pacer.held_up();
        self.told_held_up = held_up.is_some();
        held_up
    }
}

/// For how long nothing is to be sent, when the platform says so.
fn asked_for(retry_after: Option<Duration>) -> Option<Duration> {
    retry_after.map(|asked| policy::probe_delay(0, Some(asked)))
}

/// What the database does not know yet.
#[derive(Debug, PartialEq)]
pub(super) struct FoundRate {
    /// The requests a second that the platform takes, and for how long they were measured; `None` when it refuses none.
    pub(super) found: Option<Measured>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ceilings() -> Ceilings {
        Ceilings {
            requests: Some(100.0),
            devices: None,
        }
    }

    fn kept(span: u64, found_at: i64) -> KeptRate {
        KeptRate {
            rate: 25.0,
            span: Duration::from_secs(span),
            found_at: Timestamp(found_at),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_of_a_moment_or_of_long_ago_is_not_begun_with() {
        let day = 24 * 3600 * 1000;
        for (kept, now, is_begun_with) in [
            (kept(10, 0), day, true),
            (kept(9, 0), day, false),
            (kept(600, 0), 8 * day, false),
            (kept(600, day), 0, false),
        ] {
            let pace = Pace::new(ceilings(), 16, Some(kept), Timestamp(now));
            assert_eq!(pace.rate(1) == Some(25.0), is_begun_with, "{kept:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_503_that_asks_for_a_pause_while_others_pass_is_obeyed_as_a_429_is() {
        let (retry_after, reason) = (Some(Duration::from_secs(7)), String::new());
        let overloaded = Signal::Unusable {
            retry_after,
            reason: reason.clone(),
            overloaded: true,
            sent: true,
        };
        for signal in [
            overloaded,
            Signal::Throttled {
                retry_after,
                reason,
            },
        ] {
            let mut pace = Pace::new(ceilings(), 16, None, Timestamp(0));
            let pacer = pace.pacer();
            let ticket = pacer.token(1).await;
            pacer.returned(ticket);
            let sent = (ticket, Instant::now());
            pace.apply_signal(&signal, sent, FirstSendStats::default(), false, false);
            let from = Instant::now();
            pacer.token(1).await;
            let waited = from.elapsed().as_secs_f64();
            assert!((6.9..7.2).contains(&waited), "{signal:?}: {waited} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_known_is_kept_until_it_is_measured_again_or_no_more() {
        let mut pace = Pace::new(ceilings(), 16, Some(kept(60, 0)), Timestamp(0));
        assert_eq!(pace.unkept(true), None, "nothing has been measured yet");
        // Nothing is refused, whatever the rate.
        while pace.pacer.is_limited() {
            let ticket = pace.pacer.token(1).await;
            pace.pacer.returned(ticket);
            pace.pacer.accepted(ticket);
        }
        assert_eq!(pace.unkept(true), Some(FoundRate { found: None }));
        assert_eq!(pace.unkept(true), None);
    }

    #[tokio::test(start_paused = true)]
    async fn pushes_that_share_an_account_take_equal_parts() {
        let ceilings = Ceilings {
            requests: Some(4.0),
            devices: Some(100.0),
        };
        let mut pace = Pace::new(ceilings, 5, None, Timestamp(0));
        let share = |pace: &mut Pace, pushes| {
            let sharing = Sharing {
                pushes,
                finds: true,
            };
            pace.share(sharing, None)
        };
        assert_eq!(share(&mut pace, 1), None);
        assert_eq!(share(&mut pace, 2), Some(Event::RateShared { pushes: 2 }));
        assert_eq!(share(&mut pace, 2), None);
        assert_eq!((pace.rate(1), pace.rate(100)), (Some(2.0), Some(0.5)));
        let pacer = pace.pacer();
        let from = Instant::now();
        let mut tickets = Vec::new();
        for _ in 0..2 {
            tickets.push(pacer.token(1).await);
        }
        assert!((0.49..0.51).contains(&from.elapsed().as_secs_f64()));
        let third = tokio::time::timeout(Duration::from_mins(1), pacer.token(1)).await;
        assert!(third.is_err(), "two of five may be in flight");
        // The ramp goes on, and then the other push ends.
        pace.set_ceiling(Some(3.0));
        assert_eq!(pace.rate(1), Some(1.5));
        share(&mut pace, 1);
        assert_eq!(pace.rate(1), Some(3.0));
        pacer.token(1).await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_finds_what_the_platform_takes_and_the_others_follow() {
        let sharing = |pushes, finds| Sharing { pushes, finds };
        let mut first = Pace::new(ceilings(), 16, Some(kept(60, 0)), Timestamp(0));
        let mut other = Pace::new(ceilings(), 16, None, Timestamp(0));
        assert_eq!(first.lead(), None, "nobody follows");
        assert!(first.share(sharing(2, true), None).is_some());
        // What was found for one is what two take together.
        assert_eq!(first.rate(1), Some(12.5));
        let lead = first.lead().unwrap();
        assert_eq!((lead.rate, lead.in_flight), (Some(25.0), None));
        let told = other.share(sharing(2, false), Some(lead));
        assert_eq!(told, Some(Event::RateShared { pushes: 2 }));
        assert_eq!((other.rate(1), other.lead()), (Some(12.5), None));
        assert_eq!(other.unkept(true), None, "it does not find for the others");
        // The first one ends: the other one goes on with its part, and tries carefully whether there is more.
        other.share(Sharing::ALONE, Some(lead));
        assert_eq!(other.rate(1), Some(12.5));
        assert!(other.pacer.is_limited());
    }

    #[tokio::test(start_paused = true)]
    async fn a_ceiling_on_requests_in_flight_that_holds_up_the_rate_is_told_once() {
        let mut pace = Pace::new(ceilings(), 4, None, Timestamp(0));
        let pacer = pace.pacer();
        let push = async {
            for _ in 0..40 {
                let tickets = [
                    pacer.token(1).await,
                    pacer.token(1).await,
                    pacer.token(1).await,
                    pacer.token(1).await,
                ];
                tokio::time::sleep(Duration::from_millis(500)).await;
                for ticket in tickets {
                    pacer.returned(ticket);
                    pacer.accepted(ticket);
                }
            }
        };
        push.await;
        let (requests, rate) = pace.newly_held_up().expect("four at a time are too few");
        assert_eq!(requests, 4);
        assert!((6.0..9.0).contains(&rate), "{rate}");
        assert_eq!(pace.newly_held_up(), None);
    }
}
