//! Devices as the platform knows them: what is bound to a device, and what to its past.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::client::{Client, command, start};
use crate::simulator::{AtFirst, Limit, Scenario};

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("DK{n:05}")).collect()
}

async fn offline_devices(scenario: Scenario, chunk: usize) -> BTreeSet<String> {
    let (_simulator, mut client) = start(scenario).await;
    let mut offline = BTreeSet::new();
    for devices in keys(300).chunks(chunk) {
        let devices: Vec<&str> = devices.iter().map(String::as_str).collect();
        let told = client.send(&devices).await.unwrap().verdicts();
        offline.extend(
            told.into_iter()
                .filter_map(|(key, code)| (code == 61002).then_some(key)),
        );
    }
    offline
}

#[tokio::test]
async fn the_same_devices_are_offline_whatever_the_chunks() {
    let scenario = |seed| Scenario {
        seed,
        offline: 0.1,
        ..Scenario::default()
    };
    let offline = offline_devices(scenario(1), 100).await;
    assert!((15..50).contains(&offline.len()), "{}", offline.len());
    assert_eq!(offline, offline_devices(scenario(1), 7).await);
    assert_ne!(offline, offline_devices(scenario(2), 100).await);
}

#[tokio::test]
async fn a_refused_device_keeps_its_code() {
    let (simulator, mut client) = start(Scenario {
        rejected: 1.0,
        rejected_codes: vec![61005, 70091],
        ..Scenario::default()
    })
    .await;
    let devices = keys(50);
    let devices: Vec<&str> = devices.iter().map(String::as_str).collect();
    let first = client.send(&devices).await.unwrap().verdicts();
    assert_eq!(first, client.send(&devices).await.unwrap().verdicts());
    let codes: BTreeSet<i64> = first.into_iter().map(|(_, code)| code).collect();
    assert_eq!(codes, BTreeSet::from([61005, 70091]));
    let stats = simulator.stats();
    assert_eq!(stats.refused_devices.values().sum::<u64>(), 100);
    assert_eq!(stats.deliveries, 0);
}

#[tokio::test]
async fn a_transient_failure_passes() {
    let (_simulator, mut client) = start(Scenario {
        transient: 0.5,
        ..Scenario::default()
    })
    .await;
    let mut seen = BTreeMap::new();
    for _ in 0..100 {
        let codes = client.send(&["A"]).await.unwrap().codes();
        *seen.entry(codes[0]).or_insert(0) += 1;
    }
    assert_eq!(
        seen.keys().copied().collect::<Vec<_>>(),
        [200, 50000, 70000, 70095]
    );
    assert!((30..70).contains(&seen[&200]), "{seen:?}");
}

#[tokio::test]
async fn limits_concern_one_device_and_not_its_neighbours() {
    let (_simulator, mut client) = start(Scenario {
        frequency_limit: Some(Limit {
            messages: 1,
            window_ms: 3_600_000,
        }),
        ..Scenario::default()
    })
    .await;
    assert_eq!(client.send(&["A"]).await.unwrap().codes(), [200]);
    assert_eq!(
        client.send(&["A", "B"]).await.unwrap().codes(),
        [61007, 200]
    );
    client
        .change(json!({"frequency_limit": null, "quota_limit": {"messages": 1, "window_ms": 3_600_000}}))
        .await;
    assert_eq!(client.send(&["A"]).await.unwrap().codes(), [200]);
    assert_eq!(
        client.send(&["A", "C"]).await.unwrap().codes(),
        [61006, 200]
    );
}

#[tokio::test]
async fn first_sends_are_throttled_and_later_ones_are_not() {
    let (simulator, mut client) = start(Scenario {
        frequency_at_first: AtFirst {
            share: 1.0,
            sends: 2,
        },
        ..Scenario::default()
    })
    .await;
    for expected in [61007, 61007, 200, 200] {
        assert_eq!(client.send(&["A"]).await.unwrap().codes(), [expected]);
    }
    assert_eq!(
        simulator.stats().refused_devices,
        BTreeMap::from([(61007, 2)])
    );
}

