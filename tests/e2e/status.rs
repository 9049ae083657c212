//! Where a run stands, told from outside: whether somebody works on it, how far it is, and how it breaks down.

use std::collections::BTreeMap;

use fleetpush::simulator::{Outage, Scenario};
use serde_json::{Value, json};

use crate::support::{Push, Sim, Site, clock_at, devices, fields, push_at, wait_for};

fn status(site: &Site, args: &[&str]) -> Value {
    let all = [&["status", "--format", "jsonl"], args].concat();
    site.run(&all).expect(0).json()
}

/// Six devices at two sites, of two products, with two payloads. Two of them are refused with codes of their own.
fn mixed() -> (Site, Sim) {
    let manifest = "device_key,product_key,service,param.raw1,site\n\
        DK1,PK1,fuwu,AA,Oslo\nDK2,PK1,fuwu,AA,Bergen\nDK3,PK1,fuwu,BB,Oslo\n\
        DK4,PK2,fuwu,AA,Oslo\nDK5,PK2,fuwu,AA,\nDK6,PK2,fuwu,AA,Bergen\n";
    let sim = Sim::start(Scenario {
        outcasts: BTreeMap::from([("DK4".into(), 61005), ("DK6".into(), 61008)]),
        ..Scenario::default()
    });
    let site = Site::with(manifest);
    site.push_named(&sim, "night").expect(1);
    (site, sim)
}

#[test]
fn a_run_is_broken_down_by_what_is_asked() {
    let (site, _sim) = mixed();
    let args = [
        "status",
        "night",
        "--by",
        "product,code",
        "--by",
        "label.site",
        "--by",
        "payload",
    ];
    let shown = site.run(&args).expect(0).stdout;
    let tables = shown.split_once("\nby ").expect("there is a table").1;
    insta::assert_snapshot!(format!("by {tables}"));
    let csv = site
        .run(&["status", "--by", "label.site", "--format", "csv"])
        .expect(0)
        .stdout;
    insta::assert_snapshot!(csv);

    let object = status(&site, &["--by", "hour,label.site"]);
    let by = object["by"].as_array().unwrap();
    assert_eq!(
        (&by[0]["by"], &by[1]["by"]),
        (&json!("hour"), &json!("label.site"))
    );
    let finished = object["run"]["finished_at"].as_str().unwrap();
    for dimension in by {
        let groups = dimension["groups"].as_array().unwrap();
        let sum = |name: &str| -> u64 {
            groups
                .iter()
                .map(|group| group[name].as_u64().unwrap())
                .sum()
        };
        for count in [
            "tasks", "accepted", "failed", "in_doubt", "skipped", "pending",
        ] {
            assert_eq!(
                sum(count),
                object["counts"][count].as_u64().unwrap(),
                "{count}"
            );
        }
    }
    let hours = by[0]["groups"].as_array().unwrap();
    assert!(
        hours
            .iter()
            .any(|hour| finished.starts_with(hour["value"].as_str().unwrap()))
    );
}

#[test]
fn what_cannot_be_asked_is_answered_with_what_can() {
    let (site, _sim) = mixed();
    site.run(&["status", "night", "--by", "label.sit"])
        .expect(2)
        .says(&["no task of run 'night' has the label 'sit'; its labels are site"]);
    site.run(&["status", "night", "--by", "site"])
        .expect(2)
        .says(&["product, code, payload, hour, or label.KEY", "label.site"]);
    site.run(&["status", "nihgt", "--by", "code"])
        .expect(2)
        .says(&["no run is called 'nihgt', did you mean 'night'"]);
}

#[test]
fn a_run_at_work_and_one_left_behind_are_told_apart() {
    let sim = Sim::slow(30);
    let site = Site::with(&devices(400));
    let args = [
        "run",
        "fleet.csv",
        "--name",
        "night",
        "--chunk-size",
        "2",
        "--concurrency",
        "2",
    ];
    let push = site.start(&sim, &args);
    sim.wait_for_requests(10);
    let working = status(&site, &["night"]);
    assert_eq!(working["run"]["state"], "running");
    assert_eq!(working["alive"], true);
    assert_eq!(
        working["process"],
        json!({ "pid": push.pid(), "host": null })
    );
    assert!(
        working["next"][0]
            .as_str()
            .unwrap()
            .contains("status night --watch"),
        "{working}"
    );
    let first = site.run(&["status"]).expect(0).stdout;
    let pid = format!("running, pid {}, ", push.pid());
    assert!(first.lines().next().unwrap().contains(&pid), "{first}");

    push.kill();
    let left = wait_for("the lock of the killed process to go", || {
        let left = status(&site, &[]);
        (left["alive"] == false).then_some(left)
    });
    assert_eq!(
        fields(&left, &["process", "outage", "seconds_left"]),
        json!([null, null, null])
    );
    assert_eq!(
        left["run"]["state"], "running",
        "the view has no other word"
    );
    let told = site.run(&["status"]).expect(0).stdout;
    let first = told.lines().next().unwrap();
    assert!(
        first.contains("interrupted at ") && first.contains("no process is working on it"),
        "{told}"
    );
    assert!(told.contains("fleetpush resume night"), "{told}");

    sim.play(Scenario::default());
    site.push(&sim, &["resume"]).expect(0);
    let ended = status(&site, &[]);
    assert_eq!(ended["sessions"], 2);
    let spent = ended["spent_ms"]["sending"].as_u64().unwrap();
    assert!(spent > 0, "{ended}");
    let latency = &ended["latency_ms"];
    let at = |name: &str| latency[name].as_u64().unwrap();
    assert!(at("p50") <= at("p95") && at("p95") <= at("p99") && at("p99") <= at("worst"));
    assert!(at("worst") >= 30, "{ended}");
}

