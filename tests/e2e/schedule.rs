//! `--until`, `--window` and `--repeat-after`: when a push sends, and when it is made anew. The clock on the wall is the test's.

use fleetpush::simulator::{Fault, Scenario};
use rustix::process::Signal;

use crate::support::{Ended, Push, Sim, Site, agree, clock_at, devices, push_at, wait_for};

const WINDOW: &str = "22:00-05:00 Europe/Oslo";

/// A platform that takes its time, so that a fleet of some hundred devices takes longer than a test has.
fn slow() -> Scenario {
    Scenario {
        latency_ms: 100,
        ..Scenario::default()
    }
}

/// A push of one device after the other, two at a time.
const PUSH: [&str; 6] = [
    "run",
    "fleet.csv",
    "--chunk-size",
    "1",
    "--concurrency",
    "2",
];

fn push(site: &Site, sim: &Sim, now: &str, more: &[&str]) -> Ended {
    Push::start(push_at(site, sim, now, &[&PUSH[..], more].concat())).ended()
}

#[test]
fn a_window_that_closes_stops_the_push_and_the_next_night_continues() {
    let evening = "2026-11-23T03:59:57Z";
    let sim = Sim::start(clock_at(evening, slow()));
    let site = Site::with(&devices(300));
    let window = ["--window", WINDOW, "--format", "json"];
    let ended = push(&site, &sim, evening, &window).expect(3).says(&[
        "sends until 2026-11-23 05:00 Europe/Oslo",
        "FLEETPUSH_TEST_NOW is set",
    ]);
    let session = &ended.json()["session"];
    assert_eq!(session["stop"], "deadline");
    assert_eq!(
        session["reason"],
        format!("2026-11-23 05:00 Europe/Oslo, --window {WINDOW}")
    );
    assert_eq!(sim.stats().concurrent, 0, "a request was abandoned");
    let journal = site.journal();
    agree(&journal, &sim);
    let run = journal.run();
    assert_eq!(run.state, "stopped");
    assert!(run.pending > 0, "{run:?}");
    assert_eq!((run.in_flight, run.in_doubt), (0, 0), "{run:?}");
    for attempt in &journal.attempts {
        assert!(
            attempt.sent_at.as_str() < "2026-11-23T04:00:00.000Z",
            "{attempt:?}"
        );
    }

    let next = "2026-11-23T21:00:00Z";
    sim.play(clock_at(next, Scenario::default()));
    push(&site, &sim, next, &window).expect(0);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().accepted, 300);
    assert_eq!(sim.deliveries().len(), 300, "each device once");
}

#[test]
fn outside_its_window_nothing_is_staged_sent_or_changed() {
    let noon = "2026-11-22T12:00:00Z";
    let sim = Sim::start(clock_at(noon, Scenario::default()));
    let site = Site::with(&devices(10));
    let window = ["--window", WINDOW];
    let opens = "it opens at 2026-11-22 22:00 Europe/Oslo";
    push(&site, &sim, noon, &window).expect(3).says(&[opens]);
    assert!(site.journal().runs.is_empty(), "a run was staged");

    // A run that is there stays as it is, whichever command would send.
    sim.play(clock_at(
        noon,
        Scenario {
            rejected: 0.5,
            ..Scenario::default()
        },
    ));
    push(&site, &sim, noon, &["--name", "night"]).expect(1);
    let requests = sim.stats().requests;
    let failed = site.journal().run().failed;
    let command = |args: &[&str]| Push::start(push_at(&site, &sim, noon, args)).ended();
    let retry = ["retry", "night", "--class", "rejected", "--window", WINDOW];
    command(&retry).expect(3).says(&[opens]);
    assert_eq!(site.journal().run().failed, failed, "nothing was reopened");
    // Its exit code still tells how it stands.
    push(&site, &sim, noon, &window).expect(1);
    assert_eq!(sim.stats().requests, requests);

    sim.play(clock_at(
        noon,
        Scenario {
            refuse_status: Some(403),
            ..Scenario::default()
        },
    ));
    push(&site, &sim, noon, &["--again"]).expect(5);
    let requests = sim.stats().requests;
    let resumed = command(&["resume", "--window", WINDOW, "--format", "json"])
        .expect(3)
        .says(&[opens]);
    assert_eq!(resumed.stdout, "", "no push, no summary");
    assert_eq!(sim.stats().requests, requests);
    assert_eq!(site.journal().runs[1].pending, 10);
}

