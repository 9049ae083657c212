//! `run --verify`.

use super::*;

#[test]
fn a_push_verifies_itself_at_its_end_and_its_own_failures_prevail() {
    let history = |history| Scenario {
        seed: 3,
        history,
        ..Scenario::default()
    };
    let failing = History {
        send_failed: 1.0,
        ..History::default()
    };
    let sim = Sim::start(history(History::default()));
    let site = Site::with(&devices(6));
    let push = |args: &[&str]| {
        let base = [
            "run",
            "fleet.csv",
            "--format",
            "json",
            "--verify",
            "--history-rate",
            "unlimited",
        ];
        site.push(&sim, &[&base[..], args].concat())
    };
    let ended = push(&["--name", "night"]).expect(0);
    assert_eq!(summed(&ended), json!({"sent": 6}));
    assert_eq!(sim.stats().histories, 6);
    // It is one session, of a push.
    let sessions = site.run(&["sql", "SELECT command FROM sessions", "--format", "jsonl"]);
    assert_eq!(sessions.expect(0).json_lines(), [json!({"command": "run"})]);
    // Again it sends nothing, and has nothing to ask.
    push(&["--name", "night"]).expect(0);
    assert_eq!((sim.stats().requests, sim.stats().histories), (1, 6));

    sim.play(history(failing));
    for (args, code) in [
        (&["--name", "two", "--again"][..], 1),
        (
            &[
                "--name",
                "three",
                "--again",
                "--tolerate",
                "send_failed<50%",
            ],
            1,
        ),
        (
            &[
                "--name",
                "four",
                "--again",
                "--tolerate",
                "rejected<2;send_failed<6",
            ],
            1,
        ),
        (
            &[
                "--name",
                "five",
                "--again",
                "--tolerate",
                "rejected<2;send_failed<7",
            ],
            0,
        ),
    ] {
        let ended = push(args).expect(code);
        assert_eq!(summed(&ended), json!({"send_failed": 6}));
    }
    // A task that failed prevails, whatever the others came to.
    sim.play(Scenario {
        poison: 0.5,
        ..history(History::default())
    });
    let ended = push(&["--name", "six", "--again", "--abort-if", "never"]).expect(1);
    let (summary, sent) = (ended.json(), summed(&ended)["sent"].clone());
    assert_eq!(
        summary["counts"]["accepted"], sent,
        "what was accepted is verified all the same"
    );

    // Where evidence cannot be had, the push is complete, and the same again goes on.
    sim.play(Scenario {
        history_gap: 1.0,
        ..Scenario::default()
    });
    push(&["--name", "seven", "--again"]).expect(1);
    sim.play(Scenario {
        outage: Outage::Unavailable,
        ..Scenario::default()
    });
    let ended = push(&["--name", "seven", "--max-outage", "0s"]).expect(3);
    assert_eq!(summed(&ended), json!({"unknown": 6}));
    sim.play(Scenario::default());
    push(&["--name", "seven"]).expect(0);
    let checked = site.push(
        &sim,
        &["check", "fleet.csv", "--verify", "--verify-wait", "1m"],
    );
    checked.expect(0);
    let refused = site.push(&sim, &["run", "fleet.csv", "--verify-wait", "1m"]);
    refused.expect(2).says(&["--verify"]);
}

#[test]
fn a_push_that_is_aborted_ends_as_aborted_whatever_is_verified() {
    let sim = Sim::start(Scenario {
        seed: 3,
        poison: 0.5,
        ..Scenario::default()
    });
    let site = Site::with(&devices(6));
    let push = [
        "run",
        "fleet.csv",
        "--format",
        "json",
        "--verify",
        "--abort-if",
        "failed>1%,min=1",
        "--concurrency",
        "1",
    ];
    let ended = site.push(&sim, &push).expect(4);
    assert_eq!(ended.json()["run"]["state"], "aborted");
    assert_eq!(sim.stats().histories, 0, "the run is not complete");
}