#[tokio::test]
async fn one_bad_device_spoils_its_request_and_only_that() {
    let (_simulator, mut client) = start(Scenario {
        poison: 0.1,
        ..Scenario::default()
    })
    .await;
    let devices = keys(100);
    let mut bad = Vec::new();
    for key in &devices {
        match client.send(&[key]).await.unwrap().code() {
            200 => {}
            code => {
                assert_eq!(code, 61005);
                bad.push(key.as_str());
            }
        }
    }
    assert!((3..20).contains(&bad.len()), "{bad:?}");
    let good: Vec<&str> = devices
        .iter()
        .map(String::as_str)
        .filter(|key| !bad.contains(key))
        .collect();
    assert_eq!(client.send(&good).await.unwrap().code(), 200);
    let spoilt: Vec<&str> = good.iter().copied().chain([bad[0]]).collect();
    assert_eq!(client.send(&spoilt).await.unwrap().code(), 61005);
}

#[tokio::test]
async fn a_device_in_two_requests_at_once_is_noticed() {
    let (simulator, mut first) = start(Scenario {
        latency_ms: 3_600_000,
        ..Scenario::default()
    })
    .await;
    first.ask_send(&["A", "B"]).await;
    while simulator.stats().concurrent < 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(simulator.stats().overlaps, 0);
    let mut second = Client::connect(simulator.addr()).await.unwrap();
    second.ask_send(&["B", "C"]).await;
    while simulator.stats().concurrent < 2 {
        tokio::task::yield_now().await;
    }
    // The overlap is counted in the same breath as the arrival, before the first pause of the request.
    let stats = simulator.stats();
    assert_eq!((stats.overlaps, stats.max_concurrent), (1, 2));

    drop((first, second));
    while simulator.stats().concurrent > 0 {
        tokio::task::yield_now().await;
    }
    let mut third = Client::connect(simulator.addr()).await.unwrap();
    third.change(json!({"latency_ms": 0})).await;
    third.send(&["A", "B", "C"]).await.unwrap();
    third.send(&["A", "B", "C"]).await.unwrap();
    assert_eq!(simulator.stats().overlaps, 1);
}

#[tokio::test]
async fn the_ledger_can_be_left_out() {
    let (simulator, mut client) = start(Scenario {
        ledger: false,
        ..Scenario::default()
    })
    .await;
    let got = client.send(&["A", "B"]).await.unwrap();
    assert!(got.json()["data"][1]["ticket"].is_string());
    assert_eq!(simulator.stats().deliveries, 2);
    assert_eq!(simulator.deliveries(), []);
    let refused = client.call("GET /__simulator/deliveries", &[], "").await;
    assert_eq!(refused.unwrap().status, 409);
}

#[tokio::test]
async fn the_demo_has_trouble_that_passes_for_all_and_failures_for_one_product() {
    let demo = Scenario {
        latency_ms: 0,
        latency_jitter_ms: 0,
        // Which reply is lost is a test of `chance`.
        faults: BTreeMap::new(),
        ..Scenario::demo()
    };
    let failing = demo.failing_products[0].clone();
    let (_simulator, mut client) = start(demo).await;
    let devices = keys(300);
    let devices: Vec<&str> = devices.iter().map(String::as_str).collect();
    let first = client.send(&devices).await.unwrap();
    let codes: BTreeSet<i64> = first.codes().into_iter().collect();
    for code in [200, 61007] {
        assert!(codes.contains(&code), "{code} in {codes:?}");
    }
    for code in [61002, 61005, 61006] {
        assert!(!codes.contains(&code), "{code} in {codes:?}");
    }
    // Whoever is throttled is so once, hence for 2 s.
    for (key, _) in first.verdicts().iter().filter(|&&(_, code)| code == 61007) {
        let second = client.send(&[key]).await.unwrap();
        assert_ne!(second.codes(), [61007], "{key}");
    }

    let body = command(&devices).replace("PK1", &failing);
    let codes: BTreeSet<i64> = client
        .post(&body)
        .await
        .unwrap()
        .codes()
        .into_iter()
        .collect();
    for code in [200, 61002, 61005] {
        assert!(codes.contains(&code), "{code} in {codes:?}");
    }
}
