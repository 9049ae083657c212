//! What the real binary says about itself and about wrong usage.

use assert_cmd::Command;

/// The binary in an environment of nothing but a width.
fn fleetpush(args: &[&str]) -> Command {
    let mut command = Command::cargo_bin("fleetpush").expect("the binary is built");
    command
        .env_clear()
        .env("COLUMNS", "100")
        .args(args)
        .write_stdin("");
    command
}

fn help(args: &[&str]) -> String {
    let output = fleetpush(args).assert().code(0).get_output().clone();
    assert_eq!(text(output.stderr), "");
    text(output.stdout)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("help is text")
}

#[test]
fn help_of_every_command() {
    insta::assert_snapshot!("fleetpush", help(&["--help"]));
    for command in [
        "run",
        "resume",
        "retry",
        "verify",
        "pause",
        "cancel",
        "check",
        "inventory",
        "template",
        "prune",
        "runs",
        "sessions",
        "status",
        "results",
        "explain",
        "diff",
        "report",
        "revert",
        "sql",
        "codes",
        "completions",
        "man",
    ] {
        insta::assert_snapshot!(command, help(&[command, "--help"]));
    }
    insta::assert_snapshot!("db_migrate", help(&["db", "migrate", "--help"]));
    insta::assert_snapshot!("db_copy", help(&["db", "copy", "--help"]));
    insta::assert_snapshot!("config", help(&["config", "--help"]));
    insta::assert_snapshot!("config_show", help(&["config", "show", "--help"]));
    // Its flags are the simulator's own affair.
    assert!(help(&["simulator", "--help"]).contains("Usage: fleetpush simulator"));
}

/// The lines of a screen.
const SCREEN: usize = 50;

#[test]
fn short_help_fits_a_screen() {
    let short = help(&["-h"]);
    let commands: Vec<&str> = short
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() >= 15, "{commands:?}");
    for command in &commands {
        let lines = help(&[command, "-h"]).lines().count();
        assert!(lines <= SCREEN, "{command} -h has {lines} lines");
    }
    let lines = help(&["config", "show", "-h"]).lines().count();
    assert!(lines <= SCREEN, "config show -h has {lines} lines");
    assert!(short.lines().count() <= SCREEN);
    insta::assert_snapshot!("short", short);
    for command in ["run", "retry", "results", "simulator"] {
        insta::assert_snapshot!(format!("short_{command}"), help(&[command, "-h"]));
    }
}

#[test]
fn help_is_a_command_too() {
    for command in ["run", "status", "config"] {
        assert_eq!(help(&["help", command]), help(&[command, "--help"]));
    }
}

#[test]
fn the_version_names_its_build() {
    // A build for a release names the commit in place of these words.
    assert_eq!(
        help(&["--version"]),
        format!("fleetpush {} (debug build)\n", env!("CARGO_PKG_VERSION"))
    );
}

/// What a shell is offered for the last of these words.
fn completed(words: &[&str]) -> Vec<String> {
    let output = fleetpush(&[])
        .env("FLEETPUSH_COMPLETE", "fish")
        .args(["--", "fleetpush"])
        .args(words)
        .assert()
        .code(0)
        .get_output()
        .clone();
    text(output.stdout)
        .lines()
        .filter_map(|line| line.split('\t').next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn completions_know_states_classes_and_codes() {
    assert_eq!(
        completed(&["results", "--state", "in"]),
        ["in_flight", "in_doubt"]
    );
    assert_eq!(
        completed(&["retry", "night", "--class", "offline,qu"]),
        ["offline,quota"]
    );
    let codes = completed(&["results", "--code", "6100"]);
    assert!(codes.contains(&"61002".to_owned()), "{codes:?}");
    assert!(completed(&["codes", "6100"]).contains(&"61002".to_owned()));
}

#[test]
fn completions_know_runs_and_profiles() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = folder.path().join("x.db");
    let db = db.to_str().expect("a path");
    std::fs::write(
        folder.path().join("keys.csv"),
        "device_key,product_key,service\nD1,PK,s\n",
    )
    .expect("a manifest");
    let manifest = folder.path().join("keys.csv");
    let manifest = manifest.to_str().expect("a path");
    fleetpush(&["run", manifest, "--simulate", "--db", db, "--name", "night"])
        .assert()
        .code(0);
    for command in ["resume", "retry", "verify", "cancel", "status", "results"] {
        let offered = completed(&[command, "--db", db, "nig"]);
        assert_eq!(offered, ["night"], "{command}");
    }
    assert_eq!(completed(&["status", "--db", "nowhere.db", "nig"]), [""; 0]);

    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/fleetpush.toml");
    let offered = completed(&["run", "x.csv", "--config", config, "--profile", ""]);
    assert_eq!(offered, ["bench", "europe"]);
}

#[test]
fn wrong_usage_exits_2_and_suggests() {
    let error = |args: &[&str]| {
        let output = fleetpush(args).assert().code(2).get_output().clone();
        assert_eq!(text(output.stdout), "");
        text(output.stderr)
    };
    assert!(error(&["resmue"]).contains("'resume'"));
    assert!(error(&["run", "m.csv", "--chunksize", "5"]).contains("'--chunk-size'"));
    assert!(error(&["run", "m.csv", "--in-doubt", "resned"]).contains("'resend'"));
    assert!(error(&[]).contains("Usage: fleetpush"));
    insta::assert_snapshot!("no_platform", error(&["run", "m.csv", "--db", "x.db"]));
}
