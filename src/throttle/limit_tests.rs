//! Pushes against every kind of limit, in virtual time: what they get of what the limit gives, and what they are refused.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::{
    Ceilings,
    controller::{Controller, Ticket, Wait},
    play::CONCURRENCY,
};
use crate::simulator::limiter::{Admission, Limiter, RequestLimit};

/// The ceiling, in requests a second, and what the limits on the rate give.
const CEILING: f64 = 400.0;
const LIMIT: f64 = 40.0;
/// A request takes from so many to so many seconds, and a timer is late by so many at most.
const LATENCY: (f64, f64) = (0.02, 0.05);
const LATE: f64 = 0.0012;

/// A reply that is to come: when, to which ticket, whether the request was taken, and what it asks for.
type Reply = (u64, usize, bool, Option<u64>);

/// A push and a platform with a limit.
struct Match {
    controller: Controller,
    limit: RequestLimit,
    limiter: Limiter,
    random: SmallRng,
    epoch: Instant,
    now: f64,
    tickets: Vec<Ticket>,
    replies: BinaryHeap<Reverse<Reply>>,
    accepted: Vec<f64>,
    refused: usize,
}

fn ceilings(requests: Option<f64>) -> Ceilings {
    Ceilings {
        requests,
        devices: None,
    }
}

impl Match {
    fn new(limit: &str, ceiling: f64, seed: u64) -> Self {
        let epoch = Instant::now();
        Self {
            controller: Controller::new(ceilings(Some(ceiling)), CONCURRENCY, None, epoch),
            limit: limit.parse().unwrap(),
            limiter: Limiter::default(),
            random: SmallRng::seed_from_u64(seed),
            epoch,
            now: 0.0,
            tickets: Vec::new(),
            replies: BinaryHeap::new(),
            accepted: Vec::new(),
            refused: 0,
        }
    }

    fn instant(&self) -> Instant {
        self.epoch + Duration::from_secs_f64(self.now)
    }

    /// Plays on until this time, in seconds.
    fn until(&mut self, end: f64) {
        while self.now < end {
            let reply = self
                .replies
                .peek()
                .map_or(f64::INFINITY, |Reverse(reply)| reply.0 as f64 / 1e9);
            let mut next = reply.min(end);
            if self.replies.len() < CONCURRENCY {
                match self.controller.take(1, self.instant()) {
                    Ok(ticket) => {
                        self.send(ticket);
                        continue;
                    }
                    Err(Wait::Until(due)) => {
                        let due = due.duration_since(self.epoch).as_secs_f64();
                        next = next.min(due + self.random.random_range(0.0..LATE));
                    }
                    Err(Wait::InFlight) => {}
                }
            }
            self.now = self.now.max(next);
            if reply <= self.now {
                self.hear();
            }
        }
    }

    fn send(&mut self, ticket: Ticket) {
        let at = Duration::from_secs_f64(self.now);
        let (taken, queued, hold) = match self.limiter.ask(&self.limit, at) {
            Admission::Taken { queued } => (true, queued.as_secs_f64(), None),
            Admission::Refused { room_after } => (false, 0.0, self.limit.asks_for(room_after)),
        };
        let replied = self.now + queued + self.random.random_range(LATENCY.0..LATENCY.1);
        let reply = ((replied * 1e9) as u64, self.tickets.len(), taken, hold);
        self.tickets.push(ticket);
        self.replies.push(Reverse(reply));
    }

    fn hear(&mut self) {
        let Some(Reverse((_, ticket, taken, hold))) = self.replies.pop() else {
            return;
        };
        let (ticket, now) = (self.tickets[ticket], self.instant());
        self.controller.returned(ticket, now);
        if taken {
            self.limiter.ended();
            self.accepted.push(self.now);
            self.controller.accepted(ticket, now);
        } else {
            self.refused += 1;
            self.controller
                .refused(ticket, hold.map(Duration::from_secs), now);
        }
    }

    fn accepted_between(&self, from: f64, to: f64) -> f64 {
        let within = |at: &&f64| (from..to).contains(*at);
        self.accepted.iter().filter(within).count() as f64
    }
}

