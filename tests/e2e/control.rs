//! `pause`, `cancel` and `resume` from another terminal: the owner obeys, and no request is lost, whoever is killed meanwhile.

use std::{process::Command, time::Duration};

use fleetpush::simulator::Scenario;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use rustix::process::Signal;
use serde_json::json;

use crate::support::{Ended, Push, Sim, Site, agree, devices, seed, wait_for};

pub(crate) const PUSH: [&str; 8] = [
    "run",
    "fleet.csv",
    "--name",
    "night",
    "--chunk-size",
    "5",
    "--concurrency",
    "2",
];

pub(crate) fn slow(latency_ms: u64) -> Sim {
    Sim::start(Scenario {
        latency_ms,
        ..Scenario::default()
    })
}

/// A command as anna gives it, with `sudo` where the test is root.
pub(crate) fn by_anna(site: &Site, args: &[&str]) -> Command {
    let mut command = site.command(args);
    command
        .env("SUDO_USER", "anna")
        .env("LOGNAME", "anna")
        .env("USER", "anna");
    command
}

/// The name that a command of this test's user gives.
fn anna() -> &'static str {
    if rustix::process::getuid().is_root() {
        "by root (sudo by anna) at 20"
    } else {
        "by "
    }
}

pub(crate) fn ask(site: &Site, args: &[&str]) -> Ended {
    Push::start(by_anna(site, args)).ended()
}

/// The files beside the database that ask for something.
fn requests(site: &Site) -> Vec<String> {
    let names = std::fs::read_dir(site.folder()).expect("a folder");
    let mut names: Vec<String> = names
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.into_string().expect("a name in UTF-8"))
        .filter(|name| name.starts_with("push.db.paus") || name.starts_with("push.db.cancel"))
        // What is not there yet asks for nothing.
        .filter(|name| {
            std::path::Path::new(name)
                .extension()
                .is_none_or(|extension| extension != "tmp")
        })
        .collect();
    names.sort();
    names
}

fn wait_for_file(site: &Site, name: &str) {
    wait_for(name, || site.path(name).exists().then_some(()));
}

/// A push of `count` devices that has sent a few requests.
pub(crate) fn under_way(site: &Site, sim: &Sim) -> Push {
    let before = sim.stats().requests;
    let push = site.start(sim, &PUSH);
    sim.wait_for_requests(before + 4);
    push
}

#[test]
fn a_paused_push_stays_so_until_somebody_resumes_it() {
    let sim = slow(50);
    let site = Site::with(&devices(1000));
    let push = under_way(&site, &sim);
    ask(&site, &["pause"]).expect(0).says(&[
        "run 'night' is paused: ",
        " of 1,000 tasks sent; resume with: ",
        "resume night",
    ]);
    push.ended().expect(3).says(&[
        "pause asked for ",
        "paused: ",
        anna(),
        "run night (number 1): paused by ",
    ]);
    assert!(requests(&site).is_empty());
    assert_eq!(sim.stats().concurrent, 0, "a request was abandoned");
    let journal = site.journal();
    agree(&journal, &sim);
    let run = journal.run();
    assert_eq!(run.state, "paused");
    assert!(run.accepted > 0 && run.pending > 0, "{run:?}");
    assert_eq!((run.in_flight, run.in_doubt), (0, 0), "{run:?}");
    let row = &site
        .run(&["runs", "--format", "jsonl"])
        .expect(0)
        .json_lines()[0];
    assert!(
        row["paused_by"].is_string() && row["paused_at"].is_string(),
        "{row}"
    );

    // Nothing sends any of it: not the scheduler's next start, and no retry.
    let sent = sim.stats().requests;
    for args in [&PUSH[..], &["retry", "--state", "failed,in_doubt"]] {
        let ended = site.push(&sim, args);
        if args[0] == "run" {
            ended.expect(3).says(&[
                "nothing is sent, because the run is paused ",
                anna(),
                "resume night",
            ]);
        }
    }
    let again = ["--override-abort", "--again"];
    site.push(&sim, &[&PUSH[..], &again].concat()).expect(3);
    for args in [&["pause", "night"][..], &["pause"]] {
        ask(&site, args)
            .expect(2)
            .says(&["run 'night' is paused already"]);
    }
    site.run(&["status"]).expect(0);
    assert_eq!(sim.stats().requests, sent);

    sim.play(Scenario::default());
    site.push(&sim, &["resume"]).expect(0);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().state, "complete");
    assert_eq!(sim.deliveries().len(), 1000, "each device once");
    for action in ["pause", "cancel"] {
        site.run(&[action, "night"])
            .expect(2)
            .says(&["is complete already", "there is nothing to"]);
    }
}

