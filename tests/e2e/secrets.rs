//! Secrets stay where they were given.

use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

use fleetpush::simulator::Scenario;

use crate::support::{Sim, Site, devices};

const SECRET: &str = "sentinel-secret-3f9c";
const KEY: &str = "sentinel-key-77ab";
const TOKEN: &str = "QJWT sentinel-token-e1d2";

/// Every file in the folder but the manifest, and what was printed, must be free of what is secret.
fn search(site: &Site, printed: &[String], secrets: &[&str]) {
    let mut places: Vec<(String, Vec<u8>)> = printed
        .iter()
        .map(|text| ("what was printed".to_owned(), text.clone().into_bytes()))
        .collect();
    for entry in std::fs::read_dir(site.folder()).expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.is_file()
            && path
                .extension()
                .is_none_or(|extension| extension != "secret")
        {
            let content = std::fs::read(&path).expect("a file");
            places.push((path.display().to_string(), content));
        }
    }
    assert!(places.len() > printed.len(), "the database is there");
    for (place, content) in places {
        let content = String::from_utf8_lossy(&content);
        for secret in secrets {
            if let Some(at) = content.find(secret) {
                let around: String = content[at..].chars().take(80).collect();
                panic!("{secret} is in {place}: {around}");
            }
        }
    }
}

#[test]
fn a_login_and_its_failures_tell_no_secret() {
    let scenario: Scenario = serde_json::from_value(serde_json::json!({
        "faults": {"reset_before": 0.1, "reset_after": 0.1, "cut": 0.1, "bad_gateway": 0.1},
        "login_faults": {"reset_before": 0.1, "not_json": 0.1, "internal_error": 0.1},
        "token_requests": 5,
    }))
    .expect("a scenario");
    let sim = Sim::start(scenario);
    let site = Site::with(&devices(60));
    let mut command = site.push_command(&sim, &["run", "fleet.csv", "-vvv", "--chunk-size", "5"]);
    command
        .env("FLEETPUSH_ACCESS_KEY", KEY)
        .env("FLEETPUSH_ACCESS_SECRET", SECRET)
        .env("FLEETPUSH_LOG", "trace");
    let ended = crate::support::Push::start(command).ended();
    assert!(matches!(ended.code, Some(0 | 1)), "{}", ended.stderr);
    assert!(sim.stats().logins > 1, "the token expired meanwhile");
    // The login's password is a hash of the secret; its parameter and the token's scheme give it away.
    search(
        &site,
        &[ended.stderr, ended.stdout],
        &[SECRET, KEY, "QJWT", "password="],
    );
}

#[test]
fn a_refused_token_or_key_is_not_told() {
    let scenario: Scenario = serde_json::from_value(serde_json::json!({
        "access_key": "another", "access_secret": "another",
    }))
    .expect("a scenario");
    let sim = Sim::start(scenario);
    for (names, values) in [
        (&["FLEETPUSH_TOKEN"][..], &[TOKEN][..]),
        (
            &["FLEETPUSH_ACCESS_KEY", "FLEETPUSH_ACCESS_SECRET"],
            &[KEY, SECRET],
        ),
    ] {
        let site = Site::with(&devices(10));
        let mut command = site.push_command(&sim, &["run", "fleet.csv", "-vvv"]);
        command
            .env_remove("FLEETPUSH_ACCESS_KEY")
            .env_remove("FLEETPUSH_ACCESS_SECRET");
        for (name, value) in names.iter().zip(values) {
            command.env(name, value);
        }
        let ended = crate::support::Push::start(command).ended().expect(5);
        search(
            &site,
            &[ended.stderr, ended.stdout],
            &[SECRET, KEY, "sentinel-token"],
        );
    }
}

#[test]
fn a_password_in_the_base_url_is_refused_and_not_repeated() {
    let site = Site::with(&devices(1));
    let refused = site
        .run(&[
            "run",
            "fleet.csv",
            "--base-url",
            "https://user:sentinel-pw@platform.test",
        ])
        .expect(2);
    assert!(
        !refused.stderr.contains("sentinel-pw"),
        "{}",
        refused.stderr
    );
    site.run(&["run", "fleet.csv", "--base-url", "http://platform.test"])
        .expect(2)
        .says(&["--insecure-http"]);
}

#[test]
fn secrets_are_read_as_a_service_manager_hands_them_over() {
    let scenario: Scenario = serde_json::from_value(serde_json::json!({
        "access_key": KEY, "access_secret": SECRET,
    }))
    .expect("a scenario");
    let sim = Sim::start(scenario);
    let site = Site::with(&devices(5));
    // As with LoadCredential=: a folder for this service alone, files that only it can read, and what an editor has left at their end.
    let credentials = site.path("credentials");
    std::fs::create_dir(&credentials).expect("a folder");
    let mut command = site.push_command(&sim, &["run", "fleet.csv"]);
    command.env("CREDENTIALS_DIRECTORY", &credentials);
    for (name, text) in [("ACCESS_KEY", KEY), ("ACCESS_SECRET", SECRET)] {
        let path = credentials.join(name.to_lowercase());
        std::fs::write(&path, format!("{text}\n")).expect("a file");
        std::fs::set_permissions(&path, Permissions::from_mode(0o400)).expect("its mode");
        command
            .env_remove(format!("FLEETPUSH_{name}"))
            .env(format!("FLEETPUSH_{name}_FILE"), path);
    }
    crate::support::Push::start(command).ended().expect(0);
}
