//! The fleet as the platform lists it: as a manifest, and beside one before it is pushed.

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
        .says(&["61007", "asked again"]);
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

/// A fleet in which something is wrong with most devices.
fn troubled() -> Vec<ListedDevice> {
    let mut listed = fleet(5);
    listed[1].online = false;
    listed[2].activated = false;
    listed[2].online = false;
    listed[3].data_format = 0;
    "PK0002".clone_into(&mut listed[4].product_key);
    listed
}

#[test]
fn a_manifest_is_held_against_the_device_list_by_line() {
    let sim = listing(troubled());
    // The sixth is nowhere.
    let site = Site::with(&devices(6));
    for command in ["check", "run"] {
        let told = site
            .push(&sim, &[command, "fleet.csv", "--inventory"])
            .expect(2)
            .says(&[
                "3 rows cannot be sent",
                "line 5, device DK00004: the device's data format is raw",
                "(70063)",
                "line 6, device DK00005: the device belongs to product PK0002 and not to PK0001",
                "line 7, device DK00006: product PK0001 has no such device",
                "--skip-unknown",
                "1 row for a device that is offline now (line 3, device DK00002)",
                "1 row for a device that has never been activated (line 4, device DK00003)",
            ]);
        assert!(!told.stderr.contains("DK00001"), "{}", told.stderr);
    }
    assert_eq!(sim.stats().requests, 0);
    // Without being asked nothing is compared.
    let lists = sim.stats().device_lists;
    site.push(&sim, &["check", "fleet.csv"]).expect(0);
    assert_eq!(sim.stats().device_lists, lists);
    site.run(&["check", "fleet.csv", "--skip-unknown"])
        .expect(2)
        .says(&["--inventory"]);
    site.run(&["check", "fleet.csv", "--inventory"])
        .expect(2)
        .says(&["--region"]);
}

#[test]
fn what_cannot_be_sent_is_recorded_as_invalid_and_the_rest_is_pushed() {
    let sim = listing(troubled());
    // Two devices have a second row.
    let mut manifest = devices(6);
    for key in ["DK00001", "DK00006"] {
        writeln!(manifest, "{key},PK0001,fuwu,BB").expect("a string takes all");
    }
    let site = Site::with(&manifest);
    let flags = ["--inventory", "--skip-unknown"];
    let checked = site
        .push(
            &sim,
            &[&["check", "fleet.csv", "--format", "json"][..], &flags].concat(),
        )
        .expect(0)
        .json();
    assert_eq!(checked["invalid"], 4);
    let expected = serde_json::json!({"unknown": 2, "other_product": 1, "raw": 1, "inactive": 1, "offline": 1});
    assert_eq!(checked["inventory"], expected);

    site.push(&sim, &[&["run", "fleet.csv"][..], &flags].concat())
        .expect(1);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!((journal.run().accepted, journal.run().failed), (4, 4));
    let sent: BTreeSet<String> = sim
        .deliveries()
        .into_iter()
        .map(|delivery| delivery.device_key)
        .collect();
    assert_eq!(
        sent.into_iter().collect::<Vec<_>>(),
        ["DK00001", "DK00002", "DK00003"]
    );
    let shown = site.run(&["results", "--class", "invalid", "--format", "jsonl"]);
    let reasons: Vec<String> = shown
        .json_lines()
        .iter()
        .map(|row| format!("{} {}", row["device_key"], row["message"]))
        .collect();
    assert_eq!(reasons.len(), 4);
    assert!(reasons[0].contains("DK00004") && reasons[0].contains("raw"));
    assert!(reasons[1].contains("DK00005") && reasons[1].contains("PK0002"));
    assert!(reasons[2].contains("DK00006") && reasons[2].contains("no such device"));

    let explained = site.run(&["explain", "DK00006"]).expect(0).stdout;
    assert!(
        explained.contains("no such device") && !explained.contains("retry"),
        "{explained}"
    );

    // The same push again is complete, and asks nothing more.
    let lists = sim.stats().device_lists;
    site.push(&sim, &[&["run", "fleet.csv"][..], &flags].concat())
        .expect(1);
    assert_eq!(sim.stats().device_lists, lists);
}

#[test]
fn a_device_that_the_list_has_missed_is_asked_for_before_it_is_called_unknown() {
    // The list loses its first device with each page, so that none holds still, and hides those behind it.
    let sim = Sim::start(scenario(Inventory {
        devices: Some(fleet(450)),
        changes: 50,
        ..Inventory::default()
    }));
    let mut manifest = String::from("device_key,product_key,service,param.raw1\n");
    for number in 40..=450 {
        writeln!(manifest, "DK{number:05},PK0001,fuwu,AA").expect("a string takes all");
    }
    let site = Site::with(&manifest);
    site.push(&sim, &["check", "fleet.csv", "--inventory"])
        .expect(0);
}

/// A hundred devices are asked for: as many are known to be unknown, and of one more it is not known.
#[test]
fn as_many_as_are_asked_for_one_by_one_are_known_to_be_unknown() {
    let sim = Sim::start(scenario(Inventory {
        devices: Some(fleet(250)),
        changes: 1_000_000,
        ..Inventory::default()
    }));
    for (unknown, code) in [(100, 2), (101, 3)] {
        let mut manifest = String::from("device_key,product_key,service,param.raw1\n");
        for number in 1..=unknown {
            writeln!(manifest, "XX{number:05},PK0001,fuwu,AA").expect("a string takes all");
        }
        let site = Site::with(&manifest);
        site.push(
            &sim,
            &["check", "fleet.csv", "--inventory", "--rate", "unlimited"],
        )
        .expect(code);
    }
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