#[test]
fn a_push_that_is_cancelled_from_outside_ends_as_a_stopped_one_does() {
    let sim = slow(50);
    let mut ends = Vec::new();
    for live in [true, false] {
        let site = Site::with(&devices(1000));
        let before = sim.deliveries().len();
        let push = under_way(&site, &sim);
        if live {
            ask(&site, &["cancel", "night", "--note", "CHG-7"])
                .expect(0)
                .says(&["run 'night' is cancelled: ", " of 1,000 tasks sent"]);
            push.ended()
                .expect(1)
                .says(&["cancelled: ", "run night (number 1): cancelled by "]);
        } else {
            push.signal(Signal::TERM);
            push.ended().expect(3);
            ask(&site, &["cancel", "--note", "CHG-7"]).expect(0).says(&[
                "run 'night' is cancelled: ",
                "pending tasks will not be sent",
            ]);
        }
        assert!(requests(&site).is_empty());
        let journal = site.journal();
        let run = journal.run();
        assert_eq!(run.state, "cancelled");
        assert_eq!((run.pending, run.in_doubt, run.in_flight), (0, 0, 0));
        assert_eq!(run.accepted + run.skipped, 1000, "{run:?}");
        assert_eq!(run.accepted as usize, sim.deliveries().len() - before);
        let row = site
            .run(&["runs", "--format", "jsonl"])
            .expect(0)
            .json_lines()[0]
            .clone();
        assert!(row["cancelled_by"].is_string(), "{row}");
        // The command has its own session, whichever process carried it out.
        let sessions = ["sessions", "--format", "jsonl"];
        let mut sessions = site.run(&sessions).expect(0).json_lines();
        sessions.retain(|row| row["command"] == "cancel");
        let told: Vec<_> = sessions
            .iter()
            .map(|row| (&row["note"], &row["exit_code"], &row["sent"]))
            .collect();
        assert_eq!(told, [(&json!("CHG-7"), &json!(0), &json!(0))]);
        let skipped = site
            .run(&[
                "results", "--state", "skipped", "--limit", "1", "--format", "jsonl",
            ])
            .expect(0)
            .json_lines();
        ends.push(skipped[0]["message"].clone());
        let sent = sim.stats().requests;
        site.push(&sim, &PUSH).expect(1);
        assert_eq!(sim.stats().requests, sent);
    }
    assert_eq!(ends[0], ends[1]);
}

#[test]
fn a_run_is_paused_before_it_starts() {
    let sim = slow(3000);
    let site = Site::with(&devices(20));
    let push = site.start(&sim, &PUSH);
    wait_for("the login", || (sim.stats().logins > 0).then_some(()));
    push.kill();
    assert_eq!(sim.stats().requests, 0);
    // Nobody owns the database.
    ask(&site, &["pause", "night"])
        .expect(0)
        .says(&["run 'night' is paused: 0 of 20 tasks sent"]);
    site.push(&sim, &PUSH).expect(3).says(&["is paused "]);
    assert_eq!(sim.stats().requests, 0);
    assert_eq!(site.journal().run().state, "paused");
}

/// The owner is stopped, so that it sees nothing until it is killed or goes on.
pub(crate) fn held(site: &Site, sim: &Sim) -> Push {
    let push = under_way(site, sim);
    push.signal(Signal::STOP);
    push
}

