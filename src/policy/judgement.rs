//! From what became of a request to what it says of each device, and of the platform as a whole.

use std::time::Duration;

use super::codes;
use crate::model::{Answer, Class, Element, Outcome, SendResult, Unsent};

/// What a request's result says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Judgement {
    /// One for each device of the request, in its order.
    pub(crate) devices: Vec<DeviceOutcome>,
    /// What it says of the platform as a whole.
    pub(crate) signal: Signal,
}

/// What a request's result says of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceOutcome {
    /// Whether the device's own element decided, or the request as a whole.
    pub(crate) basis: Basis,
    pub(crate) outcome: Outcome,
}

/// Whose code decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Basis {
    /// The device's own element.
    Element,
    /// The top-level code, the HTTP status, or the absence of a reply.
    Request,
}

/// What a request's result says of the platform as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Signal {
    /// The platform answered: it is there.
    Reached,
    /// Nothing can be said.
    Silent,
    /// Too many requests: the rate has to drop.
    Throttled {
        /// How long the platform asked to wait.
        retry_after: Option<Duration>,
        /// What it said.
        reason: String,
    },
    /// There is no answer of use: the platform may be out of reach, or it may be this request.
    Unusable {
        /// How long the platform asked to wait.
        retry_after: Option<Duration>,
        /// What the platform or the network said.
        reason: String,
        /// Whether the platform itself said that it has too much to do (HTTP 503).
        overloaded: bool,
        /// Whether anything was sent, for which a token is needed.
        sent: bool,
    },
    /// The token was refused: it is another one next time.
    Unauthorized {
        /// What the platform said.
        reason: String,
    },
    /// The request was refused for what does not pass: everybody's, or this one's.
    Forbidden {
        /// What the platform said.
        reason: String,
    },
    /// Nothing can be sent until somebody changes something: stop.
    Stop {
        /// What the platform said, and what to do.
        reason: String,
    },
}

/// Judges the result of a request to `devices` devices.
pub(crate) fn judge(result: &SendResult, devices: usize) -> Judgement {
    match result {
        SendResult::Unsent(unsent) => unsent_judgement(unsent, devices),
        SendResult::Lost { http_status, error } => {
            let outcome = Outcome {
                class: Class::InDoubt,
                code: http_status.map(i64::from),
                message: Some(error.as_str().into()),
                ticket: None,
            };
            Judgement {
                devices: for_all(&outcome, devices),
                signal: Signal::Unusable {
                    retry_after: None,
                    reason: error.clone(),
                    overloaded: false,
                    sent: true,
                },
            }
        }
        SendResult::Answered(answer) => answer_judgement(answer, devices),
    }
}

fn unsent_judgement(unsent: &Unsent, devices: usize) -> Judgement {
    let reason = unsent.error().to_owned();
    let (class, signal) = match unsent {
        Unsent::Unreachable { retry_after, .. } => (
            Class::Outage,
            Signal::Unusable {
                retry_after: *retry_after,
                reason,
                overloaded: false,
                sent: false,
            },
        ),
        // It passes, as an outage does; the reason says whose it is.
        Unsent::Exhausted { .. } => (
            Class::Outage,
            Signal::Unusable {
                retry_after: None,
                reason,
                overloaded: false,
                sent: false,
            },
        ),
        Unsent::Certificate { .. } | Unsent::Refused { .. } => {
            (Class::Refused, Signal::Stop { reason })
        }
        Unsent::Credentials { .. } => (Class::Auth, Signal::Stop { reason }),
        // Says nothing of the platform, and uses no attempt.
        Unsent::Late => (Class::Outage, Signal::Silent),
    };
    let outcome = Outcome {
        class,
        code: None,
        message: Some(unsent.error().into()),
        ticket: None,
    };
    Judgement {
        devices: for_all(&outcome, devices),
        signal,
    }
}

fn answer_judgement(answer: &Answer, devices: usize) -> Judgement {
    let whole = whole_outcome(answer);
    let mut silent = 0;
    let judged = (0..devices)
        .map(|device| {
            let element = answer.elements.get(device).and_then(Option::as_ref);
            if let Some(outcome) =
                element.and_then(|element| element_outcome(element, &whole, answer))
            {
                return DeviceOutcome {
                    basis: Basis::Element,
                    outcome,
                };
            }
            silent += 1;
            DeviceOutcome {
                basis: Basis::Request,
                // No ticket is lost, whatever it is worth.
                outcome: element
                    .map_or_else(|| whole.clone(), |element| with_words(&whole, element)),
            }
        })
        .collect();
    // Only a code that stood for the whole request speaks for the platform; beside elements it would be about something else. That
    // there are too many requests is about none of them.
    let signal = match whole_signal(answer, &whole) {
        signal @ Signal::Throttled { .. } if silent > 0 => signal,
        signal if silent == devices => signal,
        _ => Signal::Reached,
    };
    Judgement {
        devices: judged,
        signal,
    }
}

