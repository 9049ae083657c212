use super::*;
use crate::model::TaskId;

fn message(kind: MessageKind, ticket: &str, at: i64) -> InboxMessage {
    InboxMessage {
        id: at,
        kind,
        ticket: ticket.to_owned(),
        product_key: "PK".to_owned(),
        device_key: "D1".to_owned(),
        code: None,
        kv: None,
        packet_id: None,
        at: Timestamp(at),
        recorded_at: Timestamp(at),
    }
}

fn input(ticket: &str, at: i64, code: &str, kv: &str) -> InboxMessage {
    InboxMessage {
        code: Some(code.to_owned()),
        kv: Some(kv.to_owned()),
        ..message(MessageKind::Input, ticket, at)
    }
}

fn send(task: i64, from: i64, data: &str) -> DeviceSend {
    DeviceSend {
        task: TaskId(task),
        attempt: 1,
        is_accepted: true,
        sent: TimeRange {
            from: Timestamp(from),
            to: Timestamp(from + 100),
        },
        data: data.into(),
        is_cache: None,
        cache_time: None,
    }
}

const REBOOT: &str = r#"[{"reboot":[{"delay":"5"}]}]"#;
const MODE: &str = r#"[{"setMode":[{"mode":"1"}]}]"#;
const TOLERANCE: Duration = Duration::from_secs(1);

/// Which task each proof is of, and what it says.
fn said(proofs: &[TaskProof]) -> Vec<(i64, Delivery)> {
    let pair = |one: &TaskProof| (one.task.0, one.proof.delivery);
    proofs.iter().map(pair).collect()
}

