//! The pace of requests: a ceiling in requests a second, one in devices a second, and below them the rate that the platform is found to
//! take.
//!
//! A pure state machine decides, in two halves: `finder` finds the rate, `schedule` says when the next request may go. [`Pacer`] puts
//! them behind a lock and does the waiting.

mod finder;
mod schedule;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use finder::Finder;
use schedule::{Limits, Schedule};

/// After a refusal nothing is sent for so many intervals of the new rate: the platform has no room at that moment, whatever the rate.
const REST_INTERVALS: f64 = 2.0;

/// The limits that a push begins with.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Ceilings {
    /// Requests a second; `None` for no ceiling.
    pub requests: Option<f64>,
    /// Devices a second; `None` for no ceiling.
    pub devices: Option<f64>,
}

/// Hands out the times at which requests may be sent.
#[derive(Debug)]
pub struct Pacer {
    /// Held by the one who waits for the next token. The others wait for their turn and not for a time, so that a rate that is lowered
    /// meanwhile holds for all of them.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    finder: Finder,
    schedule: Schedule,
    devices: Option<f64>,
}

impl Pacer {
    /// A pacer that begins at the rate that was `found` before, in requests a second, or gently below the ceiling.
    pub fn new(ceilings: Ceilings, found: Option<f64>) -> Self {
        let now = Instant::now().into_std();
        Self {
            turn: tokio::sync::Mutex::new(()),
            state: Mutex::new(State::new(ceilings, found, now)),
        }
    }

    /// Waits until a request of `devices` devices may be sent. One that is waited for in vain, because the future is dropped, is not lost.
    pub async fn token(&self, devices: usize) {
        let _turn = self.turn.lock().await;
        loop {
            let taken = self.lock().take(devices, Instant::now().into_std());
            match taken {
                Ok(()) => return,
                Err(due) => tokio::time::sleep_until(Instant::from_std(due)).await,
            }
        }
    }

    /// The present rate of requests of `devices` devices each, a second; `None` when nothing limits it.
    pub fn rate(&self, devices: u32) -> Option<f64> {
        let state = self.lock();
        let by_devices = state
            .devices
            .map(|a_second| a_second / f64::from(devices.max(1)));
        match (state.finder.rate(), by_devices) {
            (Some(requests), Some(by_devices)) => Some(requests.min(by_devices)),
            (requests, by_devices) => requests.or(by_devices),
        }
    }

    /// The requests a second that the platform has been found to take, when it has refused more.
    pub fn found(&self) -> Option<f64> {
        self.lock().finder.found()
    }

    /// Sets another ceiling in requests a second.
    pub fn set_ceiling(&self, requests: Option<f64>) {
        self.lock().finder.set_ceiling(requests);
    }

    /// The platform has answered a request, and that says neither anything for the rate nor, yet, against it.
    pub fn answered(&self) {
        let now = Instant::now().into_std();
        self.lock().finder.answered(now);
    }

    /// The platform has taken a request.
    pub fn accepted(&self) {
        let now = Instant::now().into_std();
        self.lock().finder.accepted(now);
    }

    /// The platform has refused a request sent at `sent_at` because there are too many, and asks for nothing before `hold` has passed.
    /// Gives the new rate when one that had been held is lowered.
    pub fn refused(&self, sent_at: Instant, hold: Option<Duration>) -> Option<f64> {
        self.lower(hold, |finder, now| finder.refused(sent_at.into_std(), now))
    }

    /// The platform is overloaded, by whatever. Gives the new rate when it is lowered.
    pub fn overloaded(&self) -> Option<f64> {
        self.lower(None, Finder::overloaded)
    }

    /// The platform takes requests and throttles most of their devices; this share of the rate would be right. Gives the new rate.
    pub fn crowded(&self, share: f64) -> Option<f64> {
        self.lower(None, |finder, now| Some(finder.crowded(share, now)))
    }

