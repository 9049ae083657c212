//! The platform as a whole is away, throttles, or forgets its tokens: that costs time, and no attempt.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    time::Duration,
};

use fleetpush::simulator::{AuthRefusal, Fault, Outage, Scenario};

use crate::support::{Ended, Push, Sim, Site, agree, devices, with_limit};

mod answers;
mod suspects;

#[test]
fn a_platform_that_is_away_for_a_while_costs_no_device() {
    for outage in [Outage::Closed, Outage::Unavailable] {
        let slow = Scenario {
            latency_ms: 20,
            ..Scenario::default()
        };
        let sim = Sim::start(slow.clone());
        let site = Site::with(&devices(600));
        let push = site.start(
            &sim,
            &[
                "run",
                "fleet.csv",
                "--chunk-size",
                "5",
                "--concurrency",
                "4",
            ],
        );
        sim.wait_for_requests(10);
        sim.play(Scenario {
            outage,
            outage_ms: Some(1500),
            ..slow
        });
        push.ended().expect(0);
        let journal = site.journal();
        agree(&journal, &sim);
        assert_eq!(journal.run().accepted, 600);
        let outcomes = journal.outcomes();
        assert!(outcomes.contains_key("outage"), "{outage:?}: {outcomes:?}");
        // Only what was under way when the connections broke can be in doubt: what can be in flight at a time, and what was sent on
        // connections that broke before five in a row had made it an outage.
        let in_doubt = *outcomes.get("in_doubt").unwrap_or(&0);
        assert!(in_doubt <= 20 + 5 * 5, "{outage:?}: {outcomes:?}");
        if outage == Outage::Unavailable {
            assert_eq!(in_doubt, 0, "503 says that nothing was done");
        }
    }
}

#[test]
fn an_outage_that_lasts_too_long_stops_the_run_and_the_next_one_continues() {
    let sim = Sim::away();
    let site = Site::with(&devices(50));
    let args = ["run", "fleet.csv", "--max-outage", "1s"];
    site.push(&sim, &args).expect(3).says(&["503"]);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().state, "stopped");
    assert_eq!(journal.run().pending, 50);
    assert_eq!(journal.run().in_flight, 0);

    sim.play(Scenario::default());
    site.push(&sim, &args).expect(0);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().accepted, 50);
}

#[test]
fn nobody_at_the_address_is_an_outage_too() {
    let sim = Sim::start(Scenario {
        outage: Outage::Closed,
        ..Scenario::default()
    });
    let site = Site::with(&devices(5));
    site.push(&sim, &["run", "fleet.csv", "--max-outage", "1s"])
        .expect(3);
    assert_eq!(site.journal().run().pending, 5);
    assert_eq!(sim.stats().requests, 0);
}

#[test]
fn too_many_requests_lower_the_rate_and_cost_no_attempt() {
    let limited = Scenario {
        rate_limit: Some(20.0),
        rate_burst: 2.0,
        retry_after: Some("1".into()),
        ..Scenario::default()
    };
    let sim = Sim::start(limited);
    let site = Site::with(&devices(200));
    let ended = site
        .push(
            &sim,
            &[
                "run",
                "fleet.csv",
                "--chunk-size",
                "5",
                "--max-attempts",
                "1",
                "--rate",
                "200",
                "--progress",
                "lines",
            ],
        )
        .expect(0);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().accepted, 200);
    let stats = sim.stats();
    let refused = journal
        .attempts
        .iter()
        .filter(|attempt| attempt.outcome == "outage")
        .inspect(|attempt| assert_eq!(attempt.code, Some(429)))
        .count();
    assert_eq!(refused as u64, 5 * stats.too_many, "{stats:?}");
    assert!(stats.too_many > 0);
    // At 200 requests a second nine of ten would be refused.
    assert!(stats.too_many < 40, "{stats:?}");
    assert!(ended.stderr.contains("rate"), "{}", ended.stderr);
}

