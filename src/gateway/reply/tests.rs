use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::gateway::testing::outgoing;

fn read_text(body: &str, devices: &[&str]) -> Answer {
    read(200, None, body.as_bytes(), &outgoing(devices))
}

fn accepted(ticket: &str) -> Element {
    Element {
        code: Some(200),
        ticket: Ticket::new(ticket),
        ..Element::default()
    }
}

#[test]
fn the_specifications_example_is_read() {
    let body = r#"{
        "code":200,
        "msg":"",
        "data":[
        {
            "code":200,
            "productKey":"PK0001",
            "deviceKey":"DK00001",
            "ticket":"1335004867605954560",
            "message":null
        }
    ]
}"#;
    assert_eq!(
        read_text(body, &["DK00001"]),
        Answer {
            http_status: 200,
            readable: true,
            code: Some(200),
            elements: vec![Some(accepted("1335004867605954560"))],
            ..Answer::default()
        }
    );
}

#[test]
fn loosely_typed_fields_are_read_exactly() {
    let body = r#"{"code":"200","msg":{"en":"OK"},"exp1":null,"data":[
        {"code":"200","productKey":null,"deviceKey":"A","ticket":9007199254740993,"message":""},
        {"code":61002,"deviceKey":"B","ticket":null,"message":["offline"]},
        {"code":null,"deviceKey":861234567890123,"ticket":"","msg":"odd","message":null}]}"#;
    let answer = read_text(body, &["A", "B", "861234567890123"]);
    assert_eq!(answer.code, Some(200));
    assert_eq!(answer.message.as_deref(), Some(r#"{"en":"OK"}"#));
    assert_eq!(answer.elements[0], Some(accepted("9007199254740993")));
    let refused = answer.elements[1].as_ref().unwrap();
    assert_eq!(
        (refused.code, refused.message.as_deref()),
        (Some(61002), Some(r#"["offline"]"#))
    );
    let odd = answer.elements[2].as_ref().unwrap();
    assert_eq!(
        (odd.code, odd.message.as_deref(), &odd.ticket),
        (None, Some("odd"), &None)
    );
}

#[test]
fn data_may_be_null_missing_or_one_object() {
    for body in [
        r#"{"code":50005,"msg":"no","data":null}"#,
        r#"{"code":50005,"msg":"no"}"#,
        r#"{"code":50005,"msg":"no","data":[]}"#,
        r#"{"code":50005,"msg":"no","data":{}}"#,
        r#"{"code":50005,"msg":"no","data":"text"}"#,
        r#"{"code":50005,"msg":"no","data":[null,7,"x",[]]}"#,
    ] {
        let answer = read_text(body, &["A"]);
        assert!(answer.readable, "{body}");
        assert_eq!(
            (answer.code, answer.message.as_deref()),
            (Some(50005), Some("no")),
            "{body}"
        );
        assert_eq!(answer.elements, [None], "{body}");
    }
    let body = r#"{"code":200,"data":{"code":200,"deviceKey":"B","ticket":"7"}}"#;
    assert_eq!(
        read_text(body, &["A", "B"]).elements,
        [None, Some(accepted("7"))]
    );
}

#[test]
fn a_body_that_is_no_object_is_not_readable() {
    for body in [
        "",
        " ",
        "<html>502</html>",
        "null",
        "[]",
        "\"OK\"",
        "{\"code\":200",
        "{\"code\":200}x",
    ] {
        let answer = read_text(body, &["A", "B"]);
        assert!(!answer.readable, "{body}");
        assert_eq!(
            (answer.code, answer.elements),
            (None, vec![None, None]),
            "{body}"
        );
    }
}

#[test]
fn a_message_in_another_encoding_costs_no_ticket() {
    let mut body =
        br#"{"code":200,"msg":"XX","data":[{"code":200,"deviceKey":"A","ticket":"7"}]}"#.to_vec();
    let at = body.windows(2).position(|pair| pair == b"XX").unwrap();
    // The first character of GBK.
    body[at..at + 2].copy_from_slice(&[0xB0, 0xA1]);
    let answer = read(200, None, &body, &outgoing(&["A"]));
    assert_eq!(answer.elements, [Some(accepted("7"))]);
}

#[test]
fn a_byte_order_mark_is_skipped() {
    assert_eq!(read_text("\u{feff}{\"code\":200}", &["A"]).code, Some(200));
}

#[test]
fn an_element_of_another_device_or_product_is_not_ours() {
    let request = outgoing(&["A", "B"]);
    let mut found = Found::new(&request);
    found.take_all(
        r#"[{"code":200,"deviceKey":"C","ticket":"1"},
            {"code":200,"productKey":"OTHER","deviceKey":"A","ticket":"2"},
            {"code":200,"ticket":"3"},
            {"code":200,"productKey":"PK0001","deviceKey":"B","ticket":"4"}]"#,
    );
    assert_eq!(found.elements, [None, Some(accepted("4"))]);
    let told: Vec<String> = found.strays.iter().map(Stray::to_string).collect();
    assert_eq!(
        told,
        [
            "device \"C\", ticket 1",
            "device \"A\" of product \"OTHER\", ticket 2",
            "device \"\", ticket 3",
        ]
    );
    assert_eq!(found.doubles, 0);
}

#[test]
fn one_element_without_a_key_is_that_of_the_one_device() {
    for data in [
        r#"[{"code":200,"ticket":"1"}]"#,
        r#"{"code":200,"ticket":"1","deviceKey":null}"#,
    ] {
        let body = format!(r#"{{"code":200,"data":{data}}}"#);
        assert_eq!(
            read_text(&body, &["A"]).elements,
            [Some(accepted("1"))],
            "{data}"
        );
        assert_eq!(
            read_text(&body, &["A", "B"]).elements,
            [None, None],
            "{data}"
        );
    }
    let two = r#"{"code":200,"data":[{"code":200,"ticket":"1"},{"code":200,"ticket":"2"}]}"#;
    assert_eq!(read_text(two, &["A"]).elements, [None]);
    let named = r#"{"code":200,"data":[{"code":200,"ticket":"1","deviceKey":"B"}]}"#;
    assert_eq!(read_text(named, &["A"]).elements, [None]);
}

#[test]
fn of_two_elements_for_a_device_the_ticket_survives() {
    let offline = r#"{"code":61002,"deviceKey":"A","ticket":null}"#;
    let accepted_bare = r#"{"code":201,"deviceKey":"A"}"#;
    let first = r#"{"code":200,"deviceKey":"A","ticket":"1"}"#;
    for (elements, ticket) in [
        ([offline, first], "1"),
        ([first, offline], "1"),
        ([accepted_bare, first], "1"),
        ([first, accepted_bare], "1"),
    ] {
        let request = outgoing(&["A"]);
        let mut found = Found::new(&request);
        found.take_all(&format!("[{}]", elements.join(",")));
        assert_eq!(found.elements, [Some(accepted(ticket))], "{elements:?}");
        assert_eq!((found.strays.len(), found.doubles), (0, 1));
    }
}

#[test]
fn no_ticket_of_a_reply_is_dropped() {
    let with_remark = |remark: &str| Element {
        remark: Some(remark.into()),
        ..accepted("1")
    };
    let twice = r#"{"code":200,"data":[{"code":200,"deviceKey":"A","ticket":"1"},{"code":200,"deviceKey":"A","ticket":"2"}]}"#;
    let in_one = r#"{"code":200,"data":[{"code":200,"deviceKey":"A","ticket":"1","ticket":"2"}]}"#;
    let in_two_fields = r#"{"code":200,"data":[{"code":200,"deviceKey":"A","ticket":"1"}],"data":[{"code":61002,"deviceKey":"A","ticket":2}]}"#;
    for body in [twice, in_one, in_two_fields] {
        assert_eq!(
            read_text(body, &["A"]).elements,
            [Some(with_remark("also ticket 2"))],
            "{body}"
        );
    }
    let again = r#"{"code":200,"data":[{"code":200,"deviceKey":"A","ticket":"1"},{"code":200,"deviceKey":"A","ticket":1}]}"#;
    assert_eq!(read_text(again, &["A"]).elements, [Some(accepted("1"))]);
}

#[test]
fn a_ticket_beside_a_code_that_cannot_be_read_is_kept() {
    for code in ["true", "1180591620717411303424", r#""OK""#, "{}", "200.5"] {
        let body =
            format!(r#"{{"code":200,"data":[{{"code":{code},"deviceKey":"A","ticket":"1"}}]}}"#);
        let answer = read_text(&body, &["A"]);
        let element = answer.elements[0].as_ref().unwrap();
        assert!(element.has_unreadable_code, "{body}");
        assert_eq!(element.ticket, Ticket::new("1"), "{body}");
        assert!(!answer.has_unreadable_code);
        let body = format!(r#"{{"code":{code},"data":[{{"deviceKey":"A","ticket":"1"}}]}}"#);
        assert!(read_text(&body, &["A"]).has_unreadable_code, "{body}");
    }
    for nothing in ["null", r#""""#, r#"" ""#] {
        let body = format!(r#"{{"code":{nothing},"data":[{{"code":{nothing},"deviceKey":"A"}}]}}"#);
        let answer = read_text(&body, &["A"]);
        assert!(!answer.has_unreadable_code, "{body}");
        assert_eq!(answer.elements, [Some(Element::default())], "{body}");
    }
}

#[test]
fn a_ticket_beyond_reason_is_none_and_is_told() {
    let body = |bytes: usize| {
        let ticket = "7".repeat(bytes);
        format!(r#"{{"code":200,"data":[{{"code":200,"deviceKey":"A","ticket":"{ticket}"}}]}}"#)
    };
    let longest = read_text(&body(Ticket::MAX_BYTES), &["A"]);
    assert!(longest.elements[0].as_ref().unwrap().ticket.is_some());
    let huge = read_text(&body(2_000_000), &["A"]);
    let element = huge.elements[0].as_ref().unwrap();
    assert_eq!((element.code, &element.ticket), (Some(200), &None));
    assert!(element.remark.as_deref().unwrap().contains("2000000 bytes"));
}

#[test]
fn keys_that_come_back_in_another_case_or_with_blanks_are_found_where_one_alone_can_be_meant() {
    let data = |keys: &[&str]| {
        let element = |key: &&str| json!({"code": 200, "productKey": "pk0001 ", "deviceKey": key, "ticket": "1"});
        json!({"code": 200, "data": keys.iter().map(element).collect::<Vec<_>>()}).to_string()
    };
    let found = |asked: &[&str], told: &[&str]| -> Vec<bool> {
        let answer = read_text(&data(told), asked);
        assert_eq!(
            answer.elements.iter().flatten().count() + answer.strays.len(),
            told.len()
        );
        answer.elements.iter().map(Option::is_some).collect()
    };
    assert_eq!(found(&["DK1", "DK2"], &[" dk2", "dK1\t"]), [true, true]);
    // Whoever is meant exactly gets it, and who else could be meant is nobody.
    assert_eq!(found(&["dk1", "DK1"], &["DK1"]), [false, true]);
    assert_eq!(found(&["dk1", "DK1"], &["Dk1"]), [false, false]);
    assert_eq!(found(&["DK1"], &["0DK1"]), [false]);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        prop_oneof![Just("200"), Just("A"), Just("PK0001")].prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("code"),
        Just("msg"),
        Just("message"),
        Just("data"),
        Just("productKey"),
        Just("deviceKey"),
        Just("ticket"),
        Just("x"),
    ];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|fields| fields
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

/// A reply as the specification has it, but for what may be odd of it here and there.
fn nearly_usual() -> impl Strategy<Value = String> {
    fn or_odd(usual: &'static [&'static str]) -> impl Strategy<Value = String> {
        prop_oneof![
            20 => prop::sample::select(usual).prop_map(str::to_owned),
            1 => any_json().prop_map(|value| value.to_string()),
        ]
    }
    fn field(name: &'static str, usual: &'static [&'static str]) -> impl Strategy<Value = String> {
        or_odd(usual).prop_map(move |value| format!(r#""{name}":{value}"#))
    }
    const CODES: &[&str] = &["200", "61002", "-1", r#""200""#];
    const KEYS: &[&str] = &[r#""A""#, r#""B""#, r#""C""#, r#""""#, "7", "null"];
    const WORDS: &[&str] = &["null", r#""""#, r#"" said ""#, r#""\u4e2d""#];
    const TICKETS: &[&str] = &[
        r#""1335004867605954560""#,
        "9007199254740993",
        "null",
        r#""""#,
    ];
    let one = prop_oneof![
        field("code", CODES),
        field("deviceKey", KEYS),
        field("productKey", &[r#""PK0001""#, r#""PK2""#, r#""""#, "null"]),
        field("ticket", TICKETS),
        field("message", WORDS),
        field("msg", WORDS),
        field("x", KEYS),
    ];
    let element = (field("deviceKey", KEYS), prop::collection::vec(one, 0..6))
        .prop_map(|(key, fields)| format!("{{{}}}", [vec![key], fields].concat().join(",")));
    let elements = prop::collection::vec(element, 0..4);
    let top = (
        field("code", CODES),
        field("msg", WORDS),
        elements,
        or_odd(&["1"]),
    );
    top.prop_map(|(code, msg, elements, x)| {
        let data = elements.join(", ");
        format!(r#"{{{code},{msg},"x":{x},"data":[{data}]}}"#)
    })
}

/// What is found in a reply: at its top, for the devices, and how often for none or for one again.
type Seen = (Top, Vec<Option<Element>>, Vec<Stray>, u32);

/// What the quick and the tolerant reading find.
fn both_ways(text: &str) -> [Option<Seen>; 2] {
    let request = outgoing(&["A", "B"]);
    let ways: [fn(&str, &mut Found<'_>) -> Option<Top>; 2] = [usual::read, tolerant];
    ways.map(|read| {
        let mut found = Found::new(&request);
        read(text, &mut found).map(|top| (top, found.elements, found.strays, found.doubles))
    })
}

#[test]
fn the_usual_reply_needs_no_tolerance() {
    let element = |key| {
        format!(
            r#"{{"code":200,"productKey":"PK0001","deviceKey":"{key}","ticket":"1335004867605954560","message":null}}"#
        )
    };
    let data = [element("A"), element("B")].join(",");
    let [usual, tolerant] = both_ways(&format!(r#"{{"code":200,"msg":"","data":[{data}]}}"#));
    assert!(usual.is_some());
    assert_eq!(usual, tolerant);
}

proptest! {
    #[test]
    fn what_is_read_in_one_pass_is_what_tolerance_finds(text in nearly_usual()) {
        let [usual, tolerant] = both_ways(&text);
        prop_assert!(usual.is_none() || usual == tolerant, "{:?} and {:?}", usual, tolerant);
    }

    #[test]
    fn any_json_that_is_read_in_one_pass_is_what_tolerance_finds(value in any_json()) {
        let [usual, tolerant] = both_ways(&value.to_string());
        prop_assert!(usual.is_none() || usual == tolerant, "{:?} and {:?}", usual, tolerant);
    }

    #[test]
    fn any_bytes_make_an_answer_with_a_place_for_each_device(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let answer = read(200, None, &body, &outgoing(&["A", "B"]));
        prop_assert_eq!(answer.elements.len(), 2);
    }

    #[test]
    fn any_json_makes_an_answer_with_a_place_for_each_device(value in any_json()) {
        let answer = read_text(&value.to_string(), &["A", "B"]);
        prop_assert_eq!(answer.elements.len(), 2);
        prop_assert_eq!(answer.readable, value.is_object());
    }

    /// Whatever the order, and whatever is left out or added, each device gets its own ticket and no other's.
    #[test]
    fn each_device_gets_its_own_ticket(
        order in Just((0..12_usize).collect::<Vec<_>>()).prop_shuffle(),
        kept in 0..=12_usize,
    ) {
        let devices: Vec<String> = (0..10).map(|n| format!("D{n}")).collect();
        let data: Vec<Value> = order[..kept]
            .iter()
            .map(|n| json!({"code": 200, "deviceKey": format!("D{n}"), "ticket": format!("100{n}")}))
            .collect();
        let request = outgoing(&devices.iter().map(String::as_str).collect::<Vec<_>>());
        let answer = read(200, None, json!({"code": 200, "data": data}).to_string().as_bytes(), &request);
        for (n, element) in answer.elements.into_iter().enumerate() {
            let expected = order[..kept].contains(&n).then(|| accepted(&format!("100{n}")));
            prop_assert_eq!(element, expected);
        }
    }
}
