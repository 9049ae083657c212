//! `prune` with results on a server: what goes and what is told is the same as with a file.

use fleetpush::simulator::Scenario;

use crate::support::{Push, Sim, Site, agree, devices, with_server};

/// Three versions of a manifest that are complete, `a`, `b` and `c`.
fn three_runs(site: &Site, sim: &Sim) {
    for name in ["a", "b", "c"] {
        site.write(
            "fleet.csv",
            devices(60).replace(",AA", &format!(",{name}{name}")),
        );
        site.push(sim, &["run", "fleet.csv", "--name", name])
            .expect(0);
    }
}

/// What was said, without times and without the room on the disk, which only a file gives back.
fn told(site: &Site, args: &[&str], code: i32) -> Vec<String> {
    let ended = site.run(args).expect(code);
    let lines = ended.stderr.lines().map(|line| {
        let line = line.split("; ").next().unwrap_or_default();
        match (line.find(", ended "), line.find(") ")) {
            (Some(from), Some(to)) => format!("{}{}", &line[..from], &line[to..]),
            _ => line.to_owned(),
        }
    });
    lines.collect()
}

/// Deletes runs step by step; what was said, and what is left.
fn tidied(site: &Site) -> Vec<String> {
    let sim = Sim::healthy();
    three_runs(site, &sim);
    let mut all = Vec::new();
    for args in [
        &["prune", "--keep", "1", "--dry-run"][..],
        &["prune", "--older-than", "1d", "--keep", "1"],
        &["prune", "--older-than", "0s", "--keep", "2"],
        &["prune", "--keep", "1", "--archive", "kept"],
        &["prune", "--keep", "1"],
        &["runs", "--pruned"],
    ] {
        all.extend(told(site, args, 0));
    }
    let mut archived: Vec<usize> = std::fs::read_dir(site.path("kept"))
        .expect("a folder")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let text = std::fs::read_to_string(path).expect("a file");
            text.lines().count()
        })
        .collect();
    archived.sort_unstable();
    all.push(format!("{archived:?}"));
    // It stays complete, its devices remember what they have accepted, and a new push goes on with new numbers.
    let requests = sim.stats().requests;
    site.write("fleet.csv", devices(60).replace(",AA", ",aa"));
    site.push(&sim, &["run", "fleet.csv", "--name", "a"])
        .expect(0)
        .says(&["pruned", "--again"]);
    site.write("fleet.csv", devices(62).replace(",AA", ",cc"));
    let unchanged = ["run", "fleet.csv", "--name", "d", "--skip-unchanged"];
    assert_eq!(sim.stats().requests, requests);
    site.push(&sim, &unchanged)
        .expect(0)
        .says(&["60 unchanged"]);
    let left = site.run(&["prune", "--keep", "0"]).expect(0);
    assert!(left.stderr.contains("2 runs with 122 tasks"), "{left:?}");
    site.push(&sim, &[&unchanged[..], &["--again"]].concat())
        .expect(0)
        .says(&["62 unchanged"]);
    let rows = [
        "sql",
        "SELECT device_key, product_key, service, run, name, line FROM devices ORDER BY 1",
        "--format",
        "csv",
    ];
    all.push(site.run(&rows).expect(0).stdout);
    all.push(
        site.run(&["runs", "--pruned"])
            .expect(0)
            .stdout
            .lines()
            .count()
            .to_string(),
    );
    all
}

#[test]
fn what_is_deleted_and_what_stays_is_the_same_as_on_a_file() {
    let Some(site) = Site::on_server("") else {
        return;
    };
    let there = tidied(&site);
    assert_eq!(there, tidied(&Site::with("")));
}

#[test]
fn a_prune_beside_a_push_leaves_what_is_unfinished() {
    let Some(site) = Site::on_server(&devices(200)) else {
        return;
    };
    let sim = Sim::slow(300);
    let args = ["run", "fleet.csv", "--name", "fleet", "--chunk-size", "1"];
    let push = site.start(&sim, &[&args[..], &["--concurrency", "1"]].concat());
    sim.wait_for_requests(2);
    site.run(&["prune", "--keep", "0"])
        .expect(0)
        .says(&["there is no run to delete"]);
    push.signal(rustix::process::Signal::TERM);
    push.ended().expect(3);
    site.run(&["prune", "--keep", "0"])
        .expect(0)
        .says(&["there is no run to delete"]);
    sim.play(Scenario::default());
    site.push(&sim, &args).expect(0);
    agree(&site.journal(), &sim);
    assert_eq!(site.journal().run().accepted, 200);
}

#[test]
fn a_database_of_copies_is_not_pruned_and_takes_copies_as_before() {
    let Some(site) = Site::on_server(&devices(5)) else {
        return;
    };
    let sim = Sim::healthy();
    let file = Site::with(&devices(40));
    file.push(&sim, &["run", "fleet.csv", "--name", "night"])
        .expect(0);
    let from = file.path("push.db").display().to_string();
    let copy = || {
        let args = ["db", "copy", &from, &site.server().url()];
        Push::start(with_server(&site, &args)).ended()
    };
    copy().expect(0);
    site.run(&["prune", "--keep", "0"])
        .expect(2)
        .says(&["were copied from a file", "prune them there"]);
    copy().expect(0);
    assert_eq!(site.journal().run().accepted, 40);
    // Beside runs that are pushed here, it goes as they do.
    site.push(&sim, &["run", "fleet.csv", "--name", "new"])
        .expect(0);
    site.run(&["prune", "--keep", "0"])
        .expect(0)
        .says(&["2 runs with 45 tasks deleted"]);
    assert!(site.journal().runs.is_empty());
}
