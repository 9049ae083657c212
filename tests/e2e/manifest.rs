//! What a manifest may be: its forms, where it comes from, how many rows it has to have, and what is said of a bad one.

use std::{io::Write as _, process::Command};

use crate::support::{DATA, Ended, Push, Sim, Site, agree, devices};

/// Runs a command that reads `input`.
fn piped(site: &Site, mut command: Command, input: &str) -> Ended {
    site.write("input", input);
    let input = std::fs::File::open(site.path("input")).expect("the file is there");
    command.stdin(input);
    Push::start_with_input(command).ended()
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
    push(&["--expect-rows", "11"])
        .expect(2)
        .says(&["fleet.csv", "10 rows", "--expect-rows is 11"]);
    push(&["--expect-rows", "10"]).expect(0);
    site.run(&["prune", "--keep", "0"]).expect(0);
    push(&["--expect-rows", "11"])
        .expect(2)
        .says(&["fleet.csv", "10 rows", "--expect-rows is 11"]);
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
