//! The pace of requests: a ceiling in requests a second, one in devices a second, and below them the rate and the number in flight that
//! the platform is found to take.
//!
//! A pure state machine decides. `meter` finds what the platform counts, `flight` how many requests it takes at a time, `accidents` what
//! is refused whatever the rate, `schedule` says when the next request may go, and `controller` brings them together. [`Pacer`] puts it
//! behind a lock and does the waiting.

mod accidents;
mod controller;
mod flight;
mod meter;
mod part;
mod schedule;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

pub(crate) use controller::{Controller, Ticket, Wait};
pub(crate) use part::Part;

use crate::model::Lead;

/// The limits that a push begins with.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Ceilings {
    /// Requests a second; `None` for no ceiling.
    pub requests: Option<f64>,
    /// Devices a second; `None` for no ceiling.
    pub devices: Option<f64>,
}

/// Hands out the times at which requests may be sent.
#[derive(Debug)]
pub(crate) struct Pacer {
    /// Held by the one who waits for the next token. The others wait for their turn and not for a time, so that a rate that is lowered
    /// meanwhile holds for all of them.
    turn: tokio::sync::Mutex<()>,
    /// Lets the one who waits look again, whenever a reply has told something.
    told: Notify,
    state: Mutex<Controller>,
}

impl Pacer {
    /// A pacer that begins at the rate that was `found` before, in requests a second, or gently below the ceiling, with at most
    /// `concurrency` requests in flight.
    pub(crate) fn new(ceilings: Ceilings, concurrency: usize, found: Option<f64>) -> Self {
        let now = Instant::now().into_std();
        Self {
            turn: tokio::sync::Mutex::new(()),
            told: Notify::new(),
            state: Mutex::new(Controller::new(ceilings, concurrency, found, now)),
        }
    }

    /// Waits until a request of `devices` devices may be sent. One that is waited for in vain, because the future is dropped, is not lost.
    /// That the request has come back has to be told with the ticket, and then what it came to.
    pub(crate) async fn token(&self, devices: usize) -> Ticket {
        let _turn = self.turn.lock().await;
        loop {
            let taken = self.lock().take(devices, Instant::now().into_std());
            match taken {
                Ok(ticket) => return ticket,
                Err(Wait::Until(due)) => tokio::select! {
                    () = tokio::time::sleep_until(Instant::from_std(due)) => {}
                    // What a reply tells may shorten the wait.
                    () = self.told.notified() => {}
                },
                Err(Wait::InFlight) => self.told.notified().await,
            }
        }
    }

    /// The present rate of requests of `devices` devices each, a second; `None` when nothing limits it.
    pub(crate) fn rate(&self, devices: u32) -> Option<f64> {
        let state = self.lock();
        let by_devices = state
            .devices()
            .map(|a_second| a_second / f64::from(devices.max(1)));
        match (state.rate(), by_devices) {
            (Some(requests), Some(by_devices)) => Some(requests.min(by_devices)),
            (requests, by_devices) => requests.or(by_devices),
        }
    }

    /// The requests a second that the platform has been found to take, when it has refused more and that has been measured well.
    pub(crate) fn found(&self) -> Option<f64> {
        self.lock().found()
    }

    /// Whether the platform has refused requests for their rate, and nothing has shown since that it would take more.
    pub(crate) fn is_limited(&self) -> bool {
        self.lock().is_limited()
    }

    /// When the ceiling on the requests in flight is what limits the rate: that ceiling, and about how many requests go a second.
    pub(crate) fn held_up(&self) -> Option<(usize, f64)> {
        self.lock().held_up()
    }

    /// The most requests in flight that the platform has been found to take, when it limits them.
    pub(crate) fn found_in_flight(&self) -> Option<usize> {
        self.lock().found_in_flight()
    }

    /// Sets other ceilings, and how many requests may be in flight within the concurrency.
    pub(crate) fn set_ceilings(&self, ceilings: Ceilings, in_flight: usize) {
        self.lock().set_ceilings(ceilings, in_flight);
        self.told.notify_one();
    }

    /// Goes on at a rate that somebody else has found.
    pub(crate) fn remember(&self, rate: f64) {
        self.update(|controller, now| controller.remember(rate, now));
    }

    /// So many pushes share the account now, and so many did before.
    pub(crate) fn share_anew(&self, before: usize, pushes: usize) {
        self.update(|controller, now| controller.share_anew(before, pushes, now));
    }

