//! Each start of a command that writes is recorded: by whom, why, how it ended, and what it sent.

use fleetpush::simulator::{AtFirst, Scenario};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Sim, Site, agree, devices, fields, wait_for};

/// All sessions, as programs get them.
fn sessions(site: &Site) -> Vec<Value> {
    site.run(&["sessions", "--format", "jsonl"])
        .expect(0)
        .json_lines()
}

#[test]
fn a_retry_says_what_it_did_and_each_start_leaves_a_session() {
    let sim = Sim::some_offline();
    let site = Site::with(&devices(200));
    let night = ["run", "fleet.csv", "--name", "night", "--note", "CHG-1234"];
    let first = site.push(&sim, &night).expect(1);
    assert!(!first.stderr.contains("this push"), "{}", first.stderr);
    let offline = site.journal().run().failed;
    assert!(offline > 0);

    sim.play(Scenario::default());
    let retried = site.push(&sim, &["retry", "night"]).expect(0);
    let told = format!("this push {offline} sent again: {offline} accepted\n");
    assert!(retried.stderr.contains(&told), "{}", retried.stderr);
    site.push(&sim, &night).expect(0);
    agree(&site.journal(), &sim);

    let sessions = sessions(&site);
    let told: Vec<Value> = sessions
        .iter()
        .map(|session| {
            let names = [
                "session",
                "run",
                "name",
                "command",
                "note",
                "stop",
                "exit_code",
            ];
            fields(session, &names)
        })
        .collect();
    assert_eq!(
        told,
        [
            json!([1, 1, "night", "run", "CHG-1234", "complete", 1]),
            json!([2, 1, "night", "retry", null, "complete", 0]),
            json!([3, 1, "night", "run", "CHG-1234", "nothing", 0]),
        ]
    );
    let sent: Vec<Value> = sessions
        .iter()
        .map(|session| fields(session, &["sent", "accepted", "failed", "in_doubt"]))
        .collect();
    assert_eq!(
        sent,
        [
            json!([200, 200 - offline, offline, 0]),
            json!([offline, offline, 0, 0]),
            json!([0, 0, 0, 0]),
        ]
    );
    let requests =
        sessions[0]["requests"].as_u64().unwrap() + sessions[1]["requests"].as_u64().unwrap();
    assert_eq!(requests, sim.stats().requests);

    let of_run = site.run(&["sessions", "night", "--limit", "2"]).expect(0);
    assert_eq!(of_run.stdout.lines().count(), 3, "{}", of_run.stdout);
    site.run(&["sessions", "nigth"]).expect(2).says(&[
        "no run is called 'nigth', did you mean 'night'",
        "fleetpush runs",
    ]);
}

#[test]
fn arguments_are_kept_without_payloads_and_secrets() {
    let sim = Sim::healthy();
    let site = Site::with("device_key,product_key\nDK1,PK1\n");
    let args = [
        "run",
        "fleet.csv",
        "--service",
        "fuwu",
        "--param",
        "pin=geheim-1",
        "--param=word=geheim-2",
    ];
    site.push(&sim, &args).expect(0);
    let listed = site
        .run(&["sessions", "--format", "jsonl"])
        .expect(0)
        .stdout;
    assert!(!listed.contains("geheim"), "{listed}");
    let session: Value = serde_json::from_str(&listed).unwrap();
    let kept = session["arguments"].as_array().unwrap();
    assert_eq!(
        kept[..7],
        json!([
            "run",
            "fleet.csv",
            "--service",
            "fuwu",
            "--param",
            "pin=…",
            "--param=word=…"
        ])
        .as_array()
        .unwrap()[..]
    );
    assert!(
        session["user"]
            .as_str()
            .is_some_and(|user| !user.is_empty())
    );
    let bytes = std::fs::read(site.path("push.db")).unwrap();
    let secret = site
        .push_command(&sim, &[])
        .get_envs()
        .any(|(name, _)| name == "FLEETPUSH_ACCESS_SECRET");
    assert!(secret, "the test has one");
    assert!(!String::from_utf8_lossy(&bytes).contains("geheim-1\",\"--param"));
}

#[test]
fn a_killed_session_has_no_end_and_its_numbers_add_up_with_the_next_ones() {
    let sim = Sim::slow(20);
    let site = Site::with(&devices(400));
    let args = [
        "run",
        "fleet.csv",
        "--chunk-size",
        "5",
        "--concurrency",
        "2",
        "--in-doubt",
        "hold",
    ];
    let push = site.start(&sim, &args);
    sim.wait_for_requests(10);
    let working = &sessions(&site)[0];
    assert_eq!(
        fields(working, &["stop", "ended_at", "exit_code"]),
        json!([null, null, null])
    );
    push.kill();
    let killed = wait_for("the lock of the killed process to go", || {
        let killed = sessions(&site).remove(0);
        (killed["stop"] == "killed").then_some(killed)
    });
    assert_eq!(
        fields(&killed, &["ended_at", "exit_code"]),
        json!([null, null])
    );
    let table = site.run(&["sessions"]).expect(0).stdout;
    assert!(table.contains("killed or lost power"), "{table}");

    // Another session of another command leaves it as it was.
    site.push(&sim, &args).expect(1);
    let journal = site.journal();
    agree(&journal, &sim);
    let sessions = sessions(&site);
    let names = [
        "stop",
        "sent",
        "sends",
        "requests",
        "accepted",
        "failed",
        "sending_ms",
    ];
    assert_eq!(fields(&sessions[0], &names), fields(&killed, &names));
    let sum = |name: &str| -> u64 {
        sessions
            .iter()
            .map(|session| session[name].as_u64().unwrap())
            .sum()
    };
    assert_eq!(sum("accepted"), journal.run().accepted.unsigned_abs());
    // What was in flight at the kill has been sent as far as anybody knows, and was held.
    assert_eq!(sum("sent"), 400);
    assert_eq!(sum("sends"), 400);
    assert_eq!(
        sessions[1]["in_doubt"].as_i64(),
        Some(journal.run().in_doubt)
    );
    assert_eq!(sessions[1]["exit_code"], 1);
}

