//! Questions to the platform: at a pace, and again if there is no answer. A question changes nothing on the platform, so a lost one can be
//! repeated.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};

use super::Stop;
use crate::{
    model::{Class, SendResult},
    policy::{self, Signal},
    throttle::{Ceilings, Pacer},
};

/// How to ask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QuestionOptions {
    /// Questions at a time, at least 1.
    pub(crate) concurrency: usize,
    /// The most questions a second, if there is a limit.
    pub(crate) rate: Option<f64>,
    /// The longest that a question is repeated because the platform does not answer.
    pub(crate) max_outage: Duration,
}

/// Asks, at a pace, and again when the platform does not answer.
#[derive(Debug)]
pub(crate) struct Questions {
    pacer: Pacer,
    max_outage: Duration,
    stop: watch::Receiver<bool>,
}

impl Questions {
    /// Questions until `stop` says that somebody has asked for a stop.
    pub(crate) fn new(options: QuestionOptions, stop: watch::Receiver<bool>) -> Self {
        let ceilings = Ceilings {
            requests: options.rate,
            devices: None,
        };
        Self {
            pacer: Pacer::new(ceilings, options.concurrency, None),
            max_outage: options.max_outage,
            stop,
        }
    }

    /// The answer to a question, or the platform's refusal to give it.
    pub(crate) async fn ask<T>(
        &self,
        question: impl AsyncFn() -> Result<T, SendResult>,
    ) -> Result<Result<T, String>, Stop> {
        let mut trouble: Option<Instant> = None;
        let mut failed = 0;
        loop {
            let ask = async {
                let ticket = self.pacer.token(1).await;
                let asked_at = Instant::now();
                let told = question().await;
                self.pacer.returned(ticket);
                (ticket, asked_at, told)
            };
            // An answer that nobody waits for is no loss.
            let (ticket, asked_at, told) = tokio::select! {
                biased;
                () = self.stopped() => return Err(Stop::Signal),
                asked = ask => asked,
            };
            let result = match told {
                Ok(answer) => {
                    self.pacer.accepted(ticket);
                    return Ok(Ok(answer));
                }
                Err(result) => result,
            };
            let (retry_after, reason) = match what_follows(&result) {
                NextTry::Give(refusal) => {
                    self.pacer.silent(ticket);
                    return Ok(Err(refusal));
                }
                NextTry::Stop(stop) => return Err(stop),
                // The next token is another one, and the token source ends it when that is refused, too.
                NextTry::AtOnce => {
                    self.pacer.silent(ticket);
                    continue;
                }
                NextTry::Slower {
                    retry_after,
                    reason,
                } => {
                    let hold = retry_after.map(|asked| policy::probe_delay(0, Some(asked)));
                    self.pacer.refused(ticket, hold);
                    (retry_after, reason)
                }
                NextTry::Later {
                    retry_after,
                    reason,
                } => {
                    self.pacer.silent(ticket);
                    (retry_after, reason)
                }
            };
            let since = *trouble.get_or_insert(asked_at);
            let pause = policy::probe_delay(failed, retry_after);
            if since.elapsed() + pause > self.max_outage {
                return Err(Stop::Outage { reason });
            }
            failed += 1;
            tracing::warn!(reason, ?pause, "no answer; asking again");
            tokio::select! {
                () = self.stopped() => return Err(Stop::Signal),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Waits for somebody to ask for a stop.
    async fn stopped(&self) {
        let mut stop = self.stop.clone();
        if stop.wait_for(|asked| *asked).await.is_err() {
            // Nobody is left who could.
            std::future::pending::<()>().await;
        }
    }
}

/// What follows when there is no answer.
enum NextTry {
    /// The platform does not tell it.
    Give(String),
    /// Nothing can be asked any more.
    Stop(Stop),
    /// Ask again with another token.
    AtOnce,
    /// Ask again, and less often from now on.
    Slower {
        retry_after: Option<Duration>,
        reason: String,
    },
    /// Ask again after a while.
    Later {
        retry_after: Option<Duration>,
        reason: String,
    },
}

/// Judges a question without an answer as a send to one device would be.
fn what_follows(result: &SendResult) -> NextTry {
    let judgement = policy::judge(result, 1);
    let outcome = judgement.devices.into_iter().next().map(|one| one.outcome);
    let (class, code, message) = match outcome {
        Some(outcome) => (Some(outcome.class), outcome.code, outcome.message),
        None => (None, None, None),
    };
    let words = message.map_or_else(|| "no reason given".to_owned(), String::from);
    let told = || match code {
        Some(code) => format!("{words} (code {code})"),
        None => words.clone(),
    };
    match judgement.signal {
        Signal::Stop { reason } | Signal::Forbidden { reason } => {
            NextTry::Stop(Stop::Refused { reason })
        }
        Signal::Throttled {
            retry_after,
            reason,
        } => NextTry::Slower {
            retry_after,
            reason,
        },
        Signal::Unusable {
            retry_after,
            reason,
            ..
        } => NextTry::Later {
            retry_after,
            reason,
        },
        Signal::Unauthorized { .. } => NextTry::AtOnce,
        Signal::Silent => NextTry::Later {
            retry_after: None,
            reason: words,
        },
        Signal::Reached => match class {
            // A limit passes, whatever it counts.
            Some(Class::Frequency | Class::Quota) => NextTry::Slower {
                retry_after: None,
                reason: told(),
            },
            Some(Class::Transient) => NextTry::Later {
                retry_after: None,
                reason: told(),
            },
            _ => NextTry::Give(told()),
        },
    }
}