#[test]
fn a_request_outlives_its_owner_and_is_obeyed_before_anything_is_sent() {
    for (action, state, code) in [("pause", "paused", 3), ("cancel", "cancelled", 1)] {
        let sim = slow(50);
        let site = Site::with(&devices(500));
        let push = held(&site, &sim);
        let asking = Push::start(by_anna(&site, &[action, "night"]));
        wait_for_file(&site, &format!("push.db.{action}-1"));
        asking.kill();
        push.kill();
        let sent = sim.stats().requests;
        site.push(&sim, &PUSH)
            .expect(code)
            .says(&[&format!("run 'night' is {state} "), anna()]);
        assert_eq!(sim.stats().requests, sent, "{action}");
        assert_eq!(site.journal().run().state, state);
        assert!(requests(&site).is_empty());
    }
}

#[test]
fn whoever_waits_obeys_in_place_of_an_owner_that_is_killed() {
    let sim = slow(50);
    let site = Site::with(&devices(500));
    let push = held(&site, &sim);
    let asking = Push::start(by_anna(&site, &["pause"]));
    wait_for_file(&site, "push.db.pause-1");
    push.kill();
    asking.ended().expect(0).says(&["run 'night' is paused"]);
    assert_eq!(site.journal().run().state, "paused");
    assert!(requests(&site).is_empty());
}

#[test]
fn the_end_of_a_run_wins_over_its_pause() {
    let sim = slow(50);
    let site = Site::with(&devices(500));
    let push = held(&site, &sim);
    let asking = ["cancel", "pause"].map(|action| Push::start(by_anna(&site, &[action, "night"])));
    for name in ["push.db.cancel-1", "push.db.pause-1"] {
        wait_for_file(&site, name);
    }
    push.signal(Signal::CONT);
    push.ended().expect(1);
    let [cancel, pause] = asking.map(Push::ended);
    cancel.expect(0);
    pause.expect(2).says(&["is cancelled already"]);
    assert_eq!(site.journal().run().state, "cancelled");
    assert!(requests(&site).is_empty());
}

#[test]
fn a_pause_is_taken_back_or_waited_for() {
    // Nobody has seen it: the push goes on.
    let sim = slow(50);
    let site = Site::with(&devices(100));
    let push = held(&site, &sim);
    let asking = Push::start(by_anna(&site, &["pause"]));
    wait_for_file(&site, "push.db.pause-1");
    site.push(&sim, &["resume", "night"]).expect(7).says(&[
        "the pause of run 'night' is withdrawn",
        "run 'night' is under way",
        &format!("pid {}", push.pid()),
    ]);
    asking.kill();
    push.signal(Signal::CONT);
    push.ended().expect(0);
    assert_eq!(sim.deliveries().len(), 100, "each device once");

    // The owner waits for what is in flight: it ends first, and the run is taken up then.
    let sim = slow(1500);
    let site = Site::with(&devices(30));
    let push = site.start(&sim, &PUSH);
    sim.wait_for_requests(1);
    let asking = Push::start(by_anna(&site, &["pause"]));
    wait_for_file(&site, "push.db.pausing-1");
    // It cannot end before it is waited for.
    push.signal(Signal::STOP);
    sim.play(Scenario::default());
    let resumed = site.start(&sim, &["resume"]);
    wait_for("a command that waits", || {
        let said = resumed.stderr();
        said.contains("is being paused by another process")
            .then_some(())
    });
    push.signal(Signal::CONT);
    resumed.ended().expect(0).says(&["continues"]);
    push.ended().expect(3);
    drop(asking);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().accepted, 30);
    assert_eq!(sim.deliveries().len(), 30, "each device once");
}

