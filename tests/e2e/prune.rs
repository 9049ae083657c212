//! Deleting old runs.

use std::time::Duration;

use fleetpush::simulator::Scenario;
use rustix::process::Signal;

use crate::support::{Push, Sim, Site, agree, devices};

/// A database of three runs that are complete, `a`, `b` and `c`: versions of one manifest, the same devices, each time
/// with another payload.
fn three_runs(sim: &Sim) -> Site {
    let site = Site::new();
    for name in ["a", "b", "c"] {
        let file = format!("{name}.csv");
        // What is kept of a device takes as much as a small task.
        let note = "x".repeat(200);
        let content = devices(300)
            .replace("param.raw1\n", "param.raw1,note\n")
            .replace(",AA", &format!(",{name}{name},{note}"));
        site.write(&file, &content);
        // Versions of one manifest.
        site.write("fleet.csv", &content);
        site.push(sim, &["run", "fleet.csv", "--name", name])
            .expect(0);
    }
    site
}

fn names(site: &Site) -> Vec<String> {
    let journal = site.journal();
    journal.runs.into_iter().map(|run| run.name).collect()
}

#[test]
fn it_deletes_what_it_was_asked_to_and_tells_what_that_was() {
    let sim = Sim::healthy();
    let site = three_runs(&sim);
    site.run(&["prune"])
        .expect(2)
        .says(&["--older-than", "--keep"]);
    site.run(&["prune", "--older-than", "90"])
        .expect(2)
        .says(&["90d"]);
    site.run(&["prune", "--keep", "1", "--dry-run"])
        .expect(0)
        .says(&[
            "run 'a' (300 tasks, ended ",
            "would be deleted",
            "2 runs with 600 tasks would be deleted",
        ]);
    site.run(&["prune", "--older-than", "1d", "--keep", "1"])
        .expect(0)
        .says(&["there is no run to delete"]);
    assert_eq!(names(&site), ["a", "b", "c"]);
    let before = std::fs::metadata(site.path("push.db")).unwrap().len();
    site.run(&["prune", "--older-than", "0s", "--keep", "1"])
        .expect(0)
        .says(&[
            "run 'a' (300 tasks, ended ",
            "2 runs with 600 tasks deleted; ",
            " freed, the database has ",
        ]);
    let after = std::fs::metadata(site.path("push.db")).unwrap().len();
    assert!(after < before, "{before} and then {after}");
    let journal = site.journal();
    assert_eq!(journal.runs.len(), 1);
    assert_eq!(journal.tasks.len(), 300);
    assert!(journal.tasks.iter().all(|task| task.run == 3));
    site.run(&["runs"]).expect(0);
    site.run(&["results", "a"]).expect(2);
}

#[test]
fn a_push_whose_run_was_pruned_stays_complete_and_can_be_pushed_anew() {
    let sim = Sim::healthy();
    let site = three_runs(&sim);
    site.run(&["prune", "--keep", "0"]).expect(0);
    assert!(names(&site).is_empty());
    site.push(&sim, &["run", "a.csv"]).expect(0).says(&[
        "run 'a' is complete since",
        "pruned",
        "--again",
    ]);
    assert_eq!(sim.deliveries().len(), 900);
    site.push(&sim, &["run", "a.csv", "--name", "a", "--again"])
        .expect(0);
    assert_eq!(names(&site), ["a-2"]);
    assert_eq!(sim.deliveries().len(), 1200);
    let journal = site.journal();
    assert!(journal.tasks.iter().all(|task| task.run == 4));
}

#[test]
fn an_unfinished_run_stays_and_goes_on() {
    let sim = Sim::start(Scenario {
        latency_ms: 300,
        ..Scenario::default()
    });
    let site = Site::with(&devices(200));
    let args = ["run", "fleet.csv", "--name", "fleet", "--chunk-size", "1"];
    let push = site.start(&sim, &[&args[..], &["--concurrency", "1"]].concat());
    sim.wait_for_requests(2);
    site.run(&["prune", "--keep", "0"])
        .expect(7)
        .says(&["owned by another process"]);
    push.signal(Signal::TERM);
    push.ended().expect(3);
    site.run(&["prune", "--keep", "0"])
        .expect(0)
        .says(&["there is no run to delete"]);
    sim.play(Scenario::default());
    site.push(&sim, &args).expect(0);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().accepted, 200);
}

