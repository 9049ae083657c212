//! A run in parts, pushed by several workers.

use fleetpush::simulator::Scenario;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Push, Sim, Site, agree, devices, nothing_older_follows, wait_for};

/// Twice a fleet of so many devices: each has two commands, one after the other.
fn twice(count: usize) -> String {
    let fleet = devices(count);
    let rows: Vec<&str> = fleet.lines().skip(1).collect();
    format!("{fleet}{}\n", rows.join("\n").replace(",AA", ",BB"))
}

/// What is in doubt after a death is sent again that long after the end of the lease.
const REQUEST_TIMEOUT: &str = "--request-timeout=6s";
const RUN: [&str; 11] = [
    "run",
    "fleet.csv",
    "--name",
    "night",
    "--chunk-size",
    "5",
    "--concurrency",
    "2",
    "--parts",
    "4",
    REQUEST_TIMEOUT,
];
const WORKER: [&str; 6] = [
    "worker",
    "--chunk-size",
    "5",
    "--concurrency",
    "2",
    REQUEST_TIMEOUT,
];

/// A simulator that answers so slowly that a part lasts, until it [answers at once](Sim::play).
fn slow() -> Sim {
    Sim::slow(3_000)
}

/// A process whose lease ends soon after it has died.
fn start(site: &Site, sim: &Sim, args: &[&str]) -> Push {
    let mut command = site.push_command(sim, args);
    command.env("FLEETPUSH_TEST_LEASE_MS", "6000");
    Push::start(command)
}

fn parts(site: &Site) -> Vec<Value> {
    site.run(&[
        "sql",
        "SELECT * FROM parts ORDER BY part",
        "--format",
        "jsonl",
    ])
    .expect(0)
    .json_lines()
}

/// How many parts are in this state, once the run has been divided: before, it is one part, which no worker takes.
fn parts_in(site: &Site, state: &str) -> usize {
    let parts = parts(site);
    if parts.len() == 1 {
        return 0;
    }
    parts.iter().filter(|part| part["state"] == state).count()
}

/// Fails the test unless the run is complete, and every command went out once, in order and apart from doubts.
#[track_caller]
fn is_whole(site: &Site, sim: &Sim, tasks: i64) {
    let journal = site.journal();
    assert_eq!(journal.runs.len(), 1);
    let run = journal.run();
    assert_eq!((run.state.as_str(), run.accepted), ("complete", tasks));
    assert_eq!(journal.unfinished, 0);
    agree(&journal, sim);
    nothing_older_follows(&journal, sim);
    assert_eq!(sim.stats().overlaps, 0);
    for part in parts(site) {
        assert_eq!(part["state"], "complete", "{part}");
        assert_eq!(
            (&part["accepted"], &part["pending"]),
            (&part["tasks"], &0.into()),
            "{part}"
        );
    }
}

#[test]
fn several_workers_push_one_run_after_its_canary() {
    let Some(site) = Site::on_server(&twice(400)) else {
        return;
    };
    let sim = Sim::slow(100);
    let first = start(&site, &sim, &[&RUN[..], &["--canary", "7"]].concat());
    wait_for("parts", || (parts(&site).len() == 5).then_some(()));
    let canary = &parts(&site)[0];
    assert_eq!(
        (&canary["state"], &canary["accepted"]),
        (&"complete".into(), &14.into())
    );
    let workers = [(); 2].map(|()| start(&site, &sim, &WORKER));
    wait_for("three at work", || {
        (parts_in(&site, "running") == 3).then_some(())
    });
    let status = site.run(&["status", "night", "--format", "json"]).expect(0);
    let workers_told = status.json()["parts"]["workers"].clone();
    assert_eq!(
        workers_told.as_array().map(Vec::len),
        Some(3),
        "{workers_told}"
    );
    // Whoever starts the run once more leaves it to those who push it.
    site.push(&sim, &RUN)
        .expect(7)
        .says(&["run 'night' is under way"]);
    for worker in workers {
        worker
            .ended()
            .expect(0)
            .says(&["of run 'night' has ended", "complete"]);
    }
    first
        .ended()
        .expect(0)
        .says(&["canary of 7 devices: 14 accepted"]);
    is_whole(&site, &sim, 800);
    let parts = parts(&site);
    let tasks: i64 = parts
        .iter()
        .map(|part| part["tasks"].as_i64().unwrap())
        .sum();
    assert_eq!((parts.len(), tasks), (5, 800), "{parts:?}");
    // Both commands of a device are in one part, and chunks are whole.
    assert!(
        parts[1..]
            .iter()
            .all(|part| part["tasks"].as_i64().unwrap() % 2 == 0),
        "{parts:?}"
    );
    let sessions = site.run(&["sessions", "--format", "jsonl"]).expect(0);
    for session in sessions.json_lines() {
        assert_eq!(
            session["sent"], session["accepted"],
            "each counts its own part: {session}"
        );
    }
}

#[test]
fn the_part_of_a_dead_worker_is_taken_over() {
    let Some(site) = Site::on_server(&twice(300)) else {
        return;
    };
    let sim = slow();
    let first = start(&site, &sim, &RUN);
    wait_for("parts", || (parts_in(&site, "running") > 0).then_some(()));
    let dies = start(&site, &sim, &WORKER);
    wait_for("two at work", || {
        (parts_in(&site, "running") == 2).then_some(())
    });
    let lives = start(&site, &sim, &WORKER);
    wait_for("three at work", || {
        (parts_in(&site, "running") == 3).then_some(())
    });
    first.kill();
    dies.kill();
    sim.play(Scenario::default());
    lives.ended().expect(0);
    is_whole(&site, &sim, 600);
}

