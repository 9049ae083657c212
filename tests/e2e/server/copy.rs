//! What a copy does with what is there already, and with a push that goes on.

use rustix::process::Signal;

use super::{
    copy, copy_from, made,
    views::{are_equal, on_server},
};
use crate::support::{Sim, Site, devices};

/// A database with two runs.
fn two_runs(sim: &Sim) -> Site {
    let site = Site::with(&devices(50));
    for name in ["one", "two"] {
        site.push(sim, &["run", "fleet.csv", "--name", name, "--again"]);
    }
    site
}

#[test]
fn a_copy_is_repeated_and_copies_what_has_gone_on() {
    let sim = Sim::some_offline();
    let site = two_runs(&sim);
    let Some(database) = made(&site) else { return };
    copy(&site, &database, &[]).expect(0).says(&[
        "run 1 one (complete): copied, 50 tasks in ",
        "2 copied, 0 copied again, 0 already equal",
    ]);
    copy(&site, &database, &[])
        .expect(0)
        .says(&["0 copied, 0 copied again, 2 already equal"]);
    are_equal(&site, &database);
    site.push(&sim, &["retry", "two", "--class", "offline", "--yes"]);
    copy(&site, &database, &[]).expect(0).says(&[
        "run 2 two (complete): copied again",
        "0 copied, 1 copied again, 1 already equal",
    ]);
    are_equal(&site, &database);
}

#[test]
fn what_was_changed_there_is_found_and_left() {
    let sim = Sim::some_offline();
    let site = two_runs(&sim);
    let Some(database) = made(&site) else { return };
    copy(&site, &database, &[]).expect(0);
    database.execute("UPDATE task SET line = line + 1 WHERE id = (SELECT max(id) FROM task)");
    let changed = on_server(&database, "results");
    copy(&site, &database, &[]).expect(6).says(&[
        "run 2 two",
        "(task)",
        "1 run was changed",
        "--replace",
    ]);
    assert_eq!(on_server(&database, "results"), changed);
    copy(&site, &database, &["--replace"])
        .expect(0)
        .says(&["run 2 two (complete): copied again"]);
    are_equal(&site, &database);
    // A row that is missing is a change as well, and what stands beside the runs follows its source.
    database.execute("DELETE FROM attempt; DELETE FROM outcome; DELETE FROM session");
    copy(&site, &database, &[])
        .expect(6)
        .says(&["2 runs were changed"]);
    copy(&site, &database, &["--replace"]).expect(0);
    are_equal(&site, &database);
}

#[test]
fn the_runs_of_another_database_and_those_of_an_older_copy_are_refused() {
    let sim = Sim::some_offline();
    let site = two_runs(&sim);
    let Some(database) = made(&site) else { return };
    std::fs::copy(site.path("push.db"), site.path("older.db")).expect("a copy");
    site.push(&sim, &["run", "fleet.csv", "--name", "three", "--again"]);
    copy(&site, &database, &[]).expect(0);
    copy_from(&site, "older.db", &database, &["--replace"])
        .expect(2)
        .says(&["which FROM does not have", "older copy"]);
    let other = two_runs(&sim);
    std::fs::rename(other.path("push.db"), site.path("other.db")).expect("another name");
    copy_from(&site, "other.db", &database, &["--replace"])
        .expect(2)
        .says(&[
            "run 1 is 'one' in FROM and 'one' in TO",
            "a PostgreSQL database of its own",
        ]);
    are_equal(&site, &database);
}

#[test]
fn what_is_pruned_at_its_source_stays() {
    let sim = Sim::some_offline();
    let site = two_runs(&sim);
    let Some(database) = made(&site) else { return };
    copy(&site, &database, &[]).expect(0);
    let [results, devices] = ["results", "devices"].map(|view| on_server(&database, view));
    site.run(&["prune", "--keep", "0"]).expect(0);
    copy(&site, &database, &[]).expect(0);
    assert_eq!(on_server(&database, "runs").len(), 2);
    assert!(on_server(&database, "pruned_runs").is_empty());
    assert_eq!(on_server(&database, "results"), results);
    assert_eq!(on_server(&database, "devices"), devices);
    site.push(&sim, &["run", "fleet.csv", "--name", "one", "--again"]);
    copy(&site, &database, &[]).expect(0);
    assert_eq!(on_server(&database, "runs").len(), 3);
}

#[test]
fn a_run_that_is_being_pushed_is_told_of() {
    let sim = Sim::slow(100);
    let site = Site::with(&devices(60));
    let args = [
        "run",
        "fleet.csv",
        "--name",
        "night",
        "--chunk-size",
        "1",
        "--concurrency",
        "1",
    ];
    let Some(database) = made(&site) else { return };
    let push = site.start(&sim, &args);
    sim.wait_for_requests(3);
    copy(&site, &database, &[]).expect(0).says(&[
        "run 1 night (running): copied, 60 tasks",
        "is being pushed: TO has it as it was at ",
        "copy it again",
    ]);
    assert_eq!(on_server(&database, "results").len(), 60);
    push.signal(Signal::TERM);
    push.ended().expect(3);
    let again = copy(&site, &database, &[])
        .expect(0)
        .says(&["run 1 night (stopped): copied again"]);
    assert!(!again.stderr.contains("is being pushed"), "{again:?}");
    are_equal(&site, &database);
}
