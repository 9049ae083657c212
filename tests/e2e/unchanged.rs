//! `run --skip-unchanged`: what a device has accepted last is not sent to it again, and what is not known for sure is.

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
            .contains("unchanged 38 (the device has accepted the same last)"),
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

/// A night that all accept, and one in which these differ and are refused.
fn a_night_of_refusals(devices: &[usize], flags: &[&str], code: i32) -> (Site, Sim) {
    let sim = Sim::healthy();
    let site = Site::with(&modes(&fleet(&[])));
    site.push(&sim, &["run", "fleet.csv", "--name", "first"])
        .expect(0);
    sim.play(Scenario {
        outcasts: devices
            .iter()
            .map(|number| (format!("DK{number:05}"), 70130))
            .collect(),
        ..Scenario::default()
    });
    let others: Vec<_> = devices.iter().map(|number| (*number, "boost")).collect();
    site.write("fleet.csv", modes(&fleet(&others)));
    let run = ["run", "fleet.csv", "--skip-unchanged", "--name", "second"];
    let args = [&run[..], flags].concat();
    site.push(&sim, &args).expect(code);
    sim.play(Scenario::default());
    (site, sim)
}

#[test]
fn a_retry_chooses_no_unchanged_task() {
    let (site, sim) = a_night_of_refusals(&[7, 8], &["--abort-if", "never"], 1);
    assert_eq!(unchanged(&site, "second").len(), 38);
    let sent = sim.deliveries().len();
    // Neither by its class nor by its device.
    for filter in [["--class", "unchanged"], ["--device", "DK00005"]] {
        let args = [&["retry", "second"][..], &filter].concat();
        site.push(&sim, &args)
            .expect(2)
            .says(&["no task that has failed or is in doubt"]);
        assert_eq!(sim.deliveries().len(), sent, "{filter:?}");
    }
    site.push(&sim, &["retry", "second", "--class", "rejected"])
        .expect(0);
    let again: Vec<_> = sim.deliveries().split_off(sent);
    let again: Vec<_> = again.iter().map(|one| &*one.device_key).collect();
    assert_eq!(again, ["DK00007", "DK00008"]);
    assert_eq!(unchanged(&site, "second").len(), 38);
    agree(&site.journal(), &sim);
}

/// The younger push found the device as it wants it, and that is its word.
#[test]
fn a_retry_of_an_older_run_does_not_undo_what_a_younger_one_found_unchanged() {
    let (site, sim) = a_night_of_refusals(&[7, 8], &["--abort-if", "never"], 1);
    let other = |name: &str, rows: &[(usize, &str)]| {
        site.write("other.csv", modes(rows));
        site.push(
            &sim,
            &["run", "other.csv", "--skip-unchanged", "--name", name],
        )
        .expect(0)
    };
    other("third", &fleet(&[(8, "off")])).says(&["39 unchanged"]);
    let sent = sim.deliveries().len();
    site.push(&sim, &["retry", "second", "--class", "rejected"])
        .expect(1)
        .says(&["2 left out", "for example of DK00007", "--allow-stale"]);
    assert_eq!(sim.deliveries().len(), sent);
    site.push(
        &sim,
        &["retry", "second", "--class", "rejected", "--allow-stale"],
    )
    .expect(0);
    assert_eq!(sim.deliveries().len(), sent + 2);
    agree(&site.journal(), &sim);
}

#[test]
fn unchanged_tasks_count_neither_for_nor_against_thresholds() {
    let devices: Vec<usize> = (1..=10).collect();
    let one_by_one = |abort_if| {
        [
            "--chunk-size",
            "1",
            "--concurrency",
            "1",
            "--abort-if",
            abort_if,
        ]
    };
    // 2 of 2 that were sent, and not 2 of 32.
    let (site, sim) = a_night_of_refusals(&devices, &one_by_one("failed>50%,min=2"), 4);
    assert_eq!(unchanged(&site, "second").len(), 30);
    let failed = results(&site, "second", &["--state", "failed"], "line");
    assert!(failed.len() < 10, "{failed:?}");
    agree(&site.journal(), &sim);
    // 30 that were not sent do not make up the least number.
    a_night_of_refusals(&devices, &one_by_one("failed>50%,min=11"), 1);
}

#[test]
fn a_canary_is_drawn_from_what_is_sent() {
    let (site, sim) = a_night_of_refusals(&[7, 8, 9, 10], &["--canary", "2"], 4);
    // Both are bad, and no unchanged device makes them look better.
    let failed = results(&site, "second", &["--state", "failed"], "device_key");
    assert_eq!(failed.len(), 2, "{failed:?}");
    let pending = results(&site, "second", &["--state", "pending"], "device_key");
    assert_eq!(pending.len(), 2, "{pending:?}");
    agree(&site.journal(), &sim);
    // Of a fleet that is all unchanged there is none, and nothing to wait for.
    site.write("fleet.csv", modes(&fleet(&[])));
    site.run(&["cancel", "second"]).expect(0);
    let sent = sim.deliveries().len();
    site.push(
        &sim,
        &[
            "run",
            "fleet.csv",
            "--skip-unchanged",
            "--name",
            "third",
            "--again",
            "--canary",
            "50%",
        ],
    )
    .expect(0)
    .says(&["40 unchanged"]);
    assert_eq!(sim.deliveries().len(), sent);
}

#[test]
fn a_revert_takes_nothing_back_from_a_device_that_got_nothing() {
    let sim = Sim::healthy();
    let site = Site::with(&modes(&fleet(&[(5, "off"), (7, "off")])));
    site.push(&sim, &["run", "fleet.csv", "--name", "first"])
        .expect(0);
    site.write("fleet.csv", modes(&fleet(&[(5, "off"), (7, "boost")])));
    site.push(
        &sim,
        &["run", "fleet.csv", "--skip-unchanged", "--name", "second"],
    )
    .expect(0)
    .says(&["39 unchanged"]);
    let back = site
        .run(&[
            "revert",
            "second",
            "--service",
            "setMode",
            "--out",
            "back.jsonl",
            "--left-out",
            "left.csv",
        ])
        .expect(0);
    let text = std::fs::read_to_string(site.path("back.jsonl")).expect("a manifest");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("DK00007") && text.contains("off"), "{text}");
    let left = std::fs::read_to_string(site.path("left.csv")).expect("a list");
    assert_eq!(left.lines().count(), 1, "the header alone: {left}");
    assert!(!back.stderr.contains("left out"), "{}", back.stderr);
    // All of it was unchanged: nothing can be taken back.
    site.push(
        &sim,
        &[
            "run",
            "fleet.csv",
            "--skip-unchanged",
            "--name",
            "third",
            "--again",
        ],
    )
    .expect(0)
    .says(&["40 unchanged"]);
    site.run(&["revert", "third", "--service", "setMode"])
        .expect(2)
        .says(&["nothing of run 'third' can be taken back"]);
}