#[test]
fn a_signal_drains_a_worker_and_the_next_one_goes_on_with_its_part() {
    let Some(site) = Site::on_server(&devices(300)) else {
        return;
    };
    let sim = slow();
    let first = start(&site, &sim, &RUN);
    wait_for("parts", || (parts_in(&site, "running") > 0).then_some(()));
    sim.wait_for_requests(2);
    first.signal(Signal::TERM);
    first
        .ended()
        .expect(3)
        .says(&["part 1 of run 'night' stops (signal)"]);
    assert_eq!(site.journal().run().state, "stopped");
    assert_eq!(parts_in(&site, "waiting"), 4);
    sim.play(Scenario::default());
    start(&site, &sim, &WORKER).ended().expect(0);
    is_whole(&site, &sim, 300);
    site.push(&sim, &WORKER)
        .expect(0)
        .says(&["no part of a run is left to push"]);
}

#[test]
fn a_pause_stops_all_workers_and_resume_pushes_the_parts() {
    let Some(site) = Site::on_server(&devices(400)) else {
        return;
    };
    let sim = slow();
    let first = start(&site, &sim, &RUN);
    wait_for("parts", || (parts_in(&site, "running") > 0).then_some(()));
    let other = start(&site, &sim, &WORKER);
    wait_for("two at work", || {
        (parts_in(&site, "running") == 2).then_some(())
    });
    site.run(&["pause", "night"]).expect(0);
    first.ended().expect(3);
    other.ended().expect(3);
    assert_eq!(site.journal().run().state, "paused");
    let requests = sim.stats().requests;
    site.push(&sim, &WORKER)
        .expect(0)
        .says(&["no part of a run is left"]);
    assert_eq!(sim.stats().requests, requests);
    sim.play(Scenario::default());
    site.push(&sim, &["resume", "night", "--chunk-size", "5"])
        .expect(0);
    is_whole(&site, &sim, 400);
}

#[test]
fn a_cancel_ends_the_tasks_of_all_parts() {
    let Some(site) = Site::on_server(&twice(400)) else {
        return;
    };
    let sim = slow();
    let first = start(&site, &sim, &RUN);
    wait_for("parts", || (parts_in(&site, "running") > 0).then_some(()));
    let other = start(&site, &sim, &WORKER);
    wait_for("two at work", || {
        (parts_in(&site, "running") == 2).then_some(())
    });
    site.run(&["cancel", "night"]).expect(0);
    first.ended().expect(1);
    other.ended().expect(1);
    let journal = site.journal();
    let run = journal.run();
    assert_eq!(run.state, "cancelled");
    assert_eq!(run.pending, 0);
    agree(&journal, &sim);
    assert_eq!(parts_in(&site, "gathered"), 4);
}

#[test]
fn what_fails_at_one_worker_stops_all_of_them() {
    let Some(site) = Site::on_server(&devices(600)) else {
        return;
    };
    let failing = |latency_ms| Scenario {
        latency_ms,
        rejected: 0.5,
        ..Scenario::default()
    };
    let sim = Sim::start(failing(3_000));
    let condition = ["--abort-if", "rejected>60"];
    let first = start(&site, &sim, &[&RUN[..], &condition].concat());
    wait_for("parts", || (parts_in(&site, "running") > 0).then_some(()));
    let other = start(&site, &sim, &[&WORKER[..], &condition].concat());
    wait_for("two at work", || {
        (parts_in(&site, "running") == 2).then_some(())
    });
    sim.play(failing(0));
    first.ended().expect(4);
    other.ended().expect(4);
    let journal = site.journal();
    assert_eq!(journal.run().state, "aborted");
    assert!(journal.run().pending > 0);
    agree(&journal, &sim);
    let failed: Vec<i64> = parts(&site)
        .iter()
        .map(|part| part["failed"].as_i64().unwrap())
        .collect();
    assert!(
        failed.iter().filter(|failed| **failed > 0).count() >= 2,
        "{failed:?}"
    );
    // Who overrides that pushes the rest as one.
    sim.play(Scenario::default());
    site.push(&sim, &["resume", "night", "--override-abort"])
        .expect(1);
    let journal = site.journal();
    assert_eq!(
        (journal.run().state.as_str(), journal.run().pending),
        ("complete", 0)
    );
    agree(&journal, &sim);
    // What has failed is sent again, as of any other run.
    site.push(&sim, &["retry", "night", "--state", "failed", "--yes"])
        .expect(0);
    let journal = site.journal();
    assert_eq!(journal.run().accepted, 600);
    agree(&journal, &sim);
}

#[test]
fn a_worker_waits_for_a_server_that_goes_away() {
    let Some(site) = Site::on_server(&devices(400)) else {
        return;
    };
    let sim = slow();
    let first = start(&site, &sim, &RUN);
    sim.wait_for_requests(2);
    site.server().close();
    wait_for("notice of the loss", || {
        first
            .stderr()
            .contains("paused: the results database does not answer")
            .then_some(())
    });
    sim.play(Scenario::default());
    site.server().open();
    first.ended().expect(0);
    is_whole(&site, &sim, 400);
}

#[test]
fn parts_are_for_a_server() {
    let site = Site::with(&devices(3));
    let sim = Sim::healthy();
    let refusal = "needs a results database on a PostgreSQL server, and";
    site.push(&sim, &RUN).expect(2).says(&["--parts", refusal]);
    site.push(&sim, &WORKER)
        .expect(2)
        .says(&["worker", refusal]);
    assert_eq!(sim.stats().requests, 0);
}
