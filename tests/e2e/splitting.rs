//! Requests that are refused as a whole: what is at fault is found at a bounded price, and the others pay nothing.

use fleetpush::simulator::Scenario;
use rustix::process::Signal;

use crate::support::{Sim, Site, agree, devices, wait_for};

#[test]
fn poisonous_devices_are_found_at_the_price_that_is_promised() {
    const CHUNK: usize = 100;
    let sim = Sim::start(Scenario {
        seed: 4,
        poison: 0.02,
        ..Scenario::default()
    });
    let site = Site::with(&devices(4 * CHUNK));
    // A budget of one attempt: an innocent device that a split cost an attempt would fail.
    site.push(
        &sim,
        &[
            "run",
            "fleet.csv",
            "--chunk-size",
            "100",
            "--max-attempts",
            "1",
            "--abort-if",
            "never",
        ],
    )
    .expect(1);
    let journal = site.journal();
    agree(&journal, &sim);
    let mut bound = 0.0;
    let mut culprits = 0;
    for chunk in journal.tasks.chunks(CHUNK) {
        let failed = chunk.iter().filter(|task| task.state == "failed").count();
        culprits += failed;
        let k = failed as f64;
        bound += 1.0 + 2.0 * k * (CHUNK as f64).log2().ceil() + k;
    }
    assert!(
        culprits >= 2,
        "{culprits} culprits are no test of splitting"
    );
    let stats = sim.stats();
    assert!(stats.requests as f64 <= bound, "{stats:?}");
    for task in &journal.tasks {
        let told = (task.state.as_str(), task.code);
        let is_culprit = told == ("failed", Some(61005));
        assert!(is_culprit || task.state == "accepted", "{task:?}");
    }
    assert_eq!(sim.deliveries().len(), 4 * CHUNK - culprits);
    assert_eq!(
        stats.refused_requests.keys().collect::<Vec<_>>(),
        [&61005],
        "{stats:?}"
    );
}

#[test]
fn a_limit_of_devices_is_found_and_kept_after_a_resume() {
    let sim = Sim::start(Scenario {
        latency_ms: 50,
        device_limit: Some(30),
        ..Scenario::default()
    });
    let site = Site::with(&devices(2000));
    let args = [
        "run",
        "fleet.csv",
        "--chunk-size",
        "100",
        "--concurrency",
        "1",
        "--max-attempts",
        "1",
    ];
    let push = site.start(&sim, &args);
    wait_for("the limit", || {
        push.stderr()
            .contains("lowered to 25 devices")
            .then_some(())
    });
    push.signal(Signal::TERM);
    push.ended().expect(3);
    agree(&site.journal(), &sim);
    let before = sim.stats();
    assert!(before.refused_requests[&50005] > 0, "{before:?}");

    sim.play(Scenario {
        device_limit: Some(30),
        ..Scenario::default()
    });
    site.push(&sim, &args).expect(0);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().accepted, 2000);
    assert_eq!(sim.deliveries().len(), 2000, "each device once");
    let after = sim.stats();
    // What had been split before the stop may still be tried in its larger part.
    let refused = after.refused_requests[&50005] - before.refused_requests[&50005];
    assert!(refused <= 2, "the limit was forgotten: {after:?}");
}

/// A size that has passed is no limit, whatever is refused later and why.
#[test]
fn a_refusal_after_many_whole_requests_lowers_no_limit() {
    let sim = Sim::start(Scenario {
        latency_ms: 5,
        ..Scenario::default()
    });
    let site = Site::with(&devices(12_000));
    let args = [
        "run",
        "fleet.csv",
        "--chunk-size",
        "100",
        "--concurrency",
        "1",
        "--abort-if",
        "never",
    ];
    let push = site.start(&sim, &args);
    sim.wait_for_requests(20);
    // A moment in which everything that carries more than half a chunk is rejected.
    sim.play(Scenario {
        latency_ms: 5,
        device_limit: Some(50),
        device_limit_code: 400,
        ..Scenario::default()
    });
    let before = sim.stats().requests;
    sim.wait_for_requests(before + 8);
    sim.play(Scenario::default());
    let ended = push.ended().expect(0);
    assert!(!ended.stderr.contains("lowered to"), "{}", ended.stderr);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().accepted, 12_000);
    // Halves for ever would take a hundred requests more.
    assert!(sim.stats().requests < 200, "{:?}", sim.stats());
}

