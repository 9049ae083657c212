//! The fleet as the platform lists it: as a manifest.

mod beside_a_manifest;

use std::{collections::BTreeSet, fmt::Write as _};

use fleetpush::simulator::{Inventory, ListedDevice, Outage, Scenario};
use rustix::process::Signal;

use crate::support::{Ended, Push, Sim, Site, agree, devices, wait_for};

/// A device of PK0001, or what is changed in it.
fn device(key: &str) -> ListedDevice {
    ListedDevice {
        device_key: key.to_owned(),
        device_name: format!("Room {key}"),
        sn: format!("SN-{key}"),
        ..ListedDevice::default()
    }
}

/// `DK00001` and so on.
fn fleet(count: usize) -> Vec<ListedDevice> {
    (1..=count)
        .map(|number| device(&format!("DK{number:05}")))
        .collect()
}

fn scenario(inventory: Inventory) -> Scenario {
    Scenario {
        inventory,
        ..Scenario::default()
    }
}

fn listing(devices: Vec<ListedDevice>) -> Sim {
    Sim::start(scenario(Inventory {
        devices: Some(devices),
        ..Inventory::default()
    }))
}

/// `inventory` of this simulator, as fast as it answers.
fn inventory(site: &Site, sim: &Sim, args: &[&str]) -> Ended {
    let all = [
        &["inventory"][..],
        args,
        &["--base-url", sim.base_url(), "--rate", "unlimited"],
    ]
    .concat();
    site.run(&all)
}

/// The device keys of a CSV manifest, in its order.
fn keys(csv: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let rows = reader
        .records()
        .map(|row| row.expect("a row")[0].to_owned());
    rows.collect()
}

#[test]
fn the_device_list_is_a_manifest_once_a_service_is_added() {
    let mut listed = fleet(250);
    listed[1].online = false;
    listed[1].seen_ms_ago = None;
    "Hall \"3\", north".clone_into(&mut listed[2].device_name);
    let sim = listing(listed);
    let site = Site::new();
    let told = inventory(&site, &sim, &["PK0001", "--out", "fleet.csv"])
        .expect(0)
        .says(&[
            "250 devices, all written",
            "fleetpush check fleet.csv --service",
        ]);
    assert_eq!(told.stdout, "");
    let csv = std::fs::read_to_string(site.path("fleet.csv")).expect("a file");
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(
        lines[0],
        "device_key,product_key,label.device_name,label.sn,label.online,label.last_online"
    );
    assert!(lines[1].starts_with("DK00001,PK0001,Room DK00001,SN-DK00001,true,20"));
    assert_eq!(lines[2], "DK00002,PK0001,Room DK00002,SN-DK00002,false,");
    assert_eq!(keys(&csv).len(), 250);
    // Pages of 100, the last of them with nothing new.
    assert_eq!(sim.stats().device_lists, 4);

    let service = ["--service", "setMode", "--param", "mode=1"];
    site.run(&[&["check", "fleet.csv"][..], &service].concat())
        .expect(0);
    site.push(
        &sim,
        &[&["run", "fleet.csv", "--inventory"][..], &service].concat(),
    )
    .expect(0);
    agree(&site.journal(), &sim);
    let shown = site.run(&["results", "--device", "DK00003", "--format", "json"]);
    assert!(shown.stdout.contains("Hall"), "{}", shown.stdout);

    // The same in JSONL, on stdout.
    let told = inventory(&site, &sim, &["PK0001", "--format", "jsonl"]).expect(0);
    let rows = told.json_lines();
    assert_eq!(rows.len(), 250);
    assert_eq!(rows[2]["labels"]["device_name"], "Hall \"3\", north");
    assert_eq!(rows[1]["labels"]["online"], "false");
    assert!(rows[1]["labels"].get("last_online").is_none());
    site.write("fleet.jsonl", told.stdout);
    site.run(&[&["check", "fleet.jsonl"][..], &service].concat())
        .expect(0);
}

