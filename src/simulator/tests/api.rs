//! The documented API: what passes, and the code of everything that does not.

use std::io::Read as _;

use serde_json::{Value, json};

use super::client::{Client, JSON, LOGIN, SEND, start};
use crate::simulator::{AuthRefusal, Outage, Scenario, Simulator};

#[tokio::test]
async fn a_command_is_taken_and_the_ledger_agrees_with_the_reply() {
    let (simulator, mut client) = start(Scenario::default()).await;
    let first = client.send(&["A", "B\u{1F600}\"\n"]).await.unwrap();
    let second = client.send(&["A"]).await.unwrap();
    assert_eq!(first.status, 200);
    assert_eq!(first.header("content-type"), Some("application/json"));

    let told: Vec<(Value, Value)> = [&first, &second]
        .iter()
        .flat_map(|got| got.json()["data"].as_array().unwrap().clone())
        .map(|element| (element["deviceKey"].clone(), element["ticket"].clone()))
        .collect();
    let kept: Vec<(Value, Value)> = simulator
        .deliveries()
        .into_iter()
        .map(|delivery| (json!(delivery.device_key), json!(delivery.ticket)))
        .collect();
    assert_eq!(told, kept);
    assert_eq!(told.len(), 3);

    let all = client
        .call("GET /__simulator/deliveries", &[], "")
        .await
        .unwrap();
    let lines: Vec<crate::simulator::Delivery> = std::str::from_utf8(&all.body)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines, simulator.deliveries());
    assert_eq!(lines[2].request, 2);
    assert_eq!(lines[2].data, r#"[{"fuwu":[{"raw1":"AA"}]}]"#);

    let one = client
        .call("GET /__simulator/deliveries?device=A", &[], "")
        .await
        .unwrap();
    assert_eq!(std::str::from_utf8(&one.body).unwrap().lines().count(), 2);

    let stats = simulator.stats();
    assert_eq!((stats.requests, stats.deliveries), (2, 3));
    assert_eq!((stats.connections, stats.max_concurrent), (1, 1));
}

#[tokio::test]
async fn every_refusal_of_the_table_has_its_code_and_text() {
    let (simulator, mut client) = start(Scenario::default()).await;
    let good = r#"{"productKey":"PK1","devices":["A"],"data":"[{\"k\":\"v\"}]"}"#;
    assert_eq!(client.post(good).await.unwrap().code(), 200);
    for (body, code, text) in [
        ("{", 50005, "Parameter check error"),
        (
            r#"{"productKey":"","devices":["A"],"data":"[{\"k\":\"v\"}]"}"#,
            50007,
            "The deviceID, productKey or deviceKey is empty",
        ),
        (
            r#"{"productKey":"PK1","devices":["A"],"data":"AA"}"#,
            71027,
            "TSL model downlink data format is not JSON",
        ),
        (
            r#"{"productKey":"PK1","devices":["A"],"data":"[{\"k\":1}]"}"#,
            71028,
            "TSL model downlink data format verification error",
        ),
    ] {
        let got = client.post(body).await.unwrap();
        assert_eq!(
            (got.status, got.json()),
            (200, json!({"code": code, "msg": text, "data": null}))
        );
        assert_eq!(simulator.stats().refused_requests[&code], 1);
    }
    assert_eq!(simulator.stats().deliveries, 1);
}

#[tokio::test]
async fn http_itself_is_checked() {
    let (simulator, mut client) = start(Scenario::default()).await;
    let body = super::client::command(&["A"]);
    let mut status = async |line: &str, headers: &[(&str, &str)]| {
        client.call(line, headers, &body).await.unwrap().status
    };
    let text = [("content-type", "text/plain")];
    let charset = [("content-type", "application/json; charset=utf-8")];
    assert_eq!(status(&format!("GET {SEND}"), JSON).await, 405);
    assert_eq!(status(&format!("PUT {SEND}"), JSON).await, 405);
    assert_eq!(status(&format!("POST {LOGIN}"), JSON).await, 405);
    assert_eq!(status(&format!("POST {SEND}/"), JSON).await, 404);
    assert_eq!(status("GET /", JSON).await, 404);
    assert_eq!(status("GET /__simulator/nothing", JSON).await, 404);
    assert_eq!(status("DELETE /__simulator/stats", JSON).await, 405);
    assert_eq!(status(&format!("POST {SEND}"), &text).await, 415);
    assert_eq!(status(&format!("POST {SEND}"), &[]).await, 415);
    assert_eq!(simulator.stats().deliveries, 0);
    assert_eq!(status(&format!("POST {SEND}"), &charset).await, 200);
    assert_eq!(status(&format!("POST {SEND}?language=CN"), JSON).await, 200);
    assert_eq!(simulator.stats().deliveries, 2);
    let french = format!("POST {SEND}?language=FR");
    let got = client.call(&french, JSON, &body).await.unwrap();
    assert_eq!(got.code(), 50005);
}

