//! Limits as text.

use std::{fmt, str::FromStr, time::Duration};

use super::{LimitError, LimitKind, RequestLimit};

impl FromStr for RequestLimit {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let mut parts = text.split(',');
        let (kind, number) = parts
            .next()
            .and_then(|first| first.split_once(':'))
            .ok_or(LimitError)?;
        let rate = || positive(number);
        let requests = || whole(number, 1);
        let mut window = Some(Duration::from_secs(1));
        let mut limit = Self {
            kind: match kind {
                "token-bucket" => LimitKind::TokenBucket {
                    rate: rate()?,
                    burst: 1.0,
                },
                "fixed-window" | "sliding-window" => {
                    window = None;
                    LimitKind::FixedWindow {
                        requests: requests()?,
                        window: Duration::ZERO,
                    }
                }
                "leaky-bucket" => LimitKind::LeakyBucket {
                    rate: rate()?,
                    queue: 0,
                },
                "in-flight" => LimitKind::InFlight {
                    requests: requests()?,
                },
                _ => return Err(LimitError),
            },
            ..Self::token_bucket(1.0, 1.0)
        };
        for part in parts {
            let (name, value) = part.split_once('=').ok_or(LimitError)?;
            match (name, &mut limit.kind) {
                ("burst", LimitKind::TokenBucket { burst, .. }) => {
                    *burst = positive(value)
                        .ok()
                        .filter(|n| *n >= 1.0)
                        .ok_or(LimitError)?;
                }
                ("queue", LimitKind::LeakyBucket { queue, .. }) => *queue = whole(value, 0)?,
                ("window", LimitKind::FixedWindow { .. }) => window = Some(time(value)?),
                ("refuse", _) => {
                    limit.refuse = match value {
                        "429" => 429,
                        "503" => 503,
                        _ => return Err(LimitError),
                    }
                }
                ("retry-after", _) => limit.retry_after = yes(value)?,
                ("count-refused", _) => limit.count_refused = yes(value)?,
                _ => return Err(LimitError),
            }
        }
        let window = window.ok_or(LimitError)?;
        limit.kind = match limit.kind {
            LimitKind::FixedWindow { requests, .. } if kind == "sliding-window" => {
                LimitKind::SlidingWindow { requests, window }
            }
            LimitKind::FixedWindow { requests, .. } => LimitKind::FixedWindow { requests, window },
            other => other,
        };
        Ok(limit)
    }
}

fn positive(text: &str) -> Result<f64, LimitError> {
    let number: f64 = text.parse().map_err(|_| LimitError)?;
    if number.is_finite() && number > 0.0 {
        Ok(number)
    } else {
        Err(LimitError)
    }
}

fn whole(text: &str, least: u32) -> Result<u32, LimitError> {
    let number = text.parse().map_err(|_| LimitError)?;
    if number >= least {
        Ok(number)
    } else {
        Err(LimitError)
    }
}

fn yes(text: &str) -> Result<bool, LimitError> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(LimitError),
    }
}

/// Seconds or milliseconds: `10s`, `250ms`.
fn time(text: &str) -> Result<Duration, LimitError> {
    let time = match text.strip_suffix("ms") {
        Some(number) => number.parse().map(Duration::from_millis),
        None => text
            .strip_suffix('s')
            .unwrap_or("")
            .parse()
            .map(Duration::from_secs),
    };
    time.ok().filter(|time| !time.is_zero()).ok_or(LimitError)
}

impl fmt::Display for RequestLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            LimitKind::TokenBucket { rate, burst } => {
                write!(f, "token-bucket:{rate},burst={burst}")
            }
            LimitKind::FixedWindow { requests, window } => {
                write!(f, "fixed-window:{requests},window={}ms", window.as_millis())
            }
            LimitKind::SlidingWindow { requests, window } => {
                write!(
                    f,
                    "sliding-window:{requests},window={}ms",
                    window.as_millis()
                )
            }
            LimitKind::LeakyBucket { rate, queue } => {
                write!(f, "leaky-bucket:{rate},queue={queue}")
            }
            LimitKind::InFlight { requests } => write!(f, "in-flight:{requests}"),
        }?;
        let yes = |is| if is { "yes" } else { "no" };
        write!(
            f,
            ",refuse={},retry-after={},count-refused={}",
            self.refuse,
            yes(self.retry_after),
            yes(self.count_refused)
        )
    }
}

impl TryFrom<String> for RequestLimit {
    type Error = LimitError;

    fn try_from(text: String) -> Result<Self, LimitError> {
        text.parse()
    }
}

impl From<RequestLimit> for String {
    fn from(limit: RequestLimit) -> Self {
        limit.to_string()
    }
}
