//! A manifest beside the device list, before it is pushed.

use super::*;

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
