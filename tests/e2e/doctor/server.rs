//! What `doctor` finds of a PostgreSQL server.

use super::{doctor, statuses, told};
use crate::support::{Ended, PASSWORD, Postgres, Push, Sim, Site, USER, devices, with_server};

const CHECKS: [&str; 3] = ["database", "rights", "latency"];

/// What was found of the database, in the order of the checks.
fn found(ended: &Ended) -> Vec<String> {
    let found = statuses(ended).into_iter().skip(6);
    let (checks, found): (Vec<_>, Vec<_>) = found.unzip();
    assert_eq!(checks, CHECKS);
    found
}

/// Tries the database at this address.
fn doctor_of(url: &str, site: &Site, sim: &Sim) -> Ended {
    let args = ["doctor", "--base-url", sim.base_url(), "--format", "json"];
    Push::start(with_server(site, &[&args[..], &["--db", url]].concat())).ended()
}

#[test]
fn a_server_is_tried_and_nothing_is_sent() {
    let Some(site) = Site::on_server(&devices(3)) else {
        return;
    };
    let sim = Sim::healthy();
    site.push(&sim, &["run", "fleet.csv"]).expect(0);
    let shown = doctor(&site, &sim, &["--format", "json"]).expect(0);
    // A machine that is at work may take its time for an answer.
    assert_eq!(found(&shown)[..2], ["ok", "ok"]);
    let (_, database) = told(&shown, "database");
    assert!(database.contains("postgres://"), "{database}");
    assert!(database.contains("has 1 run"), "{database}");
    let (_, latency) = told(&shown, "latency");
    assert!(latency.contains("the server answers in "), "{latency}");
    assert_eq!(sim.stats().requests, 1);
}

#[test]
fn a_user_who_may_not_write_is_told_what_is_missing() {
    let Some(site) = Site::on_server(&devices(3)) else {
        return;
    };
    let sim = Sim::healthy();
    let database = site.server();
    // Roles are the server's.
    let role = format!("looker_{}", std::process::id());
    database.execute(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'; GRANT USAGE ON SCHEMA fleetpush TO {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA fleetpush TO {role};
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA fleetpush TO {role}; REVOKE UPDATE ON lease FROM {role}"
    ));
    let theirs = database.url().replacen(USER, &role, 1);
    let shown = doctor_of(&theirs, &site, &sim).expect(6);
    assert_eq!(found(&shown)[..2], ["ok", "fail"]);
    let (_, rights) = told(&shown, "rights");
    assert!(
        rights.contains("the user lacks UPDATE on lease "),
        "{rights}"
    );
    database.execute(&format!("GRANT UPDATE ON lease TO {role}"));
    let shown = doctor_of(&theirs, &site, &sim).expect(0);
    assert_eq!(found(&shown)[1], "ok");
    database.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn a_server_that_cannot_be_used_fails_with_what_to_do() {
    let Some(site) = Site::on_server(&devices(3)) else {
        return;
    };
    let sim = Sim::healthy();
    let empty = Postgres::shared().expect("a server").database();
    let url = empty.url();
    let shown = doctor_of(&url, &site, &sim).expect(6);
    assert_eq!(found(&shown), ["fail", "skip", "skip"]);
    let (_, database) = told(&shown, "database");
    assert!(database.contains("run fleetpush db migrate"), "{database}");

    site.server().close();
    let shown = doctor(&site, &sim, &["--format", "json"]).expect(6);
    assert_eq!(found(&shown), ["fail", "skip", "skip"]);
    site.server().open();
}
