//! What the binary tells of itself: its settings, its manual, and where to look when something is not found.

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
};

use fleetpush::{simulator::Scenario, testing::SETTING_NAMES};
use serde_json::Value;

use crate::support::{Push, Sim, Site, devices};

/// `config show` as JSON lines, by setting: value, origin and place.
fn shown(command: Command) -> BTreeMap<String, [Value; 3]> {
    let ended = Push::start(command).ended().expect(0);
    ended
        .json_lines()
        .into_iter()
        .map(|row| {
            let name = row["setting"].as_str().expect("a name").to_owned();
            (
                name,
                ["value", "origin", "place"].map(|key| row[key].clone()),
            )
        })
        .collect()
}

fn row(value: &str, origin: &str, place: &str) -> [Value; 3] {
    [value, origin, place].map(Value::from)
}

#[test]
fn every_setting_is_shown_with_its_origin() {
    let site = Site::new();
    site.write(
        "fleet.toml",
        "rate = 10\nconcurrency = 8\nchunk-size = 50\n\n[profile.night]\nmax-outage = '2h'\nchunk-size = 60\n",
    );
    let config = site.path("fleet.toml").display().to_string();
    let mut command = site.command(&[
        "config",
        "show",
        "--format",
        "jsonl",
        "--config",
        &config,
        "--rate",
        "5",
        "--insecure-http",
    ]);
    command
        .env("FLEETPUSH_PROFILE", "night")
        .env("FLEETPUSH_MAX_ATTEMPTS", "9")
        .env_remove("FLEETPUSH_ACCESS_SECRET")
        .env("FLEETPUSH_ACCESS_SECRET_FILE", "/nowhere/secret");
    let shown = shown(command);
    let line = |line: u32| format!("{config}:{line}");
    for (setting, expected) in [
        ("config", row(&config, "flag", "--config")),
        ("profile", row("night", "variable", "FLEETPUSH_PROFILE")),
        ("rate", row("5", "flag", "--rate")),
        ("insecure-http", row("true", "flag", "--insecure-http")),
        (
            "max-attempts",
            row("9", "variable", "FLEETPUSH_MAX_ATTEMPTS"),
        ),
        ("max-outage", row("2h", "profile night", &line(6))),
        ("chunk-size", row("60", "profile night", &line(7))),
        ("concurrency", row("8", "file", &line(2))),
        (
            "access-key",
            row("set, not shown", "variable", "FLEETPUSH_ACCESS_KEY"),
        ),
        (
            "access-secret",
            row("set, not shown", "variable", "FLEETPUSH_ACCESS_SECRET_FILE"),
        ),
    ] {
        assert_eq!(shown[setting], expected, "{setting}");
    }
    assert_eq!(shown["drain-timeout"][..2], row("30s", "default", "")[..2]);
    for setting in ["region", "token", "db-password"] {
        let unset = [Value::Null, Value::Null, Value::Null];
        assert_eq!(shown[setting], unset, "{setting}");
    }
    assert_eq!(shown["db"][1], "flag");
    for name in SETTING_NAMES {
        assert!(shown.contains_key(*name), "{name}");
    }
    assert!(!site.path("push.db").exists(), "it needs no database");
}

#[test]
fn what_is_wrong_in_the_file_is_told_with_its_place() {
    let site = Site::new();
    let error = |content: &str| {
        site.write("fleet.toml", content);
        let config = site.path("fleet.toml").display().to_string();
        let ended = site.run(&["config", "show", "--config", &config]).expect(2);
        assert_eq!(ended.stdout, "");
        ended.stderr.replace(&config, "fleet.toml")
    };
    assert_eq!(
        error("rate = 5\nmax-atempts = 3\n"),
        "error: fleet.toml:2: unknown key \"max-atempts\"; did you mean max-attempts?\n"
    );
    assert_eq!(
        error("rate = 5\n\ndrain-timeout = 30\n"),
        "error: invalid value '30' for '--drain-timeout' in fleet.toml:3: add a unit, for example 30s, 30m or 30h\n"
    );
    assert!(error("token = 'x'\n").contains("token-file"));
}

