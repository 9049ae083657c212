//! An outage that answers: whatever stands in front of the platform replies, and the reply is of no use.

use std::collections::{BTreeMap, HashMap, HashSet};

use fleetpush::simulator::{Fault, Outage, Scenario};

use crate::support::{Push, Sim, Site, agree, devices, push_at, wait_for};

/// Every kind of outage in which calls are taken.
const ANSWERING: [Outage; 7] = [
    Outage::BadGateway,
    Outage::Page,
    Outage::HangUp,
    Outage::Silent,
    Outage::ServiceException,
    Outage::HubUnavailable,
    Outage::Unavailable,
];

const PUSH: [&str; 12] = [
    "run",
    "fleet.csv",
    "--chunk-size",
    "5",
    "--concurrency",
    "4",
    "--request-timeout",
    "5s",
    "--progress",
    "lines",
    "--max-attempts",
    "3",
];

#[test]
fn an_outage_that_answers_pauses_the_run_and_fails_no_device() {
    std::thread::scope(|scope| {
        for outage in ANSWERING {
            for spares_logins in [false, true] {
                scope.spawn(move || {
                    let slow = Scenario {
                        latency_ms: 20,
                        ..Scenario::default()
                    };
                    let sim = Sim::start(slow.clone());
                    let site = Site::with(&devices(600));
                    let push = site.start(&sim, &PUSH);
                    sim.wait_for_requests(10);
                    sim.play(Scenario {
                        outage,
                        outage_spares_logins: spares_logins,
                        ..slow.clone()
                    });
                    wait_for("a pause", || push.stderr().contains("paused").then_some(()));
                    // A probe has failed, too.
                    let before = sim.stats().requests;
                    sim.wait_for_requests(before + 1);
                    sim.play(slow);
                    push.ended().expect(0);
                    let journal = site.journal();
                    agree(&journal, &sim);
                    assert_eq!(journal.run().accepted, 600, "{outage:?}");
                    // Five answers in a row, what was under way then, and probes of one device.
                    let outcomes = journal.outcomes();
                    let lost: usize = outcomes
                        .iter()
                        .filter(|(outcome, _)| **outcome != "accepted")
                        .map(|(_, sends)| sends)
                        .sum();
                    // Until it has lasted, 503 may be a limit, for which one request is tried at a time, ever more rarely.
                    let in_a_row = if outage == Outage::Unavailable {
                        20 + 2 * 4
                    } else {
                        5
                    };
                    let most = 5 * (in_a_row + 2 * 4) + 10;
                    assert!(lost <= most, "{outage:?}: {outcomes:?}");
                });
            }
        }
    });
}

#[test]
fn an_outage_counts_for_no_threshold_and_does_not_when_the_run_goes_on_either() {
    for outage in [Outage::ServiceException, Outage::BadGateway] {
        let away = Scenario {
            outage,
            outage_spares_logins: true,
            ..Scenario::default()
        };
        let sim = Sim::start(away);
        let site = Site::with(&devices(600));
        let args = |hold| {
            [
                "run",
                "fleet.csv",
                "--chunk-size",
                "5",
                "--concurrency",
                "4",
                "--max-attempts",
                "1",
                "--max-outage",
                "1500ms",
                "--abort-if",
                "failed>1%,min=10;in_doubt>1%,min=10",
                "--in-doubt",
                hold,
            ]
        };
        site.push(&sim, &args("hold"))
            .expect(3)
            .says(&["no request succeeded for too long"]);
        let journal = site.journal();
        agree(&journal, &sim);
        assert_eq!(journal.run().state, "stopped", "{outage:?}");
        assert!(
            journal.run().pending > 500,
            "{outage:?}: {:?}",
            journal.run()
        );
        let ended = journal.run().failed + journal.run().in_doubt;
        assert!(ended >= 10, "{outage:?}: {ended}");

        sim.play(Scenario::default());
        site.push(&sim, &args("hold")).expect(1);
        let journal = site.journal();
        agree(&journal, &sim);
        assert_eq!(journal.run().accepted, 600 - ended, "{outage:?}");
    }
}

