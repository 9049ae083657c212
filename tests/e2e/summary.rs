//! What programs read of a push: the summary on stdout, which keeps to its published schema, and the log on stderr.

use std::process::Stdio;

use fleetpush::simulator::{Fault, Scenario};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Ended, Push, Sim, Site, devices};

const SCHEMA: &str = include_str!("../../docs/summary.schema.json");
const PUSH: [&str; 6] = ["run", "fleet.csv", "--format", "json", "--chunk-size", "5"];

/// What in a value is not as the schema says, each with its place. It knows the keywords that the schema uses and no others; a key that
/// the schema does not name is a mistake as well, since it would be one that nobody has documented.
fn problems(value: &Value) -> Vec<String> {
    let schema: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    let mut problems = Vec::new();
    check(value, &schema, &schema, "$", &mut problems);
    problems
}

fn check(value: &Value, schema: &Value, root: &Value, at: &str, problems: &mut Vec<String>) {
    let keywords = schema.as_object().expect("a schema is an object");
    let mut problem = |what: &str| problems.push(format!("{at}: {what}: {value}"));
    for (keyword, wanted) in keywords {
        match keyword.as_str() {
            "type" if !types(wanted).contains(&type_of(value)) => problem("wrong type"),
            "const" if value != wanted => problem("another value"),
            "enum" if !wanted.as_array().expect("a list").contains(value) => {
                problem("no such word");
            }
            "minimum" if value.is_number() && value.as_f64() < wanted.as_f64() => {
                problem("too small");
            }
            "format" => {
                assert_eq!(wanted, "date-time");
                let is_time = |text: &str| text.parse::<jiff::Timestamp>().is_ok();
                if value.as_str().is_some_and(|text| !is_time(text)) {
                    problem("no time");
                }
            }
            "required" if value.is_object() => {
                for key in wanted.as_array().expect("a list") {
                    if value.get(key.as_str().expect("a key")).is_none() {
                        problem(&format!("no {key}"));
                    }
                }
            }
            "$schema" | "title" | "description" | "$defs" | "type" | "const" | "enum"
            | "minimum" | "required" | "properties" | "items" | "$ref" => {}
            other => panic!("the keyword {other} is not understood"),
        }
    }
    if let Some(reference) = keywords.get("$ref") {
        let pointer = reference.as_str().expect("text").trim_start_matches('#');
        let schema = root.pointer(pointer).expect("what is referred to exists");
        check(value, schema, root, at, problems);
    }
    if let (Some(properties), Some(members)) = (keywords.get("properties"), value.as_object()) {
        for (key, member) in members {
            let at = format!("{at}.{key}");
            match properties.get(key) {
                Some(schema) => check(member, schema, root, &at, problems),
                None => problems.push(format!("{at}: not documented")),
            }
        }
    }
    if let (Some(schema), Some(items)) = (keywords.get("items"), value.as_array()) {
        for (index, item) in items.iter().enumerate() {
            check(item, schema, root, &format!("{at}[{index}]"), problems);
        }
    }
}

fn types(wanted: &Value) -> Vec<&str> {
    match wanted {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        other => panic!("{other} is no type"),
    }
    .into_iter()
    .flat_map(|name| match name {
        // Every whole number is a number.
        "number" => vec!["number", "integer"],
        name => vec![name],
    })
    .collect()
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The one line on stdout, which keeps to the schema.
#[track_caller]
fn summary(ended: &Ended) -> Value {
    assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);
    let summary = ended.json();
    assert_eq!(problems(&summary), Vec::<String>::new(), "{summary:#}");
    summary
}

#[test]
fn the_database_is_named_by_its_whole_path() {
    let sim = Sim::start(Scenario::default());
    let site = Site::with(&devices(3));
    site.push(&sim, &PUSH).expect(0);
    // The same from its folder, with a relative path.
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_fleetpush"))
        .current_dir(site.folder())
        .env_clear()
        .env("FLEETPUSH_ACCESS_KEY", "key")
        .env("FLEETPUSH_ACCESS_SECRET", "secret")
        .args(PUSH)
        .args(["--db", "push.db", "--base-url", sim.base_url()])
        .output()
        .expect("the binary starts");
    let told: Value = serde_json::from_slice(&output.stdout).expect("an object");
    assert_eq!(
        told["run"]["database"].as_str(),
        site.path("push.db").to_str()
    );
}