    /// The pace of so many pushes that share the account, by that of this one.
    pub(crate) fn lead(&self, pushes: usize) -> Lead {
        self.lock().lead(pushes, Instant::now().into_std())
    }

    /// A request has come back; what it came to is told later.
    pub(crate) fn returned(&self, ticket: Ticket) {
        let now = Instant::now().into_std();
        self.lock().returned(ticket, now);
        self.told.notify_one();
    }

    /// A request has ended in a way that says nothing of the pace.
    pub(crate) fn silent(&self, ticket: Ticket) {
        self.update(|controller, now| controller.silent(ticket, now));
    }

    /// The platform has taken a request.
    pub(crate) fn accepted(&self, ticket: Ticket) {
        self.update(|controller, now| controller.accepted(ticket, now));
    }

    /// The platform has refused a request because there are too many, and asks for nothing before `hold` has passed. Gives the new rate
    /// when it is noticeably lower.
    pub(crate) fn refused(&self, ticket: Ticket, hold: Option<Duration>) -> Option<f64> {
        self.update(|controller, now| {
            controller.refused(ticket, hold, now);
            controller.lowered()
        })
    }

    /// The platform is overloaded, by whatever. Gives the new rate when it is noticeably lower.
    pub(crate) fn overloaded(&self) -> Option<f64> {
        self.update(|controller, now| {
            controller.overloaded(now);
            controller.lowered()
        })
    }

    /// The platform takes requests and throttles most of their devices; this share of the rate would be right. Gives the new rate.
    pub(crate) fn crowded(&self, share: f64) -> f64 {
        self.update(|controller, now| controller.crowded(share, now))
    }

    fn update<T>(&self, change: impl FnOnce(&mut Controller, std::time::Instant) -> T) -> T {
        let told = change(&mut self.lock(), Instant::now().into_std());
        self.told.notify_one();
        told
    }

    fn lock(&self) -> MutexGuard<'_, Controller> {
        // The state is plain numbers that are valid after every statement, so a panic elsewhere cannot have broken it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod accident_tests;
#[cfg(test)]
mod any_answer_tests;
#[cfg(test)]
mod found_tests;
#[cfg(test)]
mod play;

#[cfg(test)]
mod tests {
    use super::*;

    fn pacer(requests: Option<f64>, devices: Option<f64>) -> Pacer {
        Pacer::new(Ceilings { requests, devices }, 16, requests)
    }

    async fn take(pacer: &Pacer, devices: usize) {
        let ticket = pacer.token(devices).await;
        pacer.returned(ticket);
        pacer.accepted(ticket);
    }

    async fn tokens(pacer: &Pacer, n: u32, devices: usize) -> Duration {
        let start = Instant::now();
        for _ in 0..n {
            take(pacer, devices).await;
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
            take(&pacer, 1).await;
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
        let pacer = Pacer::new(ceilings, 16, None);
        let refused = pacer.token(1).await;
        let took = async {
            let start = Instant::now();
            // All of them wait; the rate falls while they do.
            futures::future::join_all((0..11).map(|_| take(&pacer, 1))).await;
            start.elapsed()
        };
        let refusal = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            pacer.returned(refused);
            pacer.refused(refused, None)
        };
        let (took, lowered) = tokio::join!(took, refusal);
        let lowered = lowered.unwrap();
        assert!(lowered < 8.0, "{lowered}");
        // It rises slowly from there.
        assert!(took.as_secs_f64() > 8.5 / lowered, "{took:?} at {lowered}");
    }

    /// How long the next request waits after a refusal, when another reply comes so much later.
    async fn wait_after_a_refusal(reply_after: Duration) -> Duration {
        let pacer = pacer(None, None);
        let (refused, other) = (pacer.token(1).await, pacer.token(1).await);
        pacer.returned(refused);
        pacer.refused(refused, None);
        let waited = async {
            let start = Instant::now();
            let _ = pacer.token(1).await;
            start.elapsed()
        };
        let reply = async {
            tokio::time::sleep(reply_after).await;
            pacer.returned(other);
            pacer.accepted(other);
        };
        tokio::join!(waited, reply).0
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_that_ends_a_wait_is_heard_at_once() {
        let soon = wait_after_a_refusal(Duration::from_millis(5)).await;
        let late = wait_after_a_refusal(Duration::from_mins(1)).await;
        assert!(soon < late, "{soon:?} {late:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_hold_is_waited_for() {
        let pacer = pacer(Some(100.0), None);
        let refused = pacer.token(1).await;
        pacer.returned(refused);
        pacer.refused(refused, Some(Duration::from_secs(7)));
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
