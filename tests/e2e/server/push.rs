//! A push whose results are on a server.

use std::fmt::Write as _;

use fleetpush::simulator::{Fault, Scenario};

use rustix::process::Signal;

use crate::support::{Push, Sim, Site, agree, devices, nothing_older_follows, with_server};

/// Devices with several commands each, in an order that what is sent tells.
fn manifest() -> String {
    let mut text = String::from("device_key,product_key,service,param.step\n");
    for step in 1..=3 {
        for device in (1..=60).step_by(step) {
            writeln!(text, "DK{device:05},PK000{},fuwu,{step}", device % 3)
                .expect("a string takes all");
        }
    }
    // The same once more is a duplicate, and a row without a device is invalid.
    text.push_str("DK00001,PK0001,fuwu,3\n");
    text
}

/// A platform with every trouble of a night.
fn troubled() -> Scenario {
    let mut scenario = Scenario {
        seed: 7,
        offline: 0.1,
        ..Scenario::default()
    };
    for fault in [
        Fault::TooLargeUnread,
        Fault::ResetAfter,
        Fault::ResetUnread,
        Fault::InternalErrorActed,
        Fault::ServiceException,
        Fault::HubUnavailable,
        Fault::Page,
    ] {
        scenario.faults.insert(fault, 0.03);
    }
    scenario
}

#[test]
fn a_push_leaves_the_same_as_on_a_file() {
    let Some(site) = Site::on_server(&manifest()) else {
        return;
    };
    let sim = Sim::start(troubled());
    let run = [
        "run",
        "fleet.csv",
        "--name",
        "night",
        "--chunk-size",
        "5",
        "--abort-if",
        "never",
    ];
    let ended = site.push(&sim, &run);
    assert!(matches!(ended.code, Some(0 | 1)), "{ended:?}");
    let journal = site.journal();
    assert_eq!(journal.run().state, "complete");
    assert_eq!(journal.run().skipped, 1);
    assert_eq!(journal.unfinished, 0);
    agree(&journal, &sim);
    nothing_older_follows(&journal, &sim);
    assert_eq!(sim.stats().overlaps, 0);
    let requests = sim.stats().requests;
    let again = site.push(&sim, &run);
    assert_eq!(again.code, ended.code);
    assert_eq!(sim.stats().requests, requests, "nothing is sent twice");
}

#[test]
fn a_second_push_sends_only_what_has_changed() {
    let Some(site) = Site::on_server(&devices(40)) else {
        return;
    };
    let sim = Sim::healthy();
    site.push(&sim, &["run", "fleet.csv", "--name", "first"])
        .expect(0);
    site.write(
        "fleet.csv",
        devices(42).replace("DK00007,PK0001,fuwu,AA", "DK00007,PK0001,fuwu,BB"),
    );
    let second = ["run", "fleet.csv", "--name", "second", "--skip-unchanged"];
    site.push(&sim, &second).expect(0).says(&["39 unchanged"]);
    let journal = site.journal();
    assert_eq!(journal.runs[1].accepted, 3);
    assert_eq!(journal.runs[1].skipped, 39);
    agree(&journal, &sim);
}

#[test]
fn a_canary_goes_first() {
    let Some(site) = Site::on_server(&devices(300)) else {
        return;
    };
    let sim = Sim::healthy();
    let run = [
        "run",
        "fleet.csv",
        "--name",
        "night",
        "--canary",
        "20",
        "--canary-pause",
        "--chunk-size",
        "10",
    ];
    site.push(&sim, &run).expect(3).says(&["canary"]);
    assert_eq!(site.journal().run().accepted, 20);
    let rest = [&run[..], &["--ramp", "50,100"]].concat();
    let _ = rest;
    site.push(&sim, &["resume", "night", "--chunk-size", "10"])
        .expect(0);
    let journal = site.journal();
    assert_eq!(journal.run().accepted, 300);
    agree(&journal, &sim);
}

