//! `pause`, `cancel` and `resume` beside a push whose results are on a server: as with a file, from any machine.

use std::time::Duration;

use fleetpush::simulator::Scenario;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use rustix::process::Signal;

use crate::{
    control::{PUSH, ask, by_anna, held, slow, under_way},
    support::{Ended, Push, Sim, Site, agree, devices, seed, wait_for, with_server},
};

/// How long a lease lasts that somebody waits for.
const LEASE: (&str, &str) = ("FLEETPUSH_TEST_LEASE_MS", "2000");

/// The requests that stand in the database, as their files would be called.
fn requests(site: &Site) -> Vec<String> {
    site.server().on(async |connection| {
        sqlx::query_scalar(
            "SELECT CASE WHEN begun = 0 THEN action ELSE replace(action, 'pause', 'paus') || 'ing' END || '-' || run_id \
             FROM fleetpush.control ORDER BY 1",
        )
        .fetch_all(connection)
        .await
        .expect("the table is there")
    })
}

fn wait_for_request(site: &Site, name: &str) {
    wait_for(name, || {
        requests(site).iter().any(|one| one == name).then_some(())
    });
}

/// A command that pushes and whose lease is soon over when it is killed.
fn soon_over(site: &Site, sim: &Sim, args: &[&str]) -> Push {
    let mut command = site.push_command(sim, args);
    command.env(LEASE.0, LEASE.1);
    Push::start(command)
}

/// The same once the lease of another one is over.
fn once_over(site: &Site, sim: &Sim, args: &[&str]) -> Ended {
    wait_for("the end of a lease", || {
        let ended = soon_over(site, sim, args).ended();
        (ended.code != Some(7)).then_some(ended)
    })
}

/// What a command said, but for the database, the numbers, and how fast it was.
type Said = (Option<i32>, Vec<String>);

fn said(site: &Site, ended: &Ended) -> Said {
    let file = site.path("push.db").display().to_string();
    let mut names = vec![file];
    names.extend(site.is_on_server().then(|| site.server().url()));
    let plain = |line: &str| {
        let line = names
            .iter()
            .fold(line.to_owned(), |line, name| line.replace(name, "DATABASE"));
        line.replace('\'', "")
            .split(|one: char| one.is_ascii_digit() || one == ',')
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("#")
    };
    let words = ["run '", "asked for", "by root", "nothing is sent"];
    let lines = ended.stderr.lines();
    let lines = lines.filter(|line| words.iter().any(|word| line.contains(word)));
    (ended.code, lines.map(plain).collect())
}

/// Pauses a push and resumes it, and cancels another one; what each command said, and what sessions say.
fn evening(site: &Site) -> Vec<Said> {
    let sim = slow(50);
    let mut all = Vec::new();
    let push = under_way(site, &sim);
    all.push(said(site, &ask(site, &["pause", "--note", "CHG-7"])));
    all.push(said(site, &push.ended()));
    let journal = site.journal();
    agree(&journal, &sim);
    let run = journal.run();
    assert_eq!(run.state, "paused");
    assert!(run.accepted > 0 && run.pending > 0, "{run:?}");
    assert_eq!((run.in_flight, run.in_doubt), (0, 0), "{run:?}");
    let sent = sim.stats().requests;
    for args in [&PUSH[..], &["retry", "--state", "failed,in_doubt"]] {
        all.push(said(site, &site.push(&sim, args)));
    }
    all.push(said(site, &ask(site, &["pause", "night"])));
    assert_eq!(sim.stats().requests, sent);
    sim.play(Scenario::default());
    all.push(said(site, &site.push(&sim, &["resume"])));
    assert_eq!(site.journal().run().state, "complete");
    assert_eq!(sim.deliveries().len(), 400, "each device once");

    sim.play(Scenario {
        latency_ms: 50,
        ..Scenario::default()
    });
    let again = [&PUSH[..], &["--again"]].concat();
    for live in [true, false] {
        let before = sim.stats().requests;
        let push = site.start(&sim, &again);
        sim.wait_for_requests(before + 4);
        if live {
            all.push(said(site, &ask(site, &["cancel", "--note", "CHG-8"])));
            all.push(said(site, &push.ended()));
        } else {
            push.signal(Signal::TERM);
            all.push((push.ended().code, Vec::new()));
            all.push(said(site, &ask(site, &["pause"])));
            all.push(said(site, &ask(site, &["cancel"])));
        }
    }
    all.push(said(site, &ask(site, &["cancel"])));
    let journal = site.journal();
    agree(&journal, &sim);
    for run in &journal.runs[1..] {
        assert_eq!(run.state, "cancelled");
        assert_eq!((run.pending, run.in_doubt, run.in_flight), (0, 0, 0));
        assert_eq!(run.accepted + run.skipped, 400, "{run:?}");
    }
    let sessions = site
        .run(&["sessions", "--format", "jsonl"])
        .expect(0)
        .json_lines();
    let sessions = sessions.iter().map(|row| {
        let fields = ["command", "name", "note", "stop", "exit_code"];
        crate::support::fields(row, &fields).to_string()
    });
    all.push((None, sessions.collect()));
    all
}

#[test]
fn a_push_is_paused_resumed_and_cancelled_as_with_a_file() {
    let Some(site) = Site::on_server(&devices(400)) else {
        return;
    };
    let there = evening(&site);
    assert!(requests(&site).is_empty());
    assert_eq!(there, evening(&Site::with(&devices(400))));
}

