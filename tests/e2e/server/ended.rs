//! A server that is killed or restarted while a push is under way, and a connection that breaks in the middle of a commit: the push waits and
//! goes on, and what nobody could know is in doubt.

use rustix::process::Signal;

use super::lost::{tells_of_the_loss, under_way};
use crate::support::{Cut, Push, Sim, Site, agree, devices, nothing_older_follows, wait_for};

/// What a push says when it has its database again.
const RESUMED: &str = "resumed: the results database answers again";

#[test]
fn a_push_goes_on_after_its_server_was_killed_and_started_again() {
    let Some(site) = Site::on_own_server(&devices(900)) else {
        return;
    };
    let sim = Sim::slow(60);
    let push = under_way(&site, &sim, &[]);
    let server = site.server().server();
    // All at once, as a machine that loses its power; with a word to those who are connected, as `pg_ctl stop -m immediate`; and once more.
    for (number, signal) in (1..).zip([Signal::KILL, Signal::QUIT, Signal::KILL]) {
        let told = losses(&push);
        server.end_by(signal);
        tells_of_the_loss(&push, told + 1);
        let requests = sim.stats().requests;
        tells_of_the_loss(&push, told + 2);
        assert_eq!(sim.stats().requests, requests, "nothing is sent meanwhile");
        server.start_again();
        goes_on(&push, number);
        sim.wait_for_requests(requests + 8);
    }
    ends_well(&site, &sim, push, 900);
}

#[test]
fn a_commit_that_nobody_hears_of_is_looked_for_and_nothing_is_lost() {
    let Some(site) = Site::on_cut_server(&devices(900)) else {
        return;
    };
    let sim = Sim::slow(60);
    let push = under_way(&site, &sim, &[]);
    for (number, cut) in (1..).zip([Cut::Before, Cut::After, Cut::After, Cut::Before]) {
        site.way().cut_next(cut);
        wait_for("a commit", || (!site.way().is_to_cut()).then_some(()));
        goes_on(&push, number);
        let requests = sim.stats().requests;
        sim.wait_for_requests(requests + 8);
    }
    ends_well(&site, &sim, push, 900);
}

fn losses(push: &Push) -> usize {
    let told = push.stderr();
    told.matches("paused: the results database does not answer")
        .count()
}

/// Waits until a push has gone on so often.
fn goes_on(push: &Push, times: usize) {
    wait_for("the push to go on", || {
        (push.stderr().matches(RESUMED).count() >= times).then_some(())
    });
}

/// The push itself does the rest, in its first session.
fn ends_well(site: &Site, sim: &Sim, push: Push, devices: i64) {
    push.ended().expect(0);
    let journal = site.journal();
    assert_eq!(journal.run().state, "complete");
    assert_eq!(journal.run().accepted, devices);
    assert_eq!(journal.unfinished, 0);
    // What was in flight is in doubt, and nothing else is.
    let doubts = journal.outcomes().get("in_doubt").copied().unwrap_or(0);
    assert!(doubts > 0 && doubts <= 4 * 5 * 2 * 4, "{doubts}");
    agree(&journal, sim);
    nothing_older_follows(&journal, sim);
    assert_eq!(sim.stats().overlaps, 0);
    let sessions = site.run(&["sessions", "--format", "jsonl"]).expect(0);
    let sessions = sessions.json_lines();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    assert_eq!(sessions[0]["stop"], "complete");
}