#[test]
fn tokens_that_expire_every_15_requests_cost_logins_and_no_task() {
    for auth_refusal in [AuthRefusal::Code, AuthRefusal::Status] {
        let sim = Sim::start(Scenario {
            latency_ms: 5,
            latency_jitter_ms: 10,
            token_requests: Some(15),
            auth_refusal,
            ..Scenario::default()
        });
        let site = Site::with(&devices(300));
        site.push(
            &sim,
            &[
                "run",
                "fleet.csv",
                "--chunk-size",
                "1",
                "--concurrency",
                "16",
                "--max-attempts",
                "1",
            ],
        )
        .expect(0);
        let journal = site.journal();
        agree(&journal, &sim);
        assert_eq!(journal.run().accepted, 300);
        let outcomes: BTreeSet<&str> = journal.outcomes().into_keys().collect();
        assert_eq!(outcomes, BTreeSet::from(["accepted", "auth"]));
        // 300 requests of 15 to a token: one login for each, however many senders notice at once.
        let logins = sim.stats().logins;
        assert!((20..=25).contains(&logins), "{logins} logins");
    }
}

#[test]
fn a_new_token_that_is_not_known_everywhere_yet_costs_a_pause() {
    for auth_refusal in [AuthRefusal::Code, AuthRefusal::Status] {
        let sim = Sim::start(Scenario {
            token_delay_ms: 300,
            auth_refusal,
            ..Scenario::default()
        });
        let site = Site::with(&devices(100));
        let args = ["run", "fleet.csv", "--chunk-size", "5"];
        site.push(&sim, &args).expect(0);
        let journal = site.journal();
        agree(&journal, &sim);
        assert_eq!(journal.run().accepted, 100);
        assert_eq!(sim.stats().logins, 1);
    }
}

#[test]
fn a_revoked_key_stops_the_run_in_the_middle_and_keeps_its_tasks() {
    let slow = Scenario {
        latency_ms: 30,
        ..Scenario::default()
    };
    let sim = Sim::start(slow.clone());
    let site = Site::with(&devices(400));
    let args = [
        "run",
        "fleet.csv",
        "--chunk-size",
        "5",
        "--concurrency",
        "4",
    ];
    let push = site.start(&sim, &args);
    sim.wait_for_requests(10);
    sim.play(Scenario {
        access_key_disabled: true,
        ..slow.clone()
    });
    push.ended().expect(5);
    let journal = site.journal();
    agree(&journal, &sim);
    let run = journal.run();
    assert!(run.pending > 0 && run.failed == 0, "{run:?}");
    assert_eq!((run.in_doubt, run.in_flight), (0, 0), "{run:?}");

    sim.play(slow);
    site.push(&sim, &args).expect(0);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().accepted, 400);
}

#[test]
fn a_throttled_device_waits_and_its_neighbours_do_not() {
    let sim = Sim::start(Scenario {
        seed: 3,
        frequency_at_first: fleetpush::simulator::AtFirst {
            share: 0.1,
            sends: 1,
        },
        ..Scenario::default()
    });
    let site = Site::with(&devices(100));
    site.push(&sim, &["run", "fleet.csv", "--max-attempts", "1"])
        .expect(0);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().accepted, 100);
    let snoozed: BTreeSet<&str> = journal
        .attempts
        .iter()
        .filter(|attempt| attempt.outcome == "frequency")
        .map(|attempt| attempt.device_key.as_str())
        .collect();
    assert!(!snoozed.is_empty());
    let deliveries = sim.deliveries();
    let first = deliveries[0].at_ms;
    for delivery in &deliveries {
        let waited = Duration::from_millis((delivery.at_ms - first) as u64);
        let is_snoozed = snoozed.contains(delivery.device_key.as_str());
        assert_eq!(
            waited >= Duration::from_millis(1900),
            is_snoozed,
            "{delivery:?}"
        );
    }
}

#[test]
fn an_absurd_retry_after_stalls_nothing() {
    // A number of seconds beyond reason is held to five minutes, too long for a test: see `policy` and `engine::outage`.
    let absurd = [
        "-5",
        "soon",
        "",
        "0",
        "99999999999999999999999999",
        "Thu, 01 Jan 1970 00:00:00 GMT",
    ];
    std::thread::scope(|scope| {
        for retry_after in absurd {
            scope.spawn(move || {
                let slow = Scenario {
                    latency_ms: 10,
                    ..Scenario::default()
                };
                let sim = Sim::start(slow.clone());
                let site = Site::with(&devices(100));
                let args = [
                    "run",
                    "fleet.csv",
                    "--chunk-size",
                    "5",
                    "--concurrency",
                    "2",
                    "--max-attempts",
                    "1",
                    "--max-outage",
                    "60s",
                ];
                let push = site.start(&sim, &args);
                sim.wait_for_requests(3);
                sim.play(Scenario {
                    outage: Outage::Unavailable,
                    outage_ms: Some(300),
                    rate_limit: Some(20.0),
                    rate_burst: 1.0,
                    retry_after: Some(retry_after.to_owned()),
                    ..slow
                });
                push.ended().expect(0);
                let journal = site.journal();
                agree(&journal, &sim);
                assert_eq!(journal.run().accepted, 100, "{retry_after}");
            });
        }
    });
}

