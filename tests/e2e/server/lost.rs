//! A server that goes away while a push is under way, and comes back or does not.

use fleetpush::simulator::Scenario;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Ended, Push, Sim, Site, agree, devices, nothing_older_follows, wait_for};

const RUN: [&str; 11] = [
    "run",
    "fleet.csv",
    "--name",
    "night",
    "--chunk-size",
    "5",
    "--concurrency",
    "4",
    "--in-doubt",
    "resend",
    "--request-timeout=1s",
];

/// A push that has begun to send, slowly.
pub(super) fn under_way(site: &Site, sim: &Sim, more: &[&str]) -> Push {
    let mut command = site.push_command(sim, &[&RUN[..], more].concat());
    command.env("FLEETPUSH_TEST_LEASE_MS", "900");
    let push = Push::start(command);
    sim.wait_for_requests(4);
    push
}

/// Waits until the push has told so often that its database is lost.
pub(super) fn tells_of_the_loss(push: &Push, times: usize) {
    wait_for("notice of the loss", || {
        let told = push.stderr();
        let told = told.matches("paused: the results database does not answer");
        (told.count() >= times).then_some(())
    });
}

#[test]
fn a_push_waits_for_its_server_and_goes_on() {
    let Some(site) = Site::on_server(&devices(600)) else {
        return;
    };
    let sim = Sim::slow(60);
    let push = under_way(&site, &sim, &[]);
    site.server().close();
    tells_of_the_loss(&push, 1);
    let requests = sim.stats().requests;
    tells_of_the_loss(&push, 3);
    assert_eq!(sim.stats().requests, requests, "nothing is sent meanwhile");
    site.server().open();
    push.ended()
        .expect(0)
        .says(&["resumed: the results database answers again"]);
    assert!(sim.stats().requests > requests);
    let journal = site.journal();
    assert_eq!(journal.run().state, "complete");
    assert_eq!(journal.run().accepted, 600);
    assert_eq!(journal.unfinished, 0);
    agree(&journal, &sim);
    nothing_older_follows(&journal, &sim);
    assert_eq!(sim.stats().overlaps, 0);
    let sessions = site.run(&["sessions", "--format", "jsonl"]).expect(0);
    let sessions = sessions.json_lines();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    assert_eq!(sessions[0]["stop"], "complete");
}

#[test]
fn a_server_that_stays_away_ends_the_push_after_max_outage() {
    let Some(site) = Site::on_server(&devices(600)) else {
        return;
    };
    let sim = Sim::slow(60);
    let push = under_way(&site, &sim, &["--max-outage", "1s"]);
    site.server().close();
    push.ended().expect(6).says(&[
        "was lost during the push",
        "has not come back within 1.0 s (--max-outage)",
        "start the same command again",
    ]);
    site.server().open();
    sim.play(Scenario::default());
    goes_on(&site, &sim);
}

#[test]
fn a_signal_ends_the_wait() {
    let Some(site) = Site::on_server(&devices(600)) else {
        return;
    };
    let sim = Sim::slow(60);
    let push = under_way(&site, &sim, &[]);
    site.server().close();
    tells_of_the_loss(&push, 1);
    push.signal(Signal::TERM);
    push.ended()
        .expect(3)
        .says(&["stopped by a signal while the results database"]);
    site.server().open();
    sim.play(Scenario::default());
    goes_on(&site, &sim);
}

#[test]
fn a_run_that_is_over_when_its_server_is_back_is_not_pushed_again() {
    let Some(site) = Site::on_server(&devices(600)) else {
        return;
    };
    let sim = Sim::slow(60);
    let push = under_way(&site, &sim, &[]);
    site.server().close();
    tells_of_the_loss(&push, 1);
    push.signal(Signal::STOP);
    site.server().open();
    goes_on(&site, &sim);
    let run = || site.run(&["runs", "--format", "json"]).expect(0).json();
    let (requests, before) = (sim.stats().requests, run());
    push.signal(Signal::CONT);
    push.ended().expect(0);
    assert_eq!(sim.stats().requests, requests);
    assert_eq!(run(), before, "not even the time of its end has changed");
}

#[test]
fn a_server_that_stands_still_is_left_when_its_lease_has_ended() {
    let Some(site) = Site::on_server(&devices(600)) else {
        return;
    };
    let sim = Sim::slow(60);
    let push = under_way(&site, &sim, &[]);
    // That by which the lease is prolonged is made after the first one.
    let backends = wait_for("two connections", || {
        Some(site.server().backends()).filter(|backends| backends.len() > 1)
    });
    for backend in &backends {
        signal(*backend, Signal::STOP);
    }
    tells_of_the_loss(&push, 1);
    for backend in &backends {
        signal(*backend, Signal::CONT);
    }
    ends_in_order(&site, &sim, push);
}

#[test]
fn a_connection_that_is_dead_while_the_lease_lives_is_left() {
    let Some(site) = Site::on_server(&devices(600)) else {
        return;
    };
    let sim = Sim::slow(60);
    let push = under_way(&site, &sim, &[]);
    let first = site.server().backends()[0];
    signal(first, Signal::STOP);
    tells_of_the_loss(&push, 1);
    signal(first, Signal::CONT);
    ends_in_order(&site, &sim, push).says(&["the connection to the results database is silent"]);
}

/// The push has gone on, and has lost nothing.
fn ends_in_order(site: &Site, sim: &Sim, push: Push) -> Ended {
    let ended = push
        .ended()
        .expect(0)
        .says(&["resumed: the results database answers again"]);
    let journal = site.journal();
    assert_eq!(journal.run().accepted, 600);
    agree(&journal, sim);
    nothing_older_follows(&journal, sim);
    ended
}

fn signal(process: i32, signal: Signal) {
    let process = Pid::from_raw(process).expect("a process");
    kill_process(process, signal).expect("it is there");
}

/// The same command again does the rest, as soon as nobody has the lease.
fn goes_on(site: &Site, sim: &Sim) {
    let ended = wait_for("the end of the lease", || {
        let ended = site.push(sim, &RUN);
        (ended.code != Some(7)).then_some(ended)
    });
    ended.expect(0);
    let journal = site.journal();
    assert_eq!(journal.run().accepted, 600);
    agree(&journal, sim);
    nothing_older_follows(&journal, sim);
}