#[test]
fn a_night_in_which_the_clock_is_set_ends_by_that_clock() {
    for (now, window, until) in [
        // The clock jumps from 02:00 to 03:00, past the end.
        (
            "2026-03-29T00:50:00Z",
            "22:00-02:30 Europe/Oslo",
            "2026-03-29 03:00 Europe/Oslo",
        ),
        (
            "2026-03-28T21:00:00Z",
            WINDOW,
            "2026-03-29 05:00 Europe/Oslo",
        ),
        // The clock goes back from 03:00 to 02:00, and shows 02:30 twice.
        (
            "2026-10-25T00:10:00Z",
            "22:00-02:30 Europe/Oslo",
            "2026-10-25 02:30 Europe/Oslo (UTC+02:00)",
        ),
        (
            "2026-10-24T21:00:00Z",
            WINDOW,
            "2026-10-25 05:00 Europe/Oslo",
        ),
    ] {
        let sim = Sim::start(clock_at(now, Scenario::default()));
        let site = Site::with(&devices(1));
        push(&site, &sim, now, &["--window", window])
            .expect(0)
            .says(&[&format!("sends until {until}")]);
    }
}

#[test]
fn an_end_may_be_given_in_every_way_and_the_earlier_one_counts() {
    let now = "2026-11-22T22:00:00Z";
    let sim = Sim::start(clock_at(now, slow()));
    let site = Site::with(&devices(300));
    push(&site, &sim, now, &["--until", "2s", "--window", WINDOW])
        .expect(3)
        .says(&["stopped at the end of its time", "--until 2s"]);
    agree(&site.journal(), &sim);
    assert!(site.journal().run().pending > 0);

    let requests = sim.stats().requests;
    push(&site, &sim, now, &["--until", "2026-11-22T21:59Z"])
        .expect(3)
        .says(&["is in the past, at 2026-11-22 21:59 UTC"]);
    assert_eq!(sim.stats().requests, requests);

    sim.play(clock_at(now, Scenario::default()));
    push(
        &site,
        &sim,
        now,
        &["--until", "04:00 Europe/Oslo", "--window", WINDOW],
    )
    .expect(0)
    .says(&["sends until 2026-11-23 04:00 Europe/Oslo, --until 04:00"]);
    agree(&site.journal(), &sim);
    assert_eq!(sim.deliveries().len(), 300, "each device once");
}

#[test]
fn a_time_without_a_zone_is_the_systems() {
    let now = "2026-11-22T22:00:00Z";
    let sim = Sim::start(clock_at(now, Scenario::default()));
    let site = Site::with(&devices(1));
    let in_zone = |zone: &str| {
        let mut command = push_at(
            &site,
            &sim,
            now,
            &["run", "fleet.csv", "--again", "--window", "05:00-09:00"],
        );
        command.env("TZ", zone);
        Push::start(command).ended()
    };
    in_zone("Asia/Tokyo")
        .expect(0)
        .says(&["sends until 2026-11-23 09:00 Asia/Tokyo"]);
    in_zone("Europe/Oslo").expect(3);
    in_zone("Nowhere/Land")
        .expect(2)
        .says(&["the system's time zone is not known", "TZ"]);
}

#[test]
fn zones_are_known_where_the_system_has_none() {
    let now = "2026-11-22T22:00:00Z";
    let sim = Sim::start(clock_at(now, Scenario::default()));
    let site = Site::with(&devices(1));
    let mut command = push_at(&site, &sim, now, &["run", "fleet.csv", "--window", WINDOW]);
    // A folder without zones takes the place of the system's.
    command.env("TZDIR", site.folder());
    Push::start(command)
        .ended()
        .expect(0)
        .says(&["2026-11-23 05:00 Europe/Oslo"]);
}

#[test]
fn what_waits_for_its_login_when_the_time_is_over_is_not_sent() {
    let sim = Sim::start(Scenario {
        latency_ms: 3000,
        ..Scenario::default()
    });
    let site = Site::with(&devices(10));
    let args = [&PUSH[..], &["--until", "1s"]].concat();
    site.push(&sim, &args).expect(3);
    assert_eq!(sim.stats().logins, 1, "the login was waited for");
    assert_eq!(sim.stats().requests, 0);
    let journal = site.journal();
    let run = journal.run();
    assert_eq!((run.pending, run.in_flight), (10, 0), "{run:?}");
    assert!(journal.attempts.is_empty(), "{:?}", journal.attempts);
}