#[test]
fn people_get_a_table() {
    let site = Site::new();
    let ended = site.run(&["config", "show", "--rate", "7"]).expect(0);
    let rate = ended
        .stdout
        .lines()
        .find(|line| line.starts_with("rate "))
        .expect("a row");
    let words: Vec<&str> = rate.split_whitespace().collect();
    assert_eq!(words, ["rate", "7", "flag", "--rate"]);
    assert!(!ended.stdout.contains("secret\n"), "{}", ended.stdout);
}

/// The binary without flags that every command of a site has.
fn bare(site: &Site, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetpush"));
    command
        .current_dir(site.folder())
        .env_clear()
        .env("HOME", site.folder())
        .args(args);
    command
}

#[test]
fn completions_are_scripts_that_the_shell_can_read() {
    let site = Site::new();
    let script = Push::start(bare(&site, &["completions", "bash"]))
        .ended()
        .expect(0)
        .stdout;
    site.write("fleetpush.bash", &script);
    // What bash does at a tab: it calls the function that the script has registered, which calls this program.
    let tab = r#"source ./fleetpush.bash
        function=$(complete -p fleetpush | sed 's/.*-F \([^ ]*\).*/\1/')
        COMP_WORDS=(fleetpush run --over) COMP_CWORD=2 COMP_TYPE=9
        $function fleetpush --over run
        echo "${COMPREPLY[@]}""#;
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_fleetpush"));
    let folder = binary.parent().expect("a folder");
    let bash = Command::new("bash")
        .args(["-c", tab])
        .current_dir(site.folder())
        .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
        .stderr(Stdio::null())
        .output();
    // Where there is no bash, nobody completes with it.
    if let Ok(output) = bash {
        let offered = String::from_utf8_lossy(&output.stdout);
        assert_eq!(offered.trim(), "--override-abort");
    }
    Push::start(bare(&site, &["completions", "tcsh"]))
        .ended()
        .expect(2)
        .says(&["bash", "zsh"]);
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let site = Site::new();
    let page = Push::start(bare(&site, &["man"])).ended().expect(0).stdout;
    assert!(page.contains(".TH fleetpush 1"), "{page}");
    Push::start(bare(&site, &["man", "--out", "man/man1"]))
        .ended()
        .expect(0)
        .says(&["man/man1"]);
    for page in ["fleetpush", "fleetpush-run", "fleetpush-config-show"] {
        let text = std::fs::read_to_string(site.path(&format!("man/man1/{page}.1"))).expect(page);
        assert!(text.contains(".SH SYNOPSIS"), "{page}");
    }
    site.write("file", "");
    Push::start(bare(&site, &["man", "--out", "file/man"]))
        .ended()
        .expect(2)
        .says(&["--out: cannot write manual pages to file/man"]);
}

#[test]
fn a_mistyped_database_is_told_and_not_made() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(2));
    for args in [
        &["resume"][..],
        &["retry", "night"],
        &["resolve", "night"],
        &["cancel", "night"],
    ] {
        let args = [args, &["--db", "psuh.db"]].concat();
        let mut command = bare(&site, &args);
        if args[0] != "cancel" {
            command.args(["--base-url", sim.base_url()]);
        }
        command.env("FLEETPUSH_TOKEN", "QJWT any");
        Push::start(command)
            .ended()
            .expect(2)
            .says(&["no results database at psuh.db"]);
        assert!(!site.path("psuh.db").exists(), "{args:?} made a database");
    }
}

#[test]
fn a_flag_that_is_no_key_of_the_config_file_is_told_as_one() {
    let site = Site::with(&devices(2));
    site.write("night.toml", "rate = 5\nproduct-key = 'PK0001'\n");
    Push::start(bare(&site, &["config", "show", "--config", "night.toml"]))
        .ended()
        .expect(2)
        .says(&["night.toml:2: --product-key can only be given on the command line"]);
}

