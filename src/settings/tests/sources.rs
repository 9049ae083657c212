//! Which source of a setting wins: flag, variable, profile, the top of the config file.

use super::*;
use crate::cli::keys;

/// For each setting a value that is not its default.
const OTHERS: &[(&str, &str)] = &[
    ("db", "/elsewhere/runs.db"),
    ("region", "china"),
    ("base-url", "https://platform.test"),
    ("tag", "team=net;site=oslo"),
    ("report", "/elsewhere/{run}.html"),
    ("metrics-file", "/elsewhere/fleetpush.prom"),
    ("queue", "b.7.fleet"),
    ("amqp-url", "amqps://broker.test:5671/quec-open"),
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
    ("canary-verify", "10m"),
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
    ("inbox-keep", "3days"),
    ("progress", "lines"),
];

/// The line of the config file that sets a name.
fn line(name: &str, value: &str) -> String {
    format!("{name} = '{value}'\n")
}

/// `listen` without a queue. Its settings are no other command's.
fn listen() -> Invocation {
    Invocation::new(&["listen"])
        .variable("FLEETPUSH_ACCESS_KEY", "key")
        .variable("FLEETPUSH_ACCESS_SECRET", "secret")
        .config("region = 'europe'\n")
}

#[test]
fn every_setting_can_come_from_every_source() {
    let names: Vec<&str> = OTHERS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, keys::NAMES, "each setting has a value to test with");
    for (name, value) in OTHERS {
        let names_target = matches!(*name, "region" | "base-url");
        let has_default = !names_target && *name != "queue";
        let base = || match *name {
            "queue" => listen(),
            "amqp-url" | "inbox-keep" => listen().variable("FLEETPUSH_QUEUE", "a.123.fleet"),
            "canary-pause" | "canary-verify" => {
                Invocation::run(true).variable("FLEETPUSH_CANARY", "5")
            }
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
        if has_default {
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
        "invalid value 'rejected>50;never' for '--abort-if' on the command line: never cannot be combined with conditions: \
         remove it, or the conditions"
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
        "no platform is given: give --region china, --region europe or --base-url URL"
    ));
    assert_eq!(
        Invocation::run(false)
            .config("region = 'china'\nbase-url = 'https://platform.test'\n")
            .error(),
        "a region is given in ~/fleetpush/config.toml:1 and a base URL in ~/fleetpush/config.toml:2: give only one of --region and --base-url"
    );
    let both = &["run", "m", "--region", "china", "--base-url", "https://a"];
    assert!(
        Invocation::new(both)
            .error()
            .contains("cannot be used with")
    );
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
fn the_sample_config_is_valid_in_each_profile() {
    let sample = include_str!("../../../samples/fleetpush.toml");
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
