//! Tests of the settings as a whole: which source wins, and what an invocation comes to.

use std::path::Path;

use clap::Parser;

use super::*;
use crate::model::ProgressMode;
use crate::{
    cli::keys,
    model::{AbortIf, Class, TaskState},
};

/// For each setting a value that is not its default.
const OTHERS: &[(&str, &str)] = &[
    ("db", "/elsewhere/runs.db"),
    ("region", "china"),
    ("base-url", "https://platform.test"),
    ("metrics-file", "/elsewhere/fleetpush.prom"),
    ("allow-network-filesystem", "true"),
    ("log-format", "json"),
    ("insecure-http", "true"),
    ("language", "CN"),
    ("connect-timeout", "7s"),
    ("request-timeout", "1m30s"),
    ("chunk-size", "7"),
    ("concurrency", "3"),
    ("rate", "unlimited"),
    ("device-rate", "500"),
    ("canary", "1%"),
    ("canary-pause", "true"),
    ("ramp", "1,x2,every=500"),
    ("max-attempts", "9"),
    ("max-snooze", "2h"),
    ("max-outage", "0s"),
    ("drain-timeout", "500ms"),
    ("in-doubt", "hold"),
    ("after-failure", "continue"),
    ("abort-if", "offline>30%,min=1000;rejected>50"),
    ("tolerate", "offline<5%;in_doubt<3"),
    ("retry-offline", "2"),
    ("offline-delay", "5m"),
    ("until", "05:00"),
    ("window", "22:00-05:00 Europe/Oslo"),
    ("repeat-after", "20h"),
    ("progress", "lines"),
];

/// One invocation: arguments, variables and the text of a config file.
#[derive(Default)]
struct Invocation {
    args: Vec<String>,
    variables: Vec<(String, String)>,
    config: String,
}

impl Invocation {
    fn new(args: &[&str]) -> Self {
        Self {
            args: args.iter().map(ToString::to_string).collect(),
            ..Self::default()
        }
    }

    fn variable(mut self, name: impl Into<String>, value: &str) -> Self {
        self.variables.push((name.into(), value.to_owned()));
        self
    }

    fn config(mut self, text: impl Into<String>) -> Self {
        self.config = text.into();
        self
    }

    /// A push to some platform, so that every setting plays a part.
    fn run(target: bool) -> Self {
        let run = Self::new(&["run", "fleet.csv"]).variable("FLEETPUSH_TOKEN", "QJWT eyJ");
        if target {
            run.config("region = 'europe'\n")
        } else {
            run
        }
    }

    fn try_resolve(self) -> Result<Settings, String> {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("fleetpush/config.toml");
        if !self.config.is_empty() {
            std::fs::create_dir(folder.path().join("fleetpush")).unwrap();
            std::fs::write(&config, &self.config).unwrap();
        }
        let environment =
            Environment::new(self.variables).with_folders(folder.path(), Path::new("/state"));
        let cli = Cli::try_parse_from(std::iter::once("fleetpush".to_owned()).chain(self.args))
            .map_err(|error| error.to_string())?;
        resolve(cli, &environment).map_err(|error| {
            error
                .to_string()
                .replace(folder.path().to_str().unwrap(), "~")
        })
    }

    fn resolve(self) -> Settings {
        self.try_resolve().unwrap()
    }

    fn error(self) -> String {
        self.try_resolve().unwrap_err()
    }
}

fn run_of(settings: Settings) -> Run {
    match settings.command {
        Command::Run(run) => *run,
        other => panic!("{other:?}"),
    }
}

fn base_url(invocation: Invocation) -> String {
    match run_of(invocation.resolve()).push.target {
        Target::Platform { base_url, .. } => base_url,
        Target::Simulator => panic!("a simulator"),
    }
}

/// The line of the config file that sets a name.
fn line(name: &str, value: &str) -> String {
    format!("{name} = '{value}'\n")
}

