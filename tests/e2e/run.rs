//! `fleetpush run`: what a manifest, a name, a threshold and a second start come to.

use std::{
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use fleetpush::simulator::Scenario;

use crate::support::{Push, Sim, Site, agree, devices};

/// A scenario in which these devices' share is refused.
fn rejecting(share: f64) -> Scenario {
    Scenario {
        seed: 1,
        rejected: share,
        ..Scenario::default()
    }
}

#[test]
fn the_sample_is_pushed_once_and_once_more_when_asked() {
    let sim = Sim::healthy();
    let site = Site::new();
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/fleet.csv");
    let first = site
        .push(&sim, &["run", sample, "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(first["run"]["state"], "complete");
    let tasks = first["counts"]["tasks"].as_u64().unwrap();
    let accepted = first["counts"]["accepted"].as_u64().unwrap();
    assert!(tasks >= 300 && accepted + first["counts"]["skipped"].as_u64().unwrap() == tasks);
    assert_eq!(first["session"]["stop"], "complete");
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(sim.deliveries().len() as u64, accepted);
    let name = &journal.run().name;
    assert!(name.starts_with("fleet-") && name.len() == 14, "{name}");
    assert!(
        journal.tasks.iter().any(|task| task
            .labels
            .as_deref()
            .is_some_and(|labels| labels.contains("Köln-Süd"))),
        "labels are kept"
    );

    let requests = sim.stats().requests;
    let again = site
        .push(&sim, &["run", sample, "--format", "json"])
        .expect(0)
        .json();
    assert_eq!(again["session"], serde_json::Value::Null);
    assert_eq!(again["counts"], first["counts"]);
    assert_eq!(
        sim.stats().requests,
        requests,
        "a complete run sends nothing"
    );

    site.push(&sim, &["run", sample, "--again"]).expect(0);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.runs.len(), 2);
    assert_eq!(journal.runs[1].name, format!("{}-2", journal.runs[0].name));
    assert_eq!(sim.deliveries().len() as u64, 2 * accepted);
}

#[test]
fn the_simulator_inside_the_process_needs_nothing_else() {
    let site = Site::with(&devices(3));
    let mut command = site.command(&["run", "fleet.csv", "--simulate", "--format", "json"]);
    command
        .env_remove("FLEETPUSH_ACCESS_KEY")
        .env_remove("FLEETPUSH_ACCESS_SECRET");
    let ended = Push::start(command).ended();
    assert_eq!(ended.json()["run"]["target"], "simulator");
    assert_eq!(ended.json()["counts"]["pending"], 0);
}

#[test]
fn a_newcomers_first_push_meets_trouble_and_ends_well() {
    let site = Site::new();
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/fleet.csv");
    let command = site.command(&["run", sample, "--simulate"]);
    Push::start(command).ended().expect(0).says(&[
        "throttled and",
        "temporarily refused: sent again after a pause",
        "got no readable reply",
        "samples/troubled.csv",
    ]);
    let journal = site.journal();
    let outcomes = journal.outcomes();
    for class in ["frequency", "transient", "in_doubt"] {
        assert!(outcomes.contains_key(class), "{outcomes:?}");
    }
    // It is over in seconds, because no device is throttled twice, by its quota, or offline.
    let throttled = journal
        .attempts
        .iter()
        .filter(|attempt| attempt.outcome == "frequency")
        .map(|attempt| &attempt.device_key);
    let devices: std::collections::BTreeSet<&String> = throttled.clone().collect();
    assert_eq!(devices.len(), throttled.count());
    for class in ["quota", "outage", "offline", "rejected"] {
        assert!(!outcomes.contains_key(class), "{outcomes:?}");
    }

    let troubled = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/troubled.csv");
    let command = site.command(&["run", troubled, "--simulate"]);
    Push::start(command).ended().expect(1).says(&[
        "the simulator lets some devices fail on purpose",
        "offline 61002",
        "rejected 7009",
        "--state failed",
    ]);
}

#[test]
fn the_database_is_for_its_owner_alone() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(1));
    site.push(&sim, &["run", "fleet.csv"]).expect(0);
    let mode = std::fs::metadata(site.path("push.db"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_name_stands_for_one_push() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(3));
    site.write("other.csv", devices(4));
    site.push(&sim, &["run", "fleet.csv", "--name", "night"])
        .expect(0);
    site.push(&sim, &["run", "other.csv", "--name", "night"])
        .expect(2)
        .says(&["'night' is another push", "SHA-256", "--name"]);
    site.push(&sim, &["run", "fleet.csv", "--name", "night", "--qos", "2"])
        .expect(2)
        .says(&["'night' is another push", "flags"]);
    let other = Sim::healthy();
    site.push(&other, &["run", "fleet.csv", "--name", "night"])
        .expect(2)
        .says(&["'night' is another push", "the target", sim.base_url()]);
    // Another pace is the same push, and so is another name for the file.
    site.write("copy.csv", devices(3));
    site.push(
        &sim,
        &["run", "copy.csv", "--chunk-size", "1", "--name", "night"],
    )
    .expect(0);
    assert_eq!(site.journal().runs.len(), 1);
    assert_eq!(sim.deliveries().len(), 3);
    assert_eq!(other.stats().requests, 0);
}

#[test]
fn too_many_failures_abort_until_somebody_insists() {
    let sim = Sim::start(rejecting(0.5));
    let site = Site::with(&devices(400));
    let mut args = vec![
        "run",
        "fleet.csv",
        "--chunk-size",
        "10",
        "--concurrency",
        "2",
        "--abort-if",
        "failed>10%,min=50",
    ];
    site.push(&sim, &args)
        .expect(4)
        .says(&["aborted", "--abort-if"]);
    let journal = site.journal();
    agree(&journal, &sim);
    let run = journal.run();
    assert_eq!(run.state, "aborted");
    assert!(run.pending > 0 && run.in_flight == 0, "{run:?}");

    let requests = sim.stats().requests;
    site.push(&sim, &args).expect(4);
    site.push(&sim, &["resume"]).expect(4);
    let name = journal.run().name.as_str();
    site.push(&sim, &["retry", name, "--class", "rejected"])
        .expect(4)
        .says(&["aborted", "--override-abort"]);
    assert_eq!(sim.stats().requests, requests, "it stays aborted");
    assert_eq!(site.journal().attempts.len(), journal.attempts.len());

    sim.play(Scenario::default());
    args.push("--override-abort");
    site.push(&sim, &args).expect(1);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().state, "complete");
}

