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
    let Judgement { devices, signal } = judge(&SendResult::Answered(answer), 3);
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
        Signal::Unusable { .. } => "unusable",
        Signal::Unauthorized { .. } => "unauthorized",
        Signal::Forbidden { .. } => "forbidden",
        Signal::Stop { .. } => "stop",
    }
}

#[test]
fn every_row_of_the_table_of_outcomes_for_a_whole_request() {
    use Class::{Auth, Frequency, InDoubt, Offline, Outage, Quota, Refused, Rejected, Transient};
    for (status, code, class, recorded, signal) in [
        // Only an element accepts.
        (200, Some(200), InDoubt, Some(200), "unusable"),
        (200, Some(201), InDoubt, Some(201), "unusable"),
        (200, None, InDoubt, None, "unusable"),
        (200, Some(61007), Frequency, Some(61007), "reached"),
        (200, Some(61006), Quota, Some(61006), "reached"),
        (200, Some(50000), Transient, Some(50000), "unusable"),
        (200, Some(70051), Transient, Some(70051), "unusable"),
        (200, Some(70095), Transient, Some(70095), "unusable"),
        (200, Some(70096), Transient, Some(70096), "unusable"),
        (200, Some(70000), Outage, Some(70000), "unusable"),
        (200, Some(429), Outage, Some(429), "throttled"),
        (429, None, Outage, Some(429), "throttled"),
        (503, None, Outage, Some(503), "unusable"),
        (408, None, InDoubt, Some(408), "unusable"),
        (500, None, InDoubt, Some(500), "unusable"),
        (502, None, InDoubt, Some(502), "unusable"),
        (504, None, InDoubt, Some(504), "unusable"),
        (200, Some(61002), Offline, Some(61002), "reached"),
        (200, Some(70026), Offline, Some(70026), "reached"),
        (200, Some(70065), Offline, Some(70065), "reached"),
        (401, None, Auth, Some(401), "unauthorized"),
        (200, Some(401), Auth, Some(401), "unauthorized"),
        (200, Some(91001), Auth, Some(91001), "unauthorized"),
        (200, Some(91004), Auth, Some(91004), "unauthorized"),
        (302, None, Refused, Some(302), "forbidden"),
        (403, None, Refused, Some(403), "forbidden"),
        (404, None, Refused, Some(404), "forbidden"),
        (405, None, Refused, Some(405), "forbidden"),
        (200, Some(403), Refused, Some(403), "forbidden"),
        (200, Some(404), Refused, Some(404), "forbidden"),
        (200, Some(91005), Refused, Some(91005), "forbidden"),
        (200, Some(91006), Refused, Some(91006), "forbidden"),
        (200, Some(91007), Refused, Some(91007), "forbidden"),
        (200, Some(50005), Rejected, Some(50005), "reached"),
        (200, Some(70091), Rejected, Some(70091), "reached"),
        (200, Some(12345), Rejected, Some(12345), "reached"),
        (400, None, Rejected, Some(400), "reached"),
        // A known code tells more than the status …
        (500, Some(50000), Transient, Some(50000), "unusable"),
        (400, Some(91004), Auth, Some(91004), "unauthorized"),
        (503, Some(61002), Offline, Some(61002), "reached"),
        // … and the status more than an unknown one, which may be a proxy's.
        (500, Some(12345), InDoubt, Some(500), "unusable"),
        (503, Some(12345), Outage, Some(503), "unusable"),
        (403, Some(12345), Refused, Some(403), "forbidden"),
        (401, Some(12345), Auth, Some(401), "unauthorized"),
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
    let Judgement { devices, signal } = judge(&SendResult::Answered(reply), 3);
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
        assert_eq!(
            judge(&SendResult::Answered(reply), 1).signal,
            Signal::Reached
        );
    }
}

