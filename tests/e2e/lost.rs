//! A results database, or its log, that is lost while a push is at work or between two: it is noticed, and nothing is thrown away.

use std::process::Command;

use crate::{
    owner::{SLOWLY, slow, sqlite},
    support::{Site, agree, devices},
};

#[test]
fn a_foreign_sqlite_that_opens_and_closes_leaves_the_log() {
    let sim = slow();
    let site = Site::with(&devices(600));
    let push = site.start(&sim, SLOWLY);
    for requests in [5, 20, 40] {
        sim.wait_for_requests(requests);
        // Whoever takes itself for the last one moves the log into the file and deletes it.
        sqlite(&site.path("push.db"), "SELECT count(*) FROM runs");
        assert!(site.path("push.db-wal").exists(), "the log is gone");
    }
    push.kill();
    site.push(&sim, SLOWLY).expect(0);
    agree(&site.journal(), &sim);
}

#[test]
fn a_lost_log_is_noticed_and_a_log_that_was_moved_into_the_file_is_not() {
    let sim = slow();
    let site = Site::with(&devices(600));
    let push = site.start(&sim, SLOWLY);
    sim.wait_for_requests(30);
    push.kill();
    // After a crash the last to close moves the log into the file: nothing is lost.
    sqlite(&site.path("push.db"), "SELECT count(*) FROM runs");
    assert!(!site.path("push.db-wal").exists(), "the log has been moved");
    let push = site.start(&sim, SLOWLY);
    sim.wait_for_requests(60);
    push.kill();

    let listings = [&["runs"][..], &["status"], &["results"]];
    for args in listings {
        let ended = site.run(args).expect(0);
        assert!(!ended.stderr.contains("is missing"), "{}", ended.stderr);
    }
    std::fs::remove_file(site.path("push.db-wal")).unwrap();
    for args in listings {
        site.run(args)
            .expect(0)
            .says(&["warning", "push.db-wal", "is missing"]);
    }
    let (file, requests) = (
        std::fs::read(site.path("push.db")).unwrap(),
        sim.stats().requests,
    );
    for args in [SLOWLY, &["resume"], &["prune", "--keep", "1"]] {
        let ended = if args[0] == "prune" {
            site.run(args)
        } else {
            site.push(&sim, args)
        };
        ended
            .expect(6)
            .says(&["push.db-wal", "is missing", "--accept-lost-log"]);
    }
    assert_eq!(sim.stats().requests, requests, "nothing was sent");
    assert_eq!(std::fs::read(site.path("push.db")).unwrap(), file);
    let args: Vec<&str> = SLOWLY
        .iter()
        .copied()
        .chain(["--accept-lost-log"])
        .collect();
    site.push(&sim, &args)
        .expect(0)
        .says(&["of the last push is missing", "only in it are lost"]);
    assert_eq!(site.journal().run().accepted, 600);
    site.push(&sim, SLOWLY).expect(0);
}

#[test]
fn a_log_without_its_database_is_not_thrown_away() {
    let sim = slow();
    let site = Site::with(&devices(600));
    let push = site.start(&sim, SLOWLY);
    sim.wait_for_requests(5);
    push.kill();
    let requests = sim.stats().requests;
    std::fs::rename(site.path("push.db"), site.path("moved.db")).unwrap();
    site.push(&sim, SLOWLY)
        .expect(6)
        .says(&["push.db-wal is there", "put the database back"]);
    assert_eq!(sim.stats().requests, requests);
    std::fs::rename(site.path("moved.db"), site.path("push.db")).unwrap();
    site.push(&sim, SLOWLY).expect(0);
    agree(&site.journal(), &sim);
}

/// A push that has lost its database says how to go on, word for word.
fn follow_the_advice(stderr: &str) {
    let advice = stderr
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("rm -f "))
        .expect("a command to type");
    let status = Command::new("sh").args(["-c", advice]).status();
    assert!(status.is_ok_and(|status| status.success()), "{advice}");
}

#[test]
fn a_database_that_disappears_or_is_replaced_stops_the_push_and_is_saved() {
    for replaced in [false, true] {
        let sim = slow();
        let site = Site::with(&devices(2_000));
        let push = site.start(&sim, SLOWLY);
        sim.wait_for_requests(20);
        std::fs::remove_file(site.path("push.db")).unwrap();
        if replaced {
            site.write("push.db", "somebody else's");
        }
        let ended = push
            .ended()
            .expect(6)
            .says(&["was deleted or replaced", "push.db.saved"]);
        assert!(sim.deliveries().len() < 2_000, "it has stopped");
        if replaced {
            let text = std::fs::read_to_string(site.path("push.db")).unwrap();
            assert_eq!(text, "somebody else's");
        }
        follow_the_advice(&ended.stderr);
        site.push(&sim, SLOWLY).expect(0);
        agree(&site.journal(), &sim);
        assert_eq!(sim.deliveries().len(), 2_000, "nobody twice");
    }
}

#[test]
fn a_log_that_is_deleted_under_a_push_stops_it_and_loses_nothing() {
    let sim = slow();
    let site = Site::with(&devices(2_000));
    let push = site.start(&sim, SLOWLY);
    sim.wait_for_requests(20);
    std::fs::remove_file(site.path("push.db-wal")).unwrap();
    push.ended().expect(6).says(&["the write-ahead log of"]);
    site.push(&sim, SLOWLY).expect(0);
    agree(&site.journal(), &sim);
    assert_eq!(sim.deliveries().len(), 2_000, "nobody twice");
}