    fn lower(
        &self,
        hold: Option<Duration>,
        tell: impl FnOnce(&mut Finder, std::time::Instant) -> Option<f64>,
    ) -> Option<f64> {
        self.lock().lower(hold, Instant::now().into_std(), tell)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is plain numbers that are valid after every statement, so a panic elsewhere cannot have broken it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(ceilings: Ceilings, found: Option<f64>, now: std::time::Instant) -> Self {
        Self {
            finder: Finder::new(ceilings.requests, found, now),
            schedule: Schedule::default(),
            devices: ceilings.devices,
        }
    }

    /// Takes the next token, or gives the time at which it is due.
    fn take(&mut self, devices: usize, now: std::time::Instant) -> Result<(), std::time::Instant> {
        let limits = Limits {
            requests: self.finder.rate(),
            devices: self.devices,
        };
        self.schedule.take(devices, limits, now)
    }

    /// Tells the finder something that may lower the rate, and then rests.
    fn lower(
        &mut self,
        hold: Option<Duration>,
        now: std::time::Instant,
        tell: impl FnOnce(&mut Finder, std::time::Instant) -> Option<f64>,
    ) -> Option<f64> {
        let before = self.finder.rate();
        let told = tell(&mut self.finder, now);
        let rest = self
            .finder
            .rate()
            .filter(|after| before.is_none_or(|before| *after < before))
            .map(|after| Duration::from_secs_f64(REST_INTERVALS / after));
        if let Some(rest) = rest.max(hold) {
            self.schedule.rest_until(now + rest);
        }
        told
    }
}

#[cfg(test)]
mod accident_tests;
#[cfg(test)]
mod found_tests;
#[cfg(test)]
mod play;

#[cfg(test)]
mod tests {
    use super::*;

    fn pacer(requests: Option<f64>, devices: Option<f64>) -> Pacer {
        Pacer::new(Ceilings { requests, devices }, requests)
    }

    async fn tokens(pacer: &Pacer, n: u32, devices: usize) -> Duration {
        let start = Instant::now();
        for _ in 0..n {
            pacer.token(devices).await;
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn keeps_the_ceiling_and_saves_up_nothing() {
        let pacer = pacer(Some(10.0), None);
        // The first goes at once, so that 101 take ten seconds.
        let took = tokens(&pacer, 101, 1).await;
        assert!((9.9..10.2).contains(&took.as_secs_f64()), "{took:?}");
        tokio::time::sleep(Duration::from_mins(1)).await;
        let took = tokens(&pacer, 11, 1).await;
        assert!((0.9..1.1).contains(&took.as_secs_f64()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_takes_a_token_for_each_of_its_devices() {
        let pacer = pacer(None, Some(100.0));
        let took = tokens(&pacer, 5, 50).await;
        assert!((1.9..2.1).contains(&took.as_secs_f64()), "{took:?}");
        assert_eq!(pacer.rate(50), Some(2.0));
        assert_eq!(pacer.rate(1), Some(100.0));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_waits_for_long_without_a_ceiling() {
        let pacer = pacer(None, None);
        let start = Instant::now();
        for _ in 0..1000 {
            pacer.token(1).await;
            pacer.accepted();
        }
        assert!(start.elapsed() < Duration::from_millis(500));
        assert_eq!(pacer.rate(1), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_that_is_lowered_holds_for_those_who_wait_already() {
        let ceilings = Ceilings {
            requests: Some(10.0),
            devices: None,
        };
        let pacer = Pacer::new(ceilings, None);
        let took = async {
            let start = Instant::now();
            // All of them wait; the rate falls while they do.
            futures::future::join_all((0..11).map(|_| pacer.token(1))).await;
            start.elapsed()
        };
        let refusal = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            pacer.refused(Instant::now(), None)
        };
        let (took, lowered) = tokio::join!(took, refusal);
        let lowered = lowered.unwrap();
        assert!(lowered < 8.0, "{lowered}");
        assert!(took.as_secs_f64() > 9.0 / lowered, "{took:?} at {lowered}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_hold_is_waited_for() {
        let pacer = pacer(Some(100.0), None);
        tokens(&pacer, 1, 1).await;
        pacer.refused(Instant::now(), Some(Duration::from_secs(7)));
        let took = tokens(&pacer, 1, 1).await;
        assert!((6.9..7.2).contains(&took.as_secs_f64()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_nobody_waits_for_any_more_is_not_lost() {
        let pacer = pacer(Some(1.0), None);
        tokens(&pacer, 1, 1).await;
        let waited = tokio::time::timeout(Duration::from_millis(500), pacer.token(1)).await;
        assert!(waited.is_err());
        let took = tokens(&pacer, 1, 1).await;
        assert!((0.4..0.6).contains(&took.as_secs_f64()), "{took:?}");
    }
}