#[test]
fn codes_of_the_account_are_about_the_device_in_an_element() {
    for code in [401, 403, 404, 91001, 91004, 91005, 91006, 91007] {
        let mut reply = answer(200, Some(200));
        reply.elements = elements(&[Some(code)]);
        let Judgement { devices, signal } = judge(&SendResult::Answered(reply), 1);
        assert_eq!(devices[0].outcome.class, Class::Rejected, "{code}");
        assert_eq!(signal, Signal::Reached, "{code}");
    }
    let mut reply = answer(200, Some(200));
    reply.elements = elements(&[Some(70000)]);
    let judged = judge(&SendResult::Answered(reply), 1);
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
        let outcome = &judge(&SendResult::Answered(reply), 1).devices[0].outcome;
        assert_eq!(outcome.class, class, "{code:?}");
        assert_eq!(outcome.ticket.is_some(), kept, "{code:?}");
    }
    let mut reply = answer(200, Some(200));
    reply.elements = vec![Some(Element::default())];
    let judged = judge(&SendResult::Answered(reply), 1);
    assert_eq!(judged.devices[0].outcome.class, Class::InDoubt);
}

#[test]
fn fewer_elements_than_devices_leave_the_others_in_doubt() {
    let mut reply = answer(200, Some(200));
    reply.elements = elements(&[Some(200)]);
    let Judgement { devices, signal } = judge(&SendResult::Answered(reply), 2);
    assert_eq!(devices[0].outcome.class, Class::Accepted);
    assert_eq!(devices[1].outcome.class, Class::InDoubt);
    assert_eq!(signal, Signal::Reached, "the platform has answered");
}

#[test]
fn a_refused_device_keeps_no_ticket_and_gets_the_vendors_words() {
    let mut reply = answer(200, Some(200));
    reply.elements = vec![Some(Element {
        code: Some(61002),
        ticket: Ticket::new("1"),
        ..Element::default()
    })];
    let outcome = &judge(&SendResult::Answered(reply), 1).devices[0].outcome;
    // What the ticket is worth nobody knows; it is kept with the words.
    assert_eq!(outcome.message.as_deref(), Some("Device offline; ticket 1"));
    assert_eq!(outcome.ticket, None);
}

#[test]
fn a_ticket_beside_a_code_that_cannot_be_read_is_no_acceptance_and_is_kept() {
    let unreadable = Element {
        ticket: Ticket::new("1"),
        has_unreadable_code: true,
        remark: Some("its code cannot be read: true".into()),
        ..Element::default()
    };
    let without_code = Element {
        has_unreadable_code: false,
        ..unreadable.clone()
    };
    for (element, top_is_unreadable) in [(unreadable, false), (without_code, true)] {
        let mut reply = answer(200, None);
        reply.has_unreadable_code = top_is_unreadable;
        reply.elements = vec![Some(element)];
        let outcome = &judge(&SendResult::Answered(reply), 1).devices[0].outcome;
        assert_eq!(outcome.class, Class::InDoubt);
        assert_eq!(outcome.ticket, None);
        let words = outcome.message.as_deref().unwrap();
        assert!(
            words.ends_with("ticket 1; its code cannot be read: true"),
            "{words}"
        );
    }
}

#[test]
fn a_second_ticket_is_kept_beside_the_first() {
    let mut reply = answer(200, Some(200));
    reply.elements = vec![Some(Element {
        code: Some(200),
        ticket: Ticket::new("1"),
        remark: Some("also ticket 2".into()),
        ..Element::default()
    })];
    let outcome = &judge(&SendResult::Answered(reply), 1).devices[0].outcome;
    assert_eq!(outcome.class, Class::Accepted);
    assert_eq!(outcome.ticket, Ticket::new("1"));
    assert_eq!(outcome.message.as_deref(), Some("also ticket 2"));
}

#[test]
fn the_ticket_of_a_device_that_a_code_for_all_decides_about_is_kept() {
    let mut reply = answer(200, Some(50000));
    reply.elements = vec![Some(Element {
        ticket: Ticket::new("1"),
        ..Element::default()
    })];
    let outcome = &judge(&SendResult::Answered(reply), 1).devices[0].outcome;
    assert_eq!(outcome.class, Class::Transient);
    assert!(outcome.message.as_deref().unwrap().ends_with("ticket 1"));
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
            Signal::Unusable { retry_after, .. } if !throttled => assert_eq!(retry_after, asked),
            other => panic!("HTTP {status}: {other:?}"),
        }
    }
}

