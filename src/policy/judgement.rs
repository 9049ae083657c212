//! From what became of a request to what it says of each device, and of the platform as a whole.

use std::time::Duration;

use super::codes;
use crate::model::{Answer, Class, Element, Fate, Outcome, Unsent};

/// What a request's fate says.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// One for each device of the request, in its order.
    pub devices: Vec<Judged>,
    /// What it says of the platform as a whole.
    pub signal: Signal,
}

/// What a request's fate says of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Whether the device's own element decided, or the request as a whole.
    pub basis: Basis,
    /// The outcome.
    pub outcome: Outcome,
}

/// Whose code decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The device's own element.
    Element,
    /// The top-level code, the HTTP status, or the absence of a reply.
    Request,
}

/// What a request's fate says of the platform as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// The platform answered: it is there. That it refused the token is an answer too; a platform that was away may have forgotten it.
    Reached,
    /// Nothing can be said: the request was lost on its way.
    Silent,
    /// Too many requests: the rate has to drop.
    Throttled {
        /// How long the platform asked to wait.
        retry_after: Option<Duration>,
        /// What it said.
        reason: String,
    },
    /// The platform is out of reach: pause and probe.
    Outage {
        /// How long the platform asked to wait.
        retry_after: Option<Duration>,
        /// What the platform or the network said.
        reason: String,
        /// Whether the platform itself said so, and that it has too much to do (HTTP 503).
        overloaded: bool,
    },
    /// Nothing can be sent until somebody changes something: stop.
    Stop {
        /// What the platform said, and what to do.
        reason: String,
    },
}

/// Judges the fate of a request to `devices` devices.
pub fn judge(fate: &Fate, devices: usize) -> Judgement {
    match fate {
        Fate::Unsent(unsent) => unsent_judgement(unsent, devices),
        Fate::Lost { http_status, error } => {
            let outcome = Outcome {
                class: Class::InDoubt,
                code: http_status.map(i64::from),
                message: Some(error.as_str().into()),
                ticket: None,
            };
            Judgement {
                devices: for_all(&outcome, devices),
                signal: Signal::Silent,
            }
        }
        Fate::Answered(answer) => answer_judgement(answer, devices),
    }
}

fn unsent_judgement(unsent: &Unsent, devices: usize) -> Judgement {
    let reason = unsent.error().to_owned();
    let (class, signal) = match unsent {
        Unsent::Unreachable { retry_after, .. } => (
            Class::Outage,
            Signal::Outage {
                retry_after: *retry_after,
                reason,
                overloaded: false,
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
            if let Some(outcome) = element.and_then(|element| element_outcome(element, &whole)) {
                return Judged {
                    basis: Basis::Element,
                    outcome,
                };
            }
            silent += 1;
            Judged {
                basis: Basis::Request,
                outcome: whole.clone(),
            }
        })
        .collect();
    // Only a code that stood for devices of this request speaks for the platform; beside elements it would be about something else.
    let signal = if silent == 0 {
        Signal::Reached
    } else {
        whole_signal(answer, &whole)
    };
    Judgement {
        devices: judged,
        signal,
    }
}

/// The outcome that an element gives its device, or `None` when it says nothing by itself.
fn element_outcome(element: &Element, whole: &Outcome) -> Option<Outcome> {
    let class = match element.code {
        Some(code) => codes::class_of_element(code),
        // A ticket is the platform's receipt; without a code it means what the reply as a whole says.
        None if element.ticket.is_some() && whole.class == Class::InDoubt => Class::Accepted,
        None => return None,
    };
    Some(Outcome {
        class,
        code: element.code,
        message: element.message.clone().or_else(|| {
            element
                .code
                .filter(|_| class != Class::Accepted)
                .and_then(text)
        }),
        ticket: (class == Class::Accepted)
            .then(|| element.ticket.clone())
            .flatten(),
    })
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
        format!("the reply to the request is silent about this device (HTTP {status})")
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
        Class::Outage => Signal::Outage {
            retry_after: answer.retry_after,
            reason: reason(),
            overloaded: whole.code == Some(503),
        },
        Class::Refused => Signal::Stop { reason: reason() },
        Class::InDoubt => Signal::Silent,
        _ => Signal::Reached,
    }
}

/// The vendor's text for a code, for replies that bring none.
fn text(code: i64) -> Option<Box<str>> {
    codes::lookup(code).map(|info| info.text.into())
}