#[test]
fn every_setting_can_come_from_every_source() {
    let names: Vec<&str> = OTHERS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, keys::NAMES, "each setting has a value to test with");
    for (name, value) in OTHERS {
        let names_target = matches!(*name, "region" | "base-url");
        let base = || match *name {
            "canary-pause" => Invocation::run(true).variable("FLEETPUSH_CANARY", "5"),
            _ => Invocation::run(!names_target),
        };
        let common = base().config;
        let shown = |invocation: Invocation| format!("{:?}", invocation.resolve());

        let mut flagged = base();
        flagged.args.push(format!("--{name}"));
        if !matches!(
            *name,
            "allow-network-filesystem" | "insecure-http" | "canary-pause"
        ) {
            flagged.args.push((*value).to_owned());
        }
        let from_flag = shown(flagged);
        let from_variable = shown(base().variable(keys::variable(name), value));
        let from_top = shown(base().config(format!("{}{common}", line(name, value))));
        let from_profile = shown(
            base()
                .variable("FLEETPUSH_PROFILE", "night")
                .config(format!("{common}[profile.night]\n{}", line(name, value))),
        );
        assert_eq!(from_flag, from_variable, "{name}");
        assert_eq!(from_flag, from_top, "{name}");
        assert_eq!(from_flag, from_profile, "{name}");
        if !names_target {
            assert_ne!(from_flag, shown(base()), "{name} changes nothing");
        }
    }
}

#[test]
fn a_flag_beats_a_variable_beats_a_profile_beats_the_top_of_the_file() {
    let config = "region = 'europe'\nmax-attempts = 2\n[profile.night]\nmax-attempts = 3\n";
    let attempts = |args: &[&str], variables: &[(&str, &str)]| {
        let mut invocation = Invocation::run(true).config(config);
        invocation.args.extend(args.iter().map(ToString::to_string));
        for (name, value) in variables {
            invocation = invocation.variable(*name, value);
        }
        run_of(invocation.resolve()).push.recovery.max_attempts
    };
    let profile = ("FLEETPUSH_PROFILE", "night");
    let variable = ("FLEETPUSH_MAX_ATTEMPTS", "4");
    assert_eq!(attempts(&[], &[]), 2);
    assert_eq!(attempts(&[], &[profile]), 3);
    assert_eq!(attempts(&["--profile", "night"], &[]), 3);
    assert_eq!(attempts(&[], &[profile, variable]), 4);
    assert_eq!(attempts(&["--max-attempts", "5"], &[profile, variable]), 5);
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let run = run_of(Invocation::run(true).resolve());
    insta::assert_debug_snapshot!(run);
}

#[test]
fn a_flag_that_is_repeated_is_one_list() {
    let with = |args: &[&str]| {
        let mut invocation = Invocation::run(true).variable("FLEETPUSH_ABORT_IF", "quota>7");
        invocation.args.extend(args.iter().map(ToString::to_string));
        invocation
    };
    let recovery = |args: &[&str]| run_of(with(args).resolve()).push.recovery;
    assert_eq!(recovery(&[]).abort_if.to_string(), "quota>7");
    assert_eq!(
        recovery(&["--abort-if", "rejected>50", "--abort-if", "failed>1%"])
            .abort_if
            .to_string(),
        "rejected>50;failed>1%,min=500"
    );
    assert_eq!(
        recovery(&["--tolerate", "offline<5%", "--tolerate", "in_doubt<3"])
            .tolerate
            .to_string(),
        "offline<5%;in_doubt<3"
    );
    assert_eq!(
        with(&["--abort-if", "rejected>50", "--abort-if", "never"]).error(),
        "invalid value 'rejected>50;never' for '--abort-if' on the command line: the word never stands alone: leave it out, \
         or what it stands beside"
    );
}

#[test]
fn the_strongest_source_names_the_target() {
    let config = "region = 'china'\n[profile.bench]\nbase-url = 'http://bench'\n";
    let invocation = || Invocation::run(true).config(config);
    assert_eq!(base_url(invocation()), "https://iot-api.quectelcn.com");
    let mut bench = invocation().variable("FLEETPUSH_PROFILE", "bench");
    bench.args.extend(["--region".into(), "europe".into()]);
    assert_eq!(base_url(bench), "https://iot-api.acceleronix.io");
    assert_eq!(
        base_url(invocation().variable("FLEETPUSH_PROFILE", "bench")),
        "http://bench"
    );
}

#[test]
fn a_target_is_named_once() {
    assert!(Invocation::run(false).error().starts_with(
        "no platform is named: give --region china, --region europe or --base-url URL"
    ));
    assert_eq!(
        Invocation::run(false)
            .config("region = 'china'\nbase-url = 'https://platform.test'\n")
            .error(),
        "a region is given in ~/fleetpush/config.toml:1 and a base URL in ~/fleetpush/config.toml:2: \
         only one of --region and --base-url can hold, remove the other"
    );
    let both = &["run", "m", "--region", "china", "--base-url", "https://a"];
    assert!(
        Invocation::new(both)
            .error()
            .contains("cannot be used with")
    );
}

