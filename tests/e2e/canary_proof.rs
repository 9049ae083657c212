//! `--canary-verify`: the fleet waits until evidence shows that the canary's commands were sent.

use std::collections::{BTreeMap, HashSet};

use fleetpush::simulator::{History, Outage, Scenario};
use rustix::process::Signal;

use crate::support::{Push, Sim, Site, agree, devices, wait_for};

/// The devices that the platform has acted on.
fn reached(sim: &Sim) -> HashSet<String> {
    let deliveries = sim.deliveries().into_iter();
    deliveries.map(|delivery| delivery.device_key).collect()
}

fn telling(history: History) -> Scenario {
    Scenario {
        seed: 3,
        history,
        ..Scenario::default()
    }
}

fn all_queued() -> Scenario {
    telling(History {
        queued: 1.0,
        ..History::default()
    })
}

fn all_failed() -> Scenario {
    telling(History {
        send_failed: 1.0,
        ..History::default()
    })
}

/// A push of 60 devices with a canary of 4 that has to prove itself.
fn push<'a>(time: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let base = ["run", "fleet.csv", "--name", "night", "--canary", "4"];
    let proof = ["--canary-verify", time, "--history-rate", "unlimited"];
    [&base[..], &proof, more].concat()
}

/// Starts a push whose canary waits for its proof.
fn waiting(site: &Site, sim: &Sim, more: &[&str]) -> Push {
    let push = site.start(sim, &push("10m", more));
    wait_for("a canary that is not proved yet", || {
        push.stderr()
            .contains("the canary is not proved yet: 4 queued")
            .then_some(())
    });
    push
}

#[test]
fn a_canary_that_has_proved_itself_opens_the_fleet() {
    let sim = Sim::start(telling(History::default()));
    let site = Site::with(&devices(60));
    let ended = site.push(&sim, &push("10m", &[])).expect(0).says(&[
        "canary of 4 devices: 4 accepted; waiting up to 10 min 00 s for evidence of them",
        "the canary is proved: 4 sent",
        "4 devices, passed",
    ]);
    assert!(!ended.stderr.contains("go first, 4 of them"), "{ended:?}");
    assert_eq!(sim.stats().histories, 4, "only the canary is asked about");
    let expected = [("sent".to_owned(), 4), ("unknown".to_owned(), 56)];
    assert_eq!(site.deliveries(), BTreeMap::from(expected));
    agree(&site.journal(), &sim);
}

#[test]
fn a_canary_whose_commands_were_not_sent_costs_no_other_device() {
    let sim = Sim::start(all_failed());
    let site = Site::with(&devices(60));
    site.push(&sim, &push("1s", &[])).expect(4).says(&[
        "the canary is not good: 4 of 4 commands are send_failed (--abort-if 'send_failed>10%')",
        "--override-abort",
    ]);
    assert_eq!(reached(&sim).len(), 4);
    let asked = sim.stats().histories;
    site.push(&sim, &push("1s", &[])).expect(4);
    assert_eq!(sim.stats().histories, asked, "it stays aborted");
    site.push(&sim, &push("1s", &["--override-abort"]))
        .expect(0)
        .says(&["the others were sent because of --override-abort"]);
    assert_eq!(sim.stats().histories, asked, "nobody asks any more");
    assert_eq!(reached(&sim).len(), 60);
}

#[test]
fn silence_is_no_proof_unless_the_conditions_allow_it() {
    let sim = Sim::start(all_queued());
    let site = Site::with(&devices(60));
    site.push(&sim, &push("1s", &[]))
        .expect(4)
        .says(&["4 of 4 commands are unconfirmed (--abort-if 'unconfirmed>10%')"]);
    assert_eq!(reached(&sim).len(), 4);
    let other = Site::with(&devices(60));
    let lenient = ["--abort-if", "failed>10%;unconfirmed>5;send_failed>4"];
    other
        .push(&sim, &push("1s", &lenient))
        .expect(0)
        .says(&["the canary is proved: 4 queued"]);
    assert_eq!(other.deliveries()["queued"], 4);
}