#[test]
fn each_task_counts_once_however_often_a_session_sends_it() {
    let sim = Sim::start(Scenario {
        seed: 3,
        frequency_at_first: AtFirst {
            share: 0.3,
            sends: 1,
        },
        ..Scenario::default()
    });
    let site = Site::with(&devices(100));
    let push = site.start(&sim, &["run", "fleet.csv"]);
    // Stopped while some of them wait to be sent again.
    sim.wait_for_requests(2);
    push.signal(Signal::TERM);
    let code = push.ended().code;
    assert!(matches!(code, Some(0 | 3)), "{code:?}");
    site.push(&sim, &["run", "fleet.csv"]).expect(0);
    let journal = site.journal();
    let sessions = sessions(&site);
    let first = journal
        .attempts
        .iter()
        .filter(|attempt| attempt.number == 1)
        .count();
    assert_eq!(first, 100);
    let sends: u64 = sessions
        .iter()
        .map(|session| session["sends"].as_u64().unwrap())
        .sum();
    assert_eq!(sends, journal.attempts.len() as u64);
    assert!(sends > 100, "some were sent again");
    assert_eq!(sessions[0]["sent"], 100);
    if code == Some(3) {
        assert_eq!(sessions[0]["stop"], "signal");
        assert_eq!(
            sessions[1]["sent"].as_u64().unwrap(),
            sessions[1]["accepted"].as_u64().unwrap()
        );
    }
}

#[test]
fn pauses_and_what_was_not_even_sent_are_told() {
    let sim = Sim::away();
    let site = Site::with(&devices(50));
    let args = ["run", "fleet.csv", "--max-outage", "1s"];
    site.push(&sim, &args).expect(3);
    let session = &sessions(&site)[0];
    assert_eq!(
        fields(session, &["stop", "exit_code"]),
        json!(["outage", 3])
    );
    assert!(
        session["reason"].as_str().unwrap().contains("503"),
        "{session}"
    );
    assert!(session["paused_ms"].as_u64().unwrap() > 0, "{session}");
    assert_eq!(
        fields(session, &["sent", "sends"]),
        json!([0, 0]),
        "the platform took nothing"
    );

    // Credentials that are not there stop it before anything is sent.
    let mut command = site.push_command(&sim, &args);
    command.env_remove("FLEETPUSH_ACCESS_SECRET");
    crate::support::Push::start(command).ended().expect(2);
    let again = sessions(&site).len();
    assert_eq!(again, 1, "it has not owned the database");
}

#[test]
fn sessions_and_totals_outlive_what_is_pruned() {
    let sim = Sim::some_offline();
    let site = Site::with(&devices(60));
    site.push(&sim, &["run", "fleet.csv", "--name", "night"])
        .expect(1);
    let failed = site.journal().run().failed;
    let before = sessions(&site);
    site.run(&["prune", "--keep", "0", "--note", "room"])
        .expect(0);
    let after = sessions(&site);
    assert_eq!(after[0], before[0]);
    assert_eq!(
        fields(
            &after[1],
            &["command", "run", "note", "stop", "reason", "exit_code"]
        ),
        json!([
            "prune",
            null,
            "room",
            "complete",
            "1 run with 60 tasks deleted",
            0
        ])
    );
    let of_run = site
        .run(&["sessions", "night", "--format", "jsonl"])
        .expect(0);
    assert_eq!(of_run.json_lines(), before);
    site.run(&["status", "night"])
        .expect(2)
        .says(&["run 'night' has been pruned", "fleetpush runs --pruned"]);
    let listed = site
        .run(&["runs", "--pruned", "--format", "jsonl"])
        .expect(0)
        .json_lines();
    let names = [
        "run", "name", "state", "tasks", "accepted", "failed", "in_doubt", "skipped",
    ];
    assert_eq!(
        fields(&listed[0], &names),
        json!([1, "night", "complete", 60, 60 - failed, failed, 0, 0])
    );
    assert!(listed[0]["pruned_at"].is_string());
    assert_eq!(
        site.run(&["runs", "--format", "jsonl"]).expect(0).stdout,
        ""
    );
}

#[test]
fn cancelling_is_a_session_of_the_run() {
    let sim = Sim::away();
    let site = Site::with(&devices(7));
    site.push(
        &sim,
        &["run", "fleet.csv", "--name", "night", "--max-outage", "0s"],
    )
    .expect(3);
    site.run(&["cancel", "night", "--note", "wrong limit"])
        .expect(0);
    let session = sessions(&site).remove(1);
    assert_eq!(
        fields(&session, &["command", "run", "note", "stop", "reason"]),
        json!([
            "cancel",
            1,
            "wrong limit",
            "complete",
            "7 pending tasks will not be sent"
        ])
    );
    site.run(&["cancel", "night", "--note", "two\nlines"])
        .expect(2)
        .says(&["--note", "one line"]);
}
