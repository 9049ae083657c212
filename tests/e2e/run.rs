//! `fleetpush run`: what a manifest, a name, a threshold and a second start come to.

use std::{
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use fleetpush::simulator::Scenario;

use crate::support::{DATA, Ended, Push, Sim, Site, agree, devices};

/// A scenario in which these devices' share is refused.
fn rejecting(share: f64) -> Scenario {
    Scenario {
        seed: 1,
        rejected: share,
        ..Scenario::default()
    }
}

/// Runs a command that reads `input`.
fn piped(site: &Site, mut command: Command, input: &str) -> Ended {
    site.write("input", input);
    let input = std::fs::File::open(site.path("input")).expect("the file is there");
    command.stdin(input);
    Push::start_with_input(command).ended()
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
fn a_mistake_in_line_7_is_told_and_nothing_is_sent() {
    let sim = Sim::healthy();
    let lines: Vec<String> = (2..=9)
        .map(|line| {
            let qos = if line == 7 { "high" } else { "1" };
            format!("DK{line:05},PK0001,fuwu,AA,{qos}")
        })
        .collect();
    let manifest = format!(
        "device_key,product_key,service,param.raw1,qos\n{}\n",
        lines.join("\n")
    );
    let site = Site::with(&manifest);
    site.push(&sim, &["run", "fleet.csv"])
        .expect(2)
        .says(&["fleet.csv", "line 7", "qos"]);
    assert_eq!(sim.stats().requests, 0);
    assert!(site.journal().runs.is_empty(), "a run was left behind");

    site.push(&sim, &["run", "fleet.csv", "--skip-invalid"])
        .expect(1);
    let journal = site.journal();
    agree(&journal, &sim);
    let bad: Vec<_> = journal
        .tasks
        .iter()
        .filter(|task| task.class.as_deref() == Some("invalid"))
        .collect();
    assert_eq!((bad.len(), bad[0].line, bad[0].attempts), (1, 7, 0));
    assert_eq!(journal.run().accepted, 7);
}

#[test]
fn an_unexpected_number_of_rows_is_refused() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(10));
    for expected in ["11", "1-9"] {
        site.push(&sim, &["run", "fleet.csv", "--expect-rows", expected])
            .expect(2)
            .says(&["--expect-rows", "10"]);
    }
    assert_eq!(sim.stats().requests, 0);
    site.push(&sim, &["run", "fleet.csv", "--expect-rows", "9-11"])
        .expect(0);
}

#[test]
fn the_expected_rows_are_looked_at_however_far_the_push_has_come() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(10));
    let push = |flags: &[&str]| site.push(&sim, &[&["run", "fleet.csv"], flags].concat());
    push(&[]).expect(0);
    let requests = sim.stats().requests;
    push(&["--expect-rows", "11"]).expect(2).says(&[
        "fleet.csv",
        "10 rows",
        "--expect-rows wants 11",
    ]);
    push(&["--expect-rows", "10"]).expect(0);
    site.run(&["prune", "--keep", "0"]).expect(0);
    push(&["--expect-rows", "11"]).expect(2).says(&[
        "fleet.csv",
        "10 rows",
        "--expect-rows wants 11",
    ]);
    push(&["--expect-rows", "10"]).expect(0);
    assert_eq!(sim.stats().requests, requests, "nothing goes out");
}

#[test]
fn a_manifest_comes_from_stdin_or_compressed() {
    let sim = Sim::healthy();
    let site = Site::new();
    let text = devices(20);
    let nameless = site.push_command(&sim, &["run", "-"]);
    piped(&site, nameless, &text).expect(2).says(&["--name"]);
    let named = site.push_command(&sim, &["run", "-", "--name", "piped"]);
    piped(&site, named, &text).expect(0);
    assert_eq!(sim.deliveries().len(), 20);

    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(text.as_bytes()).unwrap();
    let gz = gz.finish().unwrap();
    site.write("fleet.csv.gz", &gz);
    site.write(
        "fleet.csv.zst",
        zstd::encode_all(text.as_bytes(), 1).unwrap(),
    );
    // The same rows are the same push, however they are packed.
    for name in ["fleet.csv.gz", "fleet.csv.zst"] {
        site.push(&sim, &["run", name]).expect(0);
    }
    assert_eq!(sim.deliveries().len(), 20);
    site.write("cut.csv.gz", &gz[..gz.len() - 9]);
    site.push(&sim, &["run", "cut.csv.gz"])
        .expect(2)
        .says(&["cut.csv.gz"]);
    assert_eq!(site.journal().runs.len(), 1);
}

#[test]
fn a_list_of_keys_is_a_manifest() {
    let sim = Sim::healthy();
    let site = Site::with("device_key\n00042\nDK-ä\n");
    site.push(
        &sim,
        &[
            "run",
            "fleet.csv",
            "--product-key",
            "PK0001",
            "--service",
            "fuwu",
            "--param",
            "raw1=AA",
        ],
    )
    .expect(0);
    let sent: Vec<_> = sim
        .deliveries()
        .into_iter()
        .map(|one| (one.product_key, one.device_key, one.data))
        .collect();
    let expected = ["00042", "DK-ä"].map(|key| ("PK0001".into(), key.into(), DATA.into()));
    assert_eq!(sent, expected);
    agree(&site.journal(), &sim);
}

#[test]
fn the_body_of_an_api_request_is_a_line() {
    let sim = Sim::healthy();
    let site = Site::new();
    let body = serde_json::json!({
        "isCache": true, "data": DATA, "qos": 1, "devices": ["DK00001", "DK00002"],
        "productKey": "PK0001", "isCover": true, "cacheTime": 360,
    });
    site.write("fleet.jsonl", body.to_string());
    site.push(&sim, &["run", "fleet.jsonl"]).expect(0);
    agree(&site.journal(), &sim);
    let sent = sim.deliveries();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].data, DATA, "a wire string goes out unchanged");
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