#[test]
fn without_anybody_to_ask_the_fleet_waits_for_the_next_start() {
    let sim = Sim::start(all_queued());
    let site = Site::with(&devices(60));
    let push = waiting(&site, &sim, &["--max-outage", "1s"]);
    sim.play(Scenario {
        outage: Outage::Unavailable,
        ..all_queued()
    });
    push.ended().expect(3).says(&[
        "stopped, because the canary's commands cannot be verified now",
        "--canary-verify none",
    ]);
    assert_eq!(reached(&sim).len(), 4);
    let session = "SELECT stop, exit_code FROM sessions";
    let told = site.run(&["sql", session, "--format", "jsonl"]).expect(0);
    assert_eq!(
        told.json(),
        serde_json::json!({"stop": "unproved", "exit_code": 3})
    );
    sim.play(telling(History::default()));
    site.push(&sim, &["resume", "night"])
        .expect(0)
        .says(&["the canary is proved: 4 sent"]);
    assert_eq!(reached(&sim).len(), 60);
}

#[test]
fn a_push_goes_on_without_evidence_when_somebody_says_so() {
    let sim = Sim::start(all_queued());
    let site = Site::with(&devices(60));
    let push = waiting(&site, &sim, &[]);
    push.signal(Signal::INT);
    push.ended().expect(3);
    assert_eq!(reached(&sim).len(), 4);
    let none = [
        "resume",
        "night",
        "--canary",
        "4",
        "--canary-verify",
        "none",
    ];
    let ended = site.push(&sim, &none).expect(0);
    assert!(!ended.stderr.contains("proved"), "{ended:?}");
    assert_eq!(reached(&sim).len(), 60);
}

#[test]
fn a_push_that_is_killed_while_it_waits_goes_on_with_the_proof() {
    let sim = Sim::start(all_queued());
    let site = Site::with(&devices(60));
    waiting(&site, &sim, &["--verify-level", "answered"]).kill();
    assert_eq!(site.deliveries()["queued"], 4, "what was found is kept");
    sim.play(telling(History {
        answered: 1.0,
        ..History::default()
    }));
    // The level and the time are those of the run.
    site.push(&sim, &["resume", "night"])
        .expect(0)
        .says(&["the canary is proved: 4 answered"]);
    assert_eq!(reached(&sim).len(), 60);
    agree(&site.journal(), &sim);
}

#[test]
fn a_pause_and_a_look_come_before_and_after_the_proof() {
    let sim = Sim::start(all_queued());
    let site = Site::with(&devices(60));
    let push = waiting(&site, &sim, &["--canary-pause"]);
    site.run(&["pause", "night"]).expect(0);
    push.ended().expect(3).says(&["paused"]);
    sim.play(telling(History::default()));
    site.push(&sim, &["resume", "night"]).expect(3).says(&[
        "the canary is proved: 4 sent",
        "stopped after the canary so that you can look",
    ]);
    assert_eq!(reached(&sim).len(), 4);
    site.push(&sim, &["resume", "night"]).expect(0);
    assert_eq!(reached(&sim).len(), 60);
}

#[test]
fn a_proof_needs_a_canary_and_conditions() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(3));
    for (flags, words) in [
        (
            &["--canary-verify", "10m"][..],
            "has no canary to ask about",
        ),
        (
            &[
                "--canary",
                "1",
                "--canary-verify",
                "10m",
                "--abort-if",
                "never",
            ],
            "--abort-if never has none",
        ),
        (
            &["--verify-level", "sent"],
            "give --verify or --canary-verify",
        ),
        (&["--canary", "1", "--canary-verify", "10"], "add a unit"),
    ] {
        let args = [&["run", "fleet.csv"], flags].concat();
        site.push(&sim, &args).expect(2).says(&[words]);
    }
    let told = site.push(&sim, &["run", "fleet.csv", "--abort-if", "unconfirmed>5%"]);
    told.expect(0)
        .says(&["--abort-if 'unconfirmed>5%' was not evaluated"]);
}
