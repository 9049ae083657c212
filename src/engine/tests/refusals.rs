//! Requests that are refused as a whole.

use std::collections::HashSet;

use super::*;
use crate::{
    engine::{Event, Stop},
    gateway::Outgoing,
};

fn refuse(culprits: &'static [&'static str], with: i64) -> Script {
    Box::new(move |_, request: &Outgoing| {
        if request
            .devices
            .iter()
            .any(|device| culprits.contains(&&**device))
        {
            code(with)
        } else {
            accepted(request)
        }
    })
}

#[tokio::test]
async fn splitting_finds_the_culprits_and_costs_the_innocent_nothing() {
    let mut bench = Bench::of(64, refuse(&["DK00009", "DK00040"], 50005)).await;
    bench.options.chunk_size = 64;
    bench.options.rules.max_attempts = 1;
    let (stop, events) = bench.push().await;
    assert_eq!(stop, Stop::Complete);
    assert_eq!(
        bench.states().await,
        ["accepted|accepted|62", "failed|rejected|2"]
    );
    assert_eq!(
        bench
            .query("SELECT device_key, code FROM results WHERE state = 'failed' ORDER BY 1")
            .await,
        ["DK00009|50005", "DK00040|50005"]
    );
    // 2·k·log2(n) for k culprits among n, and the request itself.
    assert!(
        bench.requests() <= 2 * 2 * 6 + 1,
        "{} requests",
        bench.requests()
    );
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, Event::ChunkSizeLowered { .. }))
    );
}

#[tokio::test]
async fn a_device_limit_is_found_and_kept() {
    let script: Script = Box::new(|_, request: &Outgoing| {
        if request.devices.len() > 12 {
            code(50005)
        } else {
            accepted(request)
        }
    });
    let mut bench = Bench::of(300, script).await;
    bench.options.chunk_size = 40;
    bench.options.concurrency = 1;
    let (stop, events) = bench.push().await;
    assert_eq!(stop, Stop::Complete);
    assert_eq!(bench.states().await, ["accepted|accepted|300"]);
    assert!(events.contains(&Event::ChunkSizeLowered { devices: 10 }));
    assert_eq!(bench.query("SELECT chunk_limit FROM run").await, ["10"]);
    let refused = bench.sizes().iter().filter(|size| **size > 12).count();
    // First sends go on while the halves of the first ones are tried, but not for long.
    assert!(refused <= 15, "{refused} requests were refused");
}

#[tokio::test]
async fn a_refused_payload_does_not_cost_the_fleet() {
    let rows: Vec<(String, &str)> = (0..400)
        .map(|i| (format!("DK{i:05}"), if i % 2 == 0 { "bad" } else { "good" }))
        .collect();
    let rows: Vec<(&str, &str)> = rows
        .iter()
        .map(|(key, data)| (key.as_str(), *data))
        .collect();
    let script: Script = Box::new(|_, request: &Outgoing| {
        if &*request.payload.data == "bad" {
            code(70091)
        } else {
            accepted(request)
        }
    });
    let mut bench = Bench::new(&rows, script).await;
    bench.options.concurrency = 1;
    let (stop, events) = bench.push().await;
    assert_eq!(stop, Stop::Complete);
    assert_eq!(
        bench.states().await,
        ["accepted|accepted|200", "failed|rejected|200"]
    );
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::PayloadEnded { code: 70091, .. }))
    );
    let wrong = bench
        .query("SELECT line FROM results WHERE state = 'failed' AND code <> 70091")
        .await;
    assert!(wrong.is_empty());
    let unsent = bench
        .query("SELECT count(*) > 150 FROM results WHERE message LIKE 'not sent: payload refused in request %' AND class = 'rejected'")
        .await;
    assert_eq!(unsent, ["1"]);
    assert!(bench.requests() < 20 + 15, "{} requests", bench.requests());
}

#[tokio::test]
async fn one_device_that_spoils_a_payload_does_not_end_it() {
    let bench = Bench::of(60, refuse(&["DK00003"], 70091)).await;
    let (stop, events) = bench.push().await;
    assert_eq!(stop, Stop::Complete);
    assert_eq!(
        bench.states().await,
        ["accepted|accepted|59", "failed|rejected|1"]
    );
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, Event::PayloadEnded { .. }))
    );
}

#[tokio::test]
async fn halves_are_never_merged() {
    let mut bench = Bench::of(32, refuse(&["DK00000", "DK00031"], 50005)).await;
    bench.options.chunk_size = 32;
    assert_eq!(bench.push().await.0, Stop::Complete);
    let sizes: HashSet<usize> = bench.sizes().into_iter().collect();
    assert_eq!(sizes, HashSet::from([32, 16, 8, 4, 2, 1]));
}

#[tokio::test]
async fn a_half_that_fails_in_passing_has_not_passed() {
    let script: Script = Box::new(|n, request: &Outgoing| {
        let culprit = request.devices.iter().any(|device| &**device == "DK00007");
        match n {
            1 | 2 if culprit => code(50000),
            _ if culprit => code(50005),
            _ => accepted(request),
        }
    });
    let bench = Bench::of(10, script).await;
    let (stop, events) = bench.push().await;
    assert_eq!(stop, Stop::Complete);
    assert_eq!(
        bench.states().await,
        ["accepted|accepted|9", "failed|rejected|1"]
    );
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, Event::ChunkSizeLowered { .. })),
        "one device is at fault, not the number of devices"
    );
}

#[tokio::test]
async fn a_code_of_one_device_for_a_whole_request_does_not_fail_its_neighbours() {
    for (with, class) in [(61002, "offline"), (61006, "quota"), (61007, "frequency")] {
        let mut bench = Bench::of(16, refuse(&["DK00005"], with)).await;
        bench.options.chunk_size = 16;
        bench.options.rules.max_snooze = std::time::Duration::from_secs(1);
        assert_eq!(bench.push().await.0, Stop::Complete);
        assert_eq!(
            bench.states().await,
            [
                "accepted|accepted|15".to_owned(),
                format!("failed|{class}|1")
            ]
        );
    }
}
