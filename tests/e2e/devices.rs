//! What is known of devices across runs: their throttles, what they accepted last, and what is older than that.

use std::{collections::BTreeSet, fmt::Write as _};

use fleetpush::simulator::{AtFirst, Scenario};
use rustix::process::Signal;
use sqlx::{ConnectOptions as _, sqlite::SqliteConnectOptions};

use crate::support::{Sim, Site, agree, wait_for};

/// A manifest in which so many devices call a service with this value.
fn manifest(devices: usize, service: &str, value: &str) -> String {
    let mut text = String::from("device_key,product_key,service,param.raw1\n");
    for number in 1..=devices {
        writeln!(text, "DK{number:05},PK0001,{service},{value}").expect("a string takes all");
    }
    text
}

/// The devices of a query over the database.
fn devices_of(site: &Site, sql: &'static str) -> BTreeSet<String> {
    let path = site.path("push.db");
    let rows: Vec<String> = tokio::runtime::Runtime::new()
        .expect("a runtime can be made")
        .block_on(async {
            let mut reader = SqliteConnectOptions::new()
                .filename(path)
                .read_only(true)
                .connect()
                .await?;
            sqlx::query_scalar(sql).fetch_all(&mut reader).await
        })
        .expect("the query answers");
    rows.into_iter().collect()
}

/// A platform at which the quota of some devices is used up, and then no longer.
fn quota_at_first() -> Scenario {
    Scenario {
        seed: 3,
        quota_at_first: AtFirst {
            share: 0.3,
            sends: 1,
        },
        ..Scenario::default()
    }
}

const THROTTLED: &str = "SELECT device_key FROM devices WHERE last_throttle_at IS NOT NULL";

#[test]
fn a_device_that_was_throttled_is_left_alone_by_whatever_comes_next() {
    let sim = Sim::start(quota_at_first());
    let site = Site::with(&manifest(40, "fuwu", "AA"));
    site.write("next.csv", manifest(40, "fuwu", "BB"));
    // No pause is short enough, so that the tasks fail; their devices need it all the same, half a minute long.
    let hasty = ["--max-snooze", "1s", "--abort-if", "never"];
    let first = [&["run", "fleet.csv", "--name", "first"][..], &hasty].concat();
    site.push(&sim, &first).expect(1);
    let throttled = devices_of(&site, THROTTLED);
    assert!((1..40).contains(&throttled.len()), "{throttled:?}");
    assert_eq!(sim.deliveries().len(), 40 - throttled.len());

    let next = ["run", "next.csv", "--name", "next"];
    let retry = ["retry", "first", "--class", "quota", "--allow-stale"];
    for (args, accepted) in [(&next[..], 40 - throttled.len()), (&retry, 0)] {
        let before = sim.deliveries().len();
        let push = site.start(&sim, args);
        let snoozing = "SELECT device_key FROM results WHERE state = 'pending' AND due_at IS NOT NULL \
                        AND run = (SELECT max(run) FROM runs WHERE state = 'running')";
        wait_for("all that may go out", || {
            let waiting = site.path("push.db").exists() && devices_of(&site, snoozing) == throttled;
            (waiting && sim.deliveries().len() == before + accepted).then_some(())
        });
        push.signal(Signal::TERM);
        push.ended().expect(3);
        let met: BTreeSet<String> = sim
            .deliveries()
            .into_iter()
            .skip(before)
            .map(|delivery| delivery.device_key)
            .collect();
        assert_eq!(met.len(), accepted);
        assert!(met.is_disjoint(&throttled), "{args:?}");
        agree(&site.journal(), &sim);
    }
}

/// A database in which the run `old` was stopped before it had sent anything, and `new` has delivered another value to the first half of
/// its devices.
fn overtaken(sim: &Sim) -> Site {
    let site = Site::with(&manifest(20, "fuwu", "old"));
    site.write("new.csv", manifest(10, "fuwu", "new"));
    sim.play(Scenario {
        refuse_status: Some(403),
        ..Scenario::default()
    });
    site.push(sim, &["run", "fleet.csv", "--name", "old"])
        .expect(5);
    sim.play(Scenario::default());
    site.push(sim, &["run", "new.csv", "--name", "new"])
        .expect(0);
    site
}

