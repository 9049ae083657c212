//! Secrets stay where they were given.

use std::{
    fs::Permissions,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt as _,
};

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
    let ended = crate::support::Push::start(command).ended().expect(0);
    assert!(!ended.stderr.contains("can read"), "{}", ended.stderr);
}

#[test]
fn a_secret_that_everybody_can_read_is_warned_of() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(5));
    let path = site.path("key.secret");
    std::fs::write(&path, "ak").expect("a file");
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("its mode");
    for (mode, warned) in [(0o755, true), (0o700, false)] {
        std::fs::set_permissions(site.folder(), Permissions::from_mode(mode)).expect("its mode");
        let mut command = site.push_command(&sim, &["run", "fleet.csv"]);
        command
            .env_remove("FLEETPUSH_ACCESS_KEY")
            .env("FLEETPUSH_ACCESS_KEY_FILE", &path);
        let ended = crate::support::Push::start(command).ended();
        let words = "which FLEETPUSH_ACCESS_KEY_FILE names: restrict it with chmod 600";
        assert_eq!(ended.stderr.contains(words), warned, "{}", ended.stderr);
    }
}

/// A platform that repeats whatever it is sent, in one spelling or another: the request's line and its Authorization. Answers until the
/// process ends.
fn parrot(answer: impl Fn(&str, &str) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            let mut reader = BufReader::new(&stream);
            let (mut target, mut token, mut length) = (String::new(), String::new(), 0);
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                let text = line.trim_end();
                if target.is_empty() {
                    text.split(' ')
                        .nth(1)
                        .unwrap_or_default()
                        .clone_into(&mut target);
                } else if let Some((name, value)) = text.split_once(": ") {
                    match name.to_ascii_lowercase().as_str() {
                        "authorization" => value.clone_into(&mut token),
                        "content-length" => length = value.parse().expect("a number"),
                        _ => {}
                    }
                }
                line.clear();
            }
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_ok() {
                // Whoever has gone away gets no answer.
                let _ = (&stream).write_all(answer(&target, &token).as_bytes());
            }
        }
    });
    format!("http://{address}")
}

fn http(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

#[test]
fn what_a_platform_repeats_is_told_to_nobody() {
    let percent =
        |text: &str| -> String { url::form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let token = "QJWT sentinel-token-e1d2-with/all+its_letters==";
    let login = serde_json::json!({"code": 200, "data": {"accessToken": {"token": token}}, "access_token": token});
    let redirected = parrot(move |target, _| {
        let location = format!("/#/login?redirect={}", percent(target));
        http("302 Found", &format!("Location: {location}\r\n"), "")
    });
    let refused = parrot(move |target, _| {
        let msg = format!("bad {target} {} {}", target.to_uppercase(), percent(target));
        http(
            "200 OK",
            "",
            &serde_json::json!({"code": 90048, "msg": msg}).to_string(),
        )
    });
    let sending = parrot(move |target, token| {
        if target.contains("password=") {
            return http("200 OK", "", &login.to_string());
        }
        let msg = format!(
            "no: {token}, {}, {}",
            token.to_uppercase(),
            percent(token).to_lowercase()
        );
        let element =
            |key: &str| serde_json::json!({"deviceKey": key, "code": 70091, "message": msg});
        let data: Vec<_> = (1..=5)
            .map(|number| element(&format!("DK{number:05}")))
            .collect();
        http(
            "200 OK",
            "",
            &serde_json::json!({"code": 200, "msg": msg, "data": data}).to_string(),
        )
    });
    let redirected_later = parrot(move |target, sent| {
        if target.contains("password=") {
            let body = serde_json::json!({"code": 200, "access_token": token});
            return http("200 OK", "", &body.to_string());
        }
        http(
            "302 Found",
            &format!(
                "Location: https://elsewhere.test/#/login?token={}\r\n",
                percent(sent)
            ),
            "",
        )
    });
    for (platform, code, says) in [
        (redirected, 5, "redirects the login to http://127.0.0.1"),
        (refused, 5, "refuses the login: bad"),
        (sending, 1, "no: […]"),
        (redirected_later, 5, "https://elsewhere.test"),
    ] {
        let site = Site::with(&devices(5));
        let mut command = site.command(&["run", "fleet.csv", "-vvv", "--base-url", &platform]);
        command
            .env("FLEETPUSH_ACCESS_KEY", KEY)
            .env("FLEETPUSH_ACCESS_SECRET", SECRET)
            .env("FLEETPUSH_LOG", "trace");
        let ended = crate::support::Push::start(command).ended().expect(code);
        let results = site.run(&["results", "--format", "csv"]).expect(0);
        let printed = [ended.stderr, ended.stdout, results.stdout];
        assert!(
            printed.iter().any(|text| text.contains(says)),
            "{says}: {printed:?}"
        );
        let mut secrets = [KEY, SECRET, "sentinel-token"].map(str::to_owned).to_vec();
        // The login's password is a hash.
        secrets.extend(
            "0123456789abcdef"
                .chars()
                .map(|digit| format!("password={digit}")),
        );
        let others: Vec<String> = secrets
            .iter()
            .flat_map(|secret| [secret.to_uppercase(), secret.replace('=', "%3D")])
            .collect();
        secrets.extend(others);
        let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
        search(&site, &printed, &secrets);
    }
}