#[test]
fn a_pause_needs_a_canary() {
    let refused = |place: &str| {
        format!(
            "--canary-pause, given {place}, has no canary to stop after, and the whole fleet would go at once: give --canary as \
             well, for example --canary 1%"
        )
    };
    let mut invocation = Invocation::run(true);
    invocation.args.push("--canary-pause".to_owned());
    assert_eq!(invocation.error(), refused("on the command line"));
    let config = "region = 'china'\ncanary-pause = true\n";
    assert_eq!(
        Invocation::run(false).config(config).error(),
        refused("in ~/fleetpush/config.toml:2")
    );
    let chosen = Invocation::run(false).config(format!("{config}canary = 'none'\n"));
    assert!(run_of(chosen.resolve()).push.rollout.canary_pause);
}

#[test]
fn a_bad_value_is_told_with_its_flag_and_its_place() {
    assert_eq!(
        Invocation::run(true)
            .variable("FLEETPUSH_MAX_SNOOZE", "30")
            .error(),
        "invalid value '30' for '--max-snooze' in FLEETPUSH_MAX_SNOOZE: add a unit, for example 30s, 30m or 30h"
    );
    assert_eq!(
        Invocation::run(true)
            .config("region = 'china'\nchunk-size = 0\n")
            .error(),
        "invalid value '0' for '--chunk-size' in ~/fleetpush/config.toml:2: write a whole number from 1 to 10000"
    );
    let mut flag = Invocation::run(true);
    flag.args.extend(["--rate".into(), "0".into()]);
    let error = flag.error();
    assert!(
        error.contains("invalid value '0' for '--rate <RATE>': write requests a second"),
        "{error}"
    );
}

#[test]
fn a_simulated_push_needs_no_platform_and_reads_no_secret() {
    let run = run_of(
        Invocation::new(&["run", "fleet.csv", "--simulate"])
            .variable("FLEETPUSH_TOKEN_FILE", "/nowhere")
            .resolve(),
    );
    assert!(matches!(run.push.target, Target::Simulator));
    assert!(
        Invocation::new(&["run", "fleet.csv", "--region", "china"])
            .error()
            .starts_with("no credentials")
    );
}

#[test]
fn the_simulator_never_gets_the_platforms_database() {
    let database = |invocation: Invocation| match invocation.resolve().command {
        Command::Runs(runs) => runs.database.path,
        other => panic!("{other:?}"),
    };
    let runs = || Invocation::new(&["runs"]);
    let simulated = || Invocation::new(&["runs", "--simulate"]);
    let config = "db = '/data/fleet.db'";
    assert_eq!(database(runs()), Path::new("/state/fleetpush/fleetpush.db"));
    assert_eq!(
        database(simulated()),
        Path::new("/state/fleetpush/simulated.db")
    );
    assert_eq!(database(runs().config(config)), Path::new("/data/fleet.db"));
    assert_eq!(
        database(simulated().config(config)),
        Path::new("/data/simulated.db")
    );
    assert_eq!(
        database(simulated().variable("FLEETPUSH_DB", "fleet.db")),
        Path::new("simulated.db")
    );
    assert_eq!(
        database(Invocation::new(&["runs", "--simulate", "--db", "mine.db"])),
        Path::new("mine.db")
    );
    let relative = database(runs().config("db = 'fleet.db'"));
    assert!(relative.ends_with("fleetpush/fleet.db") && relative.is_absolute());
}

#[test]
fn profiles_must_exist() {
    let asked = |config: &str| {
        Invocation::new(&["runs", "--profile", "nigth"])
            .config(config)
            .error()
    };
    assert_eq!(
        asked("[profile.night]\n[profile.eu]\n"),
        "~/fleetpush/config.toml has no [profile.nigth]: its profiles are eu, night"
    );
    assert!(asked("").contains("there is no config file"));
    assert!(
        Invocation::new(&["runs", "--config", "/nowhere/fleet.toml"])
            .error()
            .starts_with("cannot read the config file /nowhere/fleet.toml")
    );
}

