//! Each fault as a client meets it, and whether the platform has acted.

use std::{collections::BTreeMap, io, time::Duration};

use serde_json::{Value, json};

use super::client::{Client, start};
use crate::simulator::{Fault, Outage, Quirk, Scenario, Simulator};

async fn faulty(fault: Fault) -> (Simulator, Client) {
    start(Scenario {
        faults: BTreeMap::from([(fault, 1.0)]),
        trickle_ms: 60,
        oversized_bytes: 1_000_000,
        ..Scenario::default()
    })
    .await
}

/// How many commands were acted on, after the fault has been seen to be counted.
fn acted(simulator: &Simulator, fault: Fault) -> u64 {
    let stats = simulator.stats();
    assert!(stats.faults[&fault] >= 1);
    assert_eq!(stats.deliveries, simulator.deliveries().len() as u64);
    stats.deliveries
}

#[tokio::test]
async fn resets_are_resets() {
    for (fault, expected) in [(Fault::ResetBefore, 0), (Fault::ResetAfter, 1)] {
        let (simulator, mut client) = faulty(fault).await;
        let error = client.send(&["A"]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{fault}");
        assert_eq!(acted(&simulator, fault), expected, "{fault}");
    }
}

#[tokio::test]
async fn a_body_that_nobody_reads_is_reset_under_its_sender() {
    let (simulator, mut client) = faulty(Fault::ResetUnread).await;
    let error = client.send(&["A"]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(acted(&simulator, Fault::ResetUnread), 0);

    let (simulator, mut client) = faulty(Fault::TooLargeUnread).await;
    let got = client.send(&["A"]).await.unwrap();
    assert_eq!(got.status, 413);
    let error = client.read_to_end().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(acted(&simulator, Fault::TooLargeUnread), 0);
}

#[tokio::test]
async fn a_cut_reply_ends_anywhere_but_at_its_end() {
    let (_healthy, mut client) = start(Scenario::default()).await;
    let whole = client.send(&["A"]).await.unwrap().size();

    let (simulator, _) = faulty(Fault::Cut).await;
    let mut lengths = Vec::new();
    for _ in 0..40 {
        let mut client = Client::connect(simulator.addr()).await.unwrap();
        client.ask_send(&["A"]).await;
        lengths.push(client.read_to_end().await.unwrap().len());
    }
    assert_eq!(acted(&simulator, Fault::Cut), 40);
    let (shortest, longest) = (lengths.iter().min().unwrap(), lengths.iter().max().unwrap());
    assert!(*shortest < 30, "some end in the head: {lengths:?}");
    assert!(*longest > 120, "some end in the body: {lengths:?}");
    assert!(*longest < whole, "none is whole: {lengths:?}");
}

#[tokio::test]
async fn status_faults_are_pages_of_html() {
    for (fault, status, expected) in [
        (Fault::RequestTimeout, 408, 0),
        (Fault::TooManyRequests, 429, 0),
        (Fault::InternalError, 500, 0),
        (Fault::InternalErrorActed, 500, 1),
        (Fault::BadGateway, 502, 0),
        (Fault::BadGatewayActed, 502, 1),
        (Fault::Unavailable, 503, 0),
        (Fault::GatewayTimeout, 504, 0),
        (Fault::GatewayTimeoutActed, 504, 1),
    ] {
        let (simulator, mut client) = faulty(fault).await;
        let got = client.send(&["A"]).await.unwrap();
        assert_eq!(got.status, status, "{fault}");
        assert_eq!(got.header("content-type"), Some("text/html"), "{fault}");
        assert!(got.body.starts_with(b"<html>"), "{fault}");
        assert_eq!(acted(&simulator, fault), expected, "{fault}");
    }
}

#[tokio::test]
async fn code_faults_are_codes_for_the_whole_request() {
    for (fault, code) in [
        (Fault::ServiceException, 50000),
        (Fault::HubUnavailable, 70000),
    ] {
        let (simulator, mut client) = faulty(fault).await;
        let got = client.send(&["A"]).await.unwrap();
        assert_eq!((got.status, got.code()), (200, code));
        assert_eq!(got.json()["data"], Value::Null);
        assert_eq!(acted(&simulator, fault), 0);
    }
}

#[tokio::test]
async fn a_hang_lasts_until_the_client_goes() {
    for (fault, expected) in [(Fault::Hang, 0), (Fault::HangActed, 1)] {
        let (simulator, mut client) = faulty(fault).await;
        client.ask_send(&["A"]).await;
        while simulator.stats().concurrent == 0 {
            tokio::task::yield_now().await;
        }
        let waited = tokio::time::timeout(Duration::from_millis(50), client.read_to_end()).await;
        assert!(waited.is_err(), "{fault}");
        assert_eq!(simulator.stats().concurrent, 1);
        assert_eq!(acted(&simulator, fault), expected, "{fault}");
        drop(client);
        while simulator.stats().concurrent > 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_trickle_is_whole_and_slow() {
    let (simulator, mut client) = faulty(Fault::Trickle).await;
    let begun = std::time::Instant::now();
    let got = client.send(&["A"]).await.unwrap();
    assert_eq!(got.codes(), [200]);
    assert!(begun.elapsed() >= Duration::from_millis(50));
    assert_eq!(acted(&simulator, Fault::Trickle), 1);
}

#[tokio::test]
async fn an_oversized_reply_is_as_large_as_told_and_announces_nothing() {
    let (simulator, mut client) = faulty(Fault::Oversized).await;
    let got = client.send(&["A"]).await.unwrap();
    assert_eq!(got.header("content-length"), None);
    assert_eq!(got.body.len(), 1_000_000);
    assert_eq!(got.codes(), [200]);
    assert_eq!(acted(&simulator, Fault::Oversized), 1);
}

#[tokio::test]
async fn bodies_can_be_mislabelled_or_broken() {
    let (simulator, mut client) = faulty(Fault::WrongType).await;
    let got = client.send(&["A"]).await.unwrap();
    assert_eq!(got.header("content-type"), Some("text/html"));
    assert_eq!(got.codes(), [200]);
    assert_eq!(acted(&simulator, Fault::WrongType), 1);

    let (simulator, mut client) = faulty(Fault::NotJson).await;
    let got = client.send(&["A"]).await.unwrap();
    assert_eq!(got.status, 200);
    assert!(serde_json::from_slice::<Value>(&got.body).is_err());
    assert_eq!(acted(&simulator, Fault::NotJson), 1);
}

#[tokio::test]
async fn a_connection_that_dies_in_the_pool_says_nothing_of_it() {
    let (simulator, mut client) = faulty(Fault::DeadInPool).await;
    let got = client.send(&["A"]).await.unwrap();
    assert_eq!(got.codes(), [200]);
    assert_eq!(got.header("connection"), None);
    assert_eq!(
        client.read_to_end().await.unwrap(),
        b"",
        "the server has closed"
    );
    assert_eq!(acted(&simulator, Fault::DeadInPool), 1);
}

#[tokio::test]
async fn logins_have_faults_of_their_own() {
    let (simulator, mut client) = start(Scenario {
        login_faults: BTreeMap::from([(Fault::BadGateway, 1.0)]),
        ..Scenario::default()
    })
    .await;
    assert_eq!(client.log_in().await.unwrap().status, 502);
    assert_eq!(client.send(&["A"]).await.unwrap().code(), 200);
    client
        .change(json!({"login_faults": {"bad_gateway": null, "reset_after": 1}}))
        .await;
    let error = client.log_in().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(simulator.stats().logins, 1);
}

#[tokio::test]
async fn faults_come_in_their_shares_and_repeat_with_the_seed() {
    let statuses = async |seed| {
        let (_simulator, mut client) = start(Scenario {
            seed,
            faults: BTreeMap::from([(Fault::BadGateway, 0.3), (Fault::Unavailable, 0.2)]),
            ..Scenario::default()
        })
        .await;
        let mut statuses = Vec::new();
        for _ in 0..200 {
            statuses.push(client.send(&["A"]).await.unwrap().status);
        }
        statuses
    };
    let first = statuses(1).await;
    assert_eq!(first, statuses(1).await);
    assert_ne!(first, statuses(2).await);
    let count = |wanted| first.iter().filter(|&&status| status == wanted).count();
    assert!((40..80).contains(&count(502)), "{}", count(502));
    assert!((20..60).contains(&count(503)), "{}", count(503));
}

#[tokio::test]
async fn faults_are_switched_off_while_the_simulator_runs() {
    let (simulator, mut client) = faulty(Fault::BadGateway).await;
    assert_eq!(client.send(&["A"]).await.unwrap().status, 502);
    client.change(json!({"faults": {"bad_gateway": 0}})).await;
    assert_eq!(client.send(&["A"]).await.unwrap().status, 200);
    client.change(json!({"faults": null})).await;
    assert_eq!(simulator.scenario().faults, BTreeMap::new());
}

#[tokio::test]
async fn odd_replies_are_counted_and_still_acted_on() {
    let (simulator, mut client) = start(Scenario {
        quirks: BTreeMap::from([(Quirk::LeftOut, 1.0), (Quirk::Stray, 1.0)]),
        ..Scenario::default()
    })
    .await;
    let devices: Vec<String> = (0..20).map(|n| format!("D{n}")).collect();
    let keys: Vec<&str> = devices.iter().map(String::as_str).collect();
    let got = client.send(&keys).await.unwrap().verdicts();
    assert!(got.len() < 20 && got.iter().any(|(key, _)| key == "STRAY0001"));
    let stats = simulator.stats();
    assert_eq!(stats.deliveries, 20);
    assert_eq!(
        stats.quirks,
        BTreeMap::from([(Quirk::LeftOut, 1), (Quirk::Stray, 1)])
    );
}

#[tokio::test]
async fn a_limit_of_any_kind_refuses_with_the_status_and_the_time_that_it_has() {
    for (limit, status, retry_after) in [
        ("fixed-window:2,window=3600s,refuse=503", 503, None),
        (
            "sliding-window:2,window=3600s,retry-after=yes",
            429,
            Some("3600"),
        ),
        ("token-bucket:0.0001,burst=2", 429, None),
        (
            "leaky-bucket:0.0001,queue=0,retry-after=yes",
            429,
            Some("10000"),
        ),
    ] {
        let limited = Scenario {
            limit: Some(limit.parse().unwrap()),
            ..Scenario::default()
        };
        let (simulator, mut client) = start(limited).await;
        let mut refused = None;
        let mut taken = 0;
        while refused.is_none() {
            let reply = client.send(&["A"]).await.unwrap();
            taken += u64::from(reply.status == 200);
            refused = Some(reply).filter(|reply| reply.status != 200);
        }
        let refused = refused.unwrap();
        let told = refused.header("retry-after").map(str::to_owned);
        assert_eq!(
            (refused.status, told.as_deref()),
            (status, retry_after),
            "{limit}"
        );
        let stats = simulator.stats();
        assert_eq!((stats.too_many, stats.deliveries), (1, taken), "{limit}");
        // A text of the scenario's own is sent instead.
        client.change(json!({"retry_after": "soon"})).await;
        let refused = client.send(&["A"]).await.unwrap();
        assert_eq!(refused.header("retry-after"), Some("soon"), "{limit}");
    }
}

#[tokio::test]
async fn only_so_many_requests_are_in_flight() {
    let limited = Scenario {
        limit: Some("in-flight:1".parse().unwrap()),
        faults: BTreeMap::from([(Fault::Hang, 1.0)]),
        ..Scenario::default()
    };
    let (simulator, mut client) = start(limited).await;
    let hanging = tokio::time::timeout(Duration::from_millis(200), client.send(&["A"])).await;
    assert!(hanging.is_err(), "it has no reply");
    let mut other = Client::connect(simulator.addr()).await.unwrap();
    other.token = client.token;
    assert_eq!(other.send(&["A"]).await.unwrap().status, 429);
}

#[tokio::test]
async fn an_outage_that_answers_does_so_to_every_call_until_it_is_over() {
    let (simulator, mut client) = start(Scenario::default()).await;
    for (outage, status, code) in [
        (Outage::BadGateway, 502, None),
        (Outage::Page, 200, None),
        (Outage::Unavailable, 503, None),
        (Outage::ServiceException, 200, Some(50000)),
        (Outage::HubUnavailable, 200, Some(70000)),
    ] {
        client.change(json!({"outage": outage})).await;
        for reply in [client.send(&["A"]).await, client.log_in().await] {
            let reply = reply.unwrap();
            let body = serde_json::from_slice::<Value>(&reply.body).ok();
            let found = body.and_then(|body| body["code"].as_i64());
            assert_eq!((reply.status, found), (status, code), "{outage:?}");
        }
        client.change(json!({"outage_spares_logins": true})).await;
        assert_eq!(client.log_in().await.unwrap().code(), 200);
        client
            .change(json!({"outage": null, "outage_spares_logins": null}))
            .await;
    }
    assert_eq!(simulator.stats().deliveries, 0);
    client.change(json!({"outage": Outage::HangUp})).await;
    assert!(client.send(&["A"]).await.is_err());
}

#[tokio::test]
async fn an_outcast_spoils_every_request_that_names_it() {
    let (simulator, mut client) = start(Scenario {
        outcasts: BTreeMap::from([("B".into(), 403), ("C".into(), 70000)]),
        ..Scenario::default()
    })
    .await;
    assert_eq!(client.send(&["A", "B"]).await.unwrap().status, 403);
    assert_eq!(client.send(&["A", "C"]).await.unwrap().code(), 70000);
    assert_eq!(client.send(&["A"]).await.unwrap().code(), 200);
    assert_eq!(simulator.stats().deliveries, 1);
}
