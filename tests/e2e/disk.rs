//! A disk that is full, and pages that are noise.

use std::process::Command;

use crate::support::{Push, Sim, Site, agree, devices};

#[test]
fn a_full_disk_stops_at_once_and_loses_nothing() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(20_000));
    let mut tried = 0;
    // The file may grow by so many blocks of 512 bytes and no more, as on a disk that is full: while staging, and while pushing.
    for blocks in [300, 1_000, 2_000, 4_000, 6_000] {
        let push = site.push_command(&sim, &["run", "fleet.csv", "--chunk-size", "10"]);
        let mut limited = Command::new("sh");
        limited
            .arg("-c")
            .arg(format!(
                "trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\""
            ))
            .arg(push.get_program())
            .args(push.get_args())
            .current_dir(site.folder());
        for (name, value) in push.get_envs() {
            match value {
                Some(value) => limited.env(name, value),
                None => limited.env_remove(name),
            };
        }
        let ended = Push::start(limited).ended();
        if ended.code == Some(6) {
            tried += 1;
            assert!(ended.stderr.contains("database"), "{}", ended.stderr);
        }
    }
    assert!(tried >= 4, "only {tried} limits were met");
    // With space again it goes on, and everything that was delivered is known or in doubt.
    site.push(&sim, &["run", "fleet.csv", "--chunk-size", "10"])
        .expect(0);
    agree(&site.journal(), &sim);
}

#[test]
fn a_broken_page_is_noticed_and_told() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(3_000));
    site.push(&sim, &["run", "fleet.csv"]).expect(0);
    let path = site.path("push.db");
    let mut bytes = std::fs::read(&path).expect("the database");
    // The schema stays whole, the rest is noise.
    for byte in &mut bytes[4096 * 20..] {
        *byte = 0xa5;
    }
    std::fs::write(&path, bytes).expect("the database");
    let requests = sim.stats().requests;
    site.push(&sim, &["run", "fleet.csv", "--again"]).expect(6);
    site.run(&["results"]).expect(6);
    assert_eq!(sim.stats().requests, requests, "nothing was sent");
}
