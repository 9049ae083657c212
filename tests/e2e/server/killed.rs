//! A copy that is killed at any moment leaves each run whole or not there, and the same command does the rest.

use rustix::process::Signal;

use super::{copy, made, views::are_equal};
use crate::support::{Database, Push, Sim, Site, devices, wait_for, with_server};

const RUNS: usize = 4;
const KILLS: usize = 12;

fn start(site: &Site, to: &Database) -> Push {
    Push::start(with_server(site, &["db", "copy", "push.db", &to.url()]))
}

/// Fails the test unless every run that is there has all of its tasks, and each of them a result.
#[track_caller]
fn is_whole(database: &Database) -> usize {
    let runs: Vec<(i64, i64, i64)> = database.on(async |connection| {
        sqlx::query_as(
            "SELECT r.tasks, r.accepted, (SELECT count(*) FROM fleetpush.results AS t WHERE t.run = r.run AND t.state = 'accepted')
             FROM fleetpush.runs AS r",
        )
        .fetch_all(connection)
        .await
        .expect("the views can be read")
    });
    for (tasks, accepted, shown) in &runs {
        assert_eq!((accepted, shown), (tasks, tasks));
    }
    runs.len()
}

#[test]
fn killed_at_any_moment_it_leaves_each_run_whole_or_not_there() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(1000));
    for number in 0..RUNS {
        site.push(
            &sim,
            &[
                "run",
                "fleet.csv",
                "--name",
                &format!("run-{number}"),
                "--again",
            ],
        )
        .expect(0);
    }
    let Some(mut database) = made(&site) else {
        return;
    };
    let (mut seen, mut there) = (Vec::new(), 0);
    for kill in 0..KILLS {
        let copying = start(&site, &database);
        // In the first run that is left, or in one after it: how far that has come is left to the machine.
        let copied = kill % (RUNS - there);
        wait_for("so many runs", || {
            (copying.stderr().matches(": copied, ").count() >= copied).then_some(())
        });
        copying.kill();
        there = is_whole(&database);
        seen.push(there);
        if there == RUNS {
            copy(&site, &database, &[]).expect(0);
            are_equal(&site, &database);
            database = made(&site).expect("there is a server");
            there = 0;
        }
    }
    copy(&site, &database, &[]).expect(0);
    are_equal(&site, &database);
    assert!(seen.iter().any(|runs| (1..RUNS).contains(runs)), "{seen:?}");
}

#[test]
fn a_signal_is_heard_while_it_waits() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(1000));
    site.push(&sim, &["run", "fleet.csv", "--name", "one"])
        .expect(0);
    let Some(database) = made(&site) else { return };
    // Somebody else's step lasts: this one waits, and hears the signal all the same.
    database.on(async |connection| {
        sqlx::raw_sql("BEGIN; LOCK TABLE fleetpush.copied_run IN SHARE ROW EXCLUSIVE MODE")
            .execute(&mut *connection)
            .await
            .expect("a lock");
        let copying = start(&site, &database);
        copying.wait_until_it_catches(Signal::TERM);
        copying.signal(Signal::TERM);
        copying
            .ended()
            .expect(3)
            .says(&["every run that was copied is complete", "to copy the rest"]);
    });
    assert_eq!(is_whole(&database), 0);
    copy(&site, &database, &[]).expect(0);
    are_equal(&site, &database);
}
