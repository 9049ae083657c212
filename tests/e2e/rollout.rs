//! A careful start with the real binary: canaries, ramps, thresholds, what is tolerated, and the plan of it.

use std::collections::HashSet;

use fleetpush::simulator::Scenario;
use serde_json::json;

use crate::support::{Sim, Site, agree, devices, wait_for};

/// The devices that the platform has acted on.
fn delivered(sim: &Sim) -> HashSet<String> {
    let deliveries = sim.deliveries().into_iter();
    deliveries.map(|delivery| delivery.device_key).collect()
}

/// A platform on which these shares of the devices are offline and refused.
fn with(offline: f64, rejected: f64) -> Scenario {
    Scenario {
        seed: 1,
        offline,
        rejected,
        ..Scenario::default()
    }
}

#[test]
fn a_pause_without_a_canary_sends_nothing() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(300));
    site.push(&sim, &["run", "fleet.csv", "--canary-pause"])
        .expect(2)
        .says(&["--canary-pause", "no canary", "--canary 1%"]);
    assert_eq!(delivered(&sim).len(), 0);
}

#[test]
fn a_canary_stops_for_a_look_and_the_same_command_goes_on() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(300));
    let push = [
        "run",
        "fleet.csv",
        "--name",
        "night",
        "--canary",
        "20",
        "--canary-pause",
        "--format",
        "json",
    ];
    let paused = site
        .push(&sim, &push)
        .expect(3)
        .says(&["canary: 20 devices go first"]);
    let summary = paused.json();
    assert_eq!(summary["run"]["state"], "stopped");
    assert_eq!(summary["session"]["stop"], "canary");
    assert_eq!(
        summary["session"]["reason"],
        "canary of 20 devices: 20 accepted"
    );
    assert_eq!(summary["counts"]["pending"], 280);
    assert_eq!(delivered(&sim).len(), 20);

    let status = site
        .run(&["status", "night", "--format", "jsonl"])
        .expect(0);
    assert_eq!(
        status.json()["canary"],
        json!({ "devices": 20, "ended": 20, "passed": true, "verdict": "passed" })
    );
    site.push(&sim, &push).expect(0);
    assert_eq!(sim.deliveries().len(), 300, "each device once");
    agree(&site.journal(), &sim);
    // Once it has passed, the wish for a look has been granted.
    let again = site.push(&sim, &push).expect(0);
    assert_eq!(again.json()["session"], serde_json::Value::Null);
}

#[test]
fn a_bad_canary_costs_no_other_device() {
    let sim = Sim::start(with(0.0, 1.0));
    let site = Site::with(&devices(300));
    site.push(&sim, &["run", "fleet.csv", "--canary", "5%"])
        .expect(4)
        .says(&[
            "aborted, because too many tasks failed: the canary is not good: 15 of 15 ended tasks failed",
            "15 of 15 devices ended",
            "--override-abort",
        ]);
    let requests = sim.stats().requests;
    site.push(&sim, &["run", "fleet.csv", "--canary", "5%"])
        .expect(4);
    assert_eq!(sim.stats().requests, requests, "nothing goes out");

    sim.play(with(0.0, 0.0));
    site.push(
        &sim,
        &["run", "fleet.csv", "--canary", "5%", "--override-abort"],
    )
    .expect(1)
    .says(&[
        "canary of 15 devices: 15 rejected; it did not pass, and the other devices follow because of --override-abort",
        "15 devices, did not pass; the others were sent because of --override-abort",
    ]);
    let status = site.run(&["status", "--format", "jsonl"]).expect(0);
    assert_eq!(
        status.json()["canary"],
        json!({ "devices": 15, "ended": 15, "passed": false, "verdict": "overridden" })
    );
    let journal = site.journal();
    assert_eq!((journal.run().accepted, journal.run().failed), (285, 15));
    agree(&journal, &sim);
}