#[tokio::test]
async fn tokens_are_given_and_asked_for() {
    let (simulator, mut client) = start(Scenario::default()).await;
    client.token = None;
    assert_eq!(client.send(&["A"]).await.unwrap().code(), 91001);
    client.token = Some("QJWT other".to_owned());
    assert_eq!(client.send(&["A"]).await.unwrap().code(), 91001);

    let login = client.log_in().await.unwrap().json();
    client.token = login["access_token"].as_str().map(str::to_owned);
    assert_eq!(client.send(&["A"]).await.unwrap().code(), 200);
    client.change(json!({"token_requests": 2})).await;
    assert_eq!(client.send(&["A"]).await.unwrap().code(), 200);
    assert_eq!(client.send(&["A"]).await.unwrap().code(), 91004);

    client
        .change(json!({"auth_refusal": AuthRefusal::Status}))
        .await;
    assert_eq!(client.send(&["A"]).await.unwrap().status, 401);
    let stats = simulator.stats();
    assert_eq!((stats.logins, stats.deliveries), (1, 2));
}

#[tokio::test]
async fn whole_requests_can_be_refused_for_each_reason() {
    let (simulator, mut client) = start(Scenario::default()).await;
    for (change, code) in [
        (json!({"device_limit": 1}), 50005),
        (
            json!({"device_limit": 1, "device_limit_code": 71039}),
            71039,
        ),
        (json!({"refused_products": ["PK0", "PK1"]}), 80005),
        (json!({"refused_data": "raw1"}), 70091),
        (
            json!({"refused_data": "raw1", "refused_data_code": 70090}),
            70090,
        ),
        (json!({"poison": 1.0}), 61005),
        (json!({"refuse_code": 91006}), 91006),
        (
            json!({"device_limit": 2, "refused_products": ["PK0"], "refused_data": "raw2"}),
            200,
        ),
    ] {
        let scenario = Scenario {
            ready_token: simulator.scenario().ready_token,
            ..Scenario::default()
        };
        simulator
            .play(scenario.changed(change.clone()).unwrap())
            .unwrap();
        assert_eq!(
            client.send(&["A", "B"]).await.unwrap().code(),
            code,
            "{change}"
        );
    }
    client.change(json!({"refuse_status": 403})).await;
    assert_eq!(client.send(&["A"]).await.unwrap().status, 403);
    client.change(json!({"refuse_status": 307})).await;
    let moved = client.send(&["A"]).await.unwrap();
    assert_eq!(moved.status, 307);
    assert!(moved.header("location").unwrap().starts_with(SEND));
    assert_eq!(simulator.stats().deliveries, 2);
}

#[tokio::test]
async fn requests_over_the_rate_get_429_and_any_retry_after() {
    let limited = Scenario {
        // Less than one request in an hour, so that the test's own pace does not matter.
        rate_limit: Some(0.0001),
        rate_burst: 2.0,
        ..Scenario::default()
    };
    let (simulator, mut client) = start(limited).await;
    assert_eq!(client.send(&["A"]).await.unwrap().status, 200);
    assert_eq!(client.send(&["A"]).await.unwrap().status, 200);
    let refused = client.send(&["A"]).await.unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (429, None));
    client
        .change(json!({"retry_after": "-99999999999999999999"}))
        .await;
    let refused = client.send(&["A"]).await.unwrap();
    assert_eq!(refused.header("retry-after"), Some("-99999999999999999999"));
    client.change(json!({"rate_limit": null})).await;
    assert_eq!(client.send(&["A"]).await.unwrap().status, 200);
    let stats = simulator.stats();
    assert_eq!((stats.too_many, stats.deliveries), (2, 3));
}

