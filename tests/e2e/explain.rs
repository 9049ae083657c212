//! `explain`: what happened to one device in all runs, and why.

use fleetpush::simulator::{Fault, Scenario};

use crate::support::{Sim, Site, steady};

/// Three devices with serial numbers and sites, of which DK2 gets two commands.
const FLEET: &str = "device_key,product_key,service,param.raw1,sn,site
DK1,PK0001,fuwu,AA,S1,Oslo
DK2,PK0001,fuwu,AA,S2,Bergen
DK2,PK0001,andere,BB,S2,Bergen
DK3,PK0001,fuwu,AA,S3,Oslo
";

/// Two nights: in the first everybody is offline, in the second all accept.
fn nights() -> (Site, Sim) {
    let sim = Sim::start(Scenario {
        offline: 1.0,
        ..Scenario::default()
    });
    let site = Site::with(FLEET);
    site.push(&sim, &["run", "fleet.csv", "--name", "first"])
        .expect(1);
    sim.play(Scenario::default());
    site.push(&sim, &["run", "fleet.csv", "--name", "second", "--again"])
        .expect(0);
    (site, sim)
}

#[test]
fn a_device_is_told_of_through_all_runs() {
    let (site, _sim) = nights();
    let told = site.run(&["explain", "DK2"]).expect(0).stdout;
    insta::assert_snapshot!(steady(&told));
    let by_label = site.run(&["explain", "--label", "sn=S2"]).expect(0).stdout;
    assert_eq!(by_label, told);
    let both = site
        .run(&["explain", "--label", "site=Oslo"])
        .expect(0)
        .stdout;
    assert!(
        both.contains("device DK1 ") && both.contains("device DK3 ") && !both.contains("DK2"),
        "{both}"
    );
    let prefix = site
        .run(&["explain", "DK*", "--state", "failed"])
        .expect(0)
        .stdout;
    assert!(
        prefix.contains("run first") && !prefix.contains("run second"),
        "{prefix}"
    );
}