#[test]
fn what_was_not_sent_or_has_no_reply() {
    let error = || "why".to_owned();
    for (result, class, signal) in [
        (
            SendResult::Unsent(Unsent::Unreachable {
                error: error(),
                retry_after: None,
            }),
            Class::Outage,
            "unusable",
        ),
        (
            SendResult::Unsent(Unsent::Certificate { error: error() }),
            Class::Refused,
            "stop",
        ),
        (
            SendResult::Unsent(Unsent::Refused { error: error() }),
            Class::Refused,
            "stop",
        ),
        (
            SendResult::Unsent(Unsent::Credentials { error: error() }),
            Class::Auth,
            "stop",
        ),
        (
            SendResult::Lost {
                http_status: Some(200),
                error: error(),
            },
            Class::InDoubt,
            "unusable",
        ),
    ] {
        let judged = judge(&result, 2);
        assert_eq!(judged.devices.len(), 2);
        assert_eq!(judged.devices[1].outcome.class, class, "{result:?}");
        assert_eq!(judged.devices[1].outcome.message.as_deref(), Some("why"));
        assert_eq!(kind(&judged.signal), signal, "{result:?}");
    }
}

#[test]
fn too_many_requests_are_heard_beside_elements_unless_they_say_all() {
    for (codes, signal) in [
        ([Some(200), None], "throttled"),
        ([None, None], "throttled"),
        ([Some(200), Some(61002)], "reached"),
    ] {
        let mut reply = answer(200, Some(429));
        reply.elements = elements(&codes);
        let judged = judge(&SendResult::Answered(reply), 2);
        assert_eq!(kind(&judged.signal), signal, "{codes:?}");
    }
}

#[test]
fn an_element_whose_code_cannot_be_read_is_a_doubt_whatever_the_request_came_to() {
    let mut reply = answer(200, Some(50005));
    reply.elements = vec![Some(Element {
        has_unreadable_code: true,
        ..Element::default()
    })];
    let device = &judge(&SendResult::Answered(reply), 1).devices[0];
    assert_eq!(device.basis, Basis::Element);
    assert_eq!(device.outcome.class, Class::InDoubt);
}

#[test]
fn a_device_without_a_code_gets_the_words_of_the_request() {
    for ticket in [None, Ticket::new("1")] {
        let mut reply = answer(200, Some(50005));
        reply.message = Some("no such thing".into());
        reply.elements = vec![Some(Element {
            ticket: ticket.clone(),
            message: Some("its own".into()),
            ..Element::default()
        })];
        let outcome = &judge(&SendResult::Answered(reply), 1).devices[0].outcome;
        let expected = match ticket {
            None => "no such thing",
            Some(_) => "no such thing; ticket 1",
        };
        assert_eq!(outcome.message.as_deref(), Some(expected));
    }
}

#[test]
fn what_says_nothing_is_described_and_only_a_503_is_an_overload() {
    for (status, code, readable, reason) in [
        (
            502,
            None,
            false,
            "HTTP 502 with a body that is not a JSON object",
        ),
        (500, None, true, "HTTP 500 without a code"),
        (
            200,
            Some(200),
            true,
            "the reply does not mention this device (HTTP 200)",
        ),
        (200, Some(50000), true, "code 50000: Service exception"),
        (503, None, false, "code 503"),
    ] {
        let reply = Answer {
            readable,
            ..answer(status, code)
        };
        let Signal::Unusable {
            reason: told,
            overloaded,
            sent,
            ..
        } = whole(reply).2
        else {
            panic!("{status} {code:?}")
        };
        assert_eq!(told, reason);
        assert_eq!((overloaded, sent), (status == 503, true), "{status}");
    }
}
