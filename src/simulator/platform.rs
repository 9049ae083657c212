//! The platform's state.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::{StatusCode, header, http::request::Parts};
use tokio::sync::watch;

use super::{
    chance::{Chance, Question},
    fleet::Fleet,
    ledger::Ledger,
    limiter::{Admission, Limiter},
    messages::Post,
    scenario::{Outage, Scenario},
    stats::Counters,
    tokens::Tokens,
    wire::ConnectionHandle,
};
use crate::{clock::Clock, model::Timestamp};

/// The simulated platform.
pub(super) struct Platform {
    clock: Clock,
    playing: watch::Sender<Arc<Playing>>,
    pub(super) counters: Counters,
    pub(super) fleet: Fleet,
    pub(super) tokens: Tokens,
    limiter: Mutex<Limiter>,
    /// What the limiter's times count from.
    started: Instant,
    ledger: Mutex<Ledger>,
    login_calls: AtomicU64,
    /// What is to be published.
    pub(super) post: Post,
}

/// The scenario that is being played.
pub(super) struct Playing {
    pub(super) scenario: Scenario,
    pub(super) chance: Chance,
    since: Timestamp,
}

impl Playing {
    /// The outage at this moment.
    pub(super) fn outage(&self, now: Timestamp) -> Outage {
        if self.outage_left(now) == Some(Duration::ZERO) {
            Outage::None
        } else {
            self.scenario.outage
        }
    }

    /// How much of the outage's length is left, if it has one.
    pub(super) fn outage_left(&self, now: Timestamp) -> Option<Duration> {
        let length = Duration::from_millis(self.scenario.outage_ms?);
        Some(now.until(self.since.after(length)))
    }

    /// How long a call takes.
    pub(super) fn latency(&self, call: u64) -> Duration {
        let share = self.chance.share(Question::Latency, call);
        let jitter = self.scenario.latency_jitter_ms as f64 * share;
        Duration::from_millis(self.scenario.latency_ms.saturating_add(jitter as u64))
    }
}

/// A call that a limit has let through, and that counts as in flight until this is dropped.
pub(super) struct Passage<'a>(&'a Mutex<Limiter>);

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        lock(self.0).ended();
    }
}

/// What a limit makes of a call.
pub(super) enum Passed<'a> {
    /// It is let through, once it has waited for so long.
    Through(Duration, Passage<'a>),
    /// It is refused with this status, and with so many seconds in `Retry-After`.
    Refused(StatusCode, Option<u64>),
}

fn lock(limiter: &Mutex<Limiter>) -> MutexGuard<'_, Limiter> {
    limiter.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One call of a client.
pub(super) struct Call {
    pub(super) line: ConnectionHandle,
    pub(super) playing: Arc<Playing>,
    pub(super) now: Timestamp,
    pub(super) head: Parts,
    pub(super) body: Bytes,
}

impl Call {
    pub(super) fn query(&self) -> &str {
        self.head.uri.query().unwrap_or_default()
    }

    pub(super) fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }
}

impl Platform {
    pub(super) fn new(scenario: Scenario) -> Self {
        let clock = Clock::start();
        let playing = Playing {
            chance: Chance::new(scenario.seed),
            scenario,
            since: clock.now(),
        };
        Self {
            limiter: Mutex::default(),
            started: Instant::now(),
            clock,
            playing: watch::Sender::new(Arc::new(playing)),
            counters: Counters::default(),
            fleet: Fleet::new(),
            tokens: Tokens::default(),
            ledger: Mutex::default(),
            login_calls: AtomicU64::new(0),
            post: Post::default(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The ledger, held for a moment.
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is being played.
    pub(super) fn playing(&self) -> Arc<Playing> {
        Arc::clone(&self.playing.borrow())
    }

    /// What is being played, with a view of changes.
    pub(super) fn watch(&self) -> watch::Receiver<Arc<Playing>> {
        self.playing.subscribe()
    }

    /// The scenario, without an outage that is over.
    pub(super) fn scenario(&self) -> Scenario {
        let playing = self.playing();
        let mut scenario = playing.scenario.clone();
        scenario.outage = playing.outage(self.now());
        if scenario.outage == Outage::None {
            scenario.outage_ms = None;
        }
        scenario
    }

    /// Plays another scenario from now on.
    pub(super) fn play(&self, scenario: Scenario) {
        self.playing.send_replace(Arc::new(Playing {
            chance: Chance::new(scenario.seed),
            scenario,
            since: self.now(),
        }));
    }

    /// Asks the limit on requests to let one more call through; counts it if it is refused.
    pub(super) fn pass(&self, call: &Call) -> Passed<'_> {
        let through = |queued| Passed::Through(queued, Passage(&self.limiter));
        let mut limiter = lock(&self.limiter);
        let Some(limit) = call.playing.scenario.request_limit() else {
            limiter.begun();
            return through(Duration::ZERO);
        };
        match limiter.ask(&limit, self.started.elapsed()) {
            Admission::Taken { queued } => through(queued),
            Admission::Refused { room_after } => {
                self.counters.lock().too_many += 1;
                let status = StatusCode::from_u16(limit.refuse);
                Passed::Refused(
                    status.unwrap_or(StatusCode::TOO_MANY_REQUESTS),
                    limit.asks_for(room_after),
                )
            }
        }
    }

    /// The number of the next login or refresh, from 1.
    pub(super) fn next_login(&self) -> u64 {
        self.login_calls.fetch_add(1, Ordering::Relaxed) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_with_a_length_ends_by_itself() {
        let playing = |outage_ms| Playing {
            scenario: Scenario {
                outage: Outage::Unavailable,
                outage_ms,
                ..Scenario::default()
            },
            chance: Chance::new(0),
            since: Timestamp(1000),
        };
        assert_eq!(
            playing(Some(500)).outage(Timestamp(1499)),
            Outage::Unavailable
        );
        assert_eq!(playing(Some(500)).outage(Timestamp(1500)), Outage::None);
        assert_eq!(
            playing(None).outage(Timestamp(i64::MAX)),
            Outage::Unavailable
        );
    }
}