#[test]
fn killed_at_any_moment_it_leaves_each_run_whole_or_gone() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(3000));
    site.push(&sim, &["run", "fleet.csv", "--name", "fleet"])
        .expect(0);
    site.write("fleet.csv", devices(30));
    site.push(&sim, &["run", "fleet.csv", "--name", "last"])
        .expect(0);
    let whole = std::fs::read(site.path("push.db")).unwrap();
    let args = ["prune", "--keep", "1"];
    for milliseconds in [2, 8, 16, 28, 45] {
        site.write("push.db", &whole);
        let prune = Push::start(site.command(&args));
        std::thread::sleep(Duration::from_millis(milliseconds));
        prune.kill();
        let journal = site.journal();
        let tasks: i64 = journal.runs.iter().map(|run| run.tasks).sum();
        assert_eq!(journal.tasks.len() as i64, tasks);
        assert_eq!(journal.attempts.len() as i64, tasks);
        site.run(&args).expect(0);
        assert_eq!(names(&site), ["last"]);
        assert_eq!(site.journal().attempts.len(), 30);
        for log in ["push.db-wal", "push.db-shm"] {
            let _ = std::fs::remove_file(site.path(log));
        }
    }
}

#[test]
fn the_latest_runs_of_each_manifest_are_kept() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(3));
    site.write("weekly.csv", devices(4));
    let push = |manifest: &str| {
        site.push(&sim, &["run", manifest, "--again"]).expect(0);
    };
    push("weekly.csv");
    for _ in 0..3 {
        push("fleet.csv");
    }
    site.run(&["prune", "--keep", "2", "--dry-run"])
        .expect(0)
        .says(&["1 run with 3 tasks would be deleted"]);
    site.run(&["prune", "--keep", "1"])
        .expect(0)
        .says(&["2 runs with 6 tasks deleted"]);
    let runs = site.journal().runs;
    let tasks: Vec<i64> = runs.iter().map(|run| run.tasks).collect();
    assert_eq!(
        tasks,
        [4, 3],
        "the weekly one is the latest of its manifest"
    );
}

#[test]
fn an_archived_run_stands_in_two_files_before_it_goes() {
    let sim = Sim::start(Scenario {
        rejected: 0.3,
        ..Scenario::default()
    });
    let site = Site::with(&devices(50));
    site.push(
        &sim,
        &[
            "run",
            "fleet.csv",
            "--name",
            "night/1",
            "--abort-if",
            "never",
        ],
    )
    .expect(1);
    let sql = |table: &str| format!("SELECT count(*) AS n FROM {table}");
    let count = |table: &str| {
        let ended = site
            .run(&["sql", &sql(table), "--format", "jsonl"])
            .expect(0);
        ended.json_lines()[0]["n"].as_u64().unwrap() as usize
    };
    let expected = [count("results"), count("attempts")];
    assert_eq!(expected[0], 50);
    let prune = ["prune", "--keep", "0", "--archive"];

    // A place that takes no files is known before anything is deleted.
    site.write("taken", "");
    site.run(&[&prune[..], &["taken"]].concat())
        .expect(2)
        .says(&["taken"]);
    assert_eq!(site.journal().runs.len(), 1);

    site.run(&[&prune[..], &["archive/2026", "--dry-run"]].concat())
        .expect(0);
    assert!(!site.path("archive").exists(), "a question writes nothing");
    site.run(&[&prune[..], &["archive/2026"]].concat())
        .expect(0)
        .says(&[
            "is deleted; its results and attempts are kept in archive/2026",
            "1 run with 50 tasks deleted",
        ]);
    assert!(site.journal().runs.is_empty());
    let mut names: Vec<String> = std::fs::read_dir(site.path("archive/2026"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names.len(), 2, "{names:?}");
    for (name, (view, rows)) in names
        .iter()
        .zip([("attempts", expected[1]), ("results", expected[0])])
    {
        assert!(name.starts_with("night_1-1-20"), "{name}");
        assert!(name.ends_with(&format!("-{view}.csv")), "{name}");
        let text = std::fs::read_to_string(site.path("archive/2026").join(name)).unwrap();
        assert!(
            text.starts_with("run,name,line,product_key,device_key,"),
            "{text}"
        );
        assert_eq!(text.lines().count(), rows + 1, "{view}");
        assert!(text.contains("\n1,night/1,2,PK0001,DK00001,"), "{text}");
    }
}