/// Devices that spoil the requests that they are in say nothing of how many fit into one: whoever is alone with another one passes.
#[test]
fn poisonous_devices_lower_no_limit() {
    for seed in [1, 2, 3] {
        let sim = Sim::start(Scenario {
            seed,
            poison: 0.002,
            poison_code: 50005,
            ..Scenario::default()
        });
        let site = Site::with(&devices(5000));
        let args = [
            "run",
            "fleet.csv",
            "--chunk-size",
            "25",
            "--abort-if",
            "never",
        ];
        let ended = site.push(&sim, &args).expect(1);
        assert!(!ended.stderr.contains("lowered to"), "{}", ended.stderr);
        let journal = site.journal();
        agree(&journal, &sim);
        let culprits = journal.run().failed;
        assert!(culprits >= 3, "{culprits} culprits are no test");
        assert_eq!(journal.run().accepted, 5000 - culprits);
        // 2·k·log2(n) for k culprits among n, and the requests themselves.
        let requests = sim.stats().requests.cast_signed();
        assert!(
            requests <= 200 + culprits * 11,
            "{requests} requests for {culprits} culprits"
        );
    }
}

/// What one run has found out about the platform may be no longer so.
#[test]
fn a_limit_of_devices_is_tried_again_in_the_next_run() {
    let sim = Sim::start(Scenario {
        device_limit: Some(30),
        ..Scenario::default()
    });
    let site = Site::with(&devices(600));
    site.write("next.csv", devices(600).replace(",AA", ",BB"));
    let args = |manifest| {
        [
            "run",
            manifest,
            "--chunk-size",
            "100",
            "--concurrency",
            "1",
            "--max-attempts",
            "1",
        ]
    };
    site.push(&sim, &args("fleet.csv"))
        .expect(0)
        .says(&["lowered to 25 devices"]);
    sim.play(Scenario::default());
    let before = sim.stats().requests;
    let ended = site.push(&sim, &args("next.csv")).expect(0);
    assert!(!ended.stderr.contains("lowered to"), "{}", ended.stderr);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.runs[1].accepted, 600);
    assert_eq!(sim.stats().requests - before, 6, "whole chunks again");
}

/// Only a rejection can be about the number of devices: that they are offline or throttled is about themselves.
#[test]
fn a_limit_in_the_words_of_offline_or_of_a_throttle_is_none() {
    for (device_limit_code, is_learned) in [(50005, true), (61002, false), (61007, false)] {
        let sim = Sim::start(Scenario {
            device_limit: Some(30),
            device_limit_code,
            ..Scenario::default()
        });
        let site = Site::with(&devices(600));
        let args = [
            "run",
            "fleet.csv",
            "--chunk-size",
            "100",
            "--concurrency",
            "1",
            "--max-snooze",
            "1s",
            "--abort-if",
            "never",
        ];
        let ended = site.push(&sim, &args).expect(0);
        let lowered = ended.stderr.contains("no more devices in one request");
        assert_eq!(lowered, is_learned, "{device_limit_code}: {}", ended.stderr);
        let journal = site.journal();
        agree(&journal, &sim);
        assert_eq!(journal.run().accepted, 600, "{device_limit_code}");
        let stats = sim.stats();
        assert!(
            stats.refused_requests[&device_limit_code] >= 6,
            "{device_limit_code}: {stats:?}"
        );
    }
}