/// Each with the least goodput of 30 s and of their second half, and the share that may be refused: what is reached now, with little to
/// spare.
#[test]
fn limits_that_ask_for_a_pause_are_measured_and_made_use_of() {
    let mut missed = Vec::new();
    for (limit, least, least_later, most_refused) in [
        ("token-bucket:40,burst=1", 0.7, 0.75, 0.02),
        ("token-bucket:40,burst=10", 0.83, 0.88, 0.03),
        (
            "token-bucket:40,burst=10,count-refused=yes",
            0.8,
            0.85,
            0.04,
        ),
        ("token-bucket:40,burst=40", 0.92, 0.92, 0.03),
        ("fixed-window:40,window=1s", 0.6, 0.6, 0.04),
        // Half of the second window is in the second half, and is over by then.
        ("fixed-window:400,window=10s", 0.95, 0.65, 0.04),
        ("sliding-window:40,window=1s", 0.8, 0.85, 0.03),
        ("leaky-bucket:40,queue=1", 0.78, 0.85, 0.02),
    ] {
        for seed in [10, 11, 12] {
            let mut played = Match::new(&format!("{limit},retry-after=yes"), CEILING, seed);
            played.until(30.0);
            let all = played.accepted_between(0.0, 30.0) / (30.0 * LIMIT);
            let later = played.accepted_between(15.0, 30.0) / (15.0 * LIMIT);
            let refused = played.refused as f64 / (played.accepted.len() + played.refused) as f64;
            println!("{limit}, seed {seed}: {all:.3}, {later:.3} later, {refused:.4} refused");
            if all < least || later < least_later || refused > most_refused {
                missed.push(format!("{limit}, seed {seed}: {all}, {later}, {refused}"));
            }
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn a_limit_in_flight_is_found_kept_below_and_told() {
    for most in [2, 8] {
        for retry_after in ["no", "yes"] {
            for seed in [10, 11, 12] {
                let limit = format!("in-flight:{most},retry-after={retry_after}");
                let mut played = Match::new(&limit, CEILING, seed);
                played.until(30.0);
                let best = (most as f64 / 0.035).min(CEILING);
                let later = played.accepted_between(15.0, 30.0) / (15.0 * best);
                let refused =
                    played.refused as f64 / (played.accepted.len() + played.refused) as f64;
                let what = format!("{limit}, seed {seed}: {later}, {refused}");
                assert!(later > 0.9 && refused < 0.02, "{what}");
                assert_eq!(played.controller.found_in_flight(), Some(most), "{what}");
                assert_eq!(
                    played.controller.found(),
                    None,
                    "no limit on the rate: {what}"
                );
            }
        }
    }
}

#[test]
fn a_limit_on_the_rate_is_none_on_requests_in_flight() {
    for limit in [
        "token-bucket:40,burst=1",
        "token-bucket:40,burst=10",
        "token-bucket:200,burst=20",
        "leaky-bucket:40,queue=20",
        "sliding-window:40,window=1s",
    ] {
        for retry_after in ["no", "yes"] {
            let limit = format!("{limit},retry-after={retry_after}");
            let mut played = Match::new(&limit, CEILING, 10);
            played.until(30.0);
            assert_eq!(played.controller.found_in_flight(), None, "{limit}");
        }
    }
}

#[test]
fn a_ceiling_below_the_limit_is_not_refused() {
    for retry_after in ["no", "yes"] {
        let limit = format!("token-bucket:30,burst=5,retry-after={retry_after}");
        let mut played = Match::new(&limit, 25.0, 10);
        played.until(60.0);
        assert_eq!(played.refused, 0);
        assert!(played.accepted_between(10.0, 60.0) > 0.98 * 25.0 * 50.0);
        assert_eq!(played.controller.found(), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever a platform says: the next request may go in a while that has an end, no ceiling is exceeded, and the rate has a floor.
    #[test]
    fn no_answers_stop_a_push_for_ever(
        ceiling in prop::option::of(0.1_f64..500.0),
        answers in prop::collection::vec((0_u8..4, prop::option::of(0_u64..=300), 0_u64..2000), 1..100),
    ) {
        let mut now = Instant::now();
        let mut controller = Controller::new(ceilings(ceiling), CONCURRENCY, None, now);
        for (said, hold, latency) in answers {
            let mut waits = 0;
            let ticket = loop {
                match controller.take(1, now) {
                    Ok(ticket) => break ticket,
                    Err(Wait::Until(due)) => {
                        prop_assert!(due > now);
                        prop_assert!(due - now <= Duration::from_secs(301), "{:?}", due - now);
                        now = due;
                        waits += 1;
                        prop_assert!(waits < 5, "it is not due when it says");
                    }
                    Err(Wait::InFlight) => prop_assert!(false, "nothing is in flight"),
                }
            };
            now += Duration::from_millis(latency);
            controller.returned(ticket, now);
            match said {
                0 => controller.accepted(ticket, now),
                1 => controller.silent(ticket, now),
                _ => controller.refused(ticket, hold.map(Duration::from_secs), now),
            }
            let rate = controller.rate().unwrap_or(f64::INFINITY);
            prop_assert!(rate >= ceiling.unwrap_or(0.5).min(0.5) - 1e-9, "{rate}");
            prop_assert!(ceiling.is_none_or(|ceiling| rate <= ceiling + 1e-9), "{rate}");
        }
    }
}
