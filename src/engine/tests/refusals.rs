//! Requests that are refused as a whole.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::*;
use crate::{
    engine::{Event, Stop},
    gateway::Outgoing,
    journal::staleness::Leave,
    model::{TaskFilter, TaskState, Timestamp},
};

fn ended_a_payload(events: &[Event]) -> bool {
    events
        .iter()
        .any(|event| matches!(event, Event::PayloadEnded { .. }))
}

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
    // First sends go on while the halves of the first two are tried, but not for long.
    assert!(refused <= 18, "{refused} requests were refused");
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

#[tokio::test]
async fn a_payload_that_one_device_has_accepted_is_never_ended() {
    let script: Script = Box::new(|n, request: &Outgoing| {
        if n == 0 {
            accepted(request)
        } else {
            code(70091)
        }
    });
    let mut bench = Bench::of(40, script).await;
    bench.options.concurrency = 1;
    let (stop, events) = bench.push().await;
    assert_eq!(stop, Stop::Complete);
    assert!(!ended_a_payload(&events));
    assert_eq!(
        bench.states().await,
        ["accepted|accepted|10", "failed|rejected|30"]
    );
    // Each of the 30 was refused by itself.
    assert_eq!(
        bench
            .query("SELECT count(*) FROM results WHERE message LIKE 'not sent%'")
            .await,
        ["0"]
    );
    assert_eq!(bench.query("SELECT accepted FROM payload").await, ["1"]);
}

#[tokio::test]
async fn a_payload_ends_at_20_devices_in_2_requests_and_not_before() {
    // Devices, in one request, and whether their refusal ends the payload.
    for (devices, chunk_size, ends) in [
        (19, 10, false),
        (20, 10, true),
        (19, 19, false),
        (20, 20, true),
    ] {
        let mut bench = Bench::of(devices, Box::new(|_, _| code(70091))).await;
        bench.options.chunk_size = chunk_size;
        bench.options.concurrency = 1;
        let (stop, events) = bench.push().await;
        assert_eq!(stop, Stop::Complete);
        assert_eq!(
            ended_a_payload(&events),
            ends,
            "{devices} devices in requests of {chunk_size}"
        );
        assert_eq!(bench.states().await, [format!("failed|rejected|{devices}")]);
    }
}

#[tokio::test]
async fn a_retried_payload_is_sent_again() {
    let changed_its_mind = Arc::new(AtomicBool::new(false));
    let mind = Arc::clone(&changed_its_mind);
    let script: Script = Box::new(move |_, request: &Outgoing| {
        if mind.load(Ordering::SeqCst) {
            accepted(request)
        } else {
            code(70091)
        }
    });
    let bench = Bench::of(100, script).await;
    let (stop, events) = bench.push().await;
    assert_eq!(stop, Stop::Complete);
    assert!(ended_a_payload(&events));
    assert_eq!(bench.states().await, ["failed|rejected|100"]);

    changed_its_mind.store(true, Ordering::SeqCst);
    let everything = TaskFilter::ended(&[TaskState::Failed]);
    let mut store = bench.store().await;
    let run = bench.run(&mut store).await;
    let plan =
        crate::journal::retry::reopen(&mut store, &run, &everything, Leave::STALE, Timestamp(5))
            .await
            .unwrap();
    assert_eq!(plan.chosen, 100);
    store.close().await.unwrap();
    assert_eq!(bench.push().await.0, Stop::Complete);
    assert_eq!(bench.states().await, ["accepted|accepted|100"]);
}
