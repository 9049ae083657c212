//! `diff`: what has changed from one run to the next, and what fails every time.

use std::{collections::BTreeSet, fmt::Write as _};

use fleetpush::simulator::Scenario;
use serde_json::Value;

use crate::support::{Sim, Site, agree};

/// A manifest of these devices; every other one is in Oslo.
fn fleet(devices: impl IntoIterator<Item = u32>) -> String {
    let mut text = String::from("device_key,product_key,service,param.raw1,site\n");
    for n in devices {
        let site = ["Oslo", "Bergen"][n as usize % 2];
        writeln!(text, "DK{n:03},PK0001,fuwu,AA,{site}").expect("text takes text");
    }
    text
}

/// Two nights of one manifest path: other devices are offline in each, and the second lacks ten devices and has ten more.
fn nights() -> (Site, Sim) {
    let sim = Sim::start(night(1));
    let site = Site::with(&fleet(1..=100));
    site.push(&sim, &["run", "fleet.csv", "--name", "monday"])
        .expect(1);
    sim.play(night(2));
    site.write("fleet.csv", fleet(11..=110));
    site.push(&sim, &["run", "fleet.csv", "--name", "tuesday"])
        .expect(1);
    (site, sim)
}

fn night(seed: u64) -> Scenario {
    Scenario {
        seed,
        offline: 0.3,
        ..Scenario::default()
    }
}

fn keys(rows: &[Value], passes: impl Fn(&Value) -> bool) -> BTreeSet<String> {
    rows.iter()
        .filter(|row| passes(row))
        .map(|row| row["device_key"].as_str().expect("a key").to_owned())
        .collect()
}

fn of_run(site: &Site, run: &str, state: &str) -> BTreeSet<String> {
    let rows = site
        .run(&["results", run, "--state", state, "--format", "jsonl"])
        .expect(0)
        .json_lines();
    keys(&rows, |_| true)
}

fn list(site: &Site, flags: &[&str]) -> Vec<Value> {
    let args = [&["diff", "--list", "--format", "jsonl"], flags].concat();
    site.run(&args).expect(0).json_lines()
}

#[test]
fn what_changed_is_told_by_change_and_code_and_label() {
    let (site, sim) = nights();
    let shown = |flags: &[&str]| {
        let ended = site.run(&[&["diff"], flags].concat()).expect(0);
        format!("{}{}", ended.stdout, ended.stderr)
    };
    insta::assert_snapshot!(
        [
            shown(&[]),
            shown(&[
                "--by",
                "label.site,class",
                "--only",
                "newly_failing,recovered"
            ]),
            shown(&[
                "monday",
                "tuesday",
                "--label",
                "site=Oslo",
                "--by",
                "state",
                "--format",
                "csv"
            ]),
            shown(&["--list", "--limit", "3"]),
        ]
        .join("\n")
    );
    let (old_failed, new_failed) = (
        of_run(&site, "monday", "failed"),
        of_run(&site, "tuesday", "failed"),
    );
    let (old_good, new_good) = (
        of_run(&site, "monday", "accepted"),
        of_run(&site, "tuesday", "accepted"),
    );
    let rows = list(&site, &[]);
    let told = |change: &str| keys(&rows, |row| row["change"] == change);
    assert_eq!(told("newly_failing"), &new_failed & &old_good);
    assert_eq!(told("still_failing"), &new_failed & &old_failed);
    assert_eq!(told("recovered"), &new_good & &old_failed);
    let both = |a: &BTreeSet<String>, b: &BTreeSet<String>| a | b;
    let (old, new) = (both(&old_failed, &old_good), both(&new_failed, &new_good));
    assert_eq!(told("new"), &new - &old);
    assert_eq!(told("gone"), &old - &new);
    assert_eq!(keys(&rows, |_| true).len(), rows.len(), "each device once");
    let oslo = list(&site, &["--label", "site=Oslo"]);
    assert_eq!(
        keys(&oslo, |_| true),
        keys(&rows, |row| row["labels"]["site"] == "Oslo")
    );
    agree(&site.journal(), &sim);
}

#[test]
fn what_fails_every_night_is_listed_and_becomes_a_manifest() {
    let (site, sim) = nights();
    sim.play(night(3));
    site.push(
        &sim,
        &["run", "fleet.csv", "--name", "wednesday", "--again"],
    )
    .expect(1);
    let always = &(&of_run(&site, "monday", "failed") & &of_run(&site, "tuesday", "failed"))
        & &of_run(&site, "wednesday", "failed");
    assert!(!always.is_empty());
    let rows = site
        .run(&["diff", "--last", "3", "--format", "jsonl"])
        .expect(0);
    assert_eq!(keys(&rows.json_lines(), |_| true), always);
    assert!(
        rows.stderr
            .contains("failed in each of the runs 'monday', 'tuesday', 'wednesday'"),
        "{}",
        rows.stderr
    );
    site.run(&["diff", "--last", "9"]).expect(2).says(&[
        "3 runs of the manifest fleet.csv",
        "monday, tuesday, wednesday",
    ]);

    site.run(&[
        "diff",
        "--last",
        "3",
        "--as-manifest",
        "--out",
        "always.jsonl",
    ])
    .expect(0);
    sim.play(Scenario::default());
    let before = sim.deliveries().len();
    site.push(&sim, &["run", "always.jsonl"]).expect(0);
    let sent: BTreeSet<String> = sim.deliveries()[before..]
        .iter()
        .map(|delivery| delivery.device_key.clone())
        .collect();
    assert_eq!(sent, always);
}

