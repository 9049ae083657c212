//! Several pushes at once whose results are on one server.

use std::fmt::Write as _;

use fleetpush::simulator::Scenario;
use rustix::process::Signal;

use crate::support::{Push, Sim, Site, agree, nothing_older_follows, wait_for};

/// Devices with these numbers.
fn devices(numbers: std::ops::Range<u32>, value: &str) -> String {
    let mut text = String::from("device_key,product_key,service,param.mode\n");
    for number in numbers {
        writeln!(text, "DK{number:05},PK0001,fuwu,{value}").expect("a string takes all");
    }
    text
}

const SLOWLY: [&str; 4] = ["--chunk-size", "5", "--concurrency", "2"];

#[test]
fn different_fleets_are_pushed_at_the_same_time() {
    let Some(site) = Site::on_server(&devices(1..401, "AA")) else {
        return;
    };
    site.write("south.csv", devices(1001..1401, "AA"));
    let sim = Sim::slow(150);
    let north = site.start(
        &sim,
        &[&["run", "fleet.csv", "--name", "north"][..], &SLOWLY].concat(),
    );
    sim.wait_for_requests(4);
    let south = site.start(
        &sim,
        &[&["run", "south.csv", "--name", "south"][..], &SLOWLY].concat(),
    );
    wait_for("the second push", || {
        let deliveries = sim.deliveries();
        let sends = deliveries
            .iter()
            .any(|one| one.device_key.starts_with("DK01"));
        sends.then_some(())
    });
    let status = |run: &str| {
        let status = site.run(&["status", run, "--format", "json"]).expect(0);
        status.json()["alive"].clone()
    };
    assert_eq!([status("north"), status("south")], [true, true]);
    // One of them dies, and is continued; the other one does not notice.
    north.signal(Signal::TERM);
    north.ended().expect(3);
    assert_eq!(status("north"), false);
    site.push(&sim, &["resume", "south"])
        .expect(7)
        .says(&["run 'south' is under way", "another process (pid"]);
    site.push(&sim, &["resume", "north"]).expect(0);
    south.ended().expect(0);
    let journal = site.journal();
    assert_eq!(journal.runs.len(), 2);
    for run in &journal.runs {
        assert_eq!((run.state.as_str(), run.accepted), ("complete", 400));
    }
    agree(&journal, &sim);
    assert_eq!(sim.stats().overlaps, 0);
    let sessions = site.run(&["sessions", "--format", "jsonl"]).expect(0);
    for session in sessions.json_lines() {
        let sent = session["sent"].as_i64().expect("a number");
        let accepted = session["accepted"].as_i64().expect("a number");
        assert_eq!(sent, accepted, "each counts its own requests: {session}");
    }
}

/// The elder run has all devices, the younger one those that are in flight just now, and some that come last.
#[test]
fn a_device_of_two_fleets_never_has_two_commands_in_flight_and_keeps_the_newer_one() {
    let Some(site) = Site::on_server(&devices(1..201, "AA")) else {
        return;
    };
    let part = devices(1..31, "BB") + devices(150..251, "BB").split_once('\n').expect("rows").1;
    site.write("part.csv", part);
    let sim = Sim::slow(150);
    let all = site.start(
        &sim,
        &[&["run", "fleet.csv", "--name", "all"][..], &SLOWLY].concat(),
    );
    sim.wait_for_requests(2);
    let part = [&["run", "part.csv", "--name", "part"][..], &SLOWLY].concat();
    let part = site.start(&sim, &part);
    // What the elder run has left, it does not send; whoever wants that says so.
    all.ended().expect(3).says(&[
        "stopped, because newer runs have commands for the devices that are left",
        "are older than a command of a newer run for the same device, for example for DK00",
        "(run 'part')",
    ]);
    part.ended().expect(0);
    site.push(&sim, &["resume", "all"]).expect(2).says(&[
        "run 'all' has tasks for",
        "older than what was accepted since",
        "by run 'part'",
    ]);
    let journal = site.journal();
    let [all, part] = &journal.runs[..] else {
        panic!("two runs");
    };
    assert_eq!((part.state.as_str(), part.accepted), ("complete", 131));
    assert_eq!(all.state, "stopped");
    assert!(
        (100..150).contains(&all.accepted),
        "those that the younger run has not, and what had been sent: {}",
        all.accepted
    );
    agree(&journal, &sim);
    nothing_older_follows(&journal, &sim);
    assert_eq!(sim.stats().overlaps, 0);
    sim.play(Scenario::default());
    site.push(&sim, &["resume", "all", "--allow-stale"])
        .expect(0);
    assert_eq!(site.journal().runs[0].accepted, 200);
}

#[test]
fn two_services_of_a_device_are_called_one_after_the_other() {
    let Some(site) = Site::on_server(&devices(1..11, "AA")) else {
        return;
    };
    site.write("other.csv", devices(1..11, "BB").replace("fuwu", "reboot"));
    let sim = Sim::slow(4_000);
    let first = site.start(
        &sim,
        &[&["run", "fleet.csv", "--name", "first"][..], &SLOWLY].concat(),
    );
    sim.wait_for_requests(2);
    // What is in flight keeps its time.
    sim.play(Scenario::default());
    let other = [&["run", "other.csv", "--name", "other"][..], &SLOWLY].concat();
    site.push(&sim, &other).expect(0);
    first.ended().expect(0);
    let journal = site.journal();
    assert_eq!(
        [journal.runs[0].accepted, journal.runs[1].accepted],
        [10, 10]
    );
    agree(&journal, &sim);
    assert_eq!(sim.stats().overlaps, 0);
}

#[test]
fn pushes_with_one_account_share_its_rate_as_long_as_there_are_several() {
    let Some(site) = Site::on_server(&devices(1..1001, "AA")) else {
        return;
    };
    site.write("south.csv", devices(3001..3101, "AA"));
    let sim = Sim::slow(100);
    let start = |manifest, name| {
        let args = [
            "run",
            manifest,
            "--name",
            name,
            "--rate",
            "40",
            "--chunk-size",
            "1",
        ];
        let mut command = site.push_command(&sim, &args);
        command.env("FLEETPUSH_TEST_LEASE_MS", "6000");
        Push::start(command)
    };
    let says = |push: &Push, words: &str| {
        wait_for(words, || push.stderr().contains(words).then_some(()));
    };
    let north = start("fleet.csv", "north");
    sim.wait_for_requests(4);
    let south = start("south.csv", "south");
    says(
        &south,
        "2 pushes send to this platform with the same account",
    );
    says(
        &north,
        "2 pushes send to this platform with the same account",
    );
    south.ended().expect(0);
    says(&north, "--rate and --concurrency hold in full again");
    north.signal(Signal::TERM);
    north.ended().expect(3);
    assert_eq!(sim.stats().overlaps, 0);
}