fn for_all(outcome: &Outcome, devices: usize) -> Vec<Judged> {
    (0..devices)
        .map(|_| Judged {
            basis: Basis::Request,
            outcome: outcome.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Ticket;

    fn answer(http_status: u16, code: Option<i64>) -> Answer {
        Answer {
            http_status,
            readable: code.is_some(),
            code,
            ..Answer::default()
        }
    }

    fn elements(codes: &[Option<i64>]) -> Vec<Option<Element>> {
        let element = |code| Element {
            code: Some(code),
            ..Element::default()
        };
        codes.iter().map(|code| code.map(element)).collect()
    }

    /// The class and code of every device, which are the same for a whole request, and the signal.
    fn whole(answer: Answer) -> (Class, Option<i64>, Signal) {
        let Judgement { devices, signal } = judge(&Fate::Answered(answer), 3);
        assert_eq!(devices.len(), 3);
        assert!(devices.iter().all(|device| device == &devices[0]));
        assert_eq!(devices[0].basis, Basis::Request);
        let Outcome { class, code, .. } = devices[0].outcome;
        (class, code, signal)
    }

    fn kind(signal: &Signal) -> &'static str {
        match signal {
            Signal::Reached => "reached",
            Signal::Silent => "silent",
            Signal::Throttled { .. } => "throttled",
            Signal::Outage { .. } => "outage",
            Signal::Stop { .. } => "stop",
        }
    }

    #[test]
    fn every_row_of_the_table_of_outcomes_for_a_whole_request() {
        use Class::{
            Auth, Frequency, InDoubt, Offline, Outage, Quota, Refused, Rejected, Transient,
        };
        for (status, code, class, recorded, signal) in [
            // Only an element accepts.
            (200, Some(200), InDoubt, Some(200), "silent"),
            (200, Some(201), InDoubt, Some(201), "silent"),
            (200, None, InDoubt, None, "silent"),
            (200, Some(61007), Frequency, Some(61007), "reached"),
            (200, Some(61006), Quota, Some(61006), "reached"),
            (200, Some(50000), Transient, Some(50000), "reached"),
            (200, Some(70051), Transient, Some(70051), "reached"),
            (200, Some(70095), Transient, Some(70095), "reached"),
            (200, Some(70096), Transient, Some(70096), "reached"),
            (200, Some(70000), Outage, Some(70000), "outage"),
            (200, Some(429), Outage, Some(429), "throttled"),
            (429, None, Outage, Some(429), "throttled"),
            (503, None, Outage, Some(503), "outage"),
            (408, None, InDoubt, Some(408), "silent"),
            (500, None, InDoubt, Some(500), "silent"),
            (502, None, InDoubt, Some(502), "silent"),
            (504, None, InDoubt, Some(504), "silent"),
            (200, Some(61002), Offline, Some(61002), "reached"),
            (200, Some(70026), Offline, Some(70026), "reached"),
            (200, Some(70065), Offline, Some(70065), "reached"),
            (401, None, Auth, Some(401), "reached"),
            (200, Some(401), Auth, Some(401), "reached"),
            (200, Some(91001), Auth, Some(91001), "reached"),
            (200, Some(91004), Auth, Some(91004), "reached"),
            (302, None, Refused, Some(302), "stop"),
            (403, None, Refused, Some(403), "stop"),
            (404, None, Refused, Some(404), "stop"),
            (405, None, Refused, Some(405), "stop"),
            (200, Some(403), Refused, Some(403), "stop"),
            (200, Some(404), Refused, Some(404), "stop"),
            (200, Some(91005), Refused, Some(91005), "stop"),
            (200, Some(91006), Refused, Some(91006), "stop"),
            (200, Some(91007), Refused, Some(91007), "stop"),
            (200, Some(50005), Rejected, Some(50005), "reached"),
            (200, Some(70091), Rejected, Some(70091), "reached"),
            (200, Some(12345), Rejected, Some(12345), "reached"),
            (400, None, Rejected, Some(400), "reached"),
            // A known code tells more than the status …
            (500, Some(50000), Transient, Some(50000), "reached"),
            (400, Some(91004), Auth, Some(91004), "reached"),
            (503, Some(61002), Offline, Some(61002), "reached"),
            // … and the status more than an unknown one, which may be a proxy's.
            (500, Some(12345), InDoubt, Some(500), "silent"),
            (503, Some(12345), Outage, Some(503), "outage"),
            (403, Some(12345), Refused, Some(403), "stop"),
            (401, Some(12345), Auth, Some(401), "reached"),
            (422, Some(12345), Rejected, Some(12345), "reached"),
        ] {
            let (got_class, got_code, got_signal) = whole(answer(status, code));
            assert_eq!(
                (got_class, got_code, kind(&got_signal)),
                (class, recorded, signal),
                "HTTP {status}, code {code:?}"
            );
        }
    }

    #[test]
    fn the_elements_code_stands_nearest() {
        let mut reply = answer(200, Some(50005));
        reply.elements = elements(&[Some(200), Some(61007), None]);
        let Judgement { devices, signal } = judge(&Fate::Answered(reply), 3);
        let seen: Vec<_> = devices
            .iter()
            .map(|device| (device.basis, device.outcome.class, device.outcome.code))
            .collect();
        assert_eq!(
            seen,
            [
                (Basis::Element, Class::Accepted, Some(200)),
                (Basis::Element, Class::Frequency, Some(61007)),
                (Basis::Request, Class::Rejected, Some(50005)),
            ]
        );
        assert_eq!(signal, Signal::Reached);
    }

    #[test]
    fn a_reply_with_an_element_for_each_device_says_that_the_platform_is_there() {
        for code in [91005, 70000, 429] {
            let mut reply = answer(200, Some(code));
            reply.elements = elements(&[Some(200)]);
            assert_eq!(judge(&Fate::Answered(reply), 1).signal, Signal::Reached);
        }
    }

    #[test]
    fn codes_of_the_account_are_about_the_device_in_an_element() {
        for code in [401, 403, 404, 91001, 91004, 91005, 91006, 91007] {
            let mut reply = answer(200, Some(200));
            reply.elements = elements(&[Some(code)]);
            let Judgement { devices, signal } = judge(&Fate::Answered(reply), 1);
            assert_eq!(devices[0].outcome.class, Class::Rejected, "{code}");
            assert_eq!(signal, Signal::Reached, "{code}");
        }
        let mut reply = answer(200, Some(200));
        reply.elements = elements(&[Some(70000)]);
        let judged = judge(&Fate::Answered(reply), 1);
        assert_eq!(judged.devices[0].outcome.class, Class::Transient);
    }

    #[test]
    fn a_ticket_without_a_code_is_a_receipt_unless_the_request_failed() {
        let ticket = Ticket::new("1335004867605954560");
        for (code, class, kept) in [
            (Some(200), Class::Accepted, true),
            (None, Class::Accepted, true),
            (Some(50005), Class::Rejected, false),
            (Some(50000), Class::Transient, false),
        ] {
            let mut reply = answer(200, code);
            reply.elements = vec![Some(Element {
                ticket: ticket.clone(),
                ..Element::default()
            })];
            let outcome = &judge(&Fate::Answered(reply), 1).devices[0].outcome;
            assert_eq!(outcome.class, class, "{code:?}");
            assert_eq!(outcome.ticket.is_some(), kept, "{code:?}");
        }
        let mut reply = answer(200, Some(200));
        reply.elements = vec![Some(Element::default())];
        let judged = judge(&Fate::Answered(reply), 1);
        assert_eq!(judged.devices[0].outcome.class, Class::InDoubt);
    }

    #[test]
    fn fewer_elements_than_devices_leave_the_others_in_doubt() {
        let mut reply = answer(200, Some(200));
        reply.elements = elements(&[Some(200)]);
        let Judgement { devices, signal } = judge(&Fate::Answered(reply), 2);
        assert_eq!(devices[0].outcome.class, Class::Accepted);
        assert_eq!(devices[1].outcome.class, Class::InDoubt);
        assert_eq!(signal, Signal::Silent);
    }

    #[test]
    fn a_refused_device_keeps_no_ticket_and_gets_the_vendors_words() {
        let mut reply = answer(200, Some(200));
        reply.elements = vec![Some(Element {
            code: Some(61002),
            message: None,
            ticket: Ticket::new("1"),
        })];
        let outcome = &judge(&Fate::Answered(reply), 1).devices[0].outcome;
        assert_eq!(outcome.message.as_deref(), Some("Device offline"));
        assert_eq!(outcome.ticket, None);
    }

    #[test]
    fn what_the_platform_asks_to_wait_is_passed_on() {
        let asked = Some(Duration::from_secs(7));
        for (status, throttled) in [(429, true), (503, false)] {
            let reply = Answer {
                retry_after: asked,
                ..answer(status, None)
            };
            match whole(reply).2 {
                Signal::Throttled { retry_after, .. } if throttled => {
                    assert_eq!(retry_after, asked);
                }
                Signal::Outage { retry_after, .. } if !throttled => assert_eq!(retry_after, asked),
                other => panic!("HTTP {status}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_was_not_sent_or_has_no_reply() {
        let error = || "why".to_owned();
        for (fate, class, signal) in [
            (
                Fate::Unsent(Unsent::Unreachable {
                    error: error(),
                    retry_after: None,
                }),
                Class::Outage,
                "outage",
            ),
            (
                Fate::Unsent(Unsent::Certificate { error: error() }),
                Class::Refused,
                "stop",
            ),
            (
                Fate::Unsent(Unsent::Refused { error: error() }),
                Class::Refused,
                "stop",
            ),
            (
                Fate::Unsent(Unsent::Credentials { error: error() }),
                Class::Auth,
                "stop",
            ),
            (
                Fate::Lost {
                    http_status: Some(200),
                    error: error(),
                },
                Class::InDoubt,
                "silent",
            ),
        ] {
            let judged = judge(&fate, 2);
            assert_eq!(judged.devices.len(), 2);
            assert_eq!(judged.devices[1].outcome.class, class, "{fate:?}");
            assert_eq!(judged.devices[1].outcome.message.as_deref(), Some("why"));
            assert_eq!(kind(&judged.signal), signal, "{fate:?}");
        }
    }
}