#[test]
fn a_good_canary_lets_the_fleet_follow_at_once() {
    // Three in a hundred are refused, which is no reason to stop.
    let sim = Sim::start(with(0.05, 0.03));
    let site = Site::with(&devices(300));
    let push = [
        "run",
        "fleet.csv",
        "--canary",
        "100",
        "--abort-if",
        "failed>20%",
    ];
    site.push(&sim, &push).expect(1).says(&[
        "canary of 100 devices: ",
        "; the other devices follow",
        "100 devices, passed",
    ]);
    agree(&site.journal(), &sim);
}

#[test]
fn a_killed_canary_goes_on_with_the_same_devices_and_no_other() {
    let sim = Sim::start(Scenario {
        latency_ms: 5,
        ..Scenario::default()
    });
    let site = Site::with(&devices(300));
    let mut push = site.start(
        &sim,
        &[
            "run",
            "fleet.csv",
            "--name",
            "night",
            "--canary",
            "60",
            "--canary-pause",
            "--chunk-size",
            "1",
            "--concurrency",
            "2",
        ],
    );
    sim.wait_for_requests(15);
    assert!(!push.has_ended());
    push.kill();
    let before = delivered(&sim);
    assert!((10..60).contains(&before.len()), "{}", before.len());
    // The wish to stop for a look is kept with the run.
    site.push(&sim, &["resume", "night"])
        .expect(3)
        .says(&["canary: 60 devices go first, ", "so that you can look"]);
    let canary = delivered(&sim);
    assert_eq!(canary.len(), 60);
    assert!(before.is_subset(&canary));
    site.push(&sim, &["resume", "night"]).expect(0);
    assert_eq!(delivered(&sim).len(), 300);
    agree(&site.journal(), &sim);
}

#[test]
fn a_canary_meets_every_product() {
    let sim = Sim::healthy();
    let fleet = devices(300).replace("DK00150,PK0001", "DK00150,PK0002");
    let site = Site::with(&fleet);
    site.push(
        &sim,
        &["run", "fleet.csv", "--canary", "2", "--canary-pause"],
    )
    .expect(3);
    let journal = site.journal();
    let accepted = journal.tasks.iter().filter(|task| task.state == "accepted");
    let products: HashSet<_> = accepted.map(|task| &task.product_key).collect();
    assert_eq!(products.len(), 2, "{products:?}");
}

#[test]
fn a_canary_that_is_throttled_is_waited_for() {
    let sim = Sim::start(Scenario {
        seed: 3,
        frequency_at_first: fleetpush::simulator::AtFirst {
            share: 0.5,
            sends: 1,
        },
        ..Scenario::default()
    });
    let site = Site::with(&devices(60));
    let push = site.start(
        &sim,
        &["run", "fleet.csv", "--canary", "10", "--canary-pause"],
    );
    // While its devices snooze, which takes two seconds, nobody else is sent to.
    wait_for("the first replies", || {
        (!sim.deliveries().is_empty()).then_some(())
    });
    let status = site.run(&["status"]).expect(0);
    assert!(
        status.stdout.contains("of 10 devices ended"),
        "{}",
        status.stdout
    );
    push.ended()
        .expect(3)
        .says(&["canary of 10 devices: 10 accepted"]);
    assert_eq!(sim.deliveries().len(), 10);
}

#[test]
fn any_of_several_conditions_aborts() {
    let sim = Sim::start(with(0.6, 0.0));
    for (conditions, crossed, ended) in [
        (
            &["rejected>50", "offline>30%,min=1000"][..],
            None,
            600..=600,
        ),
        (
            &["rejected>50", "offline>30%,min=200"],
            Some("ended tasks are offline (--abort-if 'offline>30%,min=200')"),
            // As soon as it is crossed, but for what was under way.
            200..=300,
        ),
        (
            &["offline>50"],
            Some("ended tasks are offline (--abort-if 'offline>50')"),
            60..=250,
        ),
    ] {
        let site = Site::with(&devices(600));
        let mut args = vec![
            "run",
            "fleet.csv",
            "--concurrency",
            "1",
            "--chunk-size",
            "50",
        ];
        for condition in conditions {
            args.extend(["--abort-if", condition]);
        }
        let push = site.push(&sim, &args);
        match crossed {
            Some(words) => push.expect(4).says(&[words]),
            None => push.expect(1),
        };
        let journal = site.journal();
        let run = journal.run();
        assert!(ended.contains(&(run.tasks - run.pending)), "{run:?}");
    }
}

