//! `run --skip-unchanged`: what a device has accepted last is not sent to it again, and what is not known for sure is.

mod afterwards;

use std::fmt::Write as _;

use fleetpush::simulator::{Fault, Scenario};

use crate::support::{Push, Sim, Site, agree, clock_at, push_at};

/// A manifest of the devices with these numbers, each with a mode.
fn modes(rows: &[(usize, &str)]) -> String {
    let mut text = String::from("device_key,product_key,service,param.mode\n");
    for (number, mode) in rows {
        writeln!(text, "DK{number:05},PK0001,setMode,{mode}").expect("a string takes all");
    }
    text
}

/// Devices 1 to 40, all in one mode but these.
fn fleet(others: &[(usize, &'static str)]) -> Vec<(usize, &'static str)> {
    (1..=40)
        .map(|number| {
            let other = others.iter().find(|(other, _)| *other == number);
            (number, other.map_or("eco", |(_, mode)| *mode))
        })
        .collect()
}

/// A field of the results of a run with these filters, in the order of its lines.
fn results(site: &Site, run: &str, filter: &[&str], field: &str) -> Vec<serde_json::Value> {
    let args = [&["results", run, "--format", "jsonl"], filter].concat();
    let mut rows = site.run(&args).expect(0).json_lines();
    rows.sort_by_key(|row| row["line"].as_u64());
    rows.into_iter().map(|mut row| row[field].take()).collect()
}

/// The lines of a run's tasks that were skipped as unchanged.
fn unchanged(site: &Site, run: &str) -> Vec<serde_json::Value> {
    results(
        site,
        run,
        &["--class", "unchanged", "--state", "skipped"],
        "line",
    )
}

#[test]
fn a_nightly_push_of_the_whole_fleet_sends_what_differs() {
    let sim = Sim::healthy();
    let site = Site::with(&modes(&fleet(&[])));
    let skip = |name: &str, flags: &[&str]| {
        let args = [
            &["run", "fleet.csv", "--skip-unchanged", "--name", name],
            flags,
        ]
        .concat();
        site.push(&sim, &args)
    };
    // There is no database yet, and nothing to compare with.
    skip("first", &[]).expect(0).says(&["0 unchanged"]);
    assert_eq!(sim.stats().requests, 1);

    site.write("fleet.csv", modes(&fleet(&[(7, "boost"), (8, "boost")])));
    let checked = site
        .push(
            &sim,
            &["check", "fleet.csv", "--skip-unchanged", "--name", "second"],
        )
        .expect(0);
    assert!(
        checked
            .stdout
            .contains("unchanged 38 (the device accepted the same payload last)"),
        "{}",
        checked.stdout
    );
    assert!(
        checked.stdout.contains("devices   2\n"),
        "{}",
        checked.stdout
    );
    skip("second", &[]).expect(0).says(&[
        "40 tasks, 0 of them duplicates, 38 unchanged, 0 invalid",
        "unchanged",
    ]);
    assert_eq!(sim.stats().requests, 2);
    agree(&site.journal(), &sim);
    assert_eq!(unchanged(&site, "second").len(), 38);
    let status = site.run(&["status", "second"]).expect(0).stdout;
    assert!(status.contains("unchanged"), "{status}");

    // Back to eco: those two differ now, and of the others a push that skipped them is the latest word.
    site.write("fleet.csv", modes(&fleet(&[(40, "off")])));
    skip("third", &["--qos", "2"])
        .expect(0)
        .says(&["0 unchanged"]);
    site.write("fleet.csv", modes(&fleet(&[(40, "boost")])));
    skip("fourth", &["--qos", "2"])
        .expect(0)
        .says(&["39 unchanged"]);
    site.write("fleet.csv", modes(&fleet(&[(40, "off")])));
    let nothing = skip("fifth", &["--qos", "2", "--product-key", "PK0001"]);
    nothing.expect(0).says(&["39 unchanged"]);
    agree(&site.journal(), &sim);

    // All of it: nothing is sent, and the run is complete.
    let requests = sim.stats().requests;
    site.write(
        "again.csv",
        modes(&fleet(&[(40, "off")])).replace('\n', "\r\n"),
    );
    site.push(
        &sim,
        &[
            "run",
            "again.csv",
            "--skip-unchanged",
            "--qos",
            "2",
            "--name",
            "sixth",
        ],
    )
    .expect(0)
    .says(&["40 unchanged"]);
    assert_eq!(sim.stats().requests, requests);
    agree(&site.journal(), &sim);
}

#[test]
fn several_rows_of_a_device_are_each_compared_with_what_stands_before() {
    let sim = Sim::healthy();
    let site = Site::with(&modes(&[(1, "eco"), (2, "eco"), (3, "eco"), (4, "eco")]));
    site.push(&sim, &["run", "fleet.csv", "--name", "first"])
        .expect(0);
    site.write(
        "fleet.csv",
        modes(&[
            (1, "eco"),   // line 2: unchanged
            (1, "boost"), // 3
            (1, "eco"),   // 4
            (2, "boost"), // 5
            (2, "eco"),   // 6: after line 5 it is a change
            (3, "eco"),   // 7: unchanged
            (3, "eco"),   // 8: a duplicate
            (3, "off"),   // 9
            (4, "eco"),   // 10: unchanged
        ]),
    );
    site.push(
        &sim,
        &["run", "fleet.csv", "--skip-unchanged", "--name", "second"],
    )
    .expect(0)
    .says(&["9 tasks, 1 of them duplicates, 3 unchanged, 0 invalid"]);
    agree(&site.journal(), &sim);
    assert_eq!(unchanged(&site, "second"), [2, 7, 10]);
    let accepted = results(&site, "second", &["--state", "accepted"], "line");
    assert_eq!(accepted, [3, 4, 5, 6, 9]);
}

#[test]
fn what_may_have_reached_a_device_since_speaks_against_it() {
    let sim = Sim::healthy();
    let site = Site::with(&modes(&fleet(&[])));
    site.push(&sim, &["run", "fleet.csv", "--name", "first"])
        .expect(0);
    // Replies are lost: who knows what these devices have got.
    sim.play(Scenario {
        faults: [(Fault::ResetAfter, 1.0)].into(),
        ..Scenario::default()
    });
    site.write("boost.csv", modes(&[(5, "boost"), (6, "boost")]));
    site.push(
        &sim,
        &["run", "boost.csv", "--in-doubt", "hold", "--name", "lost"],
    )
    .expect(1);
    sim.play(Scenario::default());
    // Unsent as yet, and some day to be sent.
    site.write("later.csv", modes(&[(9, "boost"), (10, "boost")]));
    site.push(
        &sim,
        &[
            "run",
            "later.csv",
            "--canary",
            "1",
            "--canary-pause",
            "--name",
            "later",
        ],
    )
    .expect(3);
    site.push(
        &sim,
        &[
            "run",
            "fleet.csv",
            "--skip-unchanged",
            "--name",
            "second",
            "--again",
        ],
    )
    .expect(0)
    .says(&["36 unchanged"]);
    let sent = results(&site, "second", &["--state", "accepted"], "device_key");
    assert_eq!(sent, ["DK00005", "DK00006", "DK00009", "DK00010"]);
    agree(&site.journal(), &sim);
}

#[test]
fn a_failure_does_not_count_and_pruned_runs_are_remembered() {
    let sim = Sim::healthy();
    let site = Site::with(&modes(&fleet(&[])));
    site.push(&sim, &["run", "fleet.csv", "--name", "first"])
        .expect(0);
    site.run(&["prune", "--keep", "0"]).expect(0);
    site.push(
        &sim,
        &[
            "run",
            "fleet.csv",
            "--skip-unchanged",
            "--again",
            "--name",
            "second",
        ],
    )
    .expect(0)
    .says(&["40 unchanged"]);
    // The device refuses the new mode: it still has the old one.
    sim.play(Scenario {
        outcasts: [("DK00003".to_owned(), 61002)].into(),
        ..Scenario::default()
    });
    site.write("boost.csv", modes(&[(3, "boost"), (4, "boost")]));
    site.push(&sim, &["run", "boost.csv", "--name", "boost"])
        .expect(1);
    sim.play(Scenario::default());
    site.push(
        &sim,
        &[
            "run",
            "fleet.csv",
            "--skip-unchanged",
            "--again",
            "--name",
            "third",
        ],
    )
    .expect(0)
    .says(&["39 unchanged"]);
    let sent = results(&site, "third", &["--state", "accepted"], "device_key");
    assert_eq!(sent, ["DK00004"]);
}

/// By the clock of the first push its run is the last one, and it is not.
#[test]
fn what_a_clock_that_was_ahead_has_stamped_is_not_what_was_accepted_last() {
    let sim = Sim::healthy();
    let site = Site::new();
    let push = |now: &str, name: &str, mode: &str| {
        sim.play(clock_at(now, Scenario::default()));
        site.write("fleet.csv", modes(&[(1, mode), (2, mode)]));
        let args = [
            "run",
            "fleet.csv",
            "--skip-unchanged",
            "--name",
            name,
            "--again",
        ];
        Push::start(push_at(&site, &sim, now, &args))
            .ended()
            .expect(0);
    };
    push("2026-04-28T02:00:00Z", "ahead", "eco");
    push("2026-03-29T02:00:00Z", "second", "boost");
    push("2026-03-29T03:00:00Z", "third", "eco");
    assert!(unchanged(&site, "third").is_empty(), "they have 'boost'");
    assert_eq!(sim.deliveries().len(), 6);
    agree(&site.journal(), &sim);
}