#[test]
fn a_second_signal_ends_the_drain_of_a_closed_window() {
    let sim = Sim::start(Scenario {
        faults: [(Fault::HangActed, 1.0)].into(),
        ..Scenario::default()
    });
    let site = Site::with(&devices(20));
    let push = site.start(
        &sim,
        &[&PUSH[..], &["--until", "2s", "--progress", "lines"]].concat(),
    );
    wait_for("the drain", || {
        push.stderr()
            .contains("stopping: waiting up to")
            .then_some(())
    });
    push.signal(Signal::TERM);
    wait_for("the first signal", || {
        push.stderr()
            .contains("a second signal stops at once")
            .then_some(())
    });
    push.signal(Signal::TERM);
    push.ended().expect(3);
    // The books are closed all the same, and what was under way is in doubt.
    let journal = site.journal();
    let left = journal.run();
    assert_eq!(left.state, "stopped");
    assert_eq!((left.in_flight, left.pending), (0, 20), "{left:?}");
    assert!(journal.outcomes().contains_key("in_doubt"));
}

#[test]
fn a_nightly_push_is_made_anew_when_the_last_is_old_enough() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(5));
    let night = |now: &str| {
        sim.play(clock_at(now, Scenario::default()));
        push(&site, &sim, now, &["--repeat-after", "20h"])
    };
    night("2026-11-22T22:00:00Z").expect(0);
    let name = site.journal().run().name.clone();
    // By mistake, and too early.
    night("2026-11-22T23:00:00Z").expect(0).says(&[
        "nothing to send",
        &format!("run '{name}' has ended; it can be pushed again from 2026-11-23 18:00:0"),
        "--repeat-after 20h",
    ]);
    assert_eq!(sim.deliveries().len(), 5);

    night("2026-11-23T22:00:00Z").expect(0);
    night("2026-11-23T23:00:00Z").expect(0);
    night("2026-11-24T22:00:00Z").expect(0);
    let journal = site.journal();
    agree(&journal, &sim);
    let names: Vec<&str> = journal.runs.iter().map(|run| run.name.as_str()).collect();
    assert_eq!(names, [&name, &format!("{name}-2"), &format!("{name}-3")]);
    assert_eq!(sim.deliveries().len(), 15);
}

#[test]
fn an_end_in_the_future_is_reported_and_holds_no_push_up() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(5));
    let night = |now: &str| {
        sim.play(clock_at(now, Scenario::default()));
        push(&site, &sim, now, &["--repeat-after", "12h"])
    };
    // The clock was a month ahead, and is set right by the next night.
    night("2026-12-22T22:00:00Z").expect(0);
    let future = "ended at 2026-12-22 22:00:0";
    night("2026-11-23T22:00:00Z")
        .expect(0)
        .says(&[future, "in the future"]);
    assert_eq!(sim.deliveries().len(), 10, "the second night is pushed");
    night("2026-11-23T23:00:00Z").expect(0);
    assert_eq!(sim.deliveries().len(), 10, "and only once");
    site.run(&["prune", "--older-than", "1h", "--dry-run"])
        .expect(0)
        .says(&["in the future", "--keep"]);
}

#[test]
fn started_twice_the_second_says_so_and_does_no_harm() {
    let sim = Sim::start(slow());
    let site = Site::with(&devices(50));
    let first = site.start(&sim, &PUSH);
    sim.wait_for_requests(2);
    let second = site.push(&sim, &PUSH).expect(7).says(&[
        "is under way",
        &format!("pid {}", first.pid()),
        "of 50 tasks are pending",
        "wait until the other one ends",
    ]);
    assert_eq!(second.stdout, "");
    first.ended().expect(0);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().accepted, 50);
    assert_eq!(sim.deliveries().len(), 50, "each device once");
}

#[test]
fn a_time_that_is_none_is_refused_before_anything_is_done() {
    let site = Site::with(&devices(1));
    let refused = |args: &[&str], words: &[&str]| {
        let args = [&["run", "fleet.csv", "--simulate"], args].concat();
        site.run(&args).expect(2).says(words);
    };
    refused(&["--until", "5"], &["--until", "05:00", "6h"]);
    refused(&["--window", "22:00"], &["--window", "22:00-05:00"]);
    refused(
        &["--window", "22:00-05:00 Europe/Olso"],
        &["no time zone is called \"Europe/Olso\""],
    );
    refused(&["--repeat-after", "20"], &["--repeat-after", "12h"]);
    let mut command = site.command(&["run", "fleet.csv", "--simulate"]);
    command.env("FLEETPUSH_TEST_NOW", "tonight");
    Push::start(command)
        .ended()
        .expect(2)
        .says(&["FLEETPUSH_TEST_NOW=\"tonight\" is not a time"]);
    assert!(!site.path("push.db").exists());
}