#[test]
fn retry_takes_doubtful_tasks_only_when_asked() {
    let selection = |filters: &[&str]| {
        let args = [&["retry", "night", "--simulate"], filters].concat();
        match Invocation::new(&args).resolve().command {
            Command::Retry(retry) => (retry.states, retry.filter),
            other => panic!("{other:?}"),
        }
    };
    let (states, filter) = selection(&[]);
    assert_eq!(states, [TaskState::Failed]);
    assert_eq!(
        filter.class,
        [
            Class::Offline,
            Class::Frequency,
            Class::Quota,
            Class::Transient
        ]
    );
    for filters in [
        ["--device", "0007"],
        ["--label", "site=Oslo"],
        ["--attempts", "5"],
    ] {
        let (states, filter) = selection(&filters);
        assert_eq!(states, [TaskState::Failed]);
        assert_eq!(filter.class, []);
    }
    assert_eq!(
        selection(&["--class", "rejected,in_doubt"]).0,
        [TaskState::Failed, TaskState::InDoubt]
    );
    assert_eq!(selection(&["--state", "in_doubt"]).0, [TaskState::InDoubt]);
}

#[test]
fn defaults_for_rows_keep_order_and_stand_once() {
    let input = |args: &[&str]| -> Result<ManifestDefaults, String> {
        let args = [&["check", "fleet.csv"], args].concat();
        let command = Invocation::new(&args).try_resolve()?.command;
        match command {
            Command::Check(check) => Ok(check.input.defaults),
            other => panic!("{other:?}"),
        }
    };
    let pair = |code: &str, value: &str| (code.to_owned(), value.to_owned());
    assert_eq!(
        input(&[
            "--service",
            "fuwu",
            "--param",
            "z=1",
            "--param",
            "a=x=y",
            "--cache",
            "360"
        ]),
        Ok(ManifestDefaults {
            data: Some(DefaultData::Service {
                code: "fuwu".into(),
                params: vec![pair("z", "1"), pair("a", "x=y")],
            }),
            cache_seconds: Some(360),
            ..ManifestDefaults::default()
        })
    );
    let error = |args: &[&str]| input(args).unwrap_err();
    assert_eq!(
        error(&["--service", "s", "--param", "a=1", "--param", "a=2"]),
        "--param gives \"a\" twice: give each parameter once"
    );
    assert!(error(&["--param", "a=1"]).contains("--service"));
    assert!(error(&["--data", "[]", "--service", "s"]).contains("cannot be used with"));
    assert!(error(&["--cache", "0"]).contains("--cache"));
    assert!(error(&["--qos", "3"]).contains("--qos"));
}

#[test]
fn a_manifest_from_stdin_needs_a_name() {
    assert!(
        Invocation::new(&["run", "-", "--simulate"])
            .error()
            .ends_with("give the run one with --name")
    );
    let named = Invocation::new(&["run", "-", "--simulate", "--name", "night"]);
    assert_eq!(run_of(named.resolve()).name.as_deref(), Some("night"));
}

#[test]
fn quiet_hides_progress_unless_it_is_asked_for() {
    let progress = |args: &[&str]| {
        let args = [&["run", "m", "--simulate"], args].concat();
        run_of(Invocation::new(&args).resolve()).push.progress
    };
    assert_eq!(progress(&[]), ProgressMode::Auto);
    assert_eq!(progress(&["-q"]), ProgressMode::None);
    assert_eq!(
        progress(&["-q", "--progress", "lines"]),
        ProgressMode::Lines
    );
}

#[test]
fn verbosity_flags_beat_the_log_variable() {
    let level = |args: &[&str]| {
        let invocation = Invocation::new(args).variable("FLEETPUSH_LOG", "hyper=debug");
        invocation.resolve().logging.level
    };
    assert_eq!(level(&["runs"]), Level::Directives("hyper=debug".into()));
    assert_eq!(level(&["runs", "-q"]), Level::Errors);
    assert_eq!(level(&["-vv", "runs"]), Level::Debug);
    assert_eq!(
        Invocation::new(&["runs"]).resolve().logging.level,
        Level::Warnings
    );
}

#[test]
fn the_sample_config_is_valid_in_each_profile() {
    let sample = include_str!("../../samples/fleetpush.toml");
    for (profile, expected) in [
        ("europe", "https://iot-api.acceleronix.io"),
        ("bench", "http://127.0.0.1:8765"),
    ] {
        let invocation = Invocation::run(true)
            .config(sample)
            .variable("FLEETPUSH_PROFILE", profile);
        assert_eq!(base_url(invocation), expected);
    }
    let bench = Invocation::run(true)
        .config(sample)
        .variable("FLEETPUSH_PROFILE", "bench");
    assert_eq!(
        run_of(bench.resolve()).push.recovery.abort_if,
        AbortIf::NEVER
    );
}