/// A push with so many open files that each request might need two of them.
fn with_files(ulimit: &str, concurrency: &str) -> (Site, Sim, Ended) {
    let sim = Sim::start(Scenario {
        latency_ms: 2000,
        ..Scenario::default()
    });
    let site = Site::with(&devices(600));
    let args = [
        "run",
        "fleet.csv",
        "--chunk-size",
        "2",
        "--concurrency",
        concurrency,
    ];
    let push = site.push_command(&sim, &args);
    let ended = Push::start(with_limit(ulimit, &push)).ended();
    (site, sim, ended)
}

#[test]
fn a_low_limit_of_open_files_is_raised_or_heeded_and_never_the_platforms_fault() {
    for (ulimit, is_capped) in [("-Sn 100", false), ("-n 140", true)] {
        let (site, sim, ended) = with_files(ulimit, "150");
        let ended = ended.expect(0);
        assert_eq!(
            ended
                .stderr
                .contains("requests at a time and not for --concurrency 150"),
            is_capped,
            "{}",
            ended.stderr
        );
        let journal = site.journal();
        agree(&journal, &sim);
        assert_eq!(journal.outcomes().keys().collect::<Vec<_>>(), [&"accepted"]);
        assert_eq!(sim.deliveries().len(), 600, "each device once");
        let most = sim.stats().max_concurrent;
        assert_eq!(most < 50, is_capped, "{most} at a time");
    }
}

#[test]
fn resolve_fits_its_questions_to_the_open_files() {
    let sim = Sim::start(Scenario {
        faults: [(Fault::ResetAfter, 1.0)].into(),
        ..Scenario::default()
    });
    let site = Site::with(&devices(200));
    let args = [
        "run",
        "fleet.csv",
        "--in-doubt",
        "hold",
        "--chunk-size",
        "50",
    ];
    site.push(&sim, &args).expect(1);
    assert_eq!(site.journal().run().in_doubt, 200);

    sim.play(Scenario {
        latency_ms: 100,
        ..Scenario::default()
    });
    let resolve = [
        "verify",
        "--history-rate",
        "unlimited",
        "--concurrency",
        "150",
        "--base-url",
        sim.base_url(),
    ];
    let resolve = site.command(&resolve);
    let ended = Push::start(with_limit("-n 110", &resolve)).ended();
    ended
        .expect(0)
        .says(&["requests at a time and not for --concurrency 150"]);
    let journal = site.journal();
    assert_eq!(journal.run().accepted, 200);
    assert!(sim.stats().max_concurrent < 30, "{:?}", sim.stats());
}

#[test]
fn a_proxy_that_is_not_there_or_refuses_is_named_with_its_variable() {
    let site = Site::with(&devices(3));
    let push = |proxy: &str| {
        let mut command = site.command(&[
            "run",
            "fleet.csv",
            "--progress",
            "none",
            "--max-outage",
            "1s",
            "--base-url",
            "https://platform.example",
        ]);
        command.env("HTTPS_PROXY", proxy);
        Push::start(command).ended()
    };
    push("http://127.0.0.1:1")
        .expect(3)
        .says(&["the proxy http://127.0.0.1:1 (HTTPS_PROXY)"]);
    push("socks5://127.0.0.1:1")
        .expect(5)
        .says(&["HTTPS_PROXY", "socks5"]);

    for (status, code) in [(407, 5), (403, 5), (503, 3)] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let _ = write!(stream, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
            }
        });
        push(&format!("http://user:hunter2@{address}"))
            .expect(code)
            .says(&["HTTPS_PROXY", &format!("HTTP {status}")]);
    }
    let journal = site.journal();
    assert_eq!((journal.run().pending, journal.run().in_doubt), (3, 0));
}
