//! The samples for schedulers: what they set is known, and what they start is understood.

use std::process::{Command, Output, Stdio};

use clap::Parser as _;
use fleetpush::testing::Cli;

use crate::support::{Push, Site};

const SERVICE: &str = include_str!("../../samples/systemd/fleetpush.service");
const TIMER: &str = include_str!("../../samples/systemd/fleetpush.timer");
const CRON: &str = include_str!("../../samples/cron");
const CRONJOB: &str = include_str!("../../samples/kubernetes/cronjob.yaml");

/// The path that the samples expect the binary at.
const INSTALLED: &str = "/usr/local/bin/fleetpush";

/// The values of a key of the service.
fn of_service(key: &str) -> Vec<String> {
    of_unit(SERVICE, key)
}

/// The values of a key of a unit, in its order, with lines that end in a backslash joined.
fn of_unit(unit: &str, key: &str) -> Vec<String> {
    let joined = unit.replace("\\\n", " ");
    let values = joined.lines().filter_map(|line| {
        let value = line.strip_prefix(key)?.strip_prefix('=')?;
        Some(value.to_owned())
    });
    values.collect()
}

/// The variables that a sample sets.
fn variables(sample: &str) -> Vec<(String, String)> {
    let pair = |line: &str| {
        let (name, value) = line.split_once('=')?;
        name.starts_with("FLEETPUSH_")
            .then(|| (name.to_owned(), value.to_owned()))
    };
    match sample {
        "service" | "listener" => of_unit(
            if sample == "service" {
                SERVICE
            } else {
                LISTENER
            },
            "Environment",
        )
        .iter()
        .filter_map(|line| pair(line))
        .collect(),
        "cron" => CRON.lines().filter_map(pair).collect(),
        _ => {
            let lines: Vec<&str> = CRONJOB.lines().map(str::trim).collect();
            let named = lines.windows(2).filter_map(|two| {
                let name = two[0].strip_prefix("- name: FLEETPUSH_")?;
                let value = two[1].strip_prefix("value: ")?;
                Some((format!("FLEETPUSH_{name}"), value.to_owned()))
            });
            named.collect()
        }
    }
}

#[test]
fn what_the_samples_set_is_known() {
    for sample in ["service", "listener", "cron", "cronjob"] {
        let site = Site::new();
        let mut command = site.command(&["config", "show", "--format", "jsonl"]);
        command
            .env_remove("FLEETPUSH_ACCESS_KEY")
            .env_remove("FLEETPUSH_ACCESS_SECRET");
        let variables = variables(sample);
        assert!(variables.len() >= 3, "{sample}: {variables:?}");
        for (name, value) in &variables {
            command.env(name, value);
            if name == "FLEETPUSH_CONFIG" {
                site.write("config.toml", PACKAGED_CONFIG);
                command.env(name, site.path("config.toml"));
            }
        }
        let ended = Push::start(command).ended().expect(0);
        assert_eq!(ended.stderr, "", "{sample}");
        let elsewhere = ["FLEETPUSH_DB", "FLEETPUSH_CONFIG"];
        let shown = variables.iter().map(|(name, _)| name);
        for name in shown.filter(|name| !elsewhere.contains(&name.as_str())) {
            assert!(ended.stdout.contains(name), "{sample}: {name}");
        }
    }
}

/// The units of the package, whose service runs as a user that the package makes.
const PACKAGED: [&str; 2] = [
    include_str!("../../packaging/debian/fleetpush.service"),
    include_str!("../../packaging/debian/fleetpush.timer"),
];

/// The package's unit that listens.
const LISTENER: &str = include_str!("../../packaging/listen/fleetpush-listen.service");

/// The settings of both services of the package.
const PACKAGED_CONFIG: &str = include_str!("../../packaging/config.toml");

/// What `systemd-analyze` says to these arguments in the folder; nothing where there is no systemd, which is said.
#[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
fn analyzed(site: &Site, args: &[&str]) -> Option<Output> {
    let output = Command::new("systemd-analyze")
        .args(args)
        .current_dir(site.folder())
        .stdin(Stdio::null())
        .output();
    if let Err(error) = &output {
        eprintln!("the units are not tested: systemd-analyze: {error}");
    }
    output.ok()
}