#[test]
fn refused_credentials_keep_every_task_pending() {
    let sim = Sim::start(Scenario {
        access_key: Some("another".into()),
        ..Scenario::default()
    });
    let site = Site::with(&devices(5));
    let ended = site
        .push(&sim, &["run", "fleet.csv"])
        .expect(5)
        .says(&["90047"]);
    assert!(!ended.stderr.contains("secret="), "{}", ended.stderr);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!((journal.run().pending, journal.run().in_flight), (5, 0));
    assert!(journal.attempts.is_empty() || journal.outcomes().contains_key("auth"));
    assert_eq!(sim.stats().requests, 0);

    sim.play(Scenario::default());
    site.push(&sim, &["run", "fleet.csv"]).expect(0);
}

#[test]
fn a_refusal_of_the_whole_account_stops_at_once() {
    for code in [91005, 91006, 91007] {
        let sim = Sim::start(Scenario {
            refuse_code: Some(code),
            ..Scenario::default()
        });
        let site = Site::with(&devices(50));
        site.push(&sim, &["run", "fleet.csv", "--chunk-size", "1"])
            .expect(5)
            .says(&[&code.to_string()]);
        let journal = site.journal();
        agree(&journal, &sim);
        assert_eq!(journal.run().pending, 50, "{code}");
        assert!(sim.stats().requests <= 32, "{code}");
    }
}

#[test]
fn a_database_has_one_owner() {
    let sim = Sim::start(Scenario {
        latency_ms: 100,
        ..Scenario::default()
    });
    let site = Site::with(&devices(100));
    let args = [
        "run",
        "fleet.csv",
        "--chunk-size",
        "5",
        "--concurrency",
        "2",
    ];
    let first = site.start(&sim, &args);
    sim.wait_for_requests(2);
    site.push(&sim, &args)
        .expect(7)
        .says(&[&format!("pid {}", first.pid()), "push.db"]);
    // Readers are welcome all the while.
    let status = site.run(&["status", "--format", "jsonl"]).expect(0).json();
    assert_eq!(status["run"]["state"], "running");
    first.ended().expect(0);
    agree(&site.journal(), &sim);
    assert_eq!(sim.deliveries().len(), 100);
}

#[test]
fn a_simulator_of_its_own_tells_its_address() {
    let site = Site::with(&devices(5));
    let mut simulator = Command::new(env!("CARGO_BIN_EXE_fleetpush"))
        .args(["simulator", "--listen", "127.0.0.1:0"])
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(simulator.stdout.take().unwrap()),
        &mut line,
    )
    .unwrap();
    let ended = site.run(&["run", "fleet.csv", "--base-url", line.trim()]);
    simulator.kill().unwrap();
    simulator.wait().unwrap();
    ended.expect(0);
    assert_eq!(site.journal().run().accepted, 5);
}

#[test]
fn a_name_of_another_push_is_refused_also_to_one_that_has_its_own() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(3));
    site.write("other.csv", devices(4));
    site.push(&sim, &["run", "fleet.csv", "--name", "night"])
        .expect(0);
    site.push(&sim, &["run", "other.csv", "--name", "day"])
        .expect(0);
    let requests = sim.stats().requests;
    // The push that is known as 'day' asks to be 'night'.
    for again in [&[][..], &["--again"]] {
        let mut args = vec!["run", "other.csv", "--name", "night"];
        args.extend(again);
        site.push(&sim, &args)
            .expect(2)
            .says(&["'night' is another push", "SHA-256"]);
    }
    assert_eq!(sim.stats().requests, requests);
    assert_eq!(site.journal().runs.len(), 2);
}