#[test]
fn a_request_for_another_run_of_the_database_waits_for_its_owner() {
    let sim = slow(50);
    let site = Site::with(&devices(100));
    site.write("other.csv", devices(500));
    let mut other = PUSH;
    (other[1], other[3]) = ("other.csv", "other");
    let first = site.start(&sim, &other);
    sim.wait_for_requests(1);
    first.signal(Signal::TERM);
    first.ended().expect(3);
    let push = held(&site, &sim);
    ask(&site, &["pause", "other"]).expect(7).says(&[
        "owns the database",
        "push.db.pause-1 is kept",
        "before it sends anything",
    ]);
    assert_eq!(requests(&site), ["push.db.pause-1"]);
    push.signal(Signal::CONT);
    push.ended().expect(0).says(&["run 'other' is paused "]);
    let sent = sim.stats().requests;
    site.push(&sim, &other).expect(3);
    assert_eq!(sim.stats().requests, sent);
    assert!(requests(&site).is_empty());
}

#[test]
fn what_cannot_be_asked_is_told_with_the_way_out() {
    let sim = slow(50);
    let site = Site::with(&devices(500));
    ask(&site, &["pause"])
        .expect(2)
        .says(&["no results database"]);
    let push = held(&site, &sim);
    ask(&site, &["pause", "nihgt"])
        .expect(2)
        .says(&["did you mean 'night'"]);
    // Nobody may write there, as when the service's folder is another user's.
    std::fs::create_dir(site.path("push.db.pause-1")).unwrap();
    ask(&site, &["pause"]).expect(6).says(&[
        "cannot write",
        "push.db.pause-1",
        "asks the push to pause",
        "sudo",
    ]);
    std::fs::remove_dir(site.path("push.db.pause-1")).unwrap();
    // A run of a database that stood here before.
    site.write(
        "push.db.cancel-1",
        r#"{"action":"cancel","run":1,"created_at":1,"by":"anna","at":1,"id":"1f"}"#,
    );
    site.write("push.db.pause-9", "pause!");
    push.signal(Signal::CONT);
    push.ended().expect(0).says(&[
        "push.db.cancel-1 asks to cancel a run that this database does not have",
        "push.db.pause-9 is a request to pause or to cancel a run, and cannot be read",
    ]);
    assert_eq!(requests(&site), ["push.db.pause-9"]);
}

/// Kills the owner, the one who asks, or both, at any moment around a request.
#[test]
fn killed_around_a_request_no_request_is_lost() {
    const ROUNDS: usize = 12;
    let seed = seed();
    eprintln!("FLEETPUSH_TEST_SEED={seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let sim = slow(30);
    let site = Site::with(&devices(2000));
    let mut args = PUSH.to_vec();
    let mut kills = 0;
    for round in 0..ROUNDS {
        let before = sim.stats().requests;
        let mut push = site.start(&sim, &args);
        sim.wait_for_requests(before + random.random_range(1..6));
        let asking = Push::start(by_anna(&site, &["pause", "night"]));
        // When the one who asks is killed, then after the request is there.
        let kills_asking = random.random_bool(0.4);
        if kills_asking {
            wait_for("a request", || {
                (!requests(&site).is_empty() || push.has_ended()).then_some(())
            });
        }
        // The first one surely hits.
        if round > 0 {
            std::thread::sleep(random.random_range(Duration::ZERO..Duration::from_millis(900)));
        }
        if kills_asking {
            asking.kill();
            if !push.has_ended() {
                kills += 1;
            }
            push.kill();
        } else {
            if push.has_ended() {
                push.ended().expect(3);
            } else {
                kills += 1;
                push.kill();
            }
            asking.ended().expect(0).says(&["run 'night' is paused"]);
        }
        let sent = sim.stats().requests;
        site.push(&sim, &PUSH).expect(3).says(&["is paused "]);
        assert_eq!(sim.stats().requests, sent, "round {round}");
        assert!(requests(&site).is_empty());
        args = vec!["resume", "night", "--chunk-size", "5", "--concurrency", "2"];
    }
    assert!(kills > 0, "none was killed");
    sim.play(Scenario::default());
    site.push(&sim, &["resume"]).expect(0);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().accepted, 2000);
}
