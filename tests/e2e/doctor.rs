//! `doctor`: what it finds when all is well, and what a push would fail for.

mod messages;
mod server;

use fleetpush::{simulator::Scenario, testing::TEST_NOW};

use crate::support::{Ended, Push, Sim, Site, Stub, devices};

fn doctor(site: &Site, sim: &Sim, flags: &[&str]) -> Ended {
    let args = [&["doctor", "--base-url", sim.base_url()], flags].concat();
    site.run(&args)
}

/// The status of each check.
fn statuses(ended: &Ended) -> Vec<(String, String)> {
    let report = ended.json();
    assert_eq!(report["exit_code"].as_i64(), ended.code.map(i64::from));
    let checks = report["checks"].as_array().expect("a list");
    let text =
        |check: &serde_json::Value, field: &str| check[field].as_str().expect("a text").to_owned();
    checks
        .iter()
        .map(|check| (text(check, "check"), text(check, "status")))
        .collect()
}

#[test]
fn all_is_well_and_nothing_is_sent() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(3));
    let shown = doctor(&site, &sim, &[]).expect(0);
    let lines: Vec<&str> = shown.stdout.lines().collect();
    for (line, check) in lines.iter().zip([
        "target",
        "proxy",
        "connection",
        "clock",
        "login",
        "products",
        "database",
        "file system",
        "disk",
    ]) {
        assert!(line.starts_with(&format!("ok    {check:<12} ")), "{line}");
    }
    assert_eq!(lines.len(), 9);
    assert!(lines[6].contains("does not exist yet"), "{}", lines[6]);
    assert_eq!(sim.stats().requests, 0);
    assert!(!site.path("push.db").exists());

    site.push(&sim, &["run", "fleet.csv"]).expect(0);
    let shown = doctor(&site, &sim, &["--format", "json"]).expect(0);
    assert!(
        statuses(&shown).iter().all(|(_, status)| status == "ok"),
        "{}",
        shown.stdout
    );
    assert!(shown.stdout.contains("has 1 run"), "{}", shown.stdout);
    assert_eq!(sim.stats().requests, 1);
    site.run(&["doctor", "--simulate"]).expect(0);
}

#[test]
fn each_fault_is_found_with_the_exit_code_of_a_push() {
    let site = Site::new();
    let sim = Sim::healthy();
    let status = |ended: Ended, check: &str| {
        let ended_text = ended.stdout.clone();
        let found = statuses(&ended).into_iter().find(|(name, _)| name == check);
        found.unwrap_or_else(|| panic!("{ended_text}")).1
    };
    // A key that the platform does not know.
    sim.play(Scenario {
        access_key: Some("another".to_owned()),
        ..Scenario::default()
    });
    let refused = doctor(&site, &sim, &["--format", "json"]).expect(5);
    assert_eq!(status(refused, "login"), "fail");
    sim.play(Scenario::default());

    // A clock that is an hour ahead.
    let mut command = site.command(&["doctor", "--base-url", sim.base_url(), "--format", "json"]);
    command.env(TEST_NOW, "2099-01-01T00:00:00Z");
    let skewed = Push::start(command).ended().expect(5);
    assert_eq!(status(skewed, "clock"), "fail");

    // Nobody answers: what can be looked at is.
    let closed = site.run(&[
        "doctor",
        "--base-url",
        "http://127.0.0.1:9",
        "--format",
        "json",
    ]);
    let closed = closed.expect(3);
    let found = statuses(&closed);
    let of = |check: &str| {
        found
            .iter()
            .find(|(name, _)| name == check)
            .expect(check)
            .1
            .clone()
    };
    assert_eq!(
        (of("connection"), of("clock"), of("login")),
        ("fail".into(), "skip".into(), "skip".into())
    );
    assert_eq!(of("disk"), "ok");

    // No platform, and no credentials.
    let nowhere = site.run(&["doctor", "--format", "json"]).expect(2);
    assert_eq!(status(nowhere, "target"), "fail");
    let mut command = site.command(&["doctor", "--base-url", sim.base_url(), "--format", "json"]);
    command
        .env_remove("FLEETPUSH_ACCESS_KEY")
        .env_remove("FLEETPUSH_ACCESS_SECRET");
    let unknown = Push::start(command).ended().expect(2);
    assert_eq!(status(unknown, "login"), "fail");

    // What is no database of ours.
    site.write(
        "push.db",
        "no database at all, and long enough to be one of some pages",
    );
    let broken = doctor(&site, &sim, &["--format", "json"]).expect(6);
    assert_eq!(status(broken, "database"), "fail");
    assert_eq!(sim.stats().requests, 0);
}

