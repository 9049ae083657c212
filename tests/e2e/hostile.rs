//! Text from outside that is not harmless: it arrives exactly, and steers neither a terminal, nor SQL, nor a spreadsheet.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::{Push, Sim, Site, agree, devices};
use rustix::{
    fs::{CWD, Mode, mkfifoat},
    process::Signal,
};

/// Texts that would do something somewhere, were they not handled as text.
fn texts() -> Vec<String> {
    let mut texts: Vec<String> = [
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
    texts.push("k".repeat(10_000));
    texts
}

/// Whether somebody could not see all of it.
fn has_unseen(text: &str) -> bool {
    text.chars().any(|character| {
        character.is_control()
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    })
}

/// A device for each text: the text itself is its key, unless no key may be so.
fn rows() -> Vec<(String, String)> {
    let numbered = texts().into_iter().enumerate();
    numbered
        .map(|(number, text)| {
            let key = if has_unseen(&text) {
                format!("DK{number}")
            } else {
                text.clone()
            };
            (key, text)
        })
        .collect()
}

fn manifest() -> String {
    let mut text = String::new();
    for (key, text_of_it) in rows() {
        let line = json!({
            "device_key": key,
            "product_key": "PK'; --",
            "service": "fuwu",
            "params": {"raw1": format!("value of {text_of_it}")},
            "labels": {"site": format!("label of {text_of_it}")},
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
    let expected: BTreeSet<(String, String)> = rows()
        .into_iter()
        .map(|(key, text)| {
            let data = json!([{"fuwu": [{"raw1": format!("value of {text}")}]}]).to_string();
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
            let text = rows().into_iter().find(|(other, _)| *other == key);
            let (_, text) = text.expect("a key of ours");
            assert_eq!(row["labels"]["site"], format!("label of {text}"));
            (key, row["data"].as_str().expect("data").to_owned())
        })
        .collect();
    assert_eq!(listed, expected);
    for (key, _) in rows() {
        let found = site
            .run(&["results", "--format", "jsonl", &format!("--device={key}")])
            .expect(0)
            .json_lines();
        assert_eq!(found.len(), 1, "{key:?}");
    }
}

#[test]
fn a_key_with_a_character_that_nobody_sees_is_refused_in_every_format() {
    let site = Site::new();
    let unseen: Vec<String> = texts()
        .into_iter()
        .filter(|text| has_unseen(text))
        .collect();
    assert!(unseen.len() >= 7);
    for key in unseen {
        let body = json!({"devices": ["DK1", key], "productKey": "PK", "data": []});
        let line = json!({"deviceKey": key, "productKey": "PK", "data": []});
        let csv = format!("device_key,product_key,data\n\"{key}\",PK,[]\n");
        for (name, text) in [
            ("a.jsonl", body.to_string()),
            ("a.jsonl", line.to_string()),
            ("a.csv", csv),
        ] {
            site.write(name, text);
            site.run(&["check", name]).expect(2).says(&[
                "line ",
                "column device",
                " has U+",
                "which is invisible",
                "remove it",
            ]);
        }
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
        .says(&["did not arrive within 10 s"]);
    let waiting = site.start(&sim, &["run", "pipe", "--name", "piped"]);
    waiting.wait_until_it_catches(Signal::TERM);
    waiting.signal(Signal::TERM);
    waiting.ended().expect(3);
    site.push(&sim, &["run", "fleet.csv", "--config", "/dev/null"])
        .expect(0);
}

#[test]
fn arguments_are_quoted_harmlessly() {
    let site = Site::new();
    for args in [
        ["--\u{1b}[2J\u{9b}31mred", "x"],
        ["run", "--chunk-size=\u{1b}]0;title\u{7}"],
        ["\u{202e}nur", "x"],
    ] {
        let refused = site.run(&args).expect(2);
        let steers = |character: char| {
            (character.is_control() && character != '\n') || character == '\u{202e}'
        };
        assert!(!refused.stderr.contains(steers), "{:?}", refused.stderr);
        assert!(refused.stderr.starts_with("error: "), "{}", refused.stderr);
    }
}

#[test]
fn a_place_for_temporary_files_is_asked_for_by_its_name() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(100_000));
    let mut command = site.push_command(&sim, &["run", "-", "--name", "piped"]);
    command
        .env("TMPDIR", "/nowhere")
        .stdin(std::fs::File::open(site.path("fleet.csv")).unwrap());
    Push::start_with_input(command)
        .ended()
        .expect(2)
        .says(&["set TMPDIR to a writable folder"]);
}