#[test]
fn each_kind_of_message_proves_what_the_vendor_says_of_it() {
    use Delivery::{Answered, Queued, SendFailed, Sent};
    for (kind, expected) in [
        (MessageKind::ReqackSucc, Sent),
        (MessageKind::ReqackFail, SendFailed),
        (MessageKind::Input, Queued),
        (MessageKind::Output, Answered),
    ] {
        let mut told = message(kind, "T", 7);
        told.kv = Some(r#"{"a":"1"}"#.to_owned());
        let proof = proof_of(&told);
        assert_eq!(proof.delivery, expected);
        assert_eq!(
            (proof.at, proof.known_at),
            (Some(Timestamp(7)), Timestamp(7))
        );
        assert_eq!(proof.answer.is_some(), expected == Answered);
    }
}

#[test]
fn a_ticket_of_any_form_leads_to_its_send_and_to_no_other() {
    let forms = [
        "1380000000000000001",
        "65a1b2c3d4e5f60718293a4b",
        "0b4f1e6e-9a51-4c39-a5a7-8c5f1fd8c9d4",
    ];
    let ticketed = |task, device_key: &str, ticket: &str| SendTicket {
        task: TaskId(task),
        attempt: 1,
        device_key: device_key.into(),
        ticket: ticket.into(),
    };
    let told = |ticket: &str| TicketMessage {
        kind: MessageKind::ReqackSucc,
        ticket: ticket.into(),
        device_key: "D1".into(),
        at: Timestamp(1),
        answer: None,
    };
    let sends: Vec<_> = (1..)
        .zip(forms)
        .map(|(n, form)| ticketed(n, "D1", form))
        .collect();
    let messages: Vec<_> = forms
        .iter()
        .rev()
        .chain([&"1380000000000000002"])
        .map(|form| told(form))
        .collect();
    let found = by_ticket(&sends, &messages);
    assert_eq!(
        said(&found),
        [
            (3, Delivery::Sent),
            (2, Delivery::Sent),
            (1, Delivery::Sent)
        ]
    );

    // Two with one ticket: the device decides, or nothing does.
    let told = [told("T")];
    let twice = [ticketed(1, "D1", "T"), ticketed(2, "D2", "T")];
    assert_eq!(said(&by_ticket(&twice, &told)), [(1, Delivery::Sent)]);
    let twice = [ticketed(1, "D1", "T"), ticketed(2, "D1", "T")];
    assert_eq!(said(&by_ticket(&twice, &told)), []);
}

#[test]
fn without_a_common_ticket_a_message_is_of_the_one_send_that_fits_it() {
    use Delivery::{Answered, Sent};
    use MessageKind::{Output, ReqackSucc};
    let sends = [send(1, 10_000, REBOOT), send(2, 50_000, REBOOT)];
    let of = |sends: &[DeviceSend], messages: &[InboxMessage]| {
        said(&by_device(sends, messages, TOLERANCE))
    };
    for (at, expected) in [
        (8_999, &[][..]),
        (9_000, &[(1, Sent)]),
        (11_100, &[(1, Sent)]),
        (11_101, &[]),
        (50_050, &[(2, Sent)]),
    ] {
        assert_eq!(
            of(&sends, &[message(ReqackSucc, "T", at)]),
            expected,
            "{at}"
        );
    }
    // An answer may take its time, and then both may have it.
    assert_eq!(of(&sends, &[message(Output, "T", 40_000)]), [(1, Answered)]);
    assert_eq!(of(&sends, &[message(Output, "T", 51_000)]), []);
    // Two sends at one time: the service tells them apart, where the message has it.
    let close = [send(1, 10_000, REBOOT), send(2, 10_050, MODE)];
    assert_eq!(of(&close, &[message(ReqackSucc, "T", 10_060)]), []);
    let told = InboxMessage {
        code: Some("setMode".to_owned()),
        ..message(Output, "T", 10_060)
    };
    assert_eq!(of(&close, &[told]), [(2, Answered)]);
    // Two commands of others at one send: it had one alone.
    let two = [
        message(ReqackSucc, "T", 10_060),
        message(ReqackSucc, "U", 10_070),
    ];
    assert_eq!(of(&sends, &two), []);
    let twice = [
        message(ReqackSucc, "T", 10_060),
        message(Output, "T", 10_070),
    ];
    assert_eq!(of(&sends, &twice), [(1, Sent), (1, Answered)]);
    // Less is proved by it than by a ticket.
    let proofs = by_device(&sends, &twice, TOLERANCE);
    assert!(
        proofs
            .iter()
            .all(|one| one.proof.source == EvidenceSource::Device)
    );
    // A send in doubt takes the message away from others, and is not proved.
    let mut doubt = send(2, 10_000, REBOOT);
    doubt.is_accepted = false;
    assert_eq!(of(&[send(1, 10_000, REBOOT), doubt.clone()], &two[..1]), []);
    assert_eq!(of(&[doubt], &two[..1]), []);
    // A command in the cache may be sent until it leaves it.
    let cached = DeviceSend {
        is_cache: Some(true),
        cache_time: Some(20),
        ..send(1, 10_000, REBOOT)
    };
    assert_eq!(
        of(
            std::slice::from_ref(&cached),
            &[message(ReqackSucc, "T", 31_000)]
        ),
        [(1, Sent)]
    );
    assert_eq!(of(&[cached], &[message(ReqackSucc, "T", 31_101)]), []);
}

#[test]
fn an_input_tells_a_command_and_no_other_message_does() {
    let wire = r#"[{"f":[{"raw":"AA"},{"limits":[{"0":"1"},{"0":"2"}]},{"cfg":[{"a":"true"}]},{"zones":[{"0":[{"lo":"1"},{"hi":"2"}]}]}]}]"#;
    let sent: Value = serde_json::from_str(wire).unwrap();
    for (kv, expected) in [
        (
            r#"{"zones":[{"lo":"1","hi":2}],"raw":"AA","cfg":{"a":true},"limits":["1","2"]}"#,
            true,
        ),
        (
            r#"{"raw":"AA","limits":[{"0":"1"},{"0":2}],"cfg":[{"a":"true"}],"zones":[{"0":[{"hi":"2"},{"lo":"1"}]}]}"#,
            true,
        ),
        (
            r#"{"raw":"AA","limits":["2","1"],"cfg":{"a":true},"zones":[{"lo":"1","hi":2}]}"#,
            false,
        ),
        (
            r#"{"raw":"AA","limits":["1","2"],"cfg":{"a":false},"zones":[{"lo":"1","hi":2}]}"#,
            false,
        ),
        (r#"{"raw":"AA"}"#, false),
    ] {
        let trace = trace_of(&[input("T", 1, "f", kv)]);
        let entry = &trace.entries[0];
        assert_eq!(entry.direction, Some(Direction::Down));
        let told = entry.named.as_ref().unwrap();
        assert_eq!(is_same_call(told, &sent), expected, "{kv}");
    }
    // Two values of one name are a list and no object, of which the last value would be left.
    let twice = json!([{"a": "1"}, {"a": "2"}]);
    assert!(is_same_call(&twice, &twice));
    assert!(!is_same_call(&twice, &json!([{"a": "2"}])));
    assert!(!is_same_call(&twice, &json!({"a": "2"})));
    let other = trace_of(&[input("T", 1, "g", r#"{"delay":"5"}"#)]);
    let reboot: Value = serde_json::from_str(REBOOT).unwrap();
    assert!(!is_same_call(
        other.entries[0].named.as_ref().unwrap(),
        &reboot
    ));
    let ack = message(MessageKind::ReqackSucc, "T", 1);
    let without = message(MessageKind::Input, "T", 1);
    let broken = input("T", 1, "f", "no JSON");
    assert!(trace_of(&[ack, without, broken]).entries.is_empty());
}

#[test]
fn numbers_are_compared_by_value_and_texts_as_they_are() {
    for (one, other, expected) in [
        ("20.50", "20.5", true),
        ("20.0", "20", true),
        ("-1.10", "-1.1", true),
        ("007", "7", false),
        ("100", "1", false),
        ("1.", "1", false),
        ("AA.0", "AA", false),
    ] {
        assert_eq!(
            is_same_call(&json!(one), &json!(other)),
            expected,
            "{one} {other}"
        );
    }
    assert!(is_same_call(
        &json!([{"a": [{"x": 1.5}]}]),
        &json!([{"a": [{"x": "1.50"}]}])
    ));
}