#[test]
fn the_units_are_ones_that_systemd_understands() {
    for [service, timer] in [[SERVICE, TIMER], PACKAGED] {
        let site = Site::new();
        let binary = env!("CARGO_BIN_EXE_fleetpush");
        let service = service
            .replace(INSTALLED, binary)
            .replace("/usr/bin/fleetpush", binary);
        assert!(service.contains(&format!("ExecStart={binary} run ")));
        site.write("fleetpush.service", service);
        site.write("fleetpush.timer", timer);
        let verify = ["verify", "--man=no", "fleetpush.service", "fleetpush.timer"];
        if let Some(output) = analyzed(&site, &verify) {
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && told.is_empty(), "{told}");
        }
    }
    // What a mistake would break without a word.
    assert_eq!(of_service("Type"), ["notify"]);
    assert_eq!(of_service("SuccessExitStatus"), ["3"]);
    assert_eq!(of_service("Restart"), ["on-abnormal"]);
    assert!(of_service("RestartPreventExitStatus")[0].contains('7'));
}

#[test]
fn the_listeners_unit_is_one_that_systemd_understands_and_that_ends_for_good_on_a_refusal() {
    let site = Site::new();
    let binary = env!("CARGO_BIN_EXE_fleetpush");
    let unit = LISTENER.replace("/usr/bin/fleetpush", binary);
    site.write("fleetpush-listen.service", &unit);
    let verify = ["verify", "--man=no", "fleetpush-listen.service"];
    if let Some(output) = analyzed(&site, &verify) {
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.is_empty(), "{told}");
    }
    let of = |key| of_unit(&unit, key);
    assert_eq!(of("Type"), ["notify"]);
    assert_eq!(of("Restart"), ["on-failure"]);
    // A lease of 30 s has ended.
    assert_eq!(of("RestartSec"), ["40s"]);
    // Wrong usage, a refusal, another listener.
    assert_eq!(of("RestartPreventExitStatus"), ["2 5 7"]);
    assert!(of("SuccessExitStatus").is_empty());

    // What it starts is understood, and wants a queue.
    let start = of("ExecStart");
    let words = words(start[0].strip_prefix(binary).expect("the binary"));
    let command = site.command(&words.iter().map(String::as_str).collect::<Vec<_>>());
    Push::start(command)
        .ended()
        .expect(2)
        .says(&["no queue is given"]);
}

/// How exposed a service may be, in tenths, from 0 (not at all) to 100.
const EXPOSURE: &str = "15";

#[test]
fn the_units_leave_a_service_little_to_do_harm_with() {
    for service in [SERVICE, PACKAGED[0], LISTENER] {
        let site = Site::new();
        site.write("fleetpush.service", service);
        let security = ["security", "--offline=yes", "fleetpush.service"];
        let threshold = format!("--threshold={EXPOSURE}");
        let args: Vec<&str> = [&security[..1], &[threshold.as_str()], &security[1..]].concat();
        if let Some(output) = analyzed(&site, &args) {
            // The program succeeds when the exposure is at most the threshold.
            let told = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{told}");
            assert!(told.contains("Overall exposure level"), "{told}");
        }
    }
}

/// The commands that the samples start, each as its words.
fn started() -> Vec<Vec<String>> {
    let of_units = ["ExecStartPre", "ExecStart"]
        .into_iter()
        .flat_map(of_service);
    let of_units = of_units.map(|line| {
        let line = line.trim_start_matches('-').replace("%%", "%");
        words(line.strip_prefix(INSTALLED).expect("it starts the binary"))
    });
    let of_cron = CRON
        .lines()
        .filter_map(|line| line.split_once(" fleetpush  fleetpush "))
        .map(|(_, command)| {
            let end = command.find(" >>").unwrap_or(command.len());
            words(&command[..end].replace(r"\%", "%"))
        });
    let of_cronjob = CRONJOB
        .split("args:\n")
        .nth(1)
        .expect("there are arguments")
        .lines()
        .map_while(|line| line.trim().strip_prefix("- "))
        .map(|word| word.trim_matches('"').to_owned());
    of_units
        .chain(of_cron)
        .chain([of_cronjob.collect()])
        .collect()
}

/// The words of a command line with single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[test]
fn what_the_samples_start_is_understood() {
    let started = started();
    assert_eq!(started.len(), 5, "{started:?}");
    let problems: Vec<String> = started
        .into_iter()
        .filter_map(|command| {
            let command = std::iter::once("fleetpush".to_owned()).chain(command);
            let error = Cli::try_parse_from(command.clone()).err()?;
            Some(format!(
                "{}: {error}",
                command.collect::<Vec<_>>().join(" ")
            ))
        })
        .collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