#[tokio::test]
async fn replies_are_compressed_for_those_who_can_read_them() {
    let gzip = Scenario {
        gzip: true,
        ..Scenario::default()
    };
    let (_simulator, mut client) = start(gzip).await;
    let plain = client.send(&["A"]).await.unwrap();
    assert_eq!(
        (plain.code(), plain.header("content-encoding")),
        (200, None)
    );
    let headers = [JSON[0], ("accept-encoding", "br, gzip")];
    let body = super::client::command(&["A"]);
    let packed = client
        .call(&format!("POST {SEND}"), &headers, &body)
        .await
        .unwrap();
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.body.as_slice())
        .read_to_string(&mut text)
        .unwrap();
    assert!(text.starts_with(r#"{"code":200,"#), "{text}");
}

#[tokio::test]
async fn a_clock_that_is_ahead_shows_in_the_date() {
    let (_simulator, mut client) = start(Scenario {
        clock_skew_ms: 400 * 24 * 3600 * 1000,
        ..Scenario::default()
    })
    .await;
    let skewed = client.send(&["A"]).await.unwrap();
    client.change(json!({"clock_skew_ms": 0})).await;
    let right = client.send(&["A"]).await.unwrap();
    let year = |date: &str| date.split(' ').nth(3).unwrap().parse::<u32>().unwrap();
    assert!(year(skewed.header("date").unwrap()) > year(right.header("date").unwrap()));
}

#[tokio::test]
async fn the_scenario_is_told_and_changed_while_it_is_played() {
    let (_simulator, mut client) = start(Scenario::default()).await;
    let changed = client.change(json!({"offline": 1, "latency_ms": 1})).await;
    let told = client
        .call("GET /__simulator/scenario", &[], "")
        .await
        .unwrap();
    assert_eq!(told.json(), changed.json());
    assert_eq!(told.json()["offline"], 1.0);
    assert_eq!(client.send(&["A"]).await.unwrap().codes(), [61002]);

    for wrong in [
        json!({"offline": 2}),
        json!({"offlin": 0}),
        json!({"faults": []}),
    ] {
        let refused = client.change(wrong.clone()).await;
        assert_eq!(refused.status, 400, "{wrong}");
    }
    let after = client
        .call("GET /__simulator/scenario", &[], "")
        .await
        .unwrap();
    assert_eq!(after.json(), told.json());
    let not_json = client
        .call("POST /__simulator/scenario", &[], "{")
        .await
        .unwrap();
    assert_eq!(not_json.status, 400);
}

#[tokio::test]
async fn only_loopback_and_only_what_can_be_played() {
    let refused = async |addr: [u8; 4], scenario| {
        let started = Simulator::start((addr, 0).into(), scenario).await;
        started.err().unwrap().to_string()
    };
    let message = refused([0, 0, 0, 0], Scenario::default()).await;
    assert!(message.contains("127.0.0.1"), "{message}");
    let impossible = Scenario {
        offline: 7.0,
        ..Scenario::default()
    };
    let message = refused([127, 0, 0, 1], impossible).await;
    assert!(message.contains("offline"), "{message}");
}

#[tokio::test]
async fn stopping_cuts_everything_off_and_frees_the_port() {
    let (simulator, mut client) = start(Scenario {
        latency_ms: 3_600_000,
        ..Scenario::default()
    })
    .await;
    let addr = simulator.addr();
    client.ask_send(&["A"]).await;
    let mut second = Client::connect(addr).await.unwrap();
    second
        .call("GET /__simulator/stats", &[], "")
        .await
        .unwrap();
    simulator.stop().await;
    assert_eq!(client.read_to_end().await.unwrap_or_default(), b"");
    assert_eq!(second.read_to_end().await.unwrap_or_default(), b"");
    assert!(Client::connect(addr).await.is_err());

    let again = Simulator::start(addr, Scenario::default()).await.unwrap();
    assert_eq!(again.addr(), addr);
    drop(again);
}

#[tokio::test]
async fn an_outage_closes_the_port_and_its_end_opens_it() {
    let (simulator, mut client) = start(Scenario::default()).await;
    assert_eq!(client.send(&["A"]).await.unwrap().code(), 200);
    let mut operator = Client::connect(simulator.addr()).await.unwrap();
    let reply = operator.change(json!({"outage": Outage::Closed})).await;
    assert_eq!(
        reply.json()["outage"],
        "closed",
        "the operator gets an answer"
    );
    assert_eq!(client.read_to_end().await.unwrap_or_default(), b"");
    assert_eq!(operator.read_to_end().await.unwrap_or_default(), b"");
    let refused = Client::connect(simulator.addr()).await.err().unwrap();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);

    simulator
        .play(Scenario {
            outage: Outage::None,
            ..simulator.scenario()
        })
        .unwrap();
    let mut client = connect_again(&simulator).await;
    assert_eq!(client.send(&["A"]).await.unwrap().code(), 200);

    client
        .change(json!({"outage": "closed", "outage_ms": 30}))
        .await;
    let mut client = connect_again(&simulator).await;
    assert_eq!(client.send(&["A"]).await.unwrap().code(), 200);
    assert_eq!(simulator.deliveries().len(), 3);
}

/// Connects as soon as the port is open.
async fn connect_again(simulator: &Simulator) -> Client {
    loop {
        // A connection can be made to a port that is about to close, so one counts that has been answered.
        if let Ok(mut client) = Client::connect(simulator.addr()).await
            && client
                .call("GET /__simulator/scenario", &[], "")
                .await
                .is_ok_and(|got| got.json()["outage"] == "none")
        {
            return client;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_unavailable_platform_says_so_to_logins_too() {
    let (_simulator, mut client) = start(Scenario {
        outage: Outage::Unavailable,
        retry_after: Some("7".to_owned()),
        ..Scenario::default()
    })
    .await;
    let send = client.send(&["A"]).await.unwrap();
    assert_eq!((send.status, send.header("retry-after")), (503, Some("7")));
    let login = client.log_in().await.unwrap();
    assert_eq!(
        (login.status, login.header("retry-after")),
        (503, Some("7"))
    );
}
