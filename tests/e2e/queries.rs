//! What can be asked of a run, and what can be done with one that has ended or has not.

use std::collections::BTreeSet;

use fleetpush::simulator::{Fault, Scenario};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Journal, Sim, Site, agree, devices};

/// A run of 200 devices, of which some are offline and some are refused.
fn pushed() -> (Site, Sim) {
    let sim = Sim::start(Scenario {
        seed: 9,
        offline: 0.15,
        rejected: 0.05,
        rejected_codes: vec![61005],
        ..Scenario::default()
    });
    let site = Site::with(&devices(200));
    site.push(&sim, &["run", "fleet.csv", "--name", "night"])
        .expect(1);
    (site, sim)
}

fn count(journal: &Journal, class: &str) -> usize {
    journal
        .tasks
        .iter()
        .filter(|task| task.class.as_deref() == Some(class))
        .count()
}

/// The device keys of listed results.
fn keys(rows: &[Value]) -> BTreeSet<&str> {
    rows.iter()
        .map(|row| row["device_key"].as_str().expect("a row has a key"))
        .collect()
}

#[test]
fn results_are_the_view_in_every_form() {
    let (site, sim) = pushed();
    let journal = site.journal();
    agree(&journal, &sim);
    let list = |args: &[&str]| {
        let mut all = vec!["results"];
        all.extend(args);
        site.run(&all).expect(0)
    };
    let lines = list(&["night", "--format", "jsonl"]).json_lines();
    assert_eq!(lines.len(), 200);
    for (line, task) in lines.iter().zip(&journal.tasks) {
        assert_eq!(line["line"], task.line);
        assert_eq!(line["device_key"], *task.device_key);
        assert_eq!(line["state"], *task.state);
        assert_eq!(line["class"].as_str(), task.class.as_deref());
        assert_eq!(line["code"].as_i64(), task.code);
        assert_eq!(line["ticket"].as_str(), task.ticket.as_deref());
        assert_eq!(line["data"].as_str(), task.data.as_deref());
    }

    let text = list(&["--format", "csv"]).stdout;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let columns: Vec<String> = reader.headers().unwrap().iter().map(Into::into).collect();
    let documented = "run name line product_key device_key state class code message ticket attempts request_id due_at finished_at data labels \
                      qos is_cache cache_time is_cover extend_para delivery delivery_at";
    assert_eq!(columns, documented.split(' ').collect::<Vec<_>>());
    assert_eq!(reader.records().flatten().count(), 200);
    let table = list(&["--limit", "3"]).stdout;
    assert!(
        table.contains("DK00001") && table.contains("TICKET"),
        "{table}"
    );

    let offline = list(&["--class", "offline", "--format", "jsonl"]).json_lines();
    assert_eq!(offline.len(), count(&journal, "offline"));
    let by_code = list(&["--code", "61002", "--format", "jsonl"]).json_lines();
    assert_eq!(keys(&by_code), keys(&offline));
    let failed = list(&["--state", "failed", "--format", "jsonl"]).json_lines();
    assert_eq!(failed.len() as i64, journal.run().failed);
    let one = list(&["--device", "DK00042", "--format", "jsonl"]).json_lines();
    assert_eq!(keys(&one), BTreeSet::from(["DK00042"]));
    let limited = list(&["--limit", "7", "--format", "jsonl"]).json_lines();
    assert_eq!(limited.len(), 7);
}

#[test]
fn runs_and_status_tell_the_same() {
    let (site, sim) = pushed();
    let run = &site
        .run(&["runs", "--format", "jsonl"])
        .expect(0)
        .json_lines()[0];
    let status = site.run(&["status", "--format", "jsonl"]).expect(0).json();
    for count in [
        "tasks", "accepted", "failed", "in_doubt", "skipped", "pending",
    ] {
        assert_eq!(run[count], status["counts"][count], "{count}");
    }
    assert_eq!(run["accepted"], sim.deliveries().len());
    let endings = status["endings"].as_array().unwrap();
    let total: u64 = endings
        .iter()
        .map(|ending| ending["tasks"].as_u64().unwrap())
        .sum();
    assert_eq!(total, 200);
    for form in ["table", "csv"] {
        let listed = site.run(&["runs", "--format", form]).expect(0).stdout;
        assert!(
            listed.contains("night") && listed.contains("complete"),
            "{listed}"
        );
    }
    let shown = site.run(&["status", "night"]).expect(0).stdout;
    assert!(
        shown.contains("61002") && shown.contains("Device offline"),
        "{shown}"
    );
    site.run(&["status", "day"])
        .expect(2)
        .says(&["'day'", "fleetpush runs"]);
}