#[test]
fn a_push_stands_by_while_another_one_holds_the_lease() {
    let Some(site) = Site::on_server(&devices(400)) else {
        return;
    };
    // It is under way for longer than the others take, however busy the machine is.
    let sim = Sim::slow(1_000);
    let run = [
        "run",
        "fleet.csv",
        "--name",
        "night",
        "--chunk-size",
        "10",
        "--concurrency",
        "2",
    ];
    let first = site.start(&sim, &run);
    sim.wait_for_requests(2);
    for other in [&run[..], &["resume", "night"]] {
        site.push(&sim, other).expect(7).says(&[
            "run 'night' is under way",
            "another process (pid",
            " on host ",
        ]);
    }
    site.run(&["status", "night"]).expect(0);
    let status = site
        .run(&["status", "night", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(status["alive"], true, "{status}");
    first.signal(Signal::TERM);
    first.ended().expect(3);
    let status = site
        .run(&["status", "night", "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(status["alive"], false, "{status}");
    sim.play(Scenario::default());
    site.push(&sim, &["resume", "night"]).expect(0);
    agree(&site.journal(), &sim);
    assert_eq!(site.journal().run().accepted, 400);
}

#[test]
fn what_a_push_does_with_a_file_alone_is_refused() {
    let site = Site::with(&devices(1));
    let url = "postgres://fleet@localhost/fleet";
    for flags in [&["--accept-lost-log"][..], &["--allow-network-filesystem"]] {
        let args = [
            "run",
            "fleet.csv",
            "--base-url",
            "http://127.0.0.1:1",
            "--db",
            url,
        ];
        Push::start(with_server(&site, &[&args[..], flags].concat()))
            .ended()
            .expect(2)
            .says(&["is for an SQLite database", url]);
    }
}

#[test]
fn a_copy_does_not_write_over_the_results_of_pushes() {
    let Some(site) = Site::on_server(&devices(5)) else {
        return;
    };
    let sim = Sim::healthy();
    let file = Site::with(&devices(3));
    file.push(&sim, &["run", "fleet.csv", "--name", "old"])
        .expect(0);
    let from = file.path("push.db").display().to_string();
    let copy = || {
        Push::start(with_server(
            &site,
            &["db", "copy", &from, &site.server().url()],
        ))
        .ended()
    };
    copy().expect(0);
    // A push goes on where the copied ones have ended.
    site.push(&sim, &["run", "fleet.csv", "--name", "new"])
        .expect(0);
    let journal = site.journal();
    assert_eq!(journal.runs.len(), 2);
    agree(&journal, &sim);
    copy()
        .expect(2)
        .says(&["has results of pushes", "copy to another database"]);
    assert_eq!(site.journal().runs.len(), 2);
}

#[test]
fn a_copied_run_is_not_continued_where_it_may_be_pushed_twice() {
    let Some(site) = Site::on_server(&devices(5)) else {
        return;
    };
    let sim = Sim::slow(200);
    let file = Site::with(&devices(60));
    let push = file.start(
        &sim,
        &[
            "run",
            "fleet.csv",
            "--name",
            "night",
            "--chunk-size",
            "1",
            "--concurrency",
            "1",
        ],
    );
    sim.wait_for_requests(3);
    push.signal(Signal::TERM);
    push.ended().expect(3);
    let from = file.path("push.db").display().to_string();
    Push::start(with_server(
        &site,
        &["db", "copy", &from, &site.server().url()],
    ))
    .ended()
    .expect(0);
    site.write("fleet.csv", devices(60));
    let requests = sim.stats().requests;
    for again in [
        &["resume", "night"][..],
        &["run", "fleet.csv", "--name", "night"],
    ] {
        site.push(&sim, again)
            .expect(2)
            .says(&["run 'night' was copied", "continue it there"]);
    }
    assert_eq!(sim.stats().requests, requests, "nothing was sent");
    sim.play(Scenario::default());
    file.push(&sim, &["resume", "night"]).expect(0);
}