#[test]
fn who_looks_for_simulated_runs_is_told_of_the_flag() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(2));
    site.push(&sim, &["run", "fleet.csv"]).expect(0);
    let state = site.path("state/fleetpush");
    std::fs::create_dir_all(&state).unwrap();
    std::fs::rename(site.path("push.db"), state.join("simulated.db")).unwrap();
    let query = |args: &[&str]| {
        let mut command = bare(&site, args);
        command.env("XDG_STATE_HOME", site.path("state"));
        Push::start(command).ended()
    };
    query(&["runs", "--simulate"]).expect(0);
    query(&["status", "nihgt", "--simulate"]).expect(2).says(&[
        "no run is called 'nihgt'",
        "fleetpush runs --simulate lists them",
    ]);
    query(&["runs"])
        .expect(2)
        .says(&["no results database at", "--simulate shows"]);
    std::fs::rename(state.join("simulated.db"), state.join("fleetpush.db")).unwrap();
    query(&["status", "nihgt"])
        .expect(2)
        .says(&["; fleetpush runs lists them"]);
    let none = query(&["runs", "--simulate"]).expect(2);
    assert!(!none.stderr.contains("shows"), "{}", none.stderr);
}

#[test]
fn a_profile_names_the_files_of_its_credentials() {
    let sim = Sim::start(Scenario {
        access_key: Some("team".into()),
        access_secret: Some("hush".into()),
        ..Scenario::default()
    });
    let site = Site::with(&devices(3));
    site.write("team.key", "team\n");
    site.write("team.secret", "hush\n");
    site.write(
        "fleet.toml",
        "[profile.team]\naccess-key-file = \"team.key\"\naccess-secret-file = \"team.secret\"\n",
    );
    let args = ["--config", "fleet.toml", "--profile", "team"];
    let mut push = site.push_command(&sim, &[&["run", "fleet.csv"][..], &args].concat());
    push.env_remove("FLEETPUSH_ACCESS_KEY")
        .env_remove("FLEETPUSH_ACCESS_SECRET");
    Push::start(push).ended().expect(0);
    let mut show = site.command(&[&["config", "show"][..], &args].concat());
    show.env_remove("FLEETPUSH_ACCESS_KEY")
        .env_remove("FLEETPUSH_ACCESS_SECRET");
    let shown = Push::start(show).ended().expect(0).stdout;
    assert!(shown.contains("profile team"), "{shown}");
    assert!(!shown.contains("hush"), "{shown}");
    // The secret itself is still no setting.
    site.write("fleet.toml", "access-secret = \"hush\"\n");
    site.push(&sim, &["run", "fleet.csv", "--config", "fleet.toml"])
        .expect(2)
        .says(&["fleet.toml:1", "access-secret-file"]);
}

#[test]
fn a_run_goes_on_with_the_account_that_it_was_begun_with() {
    let sim = Sim::start(Scenario {
        refuse_status: Some(403),
        ..Scenario::default()
    });
    let site = Site::with(&devices(5));
    let push = |key: &str, args: &[&str]| {
        let mut command = site.push_command(&sim, args);
        command.env("FLEETPUSH_ACCESS_KEY", key);
        Push::start(command).ended()
    };
    push("first", &["run", "fleet.csv", "--name", "night"]).expect(5);
    sim.play(Scenario::default());
    for args in [
        &["run", "fleet.csv", "--name", "night"][..],
        &["resume"],
        &["retry"],
    ] {
        let ended = push("second", args).expect(2).says(&[
            "run 'night' was started with another AccessKey",
            "--accept-account",
        ]);
        assert!(!ended.stderr.contains("first"), "{}", ended.stderr);
    }
    assert_eq!(sim.deliveries().len(), 0, "nothing has been sent");
    // The key was rotated; from now on the run is the new one's.
    push("second", &["resume", "--accept-account"]).expect(0);
    push("first", &["resume", "night"]).expect(2);
    push("second", &["resume", "night"]).expect(0);
    assert_eq!(sim.deliveries().len(), 5);
}
