//! The pace of requests: a ceiling in requests a second with a burst of one, lowered when the platform says that there are too many.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The least rate that refusals can lower a pace to, in requests a second.
const FLOOR: f64 = 0.2;
/// The share of the ceiling by which a lowered pace rises again each second.
const RISE_A_SECOND: f64 = 0.02;
/// How far back requests are counted when there is no ceiling and a rate must be found to lower from.
const WINDOW: Duration = Duration::from_secs(1);

/// Hands out the times at which requests may be sent.
///
/// A token is a point in time, not a saved-up right: after a stall the next request goes at once and the one after it a whole
/// interval later, so that no burst follows.
#[derive(Debug)]
pub struct Pacer {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    ceiling: Option<f64>,
    /// When the next token is due.
    next: Instant,
    /// The rate to which refusals have lowered the pace, and when.
    lowered: Option<(f64, Instant)>,
    /// Tokens given since `window_start`, and in the window before it.
    window_start: Instant,
    given: u32,
    given_before: u32,
}

impl Pacer {
    /// A pacer with a ceiling in requests a second, or none.
    pub fn new(ceiling: Option<f64>) -> Self {
        let now = Instant::now();
        Self {
            state: Mutex::new(State {
                ceiling,
                next: now,
                lowered: None,
                window_start: now,
                given: 0,
                given_before: 0,
            }),
        }
    }

    /// Sets another ceiling for the tokens that are given from now on.
    pub fn set_ceiling(&self, ceiling: Option<f64>) {
        self.lock().ceiling = ceiling;
    }

    /// Waits for the next token. A token that is waited for in vain, because the future is dropped, is lost.
    pub async fn token(&self) {
        if let Some(at) = self.reserve(Instant::now()) {
            tokio::time::sleep_until(at).await;
        }
    }

    /// Takes the next token: the time to wait for, or `None` when it is due already.
    fn reserve(&self, now: Instant) -> Option<Instant> {
        let mut state = self.lock();
        state.count(now);
        let at = state.next.max(now);
        if let Some(rate) = state.rate(now) {
            state.next = at + Duration::from_secs_f64(1.0 / rate);
        }
        (at > now).then_some(at)
    }

    /// The present rate in requests a second; `None` when nothing limits it.
    pub fn rate(&self) -> Option<f64> {
        let now = Instant::now();
        self.lock().rate(now)
    }

    /// Halves the rate because a request sent at `sent_at` was refused, and sends nothing before `hold` has passed. Requests that were
    /// under way when the rate was last lowered say nothing new. Gives the new rate when it changed.
    pub fn lower(&self, sent_at: Instant, hold: Option<Duration>) -> Option<f64> {
        let now = Instant::now();
        let mut state = self.lock();
        if let Some(hold) = hold {
            state.next = state.next.max(now + hold);
        }
        if state.lowered.is_some_and(|(_, when)| sent_at <= when) {
            return None;
        }
        let from = state.rate(now).unwrap_or_else(|| state.observed());
        let rate = (from / 2.0).max(FLOOR);
        state.lowered = Some((rate, now));
        // Tokens reserved at the old rate are spread no further; the next one keeps the new distance.
        state.next = state.next.max(now + Duration::from_secs_f64(1.0 / rate));
        Some(rate)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is plain numbers that are valid after every statement, so a panic elsewhere cannot have broken it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn rate(&mut self, now: Instant) -> Option<f64> {
        let ceiling = self.ceiling;
        let Some((base, when)) = self.lowered else {
            return ceiling;
        };
        let full = ceiling.unwrap_or(base * 20.0);
        let rate = base + full * RISE_A_SECOND * now.duration_since(when).as_secs_f64();
        if rate < full {
            Some(rate)
        } else {
            self.lowered = None;
            ceiling
        }
    }

    fn count(&mut self, now: Instant) {
        let age = now.duration_since(self.window_start);
        if age >= WINDOW {
            self.given_before = if age < WINDOW * 2 { self.given } else { 0 };
            self.given = 0;
            self.window_start = now;
        }
        self.given += 1;
    }

    /// Requests a second of late, for want of a ceiling.
    fn observed(&self) -> f64 {
        f64::from(self.given.max(self.given_before)) / WINDOW.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn tokens(pacer: &Pacer, n: u32) -> Duration {
        let start = Instant::now();
        for _ in 0..n {
            pacer.token().await;
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn keeps_the_ceiling_and_saves_up_nothing() {
        let pacer = Pacer::new(Some(10.0));
        // The first goes at once, so that 101 take ten seconds.
        let took = tokens(&pacer, 101).await;
        assert!((9.9..10.2).contains(&took.as_secs_f64()), "{took:?}");
        tokio::time::sleep(Duration::from_mins(1)).await;
        let took = tokens(&pacer, 11).await;
        assert!((0.9..1.1).contains(&took.as_secs_f64()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn another_ceiling_holds_from_the_next_token_on() {
        let pacer = Pacer::new(Some(1.0));
        assert_eq!(tokens(&pacer, 2).await, Duration::from_secs(1));
        pacer.set_ceiling(Some(10.0));
        // The next token has been put off by the old rate; those after it follow at the new one.
        let took = tokens(&pacer, 11).await;
        assert!((1.9..2.1).contains(&took.as_secs_f64()), "{took:?}");
        pacer.set_ceiling(None);
        assert!(tokens(&pacer, 100).await < Duration::from_millis(200));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_ceiling_nothing_waits() {
        let pacer = Pacer::new(None);
        assert_eq!(tokens(&pacer, 1000).await, Duration::ZERO);
        assert_eq!(pacer.rate(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_halves_once_and_the_rate_recovers() {
        let pacer = Pacer::new(Some(20.0));
        tokens(&pacer, 3).await;
        let sent_at = Instant::now();
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(pacer.lower(sent_at, None), Some(10.0));
        // A second refusal of a request that was under way says nothing new.
        assert_eq!(pacer.lower(sent_at, None), None);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let rate = pacer.rate().unwrap();
        assert!((13.9..14.1).contains(&rate), "{rate}");
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(pacer.rate(), Some(20.0));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_ceiling_the_rate_drops_from_what_was_sent() {
        let pacer = Pacer::new(None);
        tokens(&pacer, 80).await;
        let sent_at = Instant::now();
        assert_eq!(pacer.lower(sent_at, None), Some(40.0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hold_is_waited_for() {
        let pacer = Pacer::new(Some(100.0));
        tokens(&pacer, 1).await;
        pacer.lower(Instant::now(), Some(Duration::from_secs(7)));
        let took = tokens(&pacer, 1).await;
        assert!((6.9..7.2).contains(&took.as_secs_f64()), "{took:?}");
    }
}