#[test]
fn the_time_between_two_sessions_is_no_time_of_the_run() {
    let refusing = Scenario {
        outcasts: BTreeMap::from([("DK00007".into(), 61005)]),
        ..Scenario::default()
    };
    let (evening, later) = ("2026-11-22T19:00:00Z", "2026-11-22T19:07:00Z");
    let sim = Sim::start(clock_at(evening, refusing));
    let site = Site::with(&devices(20));
    let night = ["run", "fleet.csv", "--name", "night"];
    Push::start(push_at(&site, &sim, evening, &night))
        .ended()
        .expect(1);
    // Seven minutes lie between the push and its retry.
    sim.play(clock_at(later, Scenario::default()));
    let retry = ["retry", "night", "--class", "rejected"];
    Push::start(push_at(&site, &sim, later, &retry))
        .ended()
        .expect(0);
    let ended = status(&site, &[]);
    let spent = &ended["spent_ms"];
    let sum: u64 = ["staging", "canary", "sending", "paused"]
        .iter()
        .map(|part| spent[*part].as_u64().unwrap())
        .sum();
    assert!(sum < 5 * 60 * 1000, "{ended}");
    let told = site.run(&["status"]).expect(0).stdout;
    let pace = told
        .lines()
        .find(|line| line.trim_start().starts_with("pace "))
        .unwrap();
    assert!(!pace.contains("min"), "{told}");
}

#[test]
fn a_pause_is_told_with_its_reason() {
    let sim = Sim::start(Scenario {
        outage: Outage::Unavailable,
        outage_spares_logins: true,
        ..Scenario::default()
    });
    let site = Site::with(&devices(50));
    let push = site.start(&sim, &["run", "fleet.csv", "--name", "night"]);
    let paused = wait_for("the pause", || {
        let ended = site.run(&["status", "night", "--format", "jsonl"]);
        (ended.code == Some(0))
            .then(|| ended.json())
            .filter(|status| !status["outage"].is_null())
    });
    assert!(
        paused["outage"]["reason"].as_str().unwrap().contains("503"),
        "{paused}"
    );
    let told = site.run(&["status"]).expect(0).stdout;
    let first = told.lines().next().unwrap();
    assert!(
        first.contains("paused since ") && first.contains("503") && first.contains("pid "),
        "{told}"
    );
    drop(push);
}

#[test]
fn a_watch_ends_with_the_run() {
    let sim = Sim::slow(50);
    let site = Site::with(&devices(300));
    let args = [
        "run",
        "fleet.csv",
        "--chunk-size",
        "1",
        "--concurrency",
        "1",
    ];
    let push = site.start(&sim, &args);
    sim.wait_for_requests(3);
    let watch = Push::start(site.command(&["status", "--watch", "--format", "jsonl"]));
    let lines = Push::start(site.command(&["status", "--watch"]));
    for watching in [&watch, &lines] {
        wait_for("a first picture", || {
            (!watching.stdout().is_empty()).then_some(())
        });
    }
    sim.play(Scenario::default());
    push.ended().expect(0);
    let pictures = watch.ended().expect(0).json_lines();
    let (last, before) = pictures.split_last().expect("there are pictures");
    assert!(
        before.iter().all(|picture| picture["alive"] == true),
        "{before:?}"
    );
    assert!(!before.is_empty());
    assert_eq!(
        (&last["alive"], &last["run"]["state"]),
        (&json!(false), &json!("complete"))
    );
    assert_eq!(last["counts"]["accepted"], 300);
    let told = lines.ended().expect(0).stdout;
    assert!(
        told.starts_with("run fleet-") && told.contains(": running, pid "),
        "{told}"
    );
    assert!(
        told.contains(": complete\n") && told.contains("accepted  300"),
        "{told}"
    );
}

#[test]
fn queries_write_nothing() {
    let (site, _sim) = mixed();
    let content = || {
        let names: Vec<_> = std::fs::read_dir(site.folder())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                path.file_name()
                    .unwrap()
                    .to_string_lossy()
                    .starts_with("push.db")
            })
            .filter(|path| !path.to_string_lossy().ends_with("-shm"))
            .map(|path| (std::fs::read(&path).unwrap(), path))
            .filter(|(bytes, _)| !bytes.is_empty())
            .collect();
        names
    };
    let before = content();
    for args in [
        &["sessions"][..],
        &["runs", "--pruned"],
        &["status", "--by", "product,code,payload,hour,label.site"],
        &["status", "--watch"],
    ] {
        site.run(args).expect(0);
        assert!(
            content() == before,
            "{args:?} has changed a file of the database"
        );
    }
}
