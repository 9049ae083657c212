use futures::future::join_all;

use super::*;
use crate::{
    gateway::testing::{Act, Seen, Server, outgoing},
    model::{Element, Ticket, TimeRange, Timestamp},
};

const ACCEPTED: &str = r#"{"code":200,"msg":"","data":[{"code":200,"productKey":"PK0001","deviceKey":"A","ticket":"1335004867605954560","message":null}]}"#;

fn platform(server: &Server, credentials: Credentials) -> Platform {
    let options = PlatformOptions {
        language: Language::Cn,
        ..PlatformOptions::new(server.base_url.clone())
    };
    Platform::new(options, credentials, Clock::start()).unwrap()
}

fn key() -> Credentials {
    Credentials::Key {
        access_key: "AK".to_owned(),
        access_secret: "AS".into(),
    }
}

fn ready() -> Credentials {
    Credentials::Token("QJWT ready".into())
}

/// Gives the tokens t1, t2, … to logins and answers all else with `act`.
async fn server(act: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Server {
    Server::start(move |seen, before| {
        if seen.is_login() {
            let logins = before.iter().filter(|seen| seen.is_login()).count();
            Act::token(&format!("QJWT t{}", logins + 1))
        } else {
            act(seen)
        }
    })
    .await
}

/// What becomes of a request that is answered so.
async fn result(act: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> SendResult {
    let server = server(act).await;
    platform(&server, ready())
        .send(outgoing(&["A"]), Handover::default())
        .await
        .result
}

async fn answer(act: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Answer {
    match result(act).await {
        SendResult::Answered(answer) => answer,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_request_is_what_the_specification_says() {
    let server = server(|_| Act::ok(ACCEPTED)).await;
    let platform = platform(&server, key());
    let clock = platform.clock;
    let before = clock.now();
    let send_report = platform.send(outgoing(&["A"]), Handover::default()).await;
    assert!(before <= send_report.sent_at && send_report.sent_at <= clock.now());
    assert!(send_report.latency > Duration::ZERO);
    assert_eq!(
        send_report.result,
        SendResult::Answered(Answer {
            http_status: 200,
            readable: true,
            code: Some(200),
            elements: vec![Some(Element {
                code: Some(200),
                ticket: Ticket::new("1335004867605954560"),
                ..Element::default()
            })],
            ..Answer::default()
        })
    );

    let seen = &server.seen()[1];
    assert!(seen.head.starts_with(
        "POST /v2/deviceshadow/r3/openapi/dm/sendServiceData?language=CN HTTP/1.1\r\n"
    ));
    assert_eq!(seen.header("authorization"), Some("QJWT t1"));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(
        seen.body,
        r#"{"data":"[{\"fuwu\":[{\"raw1\":\"AA\"}]}]","devices":["A"],"productKey":"PK0001"}"#
    );
}

#[tokio::test]
async fn a_ready_token_goes_out_as_it_is_given() {
    let server = server(|_| Act::ok(ACCEPTED)).await;
    platform(&server, Credentials::Token("bare".into()))
        .send(outgoing(&["A"]), Handover::default())
        .await;
    assert_eq!(server.seen()[0].header("authorization"), Some("bare"));
}

#[tokio::test]
async fn sixteen_concurrent_sends_log_in_once() {
    let server = server(|_| Act::ok(ACCEPTED)).await;
    let platform = platform(&server, key());
    let deliveries =
        join_all((0..16).map(|_| platform.send(outgoing(&["A"]), Handover::default()))).await;
    assert!(
        deliveries
            .iter()
            .all(|send_report| matches!(send_report.result, SendResult::Answered(_)))
    );
    assert_eq!(
        server.seen().iter().filter(|seen| seen.is_login()).count(),
        1
    );
    assert_eq!(server.seen().len(), 17);
}

#[tokio::test]
async fn answers_that_are_no_replies_are_answers() {
    let page = answer(|_| Act::reply("502 Bad", &[("Retry-After", "3")], "<html>")).await;
    assert_eq!(
        (page.http_status, page.readable, page.retry_after),
        (502, false, Some(Duration::from_secs(3)))
    );
    assert_eq!(page.elements, [None]);
    let redirect = answer(|_| {
        Act::reply(
            "301 Moved",
            &[("Location", "https://elsewhere.example/x?y")],
            "",
        )
    })
    .await;
    assert_eq!(
        (redirect.http_status, redirect.message.as_deref()),
        (301, Some("redirects to https://elsewhere.example"))
    );
}

#[tokio::test]
async fn a_request_without_a_whole_reply_is_lost() {
    assert!(matches!(
        result(|_| Act::Reset).await,
        SendResult::Lost {
            http_status: None,
            ..
        }
    ));
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"co".to_vec();
    let result = result(move |_| Act::WriteAndClose(cut.clone())).await;
    assert!(
        matches!(
            result,
            SendResult::Lost {
                http_status: Some(200),
                ..
            }
        ),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_platform_that_is_not_there_gets_nothing() {
    let server = server(|_| Act::ok(ACCEPTED)).await;
    let (with_token, with_key) = (platform(&server, ready()), platform(&server, key()));
    server.stop().await;
    for platform in [with_token, with_key] {
        let result = platform
            .send(outgoing(&["A"]), Handover::default())
            .await
            .result;
        assert!(
            matches!(result, SendResult::Unsent(Unsent::Unreachable { .. })),
            "{result:?}"
        );
    }
}

#[tokio::test]
async fn a_payload_that_cannot_be_encoded_is_not_sent() {
    let server = server(|_| Act::ok(ACCEPTED)).await;
    let mut request = outgoing(&["A"]);
    std::sync::Arc::make_mut(&mut request.payload).extend_para = Some("{".into());
    let result = platform(&server, ready())
        .send(request, Handover::default())
        .await
        .result;
    assert!(
        matches!(result, SendResult::Unsent(Unsent::Refused { error }) if error.contains("extendPara"))
    );
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_refused_token_is_replaced_for_the_next_request() {
    for refusal in [
        ("401 No", ""),
        ("200 OK", r#"{"code":91001,"msg":"Token does not exist"}"#),
        ("200 OK", r#"{"code":"91004","msg":"Token incorrect"}"#),
        ("200 OK", r#"{"code":401}"#),
    ] {
        let server = server(move |seen| match seen.header("authorization") {
            Some("QJWT t2") => Act::ok(ACCEPTED),
            _ => Act::reply(refusal.0, &[], refusal.1),
        })
        .await;
        let platform = platform(&server, key());
        // It is tried once more after a pause. No second try behind the call: the engine decides that.
        for _ in 0..2 {
            let refused = platform
                .send(outgoing(&["A"]), Handover::default())
                .await
                .result;
            assert!(
                matches!(refused, SendResult::Answered(answer) if answer.elements == [None]),
                "{refusal:?}"
            );
        }
        let second = platform
            .send(outgoing(&["A"]), Handover::default())
            .await
            .result;
        assert!(
            matches!(second, SendResult::Answered(answer) if answer.code == Some(200)),
            "{refusal:?}"
        );
    }
}

#[tokio::test]
async fn tokens_that_are_always_refused_end_the_sending() {
    let server = server(|_| Act::ok(r#"{"code":91004,"msg":"Token incorrect"}"#)).await;
    let platform = platform(&server, key());
    for _ in 0..4 {
        assert!(matches!(
            platform
                .send(outgoing(&["A"]), Handover::default())
                .await
                .result,
            SendResult::Answered(_)
        ));
    }
    let seen = server.seen().len();
    let result = platform
        .send(outgoing(&["A"]), Handover::default())
        .await
        .result;
    assert!(
        matches!(&result, SendResult::Unsent(Unsent::Credentials { error }) if error.contains("91004: Token incorrect")),
        "{result:?}"
    );
    assert_eq!(server.seen().len(), seen);
}

#[tokio::test]
async fn an_accepted_request_between_two_refusals_lets_the_push_go_on() {
    let server = server(
        |seen| match (seen.header("authorization"), seen.body.contains("\"B\"")) {
            (Some("QJWT t1" | "QJWT t3"), _) | (_, true) => Act::ok(r#"{"code":91001}"#),
            _ => Act::ok(ACCEPTED),
        },
    )
    .await;
    let platform = platform(&server, key());
    for (device, code) in [
        ("A", 91001),
        ("A", 91001),
        ("A", 200),
        ("B", 91001),
        ("A", 91001),
        ("A", 91001),
        ("A", 200),
    ] {
        let result = platform
            .send(outgoing(&[device]), Handover::default())
            .await
            .result;
        assert!(
            matches!(&result, SendResult::Answered(answer) if answer.code == Some(code)),
            "{result:?}"
        );
    }
}

#[tokio::test]
async fn a_token_that_the_platform_repeats_does_not_get_out() {
    let answer = answer(|seen| {
        let token = seen.header("authorization").unwrap();
        Act::ok(format!(
            r#"{{"code":91004,"msg":"Token incorrect: {token}"}}"#
        ))
    })
    .await;
    assert_eq!(answer.message.as_deref(), Some("Token incorrect: […]"));
}

#[test]
fn a_token_that_no_header_can_carry_is_refused_at_once() {
    let options = PlatformOptions::new(BaseUrl::parse("http://127.0.0.1:1", false).unwrap());
    let error = Platform::new(
        options,
        Credentials::Token("QJWT hunter2\n".into()),
        Clock::start(),
    )
    .unwrap_err();
    assert!(error.to_string().starts_with("FLEETPUSH_TOKEN: "));
    assert!(!error.to_string().contains("hunter2"));
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let server = server(|_| Act::ok(ACCEPTED)).await;
    for credentials in [
        Credentials::Token("QJWT hunter2".into()),
        Credentials::Key {
            access_key: "AK".to_owned(),
            access_secret: "hunter2".into(),
        },
    ] {
        let platform = platform(&server, credentials);
        platform.send(outgoing(&["A"]), Handover::default()).await;
        let text = format!("{platform:?}");
        assert!(
            !text.contains("hunter2") && !text.contains("QJWT"),
            "{text}"
        );
    }
}

#[test]
fn only_what_comes_from_behind_the_check_proves_a_token() {
    let answer = |http_status, code, elements: &[Option<Element>]| Answer {
        http_status,
        readable: true,
        code,
        elements: elements.to_vec(),
        ..Answer::default()
    };
    let offline = Some(Element {
        code: Some(61002),
        ..Element::default()
    });
    let empty = Some(Element {
        code: Some(50007),
        ..Element::default()
    });
    for (answer, expected) in [
        (answer(200, Some(200), &[]), Some(TokenVerdict::Accepted)),
        (
            answer(200, Some(50005), &[None, offline]),
            Some(TokenVerdict::Accepted),
        ),
        (answer(200, Some(70000), &[None]), None),
        (answer(200, Some(50007), &[None]), None),
        (answer(200, Some(50007), &[empty]), None),
        (answer(503, None, &[None]), None),
        (answer(403, Some(403), &[None]), None),
        (answer(401, None, &[None]), Some(TokenVerdict::Refused)),
        (
            answer(200, Some(91001), &[None]),
            Some(TokenVerdict::Refused),
        ),
    ] {
        assert_eq!(verdict(&answer), expected, "{answer:?}");
    }
}

#[tokio::test]
async fn a_question_is_what_the_notes_say_and_its_answer_a_page() {
    let server = server(|_| {
        Act::ok(
            r#"{"code":200,"msg":"","data":[{"ticket":"1335004867605954561","sendStatus":1,"sendTime":"1763838149123","createTime":"1763838149100",
            "direction":"2","msgType":"DOWN","cmd":"0011","data":"AAUABg==","dmData":"[\"5\",\"6\"]","productKey":"PK","deviceKey":"A B"}]}"#,
        )
    })
    .await;
    let told = platform(&server, key()).page(query()).await;
    let HistoryReply::Page(page) = told else {
        panic!("{told:?}")
    };
    assert_eq!(page.entries[0].ticket, Ticket::new("1335004867605954561"));
    let seen = &server.seen()[1];
    assert!(
        seen.head.starts_with(
            "GET /v2/quecdatastorage/r1/openapi/device/data/history?productKey=PK&deviceKey=A%20B&beginDateTimp=1&endDateTimp=2\
             &pageNum=1&pageSize=100&language=CN HTTP/1.1\r\n"
        ),
        "{}",
        seen.head
    );
    assert_eq!(seen.header("authorization"), Some("QJWT t1"));
}

#[tokio::test]
async fn a_question_without_a_page_tells_why() {
    for (status, body) in [
        ("502 Bad", r#"{"code":200,"data":[]}"#),
        ("200 OK", r#"{"code":61005,"msg":"Unauthorized device"}"#),
        ("200 OK", "<html>"),
    ] {
        let server = server(move |_| Act::reply(status, &[], body)).await;
        let told = platform(&server, ready()).page(query()).await;
        assert!(
            matches!(told, HistoryReply::NoPage(SendResult::Answered(_))),
            "{status} {body}: {told:?}"
        );
    }
    let server = server(|seen| match seen.header("authorization") {
        Some("QJWT t2") => Act::ok(r#"{"code":200,"data":null}"#),
        _ => Act::ok(r#"{"code":91004,"msg":"Token incorrect"}"#),
    })
    .await;
    let platform = platform(&server, key());
    for _ in 0..2 {
        assert!(matches!(
            platform.page(query()).await,
            HistoryReply::NoPage(SendResult::Answered(Answer {
                code: Some(91004),
                ..
            }))
        ));
    }
    assert!(matches!(
        platform.page(query()).await,
        HistoryReply::Page(_)
    ));
}

fn query() -> HistoryQuery<'static> {
    HistoryQuery {
        product_key: "PK",
        device_key: "A B",
        window: TimeRange {
            from: Timestamp(1),
            to: Timestamp(2),
        },
        page: 1,
    }
}