#[test]
fn a_request_outlives_its_owner_and_is_obeyed_before_anything_is_sent() {
    for (action, state, code) in [("pause", "paused", 3), ("cancel", "cancelled", 1)] {
        let Some(site) = Site::on_server(&devices(500)) else {
            return;
        };
        let sim = slow(50);
        // Long enough for the one who asks to find the owner.
        let mut command = site.push_command(&sim, &PUSH);
        command.env(LEASE.0, "10000");
        let push = Push::start(command);
        sim.wait_for_requests(2);
        push.signal(Signal::STOP);
        let asking = Push::start(by_anna(&site, &[action, "night"]));
        wait_for_request(&site, &format!("{action}-1"));
        asking.kill();
        push.kill();
        let sent = sim.stats().requests;
        once_over(&site, &sim, &PUSH)
            .expect(code)
            .says(&[&format!("run 'night' is {state} by ")]);
        assert_eq!(sim.stats().requests, sent, "{action}");
        assert_eq!(site.journal().run().state, state);
        assert!(requests(&site).is_empty());
    }
}

#[test]
fn a_pause_is_taken_back_or_waited_for() {
    // Nobody has seen it: the push goes on.
    let Some(site) = Site::on_server(&devices(1000)) else {
        return;
    };
    let sim = slow(50);
    let push = held(&site, &sim);
    let asking = Push::start(by_anna(&site, &["pause"]));
    wait_for_request(&site, "pause-1");
    site.push(&sim, &["resume", "night"]).expect(7).says(&[
        "the pause of run 'night' is withdrawn",
        "run 'night' is under way",
        &format!("pid {}", push.pid()),
    ]);
    asking.kill();
    push.signal(Signal::CONT);
    push.ended().expect(0);
    assert_eq!(sim.deliveries().len(), 1000, "each device once");

    // The owner waits for what is in flight: it ends first, and the run is taken up then.
    let Some(site) = Site::on_server(&devices(300)) else {
        return;
    };
    let sim = slow(4000);
    let push = site.start(&sim, &PUSH);
    sim.wait_for_requests(1);
    let asking = Push::start(by_anna(&site, &["pause"]));
    wait_for_request(&site, "pausing-1");
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
    assert_eq!(journal.run().accepted, 300);
    assert_eq!(sim.deliveries().len(), 300, "each device once");
}

#[test]
fn another_run_than_the_one_that_is_pushed_is_paused_at_once() {
    let Some(site) = Site::on_server(&devices(100)) else {
        return;
    };
    let sim = slow(50);
    site.write("other.csv", devices(500));
    let mut other = PUSH;
    (other[1], other[3]) = ("other.csv", "other");
    let first = site.start(&sim, &other);
    sim.wait_for_requests(1);
    first.signal(Signal::TERM);
    first.ended().expect(3);
    let push = held(&site, &sim);
    ask(&site, &["pause", "other"])
        .expect(0)
        .says(&["run 'other' is paused"]);
    assert!(requests(&site).is_empty());
    push.signal(Signal::CONT);
    push.ended().expect(0);
    let sent = sim.stats().requests;
    site.push(&sim, &other).expect(3);
    assert_eq!(sim.stats().requests, sent);
}

#[test]
fn a_copy_is_not_paused_or_cancelled_and_takes_copies_as_before() {
    let Some(site) = Site::on_server(&devices(5)) else {
        return;
    };
    let sim = slow(50);
    let file = Site::with(&devices(400));
    let push = under_way(&file, &sim);
    push.signal(Signal::TERM);
    push.ended().expect(3);
    let from = file.path("push.db").display().to_string();
    let copy = || {
        let args = ["db", "copy", &from, &site.server().url()];
        Push::start(with_server(&site, &args)).ended()
    };
    copy().expect(0);
    for action in ["pause", "cancel"] {
        let there = format!("{action} them there");
        ask(&site, &[action, "night"])
            .expect(2)
            .says(&["were copied from a file", &there]);
    }
    copy().expect(0);
    // Beside a push that owns the database, and without one.
    let mut push = PUSH;
    push[3] = "new";
    let push = site.start(&sim, &push);
    sim.wait_for_requests(sim.stats().requests + 1);
    ask(&site, &["cancel", "night"])
        .expect(2)
        .says(&["run 'night' was copied", "cancel it there"]);
    push.ended().expect(0);
    ask(&site, &["pause", "night"])
        .expect(2)
        .says(&["run 'night' was copied", "pause it there"]);
    assert!(requests(&site).is_empty());
    assert_eq!(site.journal().runs[0].state, "stopped");
}

/// Kills the owner, the one who asks, or both, at any moment around a request.
#[test]
fn killed_around_a_request_no_request_is_lost() {
    const ROUNDS: usize = 4;
    let seed = seed();
    eprintln!("FLEETPUSH_TEST_SEED={seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let Some(site) = Site::on_server(&devices(2000)) else {
        return;
    };
    let sim = slow(30);
    let mut args = PUSH.to_vec();
    for round in 0..ROUNDS {
        let before = sim.stats().requests;
        let mut push = soon_over(&site, &sim, &args);
        sim.wait_for_requests(before + random.random_range(1..6));
        let mut pause = by_anna(&site, &["pause", "night"]);
        pause.env(LEASE.0, LEASE.1);
        let asking = Push::start(pause);
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
            push.kill();
        } else {
            if push.has_ended() {
                push.ended().expect(3);
            } else {
                push.kill();
            }
            asking.ended().expect(0).says(&["run 'night' is paused"]);
        }
        let sent = sim.stats().requests;
        once_over(&site, &sim, &PUSH)
            .expect(3)
            .says(&["is paused "]);
        assert_eq!(sim.stats().requests, sent, "round {round}");
        assert!(requests(&site).is_empty());
        args = vec!["resume", "night", "--chunk-size", "5", "--concurrency", "2"];
    }
    sim.play(Scenario::default());
    site.push(&sim, &["resume"]).expect(0);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().accepted, 2000);
}