#[test]
fn filters_choose_by_what_the_platform_says() {
    const DAY: i64 = 24 * 60 * 60 * 1000;
    let mut listed = fleet(5);
    listed[1].online = false;
    listed[1].seen_ms_ago = Some(2 * DAY);
    listed[2].online = false;
    listed[2].seen_ms_ago = Some(8 * DAY);
    listed[3].online = false;
    listed[3].activated = false;
    listed[3].seen_ms_ago = None;
    let sim = listing(listed);
    let site = Site::new();
    for (filters, expected) in [
        (&["--online"][..], &["DK00001", "DK00005"][..]),
        (&["--offline"], &["DK00002", "DK00003", "DK00004"]),
        (&["--active", "--offline"], &["DK00002", "DK00003"]),
        (&["--seen-within", "7d"], &["DK00001", "DK00002", "DK00005"]),
        (
            &["--seen-within", "9d", "--offline"],
            &["DK00002", "DK00003"],
        ),
    ] {
        let told = inventory(&site, &sim, &[&["PK0001"], filters].concat()).expect(0);
        assert_eq!(keys(&told.stdout), expected, "{filters:?}");
    }
    inventory(&site, &sim, &["PK0001", "--online", "--offline"]).expect(2);
    let none = inventory(&site, &sim, &["PK0001", "--offline", "--seen-within", "1h"]);
    let none = none.expect(0).says(&["no device was written"]);
    assert_eq!(none.stdout.lines().count(), 1);
}

#[test]
fn pages_that_shift_lose_nothing_and_double_nothing() {
    // Each of the first pages is cut from another list: devices slip to pages that have been read, and others come twice.
    let sim = Sim::start(scenario(Inventory {
        devices: Some(fleet(450)),
        changes: 4,
        duplicates: 0.5,
        ..Inventory::default()
    }));
    let site = Site::new();
    let told = inventory(&site, &sim, &["PK0001"]).expect(0);
    let found = keys(&told.stdout);
    let once: BTreeSet<&String> = found.iter().collect();
    assert_eq!(once.len(), found.len(), "a device comes twice");
    // The first two were deleted meanwhile, and two came.
    for number in 3..=450 {
        let key = format!("DK{number:05}");
        assert!(once.contains(&key), "{key} is missing");
    }
    assert_eq!(found.len(), 450);
    assert!(sim.stats().device_lists > 10, "it was read once only");
}

#[test]
fn a_list_that_never_holds_still_is_written_and_told() {
    let sim = Sim::start(scenario(Inventory {
        devices: Some(fleet(450)),
        changes: 1_000_000,
        ..Inventory::default()
    }));
    let site = Site::new();
    let told = inventory(&site, &sim, &["PK0001"])
        .expect(1)
        .says(&["changed during each of 5 readings; devices may be missing"]);
    // What any reading has met is kept, once: what is missing has slipped by five times.
    let found = keys(&told.stdout);
    let once: BTreeSet<&String> = found.iter().collect();
    assert_eq!(once.len(), found.len());
    let missing = (50..=450).filter(|number| !once.contains(&format!("DK{number:05}")));
    assert!(missing.count() < 10);
}

#[test]
fn what_the_platform_says_of_its_own_list_is_compared() {
    let sim = Sim::start(scenario(Inventory {
        devices: Some(fleet(120)),
        total_off: 3,
        foreign: 2,
        ..Inventory::default()
    }));
    let site = Site::new();
    let told = inventory(&site, &sim, &["PK0001"]).expect(0).says(&[
        "lists 122 devices and says that there are 125; two readings agree",
        "2 devices in its device list belong to another product",
    ]);
    assert_eq!(keys(&told.stdout).len(), 120);
}

