//! Tests of the settings as a whole: what an invocation comes to.

use std::path::Path;

use clap::Parser;

use super::*;
use crate::model::{AbortIf, Class, ProgressMode, TaskState};

mod sources;

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

#[test]
fn the_defaults_are_those_of_the_contract() {
    let run = run_of(Invocation::run(true).resolve());
    insta::assert_debug_snapshot!(run);
}

#[test]
fn a_pause_needs_a_canary() {
    let refused = |place: &str| {
        format!(
            "--canary-pause, given {place}, has no canary to stop after, and the whole fleet would be pushed at once: give --canary as \
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
        Command::Runs(runs) => match runs.database.place {
            Place::File(path) => path,
            Place::Server(server) => panic!("{server:?}"),
        },
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
