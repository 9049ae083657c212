//! Text from outside that is not harmless: it arrives exactly, and steers neither a terminal, nor SQL, nor a spreadsheet.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::{Push, Sim, Site, agree, devices};
use rustix::{
    fs::{CWD, Mode, mkfifoat},
    process::Signal,
};

/// Device keys that would do something somewhere, were they not handled as text.
fn keys() -> Vec<String> {
    let mut keys: Vec<String> = [
        "'; DROP TABLE task; --",
        "\"quoted\", and; more",
        "=cmd|' /C calc'!A0",
        "+1",
        "-1",
        "@SUM(A1)",
        "0012",
        "\u{1b}[2J\u{1b}[31mred",
        "bell\u{7}and\u{8}back",
        "line\nbreak\r\nand\ttab",
        "\u{202e}right to left",
        "\u{2066}isolated\u{2069}",
        "e\u{301}\u{1f468}\u{200d}\u{1f469}",
        "\\u0041 \\n",
        "%s%n{}$HOME`id`",
        "\u{feff}mark",
    ]
    .map(str::to_owned)
    .into();
    keys.push("k".repeat(10_000));
    keys
}

fn manifest() -> String {
    let mut text = String::new();
    for key in keys() {
        let line = json!({
            "device_key": key,
            "product_key": "PK\u{1b}[1m",
            "service": "fuwu",
            "params": {"raw1": format!("value of {key}")},
            "labels": {"site": format!("label of {key}")},
        });
        text.push_str(&line.to_string());
        text.push('\n');
    }
    text
}

#[test]
fn odd_text_arrives_exactly_and_is_kept_exactly() {
    let sim = Sim::healthy();
    let site = Site::new();
    site.write("odd.jsonl", manifest());
    site.push(&sim, &["run", "odd.jsonl"]).expect(0);
    agree(&site.journal(), &sim);
    let expected: BTreeSet<(String, String)> = keys()
        .into_iter()
        .map(|key| {
            let data = json!([{"fuwu": [{"raw1": format!("value of {key}")}]}]).to_string();
            (key, data)
        })
        .collect();
    let arrived: BTreeSet<(String, String)> = sim
        .deliveries()
        .into_iter()
        .map(|delivery| (delivery.device_key, delivery.data))
        .collect();
    assert_eq!(arrived, expected);
    let listed: BTreeSet<(String, String)> = site
        .run(&["results", "--format", "jsonl"])
        .expect(0)
        .json_lines()
        .into_iter()
        .map(|row| {
            let key = row["device_key"].as_str().expect("a key").to_owned();
            assert_eq!(row["labels"]["site"], format!("label of {key}"));
            (key, row["data"].as_str().expect("data").to_owned())
        })
        .collect();
    assert_eq!(listed, expected);
    for key in keys() {
        let found = site
            .run(&["results", "--format", "jsonl", &format!("--device={key}")])
            .expect(0)
            .json_lines();
        assert_eq!(found.len(), 1, "{key:?}");
    }
}

#[test]
fn nothing_from_outside_steers_the_terminal_or_a_spreadsheet() {
    let sim = Sim::healthy();
    let site = Site::new();
    site.write("odd.jsonl", manifest());
    let pushed = site.push(&sim, &["run", "odd.jsonl", "-vvv"]).expect(0);
    let table = site.run(&["results"]).expect(0);
    let steers = |text: &str| {
        text.chars()
            .find(|character| {
                (character.is_control() && !matches!(character, '\n' | '\r'))
                    || matches!(character, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            })
    };
    for text in [&pushed.stderr, &pushed.stdout, &table.stdout, &table.stderr] {
        assert_eq!(steers(text), None, "{text}");
    }
    let csv = site.run(&["results", "--format", "csv"]).expect(0).stdout;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let mut marked = 0;
    for record in reader.records() {
        for cell in &record.expect("a record") {
            let is_formula = cell.starts_with(['=', '+', '-', '@']) && cell.parse::<f64>().is_err();
            assert!(!is_formula, "{cell:?} would be a formula");
            marked += usize::from(cell.starts_with("'=") || cell.starts_with("'@"));
        }
    }
    assert_eq!(marked, 2, "what is neutralised stays recognisable");
}

#[test]
fn a_bad_row_with_odd_text_is_told_harmlessly() {
    let sim = Sim::healthy();
    let site = Site::with("device_key,product_key,qos,data\nA,PK,\u{1b}[31mred,[]\n");
    let refused = site
        .push(&sim, &["run", "fleet.csv"])
        .expect(2)
        .says(&["line 2", "qos"]);
    assert!(!refused.stderr.contains('\u{1b}'), "{}", refused.stderr);
}

#[test]
fn files_of_the_wrong_kind_hang_nothing_and_fill_no_memory() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(1));
    mkfifoat(CWD, site.path("pipe"), Mode::RWXU).unwrap();
    let long = std::fs::File::create(site.path("long")).unwrap();
    long.set_len(1 << 40).unwrap();
    for path in ["/dev/full", "/dev/zero", "long", "."] {
        site.push(&sim, &["run", "fleet.csv", "--config", path])
            .expect(2)
            .says(&["cannot read the config file"]);
        let mut secret = site.push_command(&sim, &["run", "fleet.csv"]);
        secret
            .env_remove("FLEETPUSH_ACCESS_SECRET")
            .env("FLEETPUSH_ACCESS_SECRET_FILE", path);
        Push::start(secret)
            .ended()
            .expect(2)
            .says(&["which FLEETPUSH_ACCESS_SECRET_FILE names"]);
        if path != "long" {
            site.push(&sim, &["run", path]).expect(2).says(&["it is a"]);
        }
        site.run(&["simulator", "--scenario", path]).expect(2);
    }
    // Without a writer: it is not waited for without an end, and a manifest's as long as nobody sends a signal.
    site.push(&sim, &["run", "fleet.csv", "--config", "pipe"])
        .expect(2)
        .says(&["did not come within 10 s"]);
    let waiting = site.start(&sim, &["run", "pipe", "--name", "piped"]);
    waiting.wait_until_it_catches(Signal::TERM);
    waiting.signal(Signal::TERM);
    waiting.ended().expect(3);
    site.push(&sim, &["run", "fleet.csv", "--config", "/dev/null"])
        .expect(0);
}