/// What is said of a check, with what to do.
fn told(ended: &Ended, check: &str) -> (String, String) {
    let report = ended.json();
    let checks = report["checks"].as_array().expect("a list");
    let found = checks.iter().find(|found| found["check"] == check);
    let found = found.unwrap_or_else(|| panic!("{}", ended.stdout));
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    (
        text("status"),
        format!("{} {}", text("message"), text("todo")),
    )
}

fn doctor_with(site: &Site, base_url: &str, variable: (&str, &str)) -> Ended {
    let mut command = site.command(&["doctor", "--base-url", base_url, "--format", "json"]);
    command.arg("--insecure-http").env(variable.0, variable.1);
    Push::start(command).ended()
}

#[test]
fn a_certificate_that_is_not_trusted_says_how_to_trust_it() {
    let site = Site::new();
    let stub = Stub::over_tls(
        200,
        r#"{"code":200,"access_token":"QJWT x","expires_in":"86400"}"#,
    );
    let ended = site
        .run(&["doctor", "--base-url", &stub.base_url, "--format", "json"])
        .expect(5);
    let (status, words) = told(&ended, "connection");
    assert_eq!(status, "fail");
    for word in [&*stub.base_url, "is not trusted", "SSL_CERT_FILE"] {
        assert!(words.contains(word), "{words}");
    }
    assert_eq!(told(&ended, "clock").0, "skip");
    assert_eq!(told(&ended, "login").0, "skip");
    // And that helps.
    site.write("trusted.pem", &stub.certificate);
    let trusted = site.path("trusted.pem");
    let trusted = trusted.to_str().expect("a path of text");
    let ended = doctor_with(&site, &stub.base_url, ("SSL_CERT_FILE", trusted)).expect(0);
    let (status, words) = told(&ended, "connection");
    assert!(status == "ok" && words.contains("is trusted"), "{words}");
    assert_eq!(told(&ended, "login").0, "ok");
}

#[test]
fn a_proxy_that_refuses_and_a_dead_one_are_named_with_what_to_do() {
    const PLATFORM: &str = "http://platform.example";
    let site = Site::new();
    let proxy = Stub::answering(|_| (407, String::new()));
    let ended = doctor_with(&site, PLATFORM, ("HTTP_PROXY", &proxy.base_url)).expect(5);
    assert_eq!(told(&ended, "proxy").0, "ok");
    let (status, words) = told(&ended, "connection");
    assert_eq!(status, "fail");
    for word in [
        &*proxy.base_url,
        "asks for credentials (HTTP 407)",
        "write HTTP_PROXY=",
    ] {
        assert!(words.contains(word), "{words}");
    }
    assert_eq!(told(&ended, "login").0, "skip");

    let dead = "http://127.0.0.1:1";
    let ended = doctor_with(&site, PLATFORM, ("HTTP_PROXY", dead)).expect(3);
    let (status, words) = told(&ended, "connection");
    assert_eq!(status, "fail");
    for word in [dead, "HTTP_PROXY", "the proxy"] {
        assert!(words.contains(word), "{words}");
    }

    // One that is no address.
    let ended = doctor_with(&site, PLATFORM, ("HTTP_PROXY", "http://:80:80")).expect(5);
    assert_eq!(told(&ended, "proxy").0, "fail");
}

#[test]
fn whatever_fails_says_what_to_do_in_the_text_too() {
    let site = Site::new();
    let stub = Stub::over_tls(200, "{}");
    let ended = site
        .run(&["doctor", "--base-url", &stub.base_url])
        .expect(5);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    let failed = lines.iter().position(|line| line.starts_with("fail "));
    let next = lines[failed.expect("a line that fails") + 1];
    assert!(next.trim_start().starts_with("to do: "), "{}", ended.stdout);
}
