//! Before the push: what a manifest would send, what looks like a mistake in it, what `run` would do, and the question at a terminal.

use std::{collections::BTreeMap, fmt::Write as _};

use fleetpush::simulator::{Fault, Scenario};

use crate::support::{Sim, Site, agree, at_terminal, devices};

/// A manifest as somebody writes it who has forgotten `param.`.
const FORGOTTEN: &str = "device_key,product_key,service,mode,target\n\
    DK00001,PK0001,setMode,eco,21\n\
    DK00002,PK0001,setMode,boost,22\n";

/// Rows of `setMode`, of which some are replaced.
fn modes(count: usize, other: impl Fn(usize) -> Option<&'static str>) -> String {
    let mut text = String::from("device_key,product_key,service,param.mode,param.target,site\n");
    for line in 2..count + 2 {
        let rest = other(line).unwrap_or(if line % 4 == 0 {
            "setMode,boost,22,Bergen"
        } else {
            "setMode,eco,21,Oslo"
        });
        writeln!(text, "DK{line:05},PK0001,{rest}").expect("a string takes all");
    }
    text
}

#[test]
fn a_check_shows_what_goes_out() {
    let site = Site::with(&modes(40, |line| {
        (line == 9).then_some("reboot,,,\nDK00009,PK0002,reboot,,,Oslo")
    }));
    let shown = site
        .run(&["check", "fleet.csv", "--qos", "2", "--cache", "60"])
        .expect(0);
    insta::assert_snapshot!(shown.stdout, @r#"
    fleet.csv can be pushed
      rows      41
      devices   41
      products  2
      payloads  4
      skipped   0 (same payload as the device's previous row)
      invalid   0
      services  setMode: 39 devices, mode (2 values), target (2 values)
                reboot: 2 devices, no parameters
      labels    site (2 values)
      sends     to 29 devices of product PK0001, first DK00002 in line 2: [{"setMode":[{"mode":"eco"},{"target":"21"}]}] with qos 2, isCache true, cacheTime 60
                to 10 devices of product PK0001, first DK00004 in line 4: [{"setMode":[{"mode":"boost"},{"target":"22"}]}] with qos 2, isCache true, cacheTime 60
                to 1 device of product PK0001, first DK00009 in line 9: [{"reboot":[]}] with qos 2, isCache true, cacheTime 60
                to 1 device of product PK0002, first DK00009 in line 10: [{"reboot":[]}] with qos 2, isCache true, cacheTime 60
      requests  4 of at most 100 devices
      time      less than 1 s at 25 requests a second, throttling not counted
    "#);
    assert_eq!(shown.stderr, "");
}

#[test]
fn a_check_says_the_same_as_json() {
    let site = Site::with(&modes(40, |line| (line == 9).then_some("setmode,eco,21,")));
    let shown = site
        .run(&["check", "fleet.csv", "--format", "json", "--simulate"])
        .expect(0);
    let mut value = shown.json();
    assert_eq!(shown.stdout.lines().count(), 1);
    let sha256 = &mut value["manifest_sha256"];
    assert_eq!(sha256.as_str().map(str::len), Some(64));
    *sha256 = "…".into();
    let database = &mut value["run"]["database"];
    assert!(
        database
            .as_str()
            .is_some_and(|path| path.ends_with("/push.db")),
        "{database}"
    );
    *database = "…".into();
    insta::assert_snapshot!("json", serde_json::to_string_pretty(&value).expect("JSON"));
}

#[test]
fn a_forgotten_prefix_is_told_before_anything_is_sent() {
    let sim = Sim::healthy();
    let site = Site::with(FORGOTTEN);
    let says = [
        "warning: fleet.csv, line 2: the service `setMode` is called without parameters (2 rows)",
        "`mode`, `target`",
        "param.mode",
        "label.mode",
    ];
    site.run(&["check", "fleet.csv"]).expect(0).says(&says);
    site.push(&sim, &["run", "fleet.csv", "--dry-run"])
        .expect(0)
        .says(&says);
    assert_eq!(sim.stats().requests, 0);
    assert!(!site.path("push.db").exists());
    site.push(&sim, &["run", "fleet.csv"]).expect(0).says(&says);
    agree(&site.journal(), &sim);
}

#[test]
fn slips_are_told_with_their_lines() {
    let site = Site::with(&modes(2000, |line| match line {
        70 => Some("setmode,eco,21,Oslo"),
        80 => Some("setMode,eco,2000,Oslo"),
        90 => Some("setMode,boots,21,Oslo"),
        _ => None,
    }));
    let checked = site.run(&["check", "fleet.csv"]).expect(0);
    insta::assert_snapshot!(checked.stderr, @r"
    warning: fleet.csv, line 70: 1 row calls the service `setmode`, and 1,999 call `setMode`; is it misspelled?
    warning: fleet.csv, line 80: the value `2000` of `setMode.target` is in 1 of 1,999 rows
    warning: fleet.csv, line 90: the value `boots` of `setMode.mode` is in 1 of 1,999 rows; is it misspelled for `boost`?
    ");
    site.write(
        "wire.jsonl",
        "{\"device_key\":\"DK1\",\"product_key\":\"PK1\",\"data\":{\"mode\":1}}\n",
    );
    let checked = site.run(&["check", "wire.jsonl"]).expect(0);
    insta::assert_snapshot!(checked.stderr, @r#"warning: wire.jsonl, line 1: the data `{"mode":1}` calls no service (1 row), and is sent unchanged; the platform's form is [{"service":[{"parameter":"value"}]}], which the columns service and param.<code> make"#);
}

#[test]
fn a_payload_for_each_row_is_told_with_its_price() {
    let mut text = String::from("device_key,product_key,service,param.clock\n");
    for number in 0..2000 {
        writeln!(text, "DK{number:05},PK0001,set,{number}").expect("a string takes all");
    }
    let sim = Sim::healthy();
    let site = Site::with(&text);
    let says = [
        "each row has its own payload: 2,000 requests, at least 1 min 20 s at 25 requests a second",
        "what differs is `set.clock`",
    ];
    site.run(&["check", "fleet.csv"]).expect(0).says(&says);
    site.push(&sim, &["run", "fleet.csv", "--device-rate", "unlimited"])
        .expect(0)
        .says(&["each row has its own payload: 2,000 requests, as fast as the platform answers"]);
}

/// What `check` and `run --dry-run` say that `run` would do.
fn prospect(site: &Site, sim: &Sim, code: i32, flags: &[&str]) -> String {
    let told = ["check", "run"].map(|command| {
        let dry: &[&str] = if command == "run" {
            &["--dry-run"]
        } else {
            &[]
        };
        let args = [&[command, "fleet.csv", "--name", "night"], flags, dry].concat();
        let out = site.push(sim, &args).expect(code).stdout;
        let from = out.find("  run would ").unwrap_or_else(|| panic!("{out}"));
        out[from..].replace(site.folder().to_str().expect("a path of text"), "…")
    });
    assert_eq!(told[0], told[1]);
    told[0].clone()
}

#[test]
fn a_check_says_what_run_would_do() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(30));
    let mut told = vec![prospect(&site, &sim, 0, &[])];
    assert!(!site.path("push.db").exists(), "asking makes no database");
    let canary = [
        "run",
        "fleet.csv",
        "--name",
        "night",
        "--canary",
        "10",
        "--canary-pause",
    ];
    site.push(&sim, &canary).expect(3);
    told.push(prospect(&site, &sim, 0, &[]));
    site.run(&["pause", "night"]).expect(0);
    told.push(prospect(&site, &sim, 0, &[]));
    site.write("fleet.csv", devices(31));
    told.push(prospect(&site, &sim, 2, &[]));
    told.push(prospect(&site, &sim, 0, &["--supersede"]));
    site.write("fleet.csv", devices(30));
    site.push(&sim, &["resume"]).expect(0);
    told.push(prospect(&site, &sim, 0, &[]));
    told.push(prospect(&site, &sim, 0, &["--again"]));
    told.push(prospect(
        &site,
        &sim,
        2,
        &[
            "--expect-rows",
            "30-31",
            "--param",
            "raw1=BB",
            "--service",
            "fuwu",
        ],
    ));
    let requests = sim.stats().requests;
    let filter = [
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "TIME"),
        (r"[0-9a-f]{64}", "SHA"),
        (r"by \S+ at", "by USER at"),
    ];
    insta::with_settings!({filters => filter}, {
        insta::assert_snapshot!(told.join("\n"), @r#"
        run would push it as a new run 'night'

        run would continue run 'night', which is stopped: 20 of 30 tasks are pending

        run would send nothing: run 'night' is paused by USER at TIME; fleetpush resume night continues it

        run would fail: the run of an older version of fleet.csv is unfinished, so this version has not been staged or sent
                  run 'night' is paused: 20 of 30 tasks pending, 10 accepted, 0 failed, 0 in doubt
                  give --supersede to cancel it and push this version, or --alongside to push this one as well

        run would push it as a new run 'night-2', and cancel 'night'

        run would send nothing: run 'night' is complete since TIME; --again pushes it again

        run would push it as a new run 'night-2'

        run would fail: run 'night' is another push: what the flags say of payloads was {} and is {"service":"fuwu","params":{"raw1":"BB"}}; choose another name with --name
        "#);
    });
    assert_eq!(sim.stats().requests, requests);
}

#[test]
fn a_check_beside_a_push_says_that_run_would_find_it_locked() {
    // Nothing is answered, so that the push stands where it is.
    let sim = Sim::start(Scenario {
        faults: BTreeMap::from([(Fault::Hang, 1.0)]),
        ..Scenario::default()
    });
    let site = Site::with(&devices(300));
    let push = site.start(
        &sim,
        &[
            "run",
            "fleet.csv",
            "--chunk-size",
            "1",
            "--rate",
            "1",
            "--name",
            "night",
        ],
    );
    crate::support::wait_for("the first request", || {
        (sim.stats().requests > 0).then_some(())
    });
    let told = prospect(&site, &sim, 7, &[]);
    assert!(told.contains("owns the database"), "{told}");
    push.kill();
}

#[test]
fn a_new_push_at_a_terminal_asks() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(1200));
    let command = |flags: &[&str]| {
        site.push_command(
            &sim,
            &[&["run", "fleet.csv", "--name", "night"], flags].concat(),
        )
    };
    let refused = at_terminal(&site, &command(&[]), "n\n").expect(2);
    for words in [
        "devices   1,200",
        "services  fuwu: 1,200 devices, raw1 (always `AA`)",
        "requests  12 of at most 100 devices",
        "send to 1,200 devices? (--yes does not ask) [y/N]",
        "not confirmed; nothing has been staged or sent",
    ] {
        assert!(
            refused.stdout.contains(words),
            "{words}: {}",
            refused.stdout
        );
    }
    assert_eq!(sim.stats().requests, 0);
    assert!(site.journal().runs.is_empty(), "a run was left behind");

    // Somebody agrees; the same push again is no new one, and asks nothing.
    let first = ["--canary", "100", "--canary-pause"];
    let agreed = at_terminal(&site, &command(&first), "y\n").expect(3);
    assert!(
        agreed.stdout.contains("canary    100 devices first"),
        "{}",
        agreed.stdout
    );
    let continued = at_terminal(&site, &command(&[]), "").expect(0);
    assert!(!continued.stdout.contains("[y/N]"), "{}", continued.stdout);
    agree(&site.journal(), &sim);

    let unasked = at_terminal(&site, &command(&["--again", "--yes"]), "").expect(0);
    assert!(!unasked.stdout.contains("[y/N]"), "{}", unasked.stdout);
    // Nobody is there to be asked.
    site.push(&sim, &["run", "fleet.csv", "--name", "night", "--again"])
        .expect(0);
    site.write("small.csv", devices(1000));
    let small = site.push_command(&sim, &["run", "small.csv"]);
    at_terminal(&site, &small, "").expect(0);
}
