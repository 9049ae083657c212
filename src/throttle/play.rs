//! Platforms with hidden limits, in virtual time.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::{
    Ceilings,
    controller::{Controller, Ticket, Wait},
};

/// A platform with a token bucket that nobody is told of.
pub(super) struct Platform {
    pub(super) limit: f64,
    pub(super) burst: f64,
    pub(super) tokens: f64,
    pub(super) filled_at: f64,
    /// From a request's departure to what becomes of it being known, in seconds; chance adds up to a half.
    pub(super) latency: f64,
    /// The share of requests that are refused by chance, whatever the rate.
    pub(super) accidents: f64,
    pub(super) random: SmallRng,
}

/// The result of a play.
#[derive(Debug)]
pub(super) struct PlayResult {
    pub(super) refused: u32,
    pub(super) seconds: f64,
    /// The rates, a look every 100 ms.
    pub(super) rates: Vec<f64>,
}

impl Platform {
    pub(super) fn new(limit: f64, seed: u64) -> Self {
        Self {
            limit,
            burst: 5.0,
            tokens: 5.0,
            filled_at: 0.0,
            latency: 0.025,
            accidents: 0.0,
            random: SmallRng::seed_from_u64(seed),
        }
    }

    fn takes(&mut self, at: f64) -> bool {
        if self.random.random_bool(self.accidents) {
            return false;
        }
        let refill = (at - self.filled_at).max(0.0) * self.limit;
        self.tokens = (self.tokens + refill).min(self.burst);
        self.filled_at = at.max(self.filled_at);
        let enough = self.tokens >= 1.0;
        self.tokens -= f64::from(u8::from(enough));
        enough
    }
}

/// A pacer and a platform.
pub(super) struct Play {
    pub(super) pacer: Controller,
    pub(super) platform: Platform,
    pub(super) epoch: Instant,
    pub(super) now: f64,
    /// When each reply comes, which ticket its request had, and whether it was accepted.
    replies: BinaryHeap<Reverse<(u64, usize, bool)>>,
    tickets: Vec<Ticket>,
}

pub(super) const CONCURRENCY: usize = 16;

impl Play {
    pub(super) fn new(ceiling: Option<f64>, found: Option<f64>, platform: Platform) -> Self {
        let epoch = Instant::now();
        let ceilings = Ceilings {
            requests: ceiling,
            devices: None,
        };
        Self {
            pacer: Controller::new(ceilings, CONCURRENCY, found, epoch),
            platform,
            epoch,
            now: 0.0,
            replies: BinaryHeap::new(),
            tickets: Vec::new(),
        }
    }

    pub(super) fn instant(&self, seconds: f64) -> Instant {
        self.epoch + Duration::from_secs_f64(seconds)
    }

    /// Sends until so many are accepted.
    pub(super) fn until_accepted(&mut self, requests: u32) -> PlayResult {
        let nanos = |seconds: f64| (seconds * 1e9) as u64;
        let seconds = |nanos: u64| nanos as f64 / 1e9;
        let from = self.now;
        let (mut accepted, mut refused) = (0, 0);
        let mut rates = Vec::new();
        while accepted < requests {
            let reply = self.replies.peek().map(|Reverse((at, ..))| seconds(*at));
            let mut next = reply.unwrap_or(f64::INFINITY);
            if self.replies.len() < CONCURRENCY {
                match self.pacer.take(1, self.instant(self.now)) {
                    Ok(ticket) => {
                        let taken = self.platform.takes(self.now);
                        let slower = self.platform.random.random_range(1.0..1.5);
                        let answered = self.now + self.platform.latency * slower;
                        self.replies
                            .push(Reverse((nanos(answered), self.tickets.len(), taken)));
                        self.tickets.push(ticket);
                        continue;
                    }
                    Err(Wait::Until(due)) => {
                        next = next.min(due.duration_since(self.epoch).as_secs_f64());
                    }
                    Err(Wait::InFlight) => {}
                }
            }
            for look in (self.now * 10.0) as u64..(next * 10.0) as u64 {
                let _ = look;
                rates.push(self.pacer.rate().unwrap_or(f64::INFINITY));
            }
            self.now = self.now.max(next);
            if reply.is_some_and(|at| at <= self.now)
                && let Some(Reverse((_, ticket, taken))) = self.replies.pop()
            {
                let now = self.instant(self.now);
                self.pacer.returned(self.tickets[ticket], now);
                if taken {
                    accepted += 1;
                    self.pacer.accepted(self.tickets[ticket], now);
                } else {
                    refused += 1;
                    self.pacer.refused(self.tickets[ticket], None, now);
                }
            }
        }
        PlayResult {
            refused,
            seconds: self.now - from,
            rates,
        }
    }
}

impl PlayResult {
    pub(super) fn mean(&self) -> f64 {
        self.rates.iter().sum::<f64>() / self.rates.len() as f64
    }
}
