//! Limits on requests, as gateways have them: pure state machines that are given the time.

#[cfg(test)]
mod tests;
mod text;

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};

/// A limit on the requests of all clients together. Written as text, see [`LimitError`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestLimit {
    /// What is limited.
    pub kind: LimitKind,
    /// The HTTP status of a refusal: 429 or 503.
    pub refuse: u16,
    /// Whether a refusal says in `Retry-After` when there will be room again, in whole seconds.
    pub retry_after: bool,
    /// Whether a refused request counts towards the limit as an accepted one does.
    pub count_refused: bool,
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LimitKind {
    /// A bucket that fills with `rate` tokens a second, up to `burst`; a request takes one.
    TokenBucket {
        /// Tokens a second.
        rate: f64,
        /// The most tokens.
        burst: f64,
    },
    /// So many requests in each window; the windows begin when the simulator starts, and follow each other.
    FixedWindow {
        /// Requests in a window.
        requests: u32,
        /// The length of a window.
        window: Duration,
    },
    /// So many requests in any stretch of this length.
    SlidingWindow {
        /// Requests in a stretch.
        requests: u32,
        /// The length of a stretch.
        window: Duration,
    },
    /// A queue that lets out `rate` requests a second, evenly; a request waits in it, and is refused when it is full.
    LeakyBucket {
        /// Requests a second.
        rate: f64,
        /// The most requests that wait.
        queue: u32,
    },
    /// So many requests at the same time.
    InFlight {
        /// Requests at a time.
        requests: u32,
    },
}

/// Why a text is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "give a kind, its number and options, such as token-bucket:40,burst=10 or fixed-window:40,window=1s; the kinds are token-bucket \
     (burst=N), fixed-window and sliding-window (window=TIME), leaky-bucket (queue=N) and in-flight; each takes refuse=429|503, \
     retry-after=yes|no and count-refused=yes|no"
)]
pub struct LimitError;

/// What becomes of a request at a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is taken, after it has waited for so long in the limiter's queue.
    Taken { queued: Duration },
    /// It is refused; there will be room after so long.
    Refused { room_after: Duration },
}

/// The state of a limit. Times are those since the limiter was made, and never go back.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    /// The level of a token bucket, when it was that, and the time; full at first.
    bucket: Option<(f64, Duration)>,
    /// The number of the present fixed window, and the requests in it.
    fixed: (u128, u32),
    /// The times of the last requests, for a sliding window.
    sliding: VecDeque<Duration>,
    /// When the last request in the queue leaves it.
    queue_ends: Duration,
    in_flight: u32,
}

impl Limiter {
    /// Asks to take a request. One that is taken has to be [`ended`](Self::ended).
    pub(crate) fn ask(&mut self, limit: &RequestLimit, now: Duration) -> Admission {
        let admission = self.admit(limit, now);
        self.in_flight += u32::from(matches!(admission, Admission::Taken { .. }));
        admission
    }

    /// A request is taken without a limit.
    pub(crate) fn begun(&mut self) {
        self.in_flight += 1;
    }

    /// A request that was taken has been answered.
    pub(crate) fn ended(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    fn admit(&mut self, limit: &RequestLimit, now: Duration) -> Admission {
        let counts = limit.count_refused;
        let room_after = match limit.kind {
            LimitKind::TokenBucket { rate, burst } => self.bucket(rate, burst, counts, now),
            LimitKind::FixedWindow { requests, window } => self.fixed(requests, window, now),
            LimitKind::SlidingWindow { requests, window } => {
                self.sliding(requests, window, counts, now)
            }
            LimitKind::LeakyBucket { rate, queue } => {
                return self.queue(rate, queue, counts, now);
            }
            // Nobody knows when a request will end; the next one may.
            LimitKind::InFlight { requests } => {
                (self.in_flight >= requests).then_some(Duration::ZERO)
            }
        };
        match room_after {
            None => Admission::Taken {
                queued: Duration::ZERO,
            },
            Some(room_after) => Admission::Refused { room_after },
        }
    }

    /// Gives when there will be room, if there is none.
    fn bucket(&mut self, rate: f64, burst: f64, counts: bool, now: Duration) -> Option<Duration> {
        let (level, then) = self.bucket.unwrap_or((burst, now));
        let level = (level + now.saturating_sub(then).as_secs_f64() * rate).min(burst);
        let enough = level >= 1.0;
        let left = if enough || counts {
            // Refused ones run into debt no deeper than the bucket is high.
            (level - 1.0).max(-burst)
        } else {
            level
        };
        self.bucket = Some((left, now));
        (!enough).then(|| seconds((1.0 - left) / rate))
    }

    fn fixed(&mut self, requests: u32, window: Duration, now: Duration) -> Option<Duration> {
        let length = window.as_nanos().max(1);
        let number = now.as_nanos() / length;
        if self.fixed.0 != number {
            self.fixed = (number, 0);
        }
        if self.fixed.1 < requests {
            self.fixed.1 += 1;
            return None;
        }
        let into = (now.as_nanos() % length) as u64;
        Some(window.saturating_sub(Duration::from_nanos(into)))
    }

    fn sliding(
        &mut self,
        requests: u32,
        window: Duration,
        counts: bool,
        now: Duration,
    ) -> Option<Duration> {
        while self.sliding.front().is_some_and(|&at| at + window <= now) {
            self.sliding.pop_front();
        }
        let before = self.sliding.len();
        if before < requests as usize {
            self.sliding.push_back(now);
            return None;
        }
        if counts {
            self.sliding.push_back(now);
        }
        // There is room when so many of the oldest have left that fewer than the limit are left.
        let leaves = self.sliding.len() - requests as usize;
        let at = self.sliding.get(leaves).copied().unwrap_or(now);
        Some((at + window).saturating_sub(now))
    }

    fn queue(&mut self, rate: f64, queue: u32, counts: bool, now: Duration) -> Admission {
        let interval = seconds(1.0 / rate);
        let waits = self.queue_ends.saturating_sub(now);
        let longest = interval.mul_f64(f64::from(queue));
        if waits <= longest {
            self.queue_ends = self.queue_ends.max(now) + interval;
            return Admission::Taken { queued: waits };
        }
        if counts {
            self.queue_ends = (self.queue_ends + interval).min(now + 2 * (longest + interval));
        }
        let room_after = self.queue_ends.saturating_sub(now).saturating_sub(longest);
        Admission::Refused { room_after }
    }
}

/// A time that may be absurdly long.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(u64::from(u32::MAX)))
}

impl RequestLimit {
    /// A token bucket that refuses with 429 and nothing else.
    pub(crate) fn token_bucket(rate: f64, burst: f64) -> Self {
        Self {
            kind: LimitKind::TokenBucket { rate, burst },
            refuse: 429,
            retry_after: false,
            count_refused: false,
        }
    }

    /// The whole seconds that a refusal asks for, when there will be room after so long.
    pub(crate) fn asks_for(&self, room_after: Duration) -> Option<u64> {
        let whole = room_after.as_secs() + u64::from(room_after.subsec_nanos() > 0);
        self.retry_after.then_some(whole.max(1))
    }
}