/// The outcome that an element gives its device, or `None` when it says nothing by itself.
fn element_outcome(element: &Element, whole: &Outcome, answer: &Answer) -> Option<Outcome> {
    let is_unclear = element.has_unreadable_code || answer.has_unreadable_code;
    let class = match element.code {
        Some(code) => codes::class_of_element(code),
        // What cannot be read may be a refusal as well as an acceptance.
        None if element.has_unreadable_code => Class::InDoubt,
        // A ticket is the platform's receipt; without a code it means what the reply as a whole says.
        None if element.ticket.is_some() && whole.class == Class::InDoubt && !is_unclear => {
            Class::Accepted
        }
        None => return None,
    };
    let is_accepted = class == Class::Accepted;
    Some(Outcome {
        class,
        code: element.code,
        message: match (&element.message, element.code) {
            (None, Some(code)) if !is_accepted => {
                let element = Element {
                    message: text(code),
                    ..element.clone()
                };
                element.words(is_accepted)
            }
            _ => element.words(is_accepted),
        },
        ticket: element.ticket.clone().filter(|_| is_accepted),
    })
}

/// The outcome of the request for a device whose element says nothing by itself, with what has to be kept of it.
fn with_words(whole: &Outcome, element: &Element) -> Outcome {
    let element = Element {
        message: whole.message.clone(),
        ..element.clone()
    };
    Outcome {
        message: element.words(false),
        ..whole.clone()
    }
}

/// The outcome of the devices that the reply has no code for: by the top-level code, then by the HTTP status.
fn whole_outcome(answer: &Answer) -> Outcome {
    let status = i64::from(answer.http_status);
    // A proxy in front of the platform has codes of its own; where they say nothing, its status does.
    let telling = answer
        .code
        .filter(|code| codes::lookup(*code).is_some() || (200..300).contains(&answer.http_status));
    let (class, code) = match telling {
        Some(code) => match codes::class_of_whole(code) {
            Class::InDoubt => return silence(answer, Some(code)),
            class => (class, code),
        },
        None => match answer.http_status {
            429 | 503 => (Class::Outage, status),
            401 => (Class::Auth, status),
            300..=399 | 403 | 404 | 405 => (Class::Refused, status),
            // The design names 408, 500, 502 and 504; a server that answers with any other 5xx may have acted too.
            408 | 500..=599 => return silence(answer, Some(status)),
            400..=499 => (Class::Rejected, answer.code.unwrap_or(status)),
            _ => return silence(answer, None),
        },
    };
    Outcome {
        class,
        code: Some(code),
        message: answer.message.clone().or_else(|| text(code)),
        ticket: None,
    }
}

/// A reply that does not say what came of a device: the command may have been acted on.
fn silence(answer: &Answer, code: Option<i64>) -> Outcome {
    let status = answer.http_status;
    let message = if !answer.readable {
        format!("HTTP {status} with a body that is not a JSON object")
    } else if answer.code.is_some() {
        format!("the reply does not mention this device (HTTP {status})")
    } else {
        format!("HTTP {status} without a code")
    };
    Outcome {
        class: Class::InDoubt,
        code,
        message: Some(message.into()),
        ticket: None,
    }
}

fn whole_signal(answer: &Answer, whole: &Outcome) -> Signal {
    let reason = || match (&whole.message, whole.code) {
        (Some(message), Some(code)) => format!("code {code}: {message}"),
        (Some(message), None) => message.to_string(),
        (None, Some(code)) => format!("code {code}"),
        (None, None) => format!("HTTP {}", answer.http_status),
    };
    match whole.class {
        Class::Outage if whole.code == Some(429) => Signal::Throttled {
            retry_after: answer.retry_after,
            reason: reason(),
        },
        Class::Outage | Class::InDoubt | Class::Transient => Signal::Unusable {
            retry_after: answer.retry_after,
            reason: match whole.class {
                Class::InDoubt => whole.message.as_deref().map_or_else(reason, str::to_owned),
                _ => reason(),
            },
            overloaded: whole.code == Some(503),
            sent: true,
        },
        Class::Refused => Signal::Forbidden { reason: reason() },
        Class::Auth => Signal::Unauthorized { reason: reason() },
        _ => Signal::Reached,
    }
}

/// The vendor's text for a code, for replies that bring none.
fn text(code: i64) -> Option<Box<str>> {
    codes::lookup(code).map(|info| info.text.into())
}

fn for_all(outcome: &Outcome, devices: usize) -> Vec<DeviceOutcome> {
    (0..devices)
        .map(|_| DeviceOutcome {
            basis: Basis::Request,
            outcome: outcome.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests;