#[test]
fn every_ending_keeps_to_the_schema() {
    let sim = Sim::start(Scenario {
        offline: 0.2,
        poison: 0.1,
        ..Scenario::default()
    });
    let site = Site::with(&devices(60));
    let finished = summary(&site.push(&sim, &PUSH).expect(1));
    assert_eq!(finished["session"]["stop"], "complete");
    assert_eq!(finished["counts"]["tasks"], 60);

    let idle = summary(&site.push(&sim, &PUSH).expect(1));
    assert_eq!(idle["session"], Value::Null);
    assert_eq!(idle["counts"], finished["counts"]);

    let broken_down = [
        "status",
        "--by",
        "code,product,payload,hour",
        "--format",
        "jsonl",
    ];
    let mut status = site.run(&broken_down).expect(0).json();
    assert!(status.get("session").is_none());
    status["session"] = Value::Null;
    assert_eq!(problems(&status), Vec::<String>::new());
    assert_eq!(status["endings"], idle["endings"]);
}

#[test]
fn a_push_that_stops_keeps_to_the_schema() {
    let slow = Scenario {
        latency_ms: 150,
        ..Scenario::default()
    };
    let sim = Sim::start(slow);
    let site = Site::with(&devices(300));
    let push = site.start(&sim, &PUSH);
    sim.wait_for_requests(3);
    push.signal(Signal::TERM);
    let stopped = summary(&push.ended().expect(3));
    assert_eq!(stopped["session"]["stop"], "signal");
    assert_eq!(stopped["run"]["state"], "stopped");

    sim.play(Scenario {
        poison: 1.0,
        ..Scenario::default()
    });
    let mut args = PUSH.to_vec();
    args.extend(["--abort-if", "failed>1%,min=10"]);
    let aborted = summary(&site.push(&sim, &args).expect(4));
    assert_eq!(aborted["session"]["stop"], "aborted");
    assert!(aborted["session"]["reason"].is_string());

    let site = Site::with(&devices(10));
    let stranger: Scenario =
        serde_json::from_value(json!({ "access_key": "another" })).expect("a scenario");
    let sim = Sim::start(stranger);
    let refused = summary(&site.push(&sim, &PUSH).expect(5));
    assert_eq!(refused["session"]["stop"], "refused");
}

#[test]
fn without_a_run_there_is_nothing_on_stdout() {
    let sim = Sim::start(Scenario {
        latency_ms: 300,
        ..Scenario::default()
    });
    let site = Site::with("device_key,product_key,service\nDK1,PK,fuwu\n,PK,fuwu\n");
    let failed = site.push(&sim, &PUSH).expect(2);
    assert_eq!(failed.stdout, "");

    site.write("fleet.csv", devices(200));
    let owner = site.start(&sim, &PUSH);
    sim.wait_for_requests(1);
    let second = site
        .push(&sim, &PUSH)
        .expect(7)
        .says(&["owns the database"]);
    assert_eq!(second.stdout, "");
    owner.signal(Signal::TERM);
    summary(&owner.ended().expect(3));
}

#[test]
fn the_schema_is_one_that_can_be_broken() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(3));
    let good = summary(&site.push(&sim, &PUSH).expect(0));
    for (pointer, wrong) in [
        ("/schema", json!(2)),
        ("/run/state", json!("finished")),
        ("/run/created_at", json!("yesterday")),
        ("/counts/tasks", json!(-1)),
        ("/counts/accepted", json!(1.5)),
        ("/endings/0/class", json!(5)),
        ("/session", json!({})),
        ("/next", Value::Null),
        ("/run", json!({ "undocumented": 1 })),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).expect(pointer) = wrong;
        assert!(!problems(&bad).is_empty(), "{pointer}");
    }
}

