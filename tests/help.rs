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
        "resolve",
        "cancel",
        "check",
        "runs",
        "status",
        "results",
        "codes",
        "completions",
        "man",
    ] {
        insta::assert_snapshot!(command, help(&[command, "--help"]));
    }
    insta::assert_snapshot!("config", help(&["config", "--help"]));
    insta::assert_snapshot!("config_show", help(&["config", "show", "--help"]));
    // Its flags are the simulator's own affair.
    assert!(help(&["simulator", "--help"]).contains("Usage: fleetpush simulator"));
}

#[test]
fn short_help_fits_a_screen() {
    insta::assert_snapshot!("short", help(&["-h"]));
}

#[test]
fn the_version_is_told() {
    assert_eq!(
        help(&["--version"]),
        format!("fleetpush {}\n", env!("CARGO_PKG_VERSION"))
    );
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