#[test]
fn limits_are_waited_for_and_a_refusal_has_its_exit_code() {
    let sim = Sim::start(scenario(Inventory {
        devices: Some(fleet(3)),
        refusals: 1,
        refusal_code: 61007,
        ..Inventory::default()
    }));
    let site = Site::new();
    let told = inventory(&site, &sim, &["PK0001"])
        .expect(0)
        .says(&["61007", "asking again"]);
    assert_eq!(keys(&told.stdout).len(), 3);

    site.write("old.csv", "keep me");
    inventory(&site, &sim, &["PK0001", "PK7", "--out", "old.csv"])
        .expect(2)
        .says(&[
            "not return the device list of product PK7",
            "70017",
            "fleetpush doctor",
        ]);
    let kept = std::fs::read_to_string(site.path("old.csv")).expect("a file");
    assert_eq!(kept, "keep me");

    sim.play(Scenario {
        outage: Outage::Unavailable,
        ..Scenario::default()
    });
    inventory(&site, &sim, &["PK0001", "--max-outage", "1ms"])
        .expect(3)
        .says(&["503", "run the same command again"]);
    sim.play(Scenario {
        access_key: Some("another".to_owned()),
        ..Scenario::default()
    });
    inventory(&site, &sim, &["PK0001"]).expect(5);
    inventory(&site, &sim, &[]).expect(2).says(&["PRODUCT"]);
}

#[test]
fn the_samples_are_in_the_fleet_of_the_simulator() {
    let site = Site::new();
    for sample in ["fleet.csv", "troubled.csv", "nested.jsonl"] {
        let path = format!("{}/samples/{sample}", env!("CARGO_MANIFEST_DIR"));
        site.run(&["check", &path, "--inventory", "--simulate"])
            .expect(0);
    }
}

#[test]
fn doctor_names_the_products_that_the_account_sees() {
    let sim = Sim::healthy();
    let site = Site::new();
    let doctor = || site.run(&["doctor", "--base-url", sim.base_url()]);
    let line = |ended: &Ended| {
        let found = ended
            .stdout
            .lines()
            .find(|line| line.contains(" products "));
        found.expect("a line for the products").to_owned()
    };
    let told = line(&doctor().expect(0));
    assert!(
        told.starts_with("ok ") && told.contains("PK0001 (Product PK0001)"),
        "{told}"
    );
    sim.play(Scenario {
        refused_products: vec!["PK0002".to_owned()],
        ..Scenario::default()
    });
    assert!(line(&doctor().expect(0)).contains("80005"));
    sim.play(scenario(Inventory {
        devices: Some(Vec::new()),
        ..Inventory::default()
    }));
    let none = doctor().expect(0);
    assert!(line(&none).starts_with("warn"), "{}", none.stdout);
    assert!(none.stdout.contains("authorise this account"));
}

#[test]
fn a_signal_while_the_list_is_read_says_what_was_left_and_what_to_do() {
    // No question is ever answered, and each is asked again.
    let sim = Sim::start(scenario(Inventory {
        refusals: 1_000_000,
        ..Inventory::default()
    }));
    let site = Site::with("device_key,product_key,service\nDK00001,PK0001,fuwu\n");
    site.write("old.csv", "as it was");
    let base_url = ["--base-url", sim.base_url()];
    for (args, words) in [
        (
            &["inventory", "PK0001", "--out", "old.csv"][..],
            "nothing has been written or sent; run the same command again",
        ),
        (
            &["run", "fleet.csv", "--inventory"],
            "stopped before anything was staged; nothing has been sent",
        ),
    ] {
        let before = sim.stats().device_lists;
        let command = Push::start(site.command(&[args, &base_url].concat()));
        wait_for("a question", || {
            (sim.stats().device_lists > before).then_some(())
        });
        command.signal(Signal::INT);
        command.ended().expect(3).says(&[words]);
    }
    assert_eq!(
        std::fs::read_to_string(site.path("old.csv")).unwrap(),
        "as it was"
    );
    assert_eq!(sim.stats().deliveries, 0);
}
