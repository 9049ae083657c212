//! What an unchanged task means for a retry, for thresholds, for a canary and for a revert.

use super::*;

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

/// Who failed and then had nothing new to get has what it should have.
#[test]
fn a_device_that_is_unchanged_after_a_failure_has_recovered() {
    let sim = Sim::healthy();
    let site = Site::with(&modes(&fleet(&[])));
    site.push(&sim, &["run", "fleet.csv", "--name", "first"])
        .expect(0);
    sim.play(Scenario {
        offline: 1.0,
        ..Scenario::default()
    });
    site.write("fleet.csv", modes(&[(3, "boost"), (4, "boost")]));
    site.push(&sim, &["run", "fleet.csv", "--name", "second"])
        .expect(1);
    site.write("fleet.csv", modes(&fleet(&[])[..39]));
    let args = ["run", "fleet.csv", "--name", "third", "--skip-unchanged"];
    site.push(&sim, &args).expect(0);
    let changes = site
        .run(&["diff", "second", "third", "--format", "jsonl"])
        .expect(0)
        .json_lines();
    let recovered = changes
        .iter()
        .find(|change| change["change"] == "recovered")
        .expect("some have recovered");
    assert_eq!(recovered["devices"], 2, "{changes:?}");
}