#[test]
fn a_device_with_several_commands_goes_into_the_manifest_with_all_that_failed() {
    let sim = Sim::start(Scenario::default());
    let two =
        "device_key,product_key,service,param.raw1\nDK1,PK,fuwu,A\nDK1,PK,fuwu,B\nDK2,PK,fuwu,A\n";
    let site = Site::with(two);
    site.push(&sim, &["run", "fleet.csv", "--name", "monday"])
        .expect(0);
    sim.play(Scenario {
        offline: 1.0,
        ..Scenario::default()
    });
    site.push(&sim, &["run", "fleet.csv", "--name", "tuesday", "--again"])
        .expect(1);
    let rows = list(&site, &[]);
    assert_eq!(rows.len(), 2);
    let csv = site
        .run(&["diff", "--as-manifest", "--format", "csv"])
        .expect(0)
        .stdout;
    assert_eq!(csv.lines().count(), 4, "{csv}");
    let args = [
        "diff",
        "--as-manifest",
        "--format",
        "csv",
        "--only",
        "recovered",
    ];
    site.run(&args)
        .expect(2)
        .says(&["no device is left for a manifest"]);
}

#[test]
fn a_run_that_cannot_be_compared_is_told_with_those_that_can() {
    let (site, _sim) = nights();
    for (args, words) in [
        (&["monday", "monday"][..], "both names are of run 'monday'"),
        (
            &["monday"],
            "1 run of the manifest fleet.csv cannot be compared: monday",
        ),
        (&["mondy", "tuesday"], "did you mean 'monday'"),
        (
            &["--by", "label.sit"],
            "has a label 'sit'; did you mean site?",
        ),
        (
            &["--by", "cod"],
            "--by: nothing is called 'cod'; did you mean code; count by code, class",
        ),
        (
            &["monday", "tuesday", "--last", "2"],
            "--last takes one run",
        ),
    ] {
        site.run(&[&["diff"], args].concat())
            .expect(2)
            .says(&[words]);
    }
}

#[test]
fn runs_are_of_one_manifest_however_its_path_is_typed() {
    let sim = Sim::start(night(1));
    let site = Site::with(&fleet(1..=30));
    std::fs::create_dir(site.path("lab")).expect("a folder");
    let absolute = site.path("fleet.csv");
    let absolute = absolute.to_str().expect("text");
    let paths = ["fleet.csv", "lab/fleet.csv", "./fleet.csv", absolute];
    for (n, path) in paths.into_iter().enumerate() {
        site.write("lab/fleet.csv", fleet(40..=50));
        let name = format!("run{n}");
        site.push(&sim, &["run", path, "--name", &name, "--again"])
            .expect(1);
    }
    site.run(&["diff"])
        .expect(0)
        .says(&["from 'run2' to 'run3': "]);
    site.run(&["diff", "run2"])
        .expect(0)
        .says(&["from 'run0' to 'run2': "]);
    site.run(&["diff", "run1"])
        .expect(2)
        .says(&["1 run of the manifest lab/fleet.csv cannot be compared"]);
    site.run(&["report", "--out", "page.html"]).expect(0);
    let page = std::fs::read_to_string(site.path("page.html")).expect("a page");
    assert!(page.contains("<h2>Since run2</h2>"));
}

/// Keys are unique within a product alone.
#[test]
fn devices_of_two_products_with_one_key_are_two() {
    let sim = Sim::start(Scenario::default());
    let site = Site::new();
    let both = |value: &str| {
        let mut text = String::from("device_key,product_key,service,param.raw1\n");
        for n in 1..=3 {
            writeln!(text, "DK{n},PK1,fuwu,{value}\nDK{n},PK2,fuwu,{value}")
                .expect("text takes text");
        }
        text
    };
    let night = |name: &str, failing: &str, manifest: &str| {
        sim.play(Scenario {
            offline: 1.0,
            failing_products: vec![failing.to_owned()],
            ..Scenario::default()
        });
        site.write("fleet.csv", manifest);
        site.push(&sim, &["run", "fleet.csv", "--name", name])
            .expect(1);
    };
    // First PK2 fails, then PK1 does, and one device is there for PK1 alone.
    night("monday", "PK2", &both("AA"));
    night(
        "tuesday",
        "PK1",
        &(both("BB") + "DK4,PK1,fuwu,BB\n").replace("DK3,PK2,fuwu,BB\n", ""),
    );
    let told: BTreeSet<(String, String, String)> = list(&site, &[])
        .iter()
        .map(|row| {
            let text = |name: &str| row[name].as_str().expect("text").to_owned();
            (text("change"), text("product_key"), text("device_key"))
        })
        .collect();
    let expected = [
        ("gone", "PK2", "DK3"),
        ("new", "PK1", "DK4"),
        ("newly_failing", "PK1", "DK1"),
        ("newly_failing", "PK1", "DK2"),
        ("newly_failing", "PK1", "DK3"),
        ("recovered", "PK2", "DK1"),
        ("recovered", "PK2", "DK2"),
    ];
    let expected = expected.map(|(change, product, device)| {
        (change.to_owned(), product.to_owned(), device.to_owned())
    });
    assert_eq!(told, expected.into());
    site.run(&["diff", "--last", "2", "--format", "csv"])
        .expect(0)
        .says(&["0 devices failed in each of the runs"]);
    // The manifest has the devices that changed, and not their namesakes.
    let manifest = |change: &str| -> BTreeSet<String> {
        let args = ["diff", "--only", change, "--as-manifest"];
        let lines = site.run(&args).expect(0).json_lines();
        lines
            .iter()
            .map(|row| format!("{} {}", row["product_key"], row["device_key"]))
            .collect()
    };
    assert_eq!(
        manifest("recovered"),
        ["\"PK2\" \"DK1\"", "\"PK2\" \"DK2\""]
            .map(str::to_owned)
            .into()
    );
    assert_eq!(manifest("gone"), ["\"PK2\" \"DK3\"".to_owned()].into());
}