#[test]
fn a_program_gets_one_object_for_each_device() {
    let (site, _sim) = nights();
    let lines = site
        .run(&["explain", "--label", "site=Oslo", "--format", "json"])
        .expect(0)
        .json_lines();
    assert_eq!(lines.len(), 2);
    let one = &lines[0];
    assert_eq!(one["device_key"], "DK1");
    let states: Vec<_> = one["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| {
            (
                run["name"].as_str().unwrap(),
                run["tasks"][0]["state"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(states, [("first", "failed"), ("second", "accepted")]);
    let first = &one["runs"][0]["tasks"][0];
    assert_eq!(first["attempts"][0]["code"], 61002);
    assert_eq!(first["labels"]["sn"], "S1");
    assert!(first["why"].as_str().unwrap().contains("Device offline"));
}

#[test]
fn the_platforms_history_is_asked_with_live_alone_and_nothing_is_sent() {
    let (site, sim) = nights();
    let requests = sim.stats().requests;
    let told = site
        .run(&["explain", "DK2", "--live", "--base-url", sim.base_url()])
        .expect(0)
        .stdout;
    let history = told
        .split("history of the platform")
        .nth(1)
        .expect("a history");
    assert!(history.contains("2 commands"), "{history}");
    assert_eq!(history.matches(", of run second").count(), 2, "{history}");
    assert_eq!(sim.stats().requests, requests, "no command is sent");
    site.run(&["explain", "DK2", "--live"])
        .expect(2)
        .says(&["--region"]);
}

#[test]
fn each_end_has_the_command_that_sends_again() {
    let sim = Sim::start(Scenario {
        faults: [(Fault::BadGateway, 1.0)].into(),
        ..Scenario::default()
    });
    let site = Site::with(FLEET);
    site.push(
        &sim,
        &["run", "fleet.csv", "--name", "night", "--in-doubt", "hold"],
    )
    .expect(1);
    let next = |key: &str| -> String {
        let told = site.run(&["explain", key]).expect(0).stdout;
        let line = told.lines().last().expect("a line").to_owned();
        line.strip_prefix("to send to it again: fleetpush ")
            .expect("a command")
            .to_owned()
    };
    let doubt = next("DK2");
    assert!(
        doubt.starts_with("retry night --device DK2 --state failed,in_doubt"),
        "{doubt}"
    );
    sim.play(Scenario::default());
    // What it says is what helps: word for word.
    let run = |words: &str| {
        let args: Vec<&str> = words.split(' ').filter(|word| !word.is_empty()).collect();
        let until = args.iter().position(|word| *word == "--db").unwrap();
        site.run(&args[..until]).expect(1);
    };
    run(&doubt);
    let sent = sim.deliveries();
    assert_eq!(sent.len(), 2);
    assert!(sent.iter().all(|delivery| delivery.device_key == "DK2"));
    let accepted = next("DK2");
    assert!(
        accepted.starts_with("results night --device DK2 --as-manifest --out again.jsonl --db"),
        "{accepted}"
    );
    assert!(
        accepted.contains(" && fleetpush run again.jsonl --base-url"),
        "{accepted}"
    );
}

#[test]
fn nobody_is_explained_by_mistake() {
    let (site, _sim) = nights();
    site.run(&["explain", "DK7"])
        .expect(2)
        .says(&["no run has the device DK7", "did you mean DK"]);
    site.run(&["explain", "X*"])
        .expect(2)
        .says(&["no run has a device whose key begins with X"]);
    site.run(&["explain"]).expect(2).says(&["name a device"]);
    site.run(&["explain", "--label", "snn=S1"])
        .expect(2)
        .says(&["has a label 'snn'; did you mean sn?"]);
    site.run(&["explain", "--label", "sn=S9"])
        .expect(2)
        .says(&["no run has a device with sn=S9"]);
}

#[test]
fn a_pruned_run_leaves_what_was_accepted_last() {
    let (site, sim) = nights();
    site.run(&["prune", "--keep", "0"]).expect(0);
    let told = site.run(&["explain", "DK1"]).expect(0).stdout;
    assert!(
        told.contains("run second, pruned") && told.contains("fuwu line 2: accepted"),
        "{told}"
    );
    drop(sim);
}

#[test]
fn the_filter_says_which_commands_are_told_of() {
    let (site, _sim) = nights();
    let tasks = |filter: &[&str]| -> usize {
        let args = [&["explain", "DK2", "--format", "json"], filter].concat();
        let told = site.run(&args).expect(0).json();
        let runs = told["runs"].as_array().expect("runs").iter();
        runs.map(|run| run["tasks"].as_array().expect("tasks").len())
            .sum()
    };
    for (filter, expected) in [
        (&[][..], 4),
        (&["--state", "failed"], 2),
        (&["--state", "accepted"], 2),
        (&["--class", "offline"], 1),
        (&["--class", "offline,blocked"], 2),
        (&["--code", "200-201"], 2),
        (&["--label", "site=Bergen"], 4),
        (&["--product", "PK0001", "--ended-after", "2020-01-01"], 4),
        (&["--attempts", "1-", "--state", "failed"], 1),
    ] {
        assert_eq!(tasks(filter), expected, "{filter:?}");
    }
    // The device is there, and was not sent to as the filter says.
    for filter in [&["--ended-before", "2020-01-01"], &["--product", "NOBODY"]] {
        site.run(&[&["explain", "DK2"], &filter[..]].concat())
            .expect(2)
            .says(&["no task of the device DK2 matches the filter; its latest is in run 'second'"]);
    }
}

#[test]
fn a_device_of_a_list_that_no_run_has_is_told() {
    let (site, _sim) = nights();
    site.write("keys.txt", "DK1\nDK9\n");
    let ended = site
        .run(&["explain", "--devices-from", "keys.txt"])
        .expect(0);
    assert!(ended.stdout.contains("device DK1 "), "{}", ended.stdout);
    assert!(!ended.stdout.contains("DK9"), "{}", ended.stdout);
    ended.says(&["no run has the device DK9"]);
    site.write("keys.txt", "DK8\nDK9\n");
    site.run(&["explain", "--devices-from", "keys.txt"])
        .expect(2)
        .says(&["no run has the device DK8"]);
}