/// An outage without end, in which every request may have been acted on or surely was not: a probe is a request like any other.
#[test]
fn a_probe_in_doubt_uses_an_attempt_and_follows_in_doubt_and_one_that_was_refused_is_free() {
    std::thread::scope(|scope| {
        for (fault, in_doubt, max_attempts, ends) in [
            (Fault::BadGatewayActed, "hold", "5", true),
            (Fault::BadGatewayActed, "resend", "1", true),
            (Fault::BadGatewayActed, "resend", "5", false),
            (Fault::Unavailable, "hold", "1", false),
        ] {
            scope.spawn(move || {
                let case = format!("{fault:?} {in_doubt} {max_attempts}");
                let sim = Sim::start(Scenario {
                    faults: [(fault, 1.0)].into(),
                    ..Scenario::default()
                });
                let site = Site::with(&devices(600));
                let args = [
                    "run",
                    "fleet.csv",
                    "--chunk-size",
                    "5",
                    "--concurrency",
                    "1",
                    "--max-outage",
                    "2500ms",
                    "--max-attempts",
                    max_attempts,
                    "--in-doubt",
                    in_doubt,
                ];
                site.push(&sim, &args)
                    .expect(3)
                    .says(&["no request succeeded for too long"]);
                let journal = site.journal();
                agree(&journal, &sim);
                let mut deliveries = HashMap::<_, i64>::new();
                let mut requests = BTreeMap::<_, Vec<_>>::new();
                for delivery in sim.deliveries() {
                    *deliveries.entry(delivery.device_key.clone()).or_default() += 1;
                    let devices = requests.entry(delivery.request).or_default();
                    devices.push(delivery.device_key);
                }
                // Whatever is no probe has five devices.
                let probed: HashSet<_> = requests
                    .values()
                    .filter(|devices| devices.len() == 1)
                    .map(|devices| &devices[0])
                    .collect();
                assert_eq!(
                    probed.is_empty(),
                    fault == Fault::Unavailable,
                    "{case}: {requests:?}"
                );
                for task in &journal.tasks {
                    let sends = deliveries.get(&task.device_key).copied().unwrap_or(0);
                    let state = if ends && sends > 0 {
                        "in_doubt"
                    } else {
                        "pending"
                    };
                    assert_eq!(task.state, state, "{case}: {task:?}");
                    if fault == Fault::BadGatewayActed {
                        assert_eq!(task.attempts, sends, "{case}: {task:?}");
                    }
                }
                let outcome = if fault == Fault::Unavailable {
                    "outage"
                } else {
                    "in_doubt"
                };
                let outcomes = journal.outcomes();
                assert_eq!(outcomes.keys().collect::<Vec<_>>(), [&outcome], "{case}");
                let held = journal.run().in_doubt;

                // What is pending has attempts left, however few there are.
                sim.play(Scenario::default());
                site.push(&sim, &args).expect(i32::from(ends));
                let journal = site.journal();
                agree(&journal, &sim);
                let run = journal.run();
                assert_eq!((run.in_doubt, run.accepted), (held, 600 - held), "{case}");
            });
        }
    });
}

#[test]
fn an_outage_that_outlasts_the_patience_of_the_run_leaves_it_to_the_next_one() {
    for outage in ANSWERING {
        let sim = Sim::start(Scenario {
            outage,
            outage_spares_logins: true,
            ..Scenario::default()
        });
        let manifest = "device_key,product_key,service,param.x\nA,PK,s,1\nB,PK,s,1\nC,PK,s,2\nD,PK,s,2\nE,PK,s,3\n";
        let site = Site::with(manifest);
        let args = [
            "run",
            "fleet.csv",
            "--max-outage",
            "2500ms",
            "--request-timeout",
            "300ms",
            "--chunk-size",
            "2",
        ];
        site.push(&sim, &args)
            .expect(3)
            .says(&["logins worked", "tried with payloads"]);
        assert_eq!(site.journal().run().state, "stopped", "{outage:?}");
        sim.play(Scenario::default());
        site.push(&sim, &args).expect(0);
        let journal = site.journal();
        agree(&journal, &sim);
        assert_eq!(journal.run().accepted, 5, "{outage:?}");
    }
}

#[test]
fn who_says_how_long_a_push_may_take_says_how_long_it_waits() {
    let sim = Sim::start(Scenario {
        outage: Outage::Closed,
        ..Scenario::default()
    });
    for (flags, patience) in [
        (&["--until", "06:00 UTC"][..], "3 h 5"),
        (&["--until", "06:00 UTC", "--max-outage", "20m"], "19 min"),
        (&["--window", "01:00-06:00 UTC"], "3 h 5"),
        (
            &["--window", "01:00-06:00 UTC", "--max-outage", "20m"],
            "19 min",
        ),
        (&[], "29 min"),
    ] {
        let site = Site::with(&devices(5));
        let args = [&["run", "fleet.csv", "--progress", "lines"], flags].concat();
        let push = Push::start(push_at(&site, &sim, "2026-03-29T02:00:00Z", &args));
        let told = wait_for("a pause", || {
            let stderr = push.stderr();
            let told = stderr.split("gives up in ").nth(1)?;
            told.contains('\n').then(|| told.to_owned())
        });
        assert!(told.starts_with(patience), "{flags:?}: {told}");
    }
}

/// What stands in front of the platform fails on every request above a size, whatever it is about.
#[test]
fn requests_that_fail_although_probes_pass_are_split() {
    let sim = Sim::start(Scenario {
        device_limit: Some(10),
        device_limit_code: 502,
        ..Scenario::default()
    });
    let site = Site::with(&devices(40));
    site.push(
        &sim,
        &[
            "run",
            "fleet.csv",
            "--chunk-size",
            "20",
            "--concurrency",
            "2",
        ],
    )
    .expect(0);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().accepted, 40);
    let mut sends = BTreeMap::new();
    for attempt in &journal.attempts {
        *sends.entry(attempt.device_key.as_str()).or_insert(0) += 1;
    }
    assert!(sends.values().all(|sends| *sends <= 6), "{sends:?}");
}