#[test]
fn a_database_that_is_not_there_is_not_made_by_asking() {
    let site = Site::new();
    for command in ["runs", "status", "results"] {
        site.run(&[command]).expect(2).says(&["push.db"]);
    }
    assert!(!site.path("push.db").exists());
}

#[test]
fn a_check_shows_the_plan_and_leaves_nothing() {
    let site = Site::with(&devices(250));
    let plan = site
        .run(&["check", "fleet.csv", "--rate", "1"])
        .expect(0)
        .stdout;
    assert!(
        plan.contains("250") && plan.contains("requests  3 "),
        "{plan}"
    );
    site.write("bad.csv", "device_key,product_key,data\nDK1,PK1,not json\n");
    site.run(&["check", "bad.csv"])
        .expect(2)
        .says(&["bad.csv", "line 2", "data"]);
    let left: BTreeSet<_> = std::fs::read_dir(site.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        left,
        BTreeSet::from(["bad.csv".to_owned(), "fleet.csv".to_owned()])
    );
}

#[test]
fn retry_sends_what_was_chosen_and_nothing_else() {
    let (site, sim) = pushed();
    let journal = site.journal();
    let (offline, rejected) = (count(&journal, "offline"), count(&journal, "rejected"));
    assert!(offline > 0 && rejected > 0);
    let requests = sim.stats().requests;
    site.push(&sim, &["retry", "night", "--dry-run"])
        .expect(0)
        .says(&[&format!("{offline} tasks would be sent again")]);
    site.push(&sim, &["retry", "night", "--code", "70091"])
        .expect(2)
        .says(&["no task that has failed or is in doubt matches the filter"]);
    assert_eq!(sim.stats().requests, requests);
    assert_eq!(site.journal().attempts.len(), journal.attempts.len());

    sim.play(Scenario::default());
    site.push(&sim, &["retry", "night"]).expect(1);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(
        (count(&journal, "offline"), count(&journal, "rejected")),
        (0, rejected)
    );
    assert_eq!(journal.attempts.len(), 200 + offline);

    let refused = journal
        .tasks
        .iter()
        .find(|task| task.class.as_deref() == Some("rejected"))
        .unwrap();
    site.push(
        &sim,
        &[
            "retry",
            "night",
            "--device",
            &refused.device_key,
            "--class",
            "rejected",
        ],
    )
    .expect(i32::from(rejected > 1));
    site.push(&sim, &["retry", "night", "--code", "61005"])
        .expect(0);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().accepted, 200);
    assert_eq!(sim.deliveries().len(), 200);
}

#[test]
fn a_large_retry_wants_a_yes() {
    let sim = Sim::start(Scenario {
        offline: 1.0,
        ..Scenario::default()
    });
    let site = Site::with(&devices(1001));
    site.push(&sim, &["run", "fleet.csv", "--name", "night"])
        .expect(1);
    sim.play(Scenario::default());
    site.push(&sim, &["retry", "night"])
        .expect(2)
        .says(&["1,001 tasks", "--yes"]);
    assert!(sim.deliveries().is_empty());
    site.push(&sim, &["retry", "night", "--yes"]).expect(0);
    agree(&site.journal(), &sim);
    assert_eq!(sim.deliveries().len(), 1001);
}

