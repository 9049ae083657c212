//! `retry --when-online`: what failed because a device was offline is sent again when the device has come online.

use std::collections::BTreeMap;

use fleetpush::simulator::{Inventory, ListedDevice, Scenario};

use crate::support::{Ended, Sim, Site, agree, devices};

/// A platform on which all devices are offline for commands, and which lists those of these numbers as online.
fn offline(fleet: usize, online: &[usize]) -> Scenario {
    listing(fleet, online, 1.0)
}

fn listing(fleet: usize, online: &[usize], refused: f64) -> Scenario {
    let device = |number| ListedDevice {
        device_key: format!("DK{number:05}"),
        online: online.contains(&number),
        ..ListedDevice::default()
    };
    Scenario {
        seed: 2,
        offline: refused,
        inventory: Inventory {
            devices: Some((1..=fleet).map(device).collect()),
            ..Inventory::default()
        },
        ..Scenario::default()
    }
}

fn retry(site: &Site, sim: &Sim, args: &[&str]) -> Ended {
    site.push(sim, &[&["retry", "--when-online"][..], args].concat())
}

/// How many tasks of each run are in which state.
fn states(site: &Site) -> BTreeMap<(String, String), u64> {
    let asked = "SELECT name, state, count(*) AS n FROM results GROUP BY 1, 2";
    let rows = site.run(&["sql", asked, "--format", "jsonl"]).expect(0);
    rows.json_lines()
        .iter()
        .map(|row| {
            let text = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
            (
                (text("name"), text("state")),
                row["n"].as_u64().unwrap_or(0),
            )
        })
        .collect()
}

fn of(states: &BTreeMap<(String, String), u64>, run: &str, state: &str) -> u64 {
    let key = (run.to_owned(), state.to_owned());
    states.get(&key).copied().unwrap_or(0)
}

#[test]
fn what_failed_offline_is_sent_when_the_device_is_listed_as_online() {
    let sim = Sim::start(offline(6, &[]));
    let site = Site::with(&devices(6));
    site.push(&sim, &["run", "fleet.csv", "--name", "night"])
        .expect(1);
    let requests = sim.stats().requests;
    retry(&site, &sim, &[])
        .expect(0)
        .says(&["nothing to send: no device of 6 tasks that failed offline can be sent to now"]);
    assert_eq!(sim.stats().requests, requests);

    sim.play(listing(6, &[2, 5], 0.0));
    retry(&site, &sim, &["--dry-run"])
        .expect(0)
        .says(&["run 'night': 2 tasks would be sent again"]);
    assert_eq!(sim.stats().requests, requests);
    // The others are still offline, and the run says so.
    retry(&site, &sim, &[]).expect(1);
    let now = states(&site);
    assert_eq!(
        (of(&now, "night", "accepted"), of(&now, "night", "failed")),
        (2, 4)
    );
    retry(&site, &sim, &[]).expect(0).says(&["nothing to send"]);
    let run = site.journal();
    assert_eq!(run.run().state, "complete", "no run stays unfinished");

    sim.play(listing(6, &[1, 2, 3, 4, 5, 6], 0.0));
    // What failed longer ago than this is no news to a device.
    retry(&site, &sim, &["--offline-for", "0s"])
        .expect(0)
        .says(&["no task has failed because its device was offline"]);
    retry(&site, &sim, &["night"]).expect(0);
    assert_eq!(of(&states(&site), "night", "accepted"), 6);
    retry(&site, &sim, &[])
        .expect(0)
        .says(&["no task has failed because its device was offline"]);
    agree(&site.journal(), &sim);
}

#[test]
fn of_several_runs_of_one_manifest_only_the_newest_is_sent_again() {
    let sim = Sim::start(offline(3, &[]));
    let site = Site::with(&devices(3));
    site.write("other.csv", devices(2));
    for (manifest, name) in [
        ("fleet.csv", "monday"),
        ("fleet.csv", "tuesday"),
        ("other.csv", "other"),
    ] {
        let run = ["run", manifest, "--again", "--name", name];
        site.push(&sim, &run).expect(1);
    }
    sim.play(listing(3, &[1, 2, 3], 0.0));
    retry(&site, &sim, &["monday"])
        .expect(0)
        .says(&["run 'monday': a newer run of its manifest has taken its place"]);
    // One that is not complete has pending tasks of its own.
    let lines = devices(5);
    let of_its_own = lines.lines().enumerate().filter(|(n, _)| *n == 0 || *n > 3);
    let of_its_own: Vec<&str> = of_its_own.map(|(_, line)| line).collect();
    site.write("third.csv", of_its_own.join("\n"));
    let third = [
        "run",
        "third.csv",
        "--name",
        "third",
        "--canary",
        "1",
        "--canary-pause",
    ];
    site.push(&sim, &third).expect(3);
    retry(&site, &sim, &[]).expect(0).says(&[
        "run 'third' is stopped and skipped",
        "fleetpush resume third",
    ]);
    retry(&site, &sim, &["third"])
        .expect(0)
        .says(&["run 'third' is stopped", "fleetpush resume third"]);
    let now = states(&site);
    assert_eq!(of(&now, "third", "accepted"), 1);
    assert_eq!(of(&now, "monday", "failed"), 3);
    assert_eq!(of(&now, "tuesday", "accepted"), 3);
    assert_eq!(of(&now, "other", "accepted"), 2);
}

#[test]
fn of_a_large_fleet_the_list_of_the_product_is_read() {
    let sim = Sim::start(offline(150, &[]));
    let site = Site::with(&devices(150));
    site.push(&sim, &["run", "fleet.csv", "--name", "night"])
        .expect(1);
    sim.play(listing(150, &[7, 149], 0.0));
    let asked = sim.stats().device_lists;
    retry(&site, &sim, &[]).expect(1);
    assert_eq!(of(&states(&site), "night", "accepted"), 2);
    assert!(sim.stats().device_lists - asked < 20, "not one by one");
}

#[test]
fn it_goes_with_no_other_filter() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(2));
    site.push_named(&sim, "night").expect(0);
    retry(&site, &sim, &["--class", "quota"]).expect(2);
    site.push(&sim, &["retry", "--offline-for", "2d"]).expect(2);
    retry(&site, &sim, &[]).expect(0);
}