/// The lines on stderr, each of which is an object of the log.
#[track_caller]
fn log(ended: &Ended) -> Vec<Value> {
    ended
        .stderr
        .lines()
        .map(|line| {
            let entry: Value = serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{error}: {line}\nin\n{}", ended.stderr));
            for key in ["timestamp", "level", "message", "target"] {
                assert!(entry[key].is_string(), "no {key}: {entry}");
            }
            entry
        })
        .collect()
}

#[test]
fn a_log_of_objects_has_nothing_else_on_stderr() {
    let json_log = ["--log-format", "json", "-vv"];
    let sim = Sim::start(Scenario {
        latency_ms: 50,
        faults: [(Fault::Unavailable, 0.2)].into(),
        ..Scenario::default()
    });
    // With the summary as data: one object on stdout.
    let site = Site::with(&devices(100));
    let push = site.start(&sim, &[&PUSH[..], &json_log].concat());
    sim.wait_for_requests(3);
    push.signal(Signal::INT);
    let stopped = push.ended().expect(3);
    summary(&stopped);
    let entries = log(&stopped);
    let said = |words: &str| {
        let message = |entry: &Value| entry["message"].as_str().unwrap_or_default().to_owned();
        entries.iter().map(message).any(|text| text.contains(words))
    };
    assert!(said("results go to") && said("stopping after the requests in flight"));

    // With the summary for people: it is an entry of its own.
    sim.play(Scenario::default());
    let text = site.push(&sim, &["run", "fleet.csv", "--log-format", "json"]);
    let entries = log(&text.expect(0));
    let last = entries.last().expect("the summary")["message"].as_str();
    let last = last.expect("text");
    assert!(
        last.starts_with("run fleet-") && last.lines().count() > 5,
        "{last}"
    );
}

#[test]
fn an_error_is_an_entry_of_the_log_as_well() {
    let site = Site::with("device_key,product_key,service\nDK1,PK,fuwu\n,PK,fuwu\n");
    let sim = Sim::healthy();
    let mut command = site.push_command(&sim, &PUSH);
    command.env("FLEETPUSH_LOG_FORMAT", "json");
    let bad_rows = Push::start(command).ended().expect(2);
    let error = log(&bad_rows).pop().expect("the error");
    assert_eq!(
        (&error["level"], &error["exit_code"]),
        (&json!("ERROR"), &json!(2))
    );

    // Before the settings are known, flag and variable are.
    let mut command = site.command(&["runs", "--log-format", "json"]);
    command.env("FLEETPUSH_CONFIG", site.path("none.toml"));
    let no_config = Push::start(command).ended().expect(2);
    let error = log(&no_config).pop().expect("the error");
    assert!(
        error["message"]
            .as_str()
            .expect("text")
            .contains("none.toml")
    );
    assert_eq!(error["causes"].as_array().map(Vec::len), Some(1), "{error}");
}

#[test]
fn a_summary_that_cannot_be_written_changes_no_exit_code() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(5));
    for (offline, code) in [(0.0, 0), (1.0, 1)] {
        sim.play(Scenario {
            offline,
            ..Scenario::default()
        });
        let args = ["run", "fleet.csv", "--again", "--format", "json"];
        let full = std::fs::File::options().write(true).open("/dev/full");
        let mut command = site.push_command(&sim, &args);
        command
            .stdin(Stdio::null())
            .stdout(full.expect("a device"))
            .stderr(Stdio::piped());
        let output = command.output().expect("the binary starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains("the summary is lost"), "{stderr}");
        assert!(stderr.contains("No space left"), "{stderr}");
    }
    // A question that gets no answer has failed.
    let full = std::fs::File::options().write(true).open("/dev/full");
    let mut command = site.command(&["results", "--format", "csv"]);
    command.stdout(full.expect("a device"));
    let output = command.output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(2));
}