#[test]
fn what_is_held_in_doubt_goes_out_again_by_retry_alone() {
    let sim = Sim::start(Scenario {
        faults: [(Fault::BadGateway, 1.0)].into(),
        ..Scenario::default()
    });
    let site = Site::with(&devices(30));
    let args = ["run", "fleet.csv", "--name", "night", "--in-doubt", "hold"];
    site.push(&sim, &args).expect(1);
    assert_eq!(site.journal().run().in_doubt, 30);
    sim.play(Scenario::default());
    site.push(&sim, &args).expect(1);
    site.push(&sim, &["retry", "night"]).expect(1);
    assert!(
        sim.deliveries().is_empty(),
        "sent again without being asked"
    );
    site.push(&sim, &["retry", "night", "--state", "in_doubt"])
        .expect(0);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().accepted, 30);
}

#[test]
fn resume_without_a_name_needs_exactly_one_unfinished_run() {
    let slow = Scenario {
        latency_ms: 100,
        ..Scenario::default()
    };
    let sim = Sim::start(slow);
    let site = Site::new();
    let stop = |name: &str, manifest: &str| {
        site.write(manifest, devices(100 + name.len()));
        let before = sim.stats().requests;
        let push = site.start(
            &sim,
            &[
                "run",
                manifest,
                "--name",
                name,
                "--chunk-size",
                "5",
                "--concurrency",
                "2",
            ],
        );
        sim.wait_for_requests(before + 2);
        push.signal(Signal::INT);
        push.ended().expect(3);
    };
    site.write("small.csv", devices(1));
    site.push(&sim, &["run", "small.csv"]).expect(0);
    site.push(&sim, &["resume"])
        .expect(2)
        .says(&["no run", "unfinished"]);
    stop("one", "one.csv");
    stop("two-two", "two.csv");
    site.push(&sim, &["resume"])
        .expect(2)
        .says(&["several runs", "one", "two-two"]);
    let other = Sim::healthy();
    site.push(&other, &["resume", "one"])
        .expect(2)
        .says(&["was made for", sim.base_url()]);

    sim.play(Scenario::default());
    site.push(&sim, &["resume", "one"]).expect(0);
    site.push(&sim, &["resume"]).expect(0);
    site.push(&sim, &["resume", "one"]).expect(0);
    let journal = site.journal();
    assert!(
        journal.runs.iter().all(|run| run.state == "complete"),
        "{:?}",
        journal.runs
    );
    // The three fleets share devices, so the runs are told apart by their number.
    assert_eq!(sim.deliveries().len(), 1 + 103 + 107);
    agree(&journal, &sim);
    assert_eq!(other.stats().requests, 0);
}

#[test]
fn a_cancelled_run_is_over() {
    let sim = Sim::start(Scenario {
        latency_ms: 100,
        ..Scenario::default()
    });
    let site = Site::with(&devices(100));
    let args = [
        "run",
        "fleet.csv",
        "--name",
        "night",
        "--chunk-size",
        "5",
        "--concurrency",
        "2",
    ];
    let push = site.start(&sim, &args);
    sim.wait_for_requests(3);
    push.signal(Signal::TERM);
    push.ended().expect(3);
    site.run(&["cancel", "night"]).expect(0);
    let journal = site.journal();
    agree(&journal, &sim);
    let run = journal.run();
    assert_eq!((run.state.as_str(), run.pending), ("cancelled", 0));
    assert!(run.accepted > 0 && run.skipped > 0, "{run:?}");

    let requests = sim.stats().requests;
    site.run(&["cancel", "night"]).expect(2);
    site.push(&sim, &args).expect(1);
    site.push(&sim, &["resume", "night"]).expect(1);
    assert_eq!(sim.stats().requests, requests);
}

#[test]
fn codes_are_explained() {
    let site = Site::new();
    let all = site
        .run(&["codes", "--format", "jsonl"])
        .expect(0)
        .json_lines();
    let table = include_str!("../fixtures/codes.tsv");
    for line in table.lines() {
        let code: i64 = line.split('\t').next().unwrap().parse().unwrap();
        assert!(
            all.iter().any(|row| row["code"] == code),
            "{code} is missing"
        );
    }
    let one = site.run(&["codes", "61007"]).expect(0).stdout;
    assert!(one.contains("frequency"), "{one}");
    let unknown = site
        .run(&["codes", "12345", "--format", "jsonl"])
        .expect(0)
        .json();
    assert_eq!(unknown["class"], "rejected");
}
