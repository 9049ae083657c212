//! `retry` with results on a server: what it sends, says and leaves is the same as with a file.

use std::fmt::Write as _;

use fleetpush::simulator::Scenario;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{
    Ended, Push, Sim, Site, agree, devices, fields, nothing_older_follows, wait_for, with_server,
};

/// Devices with several commands each.
fn steps() -> String {
    let mut text = String::from("device_key,product_key,service,param.step,site\n");
    for step in 1..=3 {
        for device in (1..=60).step_by(step) {
            writeln!(
                text,
                "DK{device:05},PK000{},fuwu,{step},{}",
                device % 3,
                if device % 2 == 0 { "Oslo" } else { "Bergen" }
            )
            .expect("a string takes all");
        }
    }
    text
}

/// How a command ended, and the lines that say what it did and left out; how fast it was is another matter.
type Said = (Option<i32>, Vec<String>);

fn said(ended: &Ended) -> Said {
    let words = ["sent again", "left out", "matches", "no task", "label"];
    let lines = ended.stderr.lines();
    let lines = lines.filter(|line| words.iter().any(|word| line.contains(word)));
    (ended.code, lines.map(str::to_owned).collect())
}

/// Pushes to devices of which some are offline, and sends again what has failed, step by step; what each step said, and what is left.
fn night(site: &Site) -> (Vec<Said>, Vec<Value>) {
    let sim = Sim::some_offline();
    let run = ["run", "fleet.csv", "--name", "night", "--chunk-size", "7"];
    let mut all = vec![said(&site.push(&sim, &run).expect(1))];
    for (retry, exit) in [
        (&["--dry-run"][..], 0),
        (&["--dry-run", "--class", "blocked"], 0),
        (&["--label", "site=Paris"], 2),
        (&["--code", "1-2"], 2),
        // They are still offline.
        (&["--label", "site=Oslo"], 1),
    ] {
        let args = [&["retry", "night"], retry].concat();
        all.push(said(&site.push(&sim, &args).expect(exit)));
    }
    sim.play(Scenario::default());
    for (retry, exit) in [
        (&["--device", "DK0001*"][..], 1),
        (&["--dry-run"], 0),
        (&[], 0),
        (&[], 0),
    ] {
        let args = [&["retry", "night", "--chunk-size", "7"], retry].concat();
        all.push(said(&site.push(&sim, &args).expect(exit)));
    }
    let journal = site.journal();
    assert_eq!(journal.run().state, "complete");
    assert_eq!(journal.unfinished, 0);
    agree(&journal, &sim);
    nothing_older_follows(&journal, &sim);
    let rows = site
        .run(&["results", "night", "--format", "jsonl"])
        .expect(0);
    let names = ["line", "device_key", "state", "class", "code", "attempts"];
    let rows = rows.json_lines();
    (all, rows.iter().map(|row| fields(row, &names)).collect())
}

#[test]
fn a_retry_does_the_same_as_on_a_file() {
    let Some(site) = Site::on_server(&steps()) else {
        return;
    };
    let there = night(&site);
    assert!(there.0.iter().all(|(_, lines)| lines.len() < 4));
    assert_eq!(there, night(&Site::with(&steps())));
}

#[test]
fn a_retry_after_a_crash_sends_what_is_in_doubt_once_the_lease_is_over() {
    let Some(site) = Site::on_server(&devices(40)) else {
        return;
    };
    let sim = Sim::start(Scenario {
        seed: 9,
        offline: 0.3,
        ..Scenario::default()
    });
    let one = ["--chunk-size", "1", "--concurrency", "1"];
    site.push(&sim, &["run", "fleet.csv", "--name", "night"])
        .expect(1);
    sim.play(Scenario {
        latency_ms: 1_000,
        ..Scenario::default()
    });
    let before = sim.stats().requests;
    let some = [
        "retry", "night", "--device", "DK0001*", "--device", "DK0002*",
    ];
    let mut command = site.push_command(&sim, &[&some[..], &one].concat());
    command.env("FLEETPUSH_TEST_LEASE_MS", "3000");
    let killed = Push::start(command);
    sim.wait_for_requests(before + 1);
    // Whoever has the lease is not disturbed.
    site.push(&sim, &["retry", "night"])
        .expect(7)
        .says(&["another process (pid"]);
    killed.kill();
    sim.play(Scenario::default());
    let ended = wait_for("the end of the lease", || {
        let mut command = site.push_command(&sim, &["retry", "night", "--request-timeout", "1s"]);
        command.env("FLEETPUSH_TEST_LEASE_MS", "3000");
        let ended = Push::start(command).ended();
        (ended.code != Some(7)).then_some(ended)
    });
    ended.expect(0);
    let journal = site.journal();
    assert_eq!(journal.run().accepted, 40);
    assert!(journal.outcomes().contains_key("in_doubt"));
    agree(&journal, &sim);
}

#[test]
fn a_retry_that_is_stopped_gives_the_lease_back() {
    let Some(site) = Site::on_server(&devices(40)) else {
        return;
    };
    let sim = Sim::some_offline();
    site.push(&sim, &["run", "fleet.csv", "--name", "night"])
        .expect(1);
    sim.play(Scenario {
        latency_ms: 400,
        ..Scenario::default()
    });
    let before = sim.stats().requests;
    let retry = ["retry", "--chunk-size", "1", "--concurrency", "1"];
    let push = site.start(&sim, &retry);
    sim.wait_for_requests(before + 1);
    push.signal(Signal::TERM);
    push.ended().expect(3);
    sim.play(Scenario::default());
    site.push(&sim, &["resume", "night"]).expect(0);
    assert_eq!(site.journal().run().accepted, 40);
    agree(&site.journal(), &sim);
}

#[test]
fn a_copy_is_not_sent_again_and_takes_copies_as_before() {
    let Some(site) = Site::on_server(&devices(5)) else {
        return;
    };
    let sim = Sim::some_offline();
    let file = Site::with(&devices(40));
    file.push(&sim, &["run", "fleet.csv", "--name", "night"])
        .expect(1);
    let from = file.path("push.db").display().to_string();
    let copy = || {
        let args = ["db", "copy", &from, &site.server().url()];
        Push::start(with_server(&site, &args)).ended()
    };
    copy().expect(0);
    let requests = sim.stats().requests;
    for retry in [&["retry", "night"][..], &["retry", "--dry-run"]] {
        site.push(&sim, retry)
            .expect(2)
            .says(&["were copied from a file", "retry them there"]);
    }
    copy().expect(0);
    // Beside runs that are pushed here it is one by itself.
    site.push(&sim, &["run", "fleet.csv", "--name", "new"]);
    site.push(&sim, &["retry", "night"])
        .expect(2)
        .says(&["run 'night' was copied", "retry it there"]);
    assert_eq!(sim.stats().requests, requests + 1, "nothing is sent again");
}