#[test]
fn what_is_tolerated_is_a_success_and_what_is_not_is_none() {
    let sim = Sim::start(with(0.05, 0.02));
    let site = Site::with(&devices(400));
    let push = |tolerate: &[&str]| {
        let mut args = vec!["run", "fleet.csv", "--format", "json"];
        for limit in tolerate {
            args.extend(["--tolerate", limit]);
        }
        site.push(&sim, &args)
    };
    let summary = push(&["offline<10%", "rejected<20"]).expect(0).json();
    assert_eq!(summary["tolerance"]["kept"], true);
    assert_eq!(summary["tolerance"]["unlimited"], json!([]));
    let limit = &summary["tolerance"]["limits"][0];
    assert_eq!(
        (&limit["limit"], &limit["of"]),
        (&json!("offline<10%"), &json!(400))
    );
    assert!(limit["tasks"].as_u64().unwrap() > 0, "{limit}");
    let requests = sim.stats().requests;

    // What holds for the push holds for each look at what it came to.
    assert_eq!(
        push(&[]).expect(1).json()["tolerance"],
        serde_json::Value::Null
    );
    push(&["offline<10%;rejected<20"]).expect(0);
    assert_eq!(
        push(&["offline<1%", "rejected<20"]).expect(1).json()["tolerance"]["kept"],
        false
    );
    let summary = push(&["offline<10%"]).expect(1).json();
    assert_eq!(summary["tolerance"]["unlimited"][0]["class"], "rejected");
    site.push(
        &sim,
        &["run", "fleet.csv", "--tolerate", "failed<10%;offline<10%"],
    )
    .expect(0)
    .says(&[
        "nothing to send",
        "tolerated, so the exit code is 0",
        "ended tasks are offline (--tolerate 'offline<10%')",
    ]);
    assert_eq!(sim.stats().requests, requests);
}

#[test]
fn a_ramp_says_how_it_rises() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(100));
    site.push(
        &sim,
        &[
            "run",
            "fleet.csv",
            "--chunk-size",
            "10",
            "--ramp",
            "20,x10,every=30",
            "--rate",
            "1000",
        ],
    )
    .expect(0)
    .says(&[
        "ramp: 0 commands accepted, at most 20.0 requests/s",
        "at most 200 requests/s",
        "at most 1,000 requests/s from now on",
    ]);
}

#[test]
fn the_plan_shows_the_phases() {
    let site = Site::with(&devices(1000));
    let check = |args: &[&str]| {
        let args = [&["check", "fleet.csv", "--chunk-size", "10"], args].concat();
        let out = site.run(&args).expect(0).stdout;
        let from = out.find("  requests").unwrap();
        out[from..].to_owned()
    };
    let told = [
        check(&["--rate", "5"]),
        check(&[
            "--rate",
            "5",
            "--canary",
            "2%",
            "--canary-pause",
            "--ramp",
            "1,x2,every=200",
        ]),
        check(&["--rate", "unlimited", "--ramp", "1,x10,every=100"]),
        check(&["--rate", "5", "--canary", "1000"]),
    ];
    insta::assert_snapshot!(told.join("\n"), @r"
      requests  100 of at most 10 devices
      time      at least 20 s at 5 requests a second, throttling not counted

      requests  100 of at most 10 devices
      phases    canary: 20 devices in 2 requests, then the push stops so that you can look (exit code 3)
                ramp: 200 tasks at 1.00 requests/s, 200 at 2.00, 200 at 4.00
                the rest: 380 tasks, at most 5.00 requests/s
      time      at least 45 s at 5 requests a second, throttling not counted

      requests  100 of at most 10 devices
      phases    ramp: 100 tasks at 1.00 requests/s, 100 at 10.0, 100 at 100, 100 at 1,000, 100 at 10,000
                the rest: 500 tasks, as fast as the platform answers
      time      at least 11 s for the ramp, throttling not counted

      requests  100 of at most 10 devices
      phases    no canary: the fleet has no more devices than that
      time      at least 20 s at 5 requests a second, throttling not counted
    ");
}