#[test]
fn what_is_older_than_what_was_delivered_since_needs_a_word() {
    let sim = Sim::healthy();
    let site = overtaken(&sim);
    assert_eq!(sim.deliveries().len(), 10);
    for args in [&["resume", "old"][..], &["run", "fleet.csv"]] {
        site.push(&sim, args).expect(2).says(&[
            "run 'old'",
            "10 devices",
            "DK00001",
            "run 'new'",
            "fleetpush cancel old",
            "--allow-stale",
        ]);
    }
    assert_eq!(sim.deliveries().len(), 10, "nothing has been sent");
    assert_eq!(site.journal().runs[0].pending, 20);
    site.push(&sim, &["resume", "old", "--allow-stale"])
        .expect(0)
        .says(&["warning: run 'old'"]);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.runs[0].accepted, 20);
    let last_run = "SELECT name FROM devices";
    assert_eq!(devices_of(&site, last_run), BTreeSet::from(["old".into()]));
}

#[test]
fn a_run_that_was_overtaken_can_be_cancelled_and_stays_so() {
    let sim = Sim::healthy();
    let site = overtaken(&sim);
    site.run(&["cancel", "old"]).expect(0);
    site.push(&sim, &["resume", "old"]).expect(1);
    assert_eq!(sim.deliveries().len(), 10);
}

#[test]
fn a_retry_leaves_out_what_was_overtaken_and_a_dry_run_says_so() {
    let sim = Sim::start(Scenario {
        offline: 1.0,
        ..Scenario::default()
    });
    let site = Site::with(&manifest(20, "fuwu", "old"));
    site.write("new.csv", manifest(10, "fuwu", "new"));
    site.push(
        &sim,
        &["run", "fleet.csv", "--name", "old", "--abort-if", "never"],
    )
    .expect(1);
    sim.play(Scenario::default());
    site.push(&sim, &["run", "new.csv"]).expect(0);
    let left_out = "10 left out: older than what the device has accepted since, for example of DK00001; --allow-stale";
    site.push(&sim, &["retry", "old", "--dry-run"])
        .expect(0)
        .says(&["run 'old': 10 tasks would be sent again", left_out]);
    assert_eq!(sim.deliveries().len(), 10);
    site.push(&sim, &["retry", "old"])
        .expect(1)
        .says(&["run 'old': 10 tasks sent again", left_out]);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!((journal.runs[0].failed, journal.runs[0].accepted), (10, 10));
    // When nothing else is chosen, nothing is sent and nothing has changed.
    site.push(&sim, &["retry", "old"])
        .expect(1)
        .says(&[left_out, "no task is chosen"]);
    assert_eq!(sim.deliveries().len(), 20);
    site.push(&sim, &["retry", "old", "--allow-stale"])
        .expect(0)
        .says(&["10 of them older than what the device has accepted since"]);
    agree(&site.journal(), &sim);
}

#[test]
fn runs_side_by_side_with_other_services_or_devices_do_not_overtake_each_other() {
    let sim = Sim::healthy();
    let site = Site::with(&manifest(10, "fuwu", "AA"));
    site.write("reboot.csv", manifest(10, "reboot", "1"));
    sim.play(Scenario {
        refuse_status: Some(403),
        ..Scenario::default()
    });
    let old = ["run", "fleet.csv", "--name", "old"];
    let young = ["run", "reboot.csv", "--name", "young"];
    site.push(&sim, &old).expect(5);
    site.push(&sim, &young).expect(5);
    sim.play(Scenario::default());
    site.push(&sim, &old).expect(0);
    // The older one has delivered last, which makes the younger one no older.
    site.push(&sim, &young).expect(0);
    let services = "SELECT service FROM devices WHERE device_key = 'DK00003'";
    let both = BTreeSet::from(["fuwu".to_owned(), "reboot".to_owned()]);
    assert_eq!(devices_of(&site, services), both);
}
