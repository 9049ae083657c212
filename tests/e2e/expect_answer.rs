//! `--expect-answer`: an answer that is not the expected one is `answer_failed`.

use std::collections::BTreeMap;

use fleetpush::simulator::{History, Scenario};

use crate::support::{Ended, Sim, Site, devices, wait_for};

/// Devices that all answer, that `volume` is `true`.
fn answering() -> Scenario {
    Scenario {
        seed: 4,
        history: History {
            answered: 1.0,
            ..History::default()
        },
        ..Scenario::default()
    }
}

fn all(delivery: &str, n: u64) -> BTreeMap<String, u64> {
    BTreeMap::from([(delivery.to_owned(), n)])
}

fn verify(site: &Site, sim: &Sim, args: &[&str]) -> Ended {
    let base = ["verify", "night", "--history-rate", "unlimited"];
    let target = ["--base-url", sim.base_url()];
    site.run(&[&base[..], &target, args].concat())
}

#[test]
fn another_answer_has_failed_and_another_expectation_judges_it_anew() {
    let sim = Sim::start(answering());
    let site = Site::with(&devices(6));
    site.push_named(&sim, "night").expect(0);
    verify(&site, &sim, &["--expect-answer", "volume=true"]).expect(0);
    assert_eq!(site.deliveries(), all("answered", 6));
    verify(&site, &sim, &["--expect-answer", "volume=false"])
        .expect(1)
        .says(&["6 answer_failed", "6 of 6 are answer_failed"]);
    assert_eq!(site.deliveries(), all("answer_failed", 6));
    // The answers are kept, and whoever expects nothing changes nothing.
    let answers = "SELECT DISTINCT delivery, answer IS NOT NULL AS kept FROM deliveries";
    let told = site.run(&["sql", answers, "--format", "jsonl"]).expect(0);
    assert_eq!(
        told.json(),
        serde_json::json!({"delivery": "answer_failed", "kept": 1})
    );
    verify(&site, &sim, &[]).expect(1);
    assert_eq!(site.deliveries(), all("answer_failed", 6));
    let status = site.run(&["status", "night"]).expect(0);
    assert!(
        status
            .stdout
            .contains("the answer was not the expected one"),
        "{status:?}"
    );
    verify(&site, &sim, &["--tolerate", "answer_failed>6"]).expect(0);
    // The word chooses tasks as others do.
    let chosen = [
        "results",
        "night",
        "--delivery",
        "answer_failed",
        "--format",
        "jsonl",
    ];
    assert_eq!(site.run(&chosen).expect(0).json_lines().len(), 6);
    // One that is missing is another answer.
    let both = [
        "--expect-answer",
        "volume=true",
        "--expect-answer",
        "mode=1",
    ];
    verify(&site, &sim, &both).expect(1);
    assert_eq!(site.deliveries(), all("answer_failed", 6));
    verify(&site, &sim, &["--expect-answer", "volume=true"]).expect(0);
    assert_eq!(site.deliveries(), all("answered", 6));
    verify(&site, &sim, &["--expect-answer", "volume"]).expect(2);
}

#[test]
fn every_other_answer_has_a_row() {
    let sim = Sim::start(answering());
    let site = Site::with(&devices(6));
    site.push_named(&sim, "night").expect(0);
    let rows = |args: &[&str], code| {
        let ended = verify(&site, &sim, &[&["--format", "jsonl"], args].concat());
        ended.expect(code).json_lines()
    };
    let other = |args: &[&str]| {
        let rows = rows(args, 1);
        assert_eq!(rows.len(), 6, "{args:?}");
        for row in rows {
            assert_eq!(row["delivery"], "answer_failed", "{args:?} {row}");
            let verdict = "the answer was not the expected one";
            assert_eq!(row["verdict"], verdict, "{args:?} {row}");
            let answer = row["entry_data"].as_str().unwrap_or_default();
            assert!(answer.contains("true"), "{args:?} {row}");
        }
    };
    other(&["--dry-run", "--expect-answer", "volume=false"]);
    assert_eq!(site.deliveries(), all("unknown", 6));
    other(&["--expect-answer", "volume=false"]);
    // Who expects nothing judges nothing anew.
    other(&[]);
    other(&["--verify-level", "answered"]);
    assert!(rows(&["--expect-answer", "volume=true"], 0).is_empty());
    // An answer that is kept from before is judged before it is asked about.
    other(&["--expect-answer", "volume=false"]);
}

#[test]
fn a_push_verifies_the_answers_at_its_end() {
    let sim = Sim::start(answering());
    let site = Site::with(&devices(6));
    let push = |name, expected, code| {
        let base = ["run", "fleet.csv", "--again", "--name", name, "--verify"];
        let expect = ["--history-rate", "unlimited", "--expect-answer", expected];
        site.push(&sim, &[&base[..], &expect].concat()).expect(code)
    };
    push("good", "volume=true", 0);
    push("bad", "volume=off", 1).says(&["6 of 6 are answer_failed"]);
}

#[test]
fn a_canary_that_answers_otherwise_costs_no_other_device() {
    let sim = Sim::start(answering());
    let site = Site::with(&devices(60));
    let push = |name, time, expected| {
        let base = [
            "run",
            "fleet.csv",
            "--again",
            "--name",
            name,
            "--canary",
            "4",
        ];
        let proof = ["--canary-verify", time, "--history-rate", "unlimited"];
        [&base[..], &proof, &["--expect-answer", expected]].concat()
    };
    site.push(&sim, &push("bad", "1s", "volume=off"))
        .expect(4)
        .says(&["4 of 4 commands are answer_failed (--abort-if 'answer_failed>10%')"]);
    assert_eq!(sim.deliveries().len(), 4);
    site.run(&["cancel", "bad"]).expect(0);
    site.push(&sim, &push("good", "10m", "volume=true"))
        .expect(0)
        .says(&["the canary is proved: 4 answered"]);
    assert_eq!(sim.deliveries().len(), 64);
    // What is expected is kept with the run.
    let waiting = site.start(&sim, &push("killed", "10m", "volume=off"));
    wait_for("a canary that is not proved yet", || {
        waiting
            .stderr()
            .contains("the canary is not proved yet: 4 answer_failed")
            .then_some(())
    });
    waiting.kill();
    site.push(
        &sim,
        &["resume", "killed", "--canary", "4", "--canary-verify", "1s"],
    )
    .expect(4)
    .says(&["4 of 4 commands are answer_failed"]);
    assert_eq!(sim.deliveries().len(), 68);
}
