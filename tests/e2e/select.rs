//! The one filter: what it chooses for `results` and for `retry`.

use std::{collections::BTreeSet, fmt::Write as _};

use fleetpush::simulator::Scenario;
use serde_json::Value;

use crate::support::{Ended, Sim, Site, agree};

/// A run of 300 devices of two products at three sites, of which a third is offline, in the order of the keys.
fn pushed() -> (Site, Sim) {
    let sim = Sim::start(Scenario {
        seed: 21,
        offline: 0.3,
        ..Scenario::default()
    });
    let mut text = String::from("device_key,product_key,service,param.raw1,site,rack\n");
    for n in 1..=300 {
        let (product, site) = (n % 2 + 1, ["Oslo", "Bergen", "Tromsø"][n % 3]);
        writeln!(text, "DK{n:05},PK000{product},fuwu,AA,{site},{}", n % 10)
            .expect("a string takes all");
    }
    let site = Site::with(&text);
    site.push(&sim, &["run", "fleet.csv", "--name", "night"])
        .expect(1);
    (site, sim)
}

/// Whether a row passes.
type Condition = Box<dyn Fn(&Value) -> bool>;

/// The rows that `results` lists with these flags.
fn rows(site: &Site, flags: &[&str]) -> Vec<Value> {
    let args = [&["results", "night", "--format", "jsonl"], flags].concat();
    site.run(&args).expect(0).json_lines()
}

/// The rows of the whole run that pass a condition.
fn those(all: &[Value], passes: impl Fn(&Value) -> bool) -> Vec<Value> {
    all.iter().filter(|row| passes(row)).cloned().collect()
}

fn by_line(mut rows: Vec<Value>) -> Vec<Value> {
    rows.sort_by_key(|row| row["line"].as_i64());
    rows
}

#[test]
fn each_flag_is_a_condition_and_its_values_are_alternatives() {
    let (site, _sim) = pushed();
    let all = rows(&site, &[]);
    assert_eq!(all.len(), 300);
    let key = |row: &Value| row["device_key"].as_str().unwrap().to_owned();
    let cases: [(&[&str], Condition); 9] = [
        (
            &["--label", "site=Oslo"],
            Box::new(|row| row["labels"]["site"] == "Oslo"),
        ),
        (
            &["--label", "site=Oslo", "--label", "site=Tromsø"],
            Box::new(|row| row["labels"]["site"] != "Bergen"),
        ),
        (
            &[
                "--label",
                "site=Oslo",
                "--label",
                "rack=3",
                "--state",
                "failed",
            ],
            Box::new(|row| {
                row["labels"]["site"] == "Oslo"
                    && row["labels"]["rack"] == "3"
                    && row["state"] == "failed"
            }),
        ),
        (
            &["--product", "PK0002"],
            Box::new(|row| row["product_key"] == "PK0002"),
        ),
        (
            &["--device", "DK0001*", "--device", "DK00300"],
            Box::new(move |row| key(row).starts_with("DK0001") || key(row) == "DK00300"),
        ),
        (
            &["--code", "61000-61999"],
            Box::new(|row| row["code"] == 61002),
        ),
        (
            &["--code", "200,201", "--label", "rack=0"],
            Box::new(|row| row["code"] == 200 && row["labels"]["rack"] == "0"),
        ),
        (&["--attempts", "2-"], Box::new(|_| false)),
        (
            &["--ended-after", "1h", "--ended-before", "0s"],
            Box::new(|_| true),
        ),
    ];
    for (flags, passes) in cases {
        let found = by_line(rows(&site, flags));
        assert_eq!(found, by_line(those(&all, passes)), "{flags:?}");
    }
    assert_eq!(rows(&site, &["--ended-before", "1h"]), Vec::<Value>::new());
}

#[test]
fn devices_come_from_a_list_a_manifest_and_the_results_of_another_command() {
    let (site, sim) = pushed();
    let failed = rows(&site, &["--state", "failed"]);
    let csv = site
        .run(&["results", "night", "--state", "failed", "--format", "csv"])
        .expect(0)
        .stdout;
    let keys: Vec<&str> = failed
        .iter()
        .map(|row| row["device_key"].as_str().unwrap())
        .collect();
    site.write("failed.csv", &csv);
    site.write("failed.txt", keys.join("\r\n"));
    site.write(
        "failed.jsonl",
        failed
            .iter()
            .fold(String::new(), |text, row| text + &row.to_string() + "\n"),
    );
    for list in ["failed.csv", "failed.txt", "failed.jsonl"] {
        let found = rows(&site, &["--devices-from", list]);
        assert_eq!(by_line(found), by_line(failed.clone()), "{list}");
    }
    let narrowed = rows(
        &site,
        &["--devices-from", "failed.txt", "--device", "DK0001*"],
    );
    assert_eq!(
        by_line(narrowed),
        by_line(those(&failed, |row| {
            row["device_key"].as_str().unwrap().starts_with("DK0001")
        }))
    );

    site.write("more.txt", "DK00001\nDK99998\nDK99999\n");
    site.run(&["results", "night", "--devices-from", "more.txt"])
        .expect(0)
        .says(&["2 devices are not in run 'night': DK99998, DK99999"]);
    site.write("bad.txt", "DK00001\nDK00002, DK00003\n");
    site.run(&["results", "night", "--devices-from", "bad.txt"])
        .expect(2)
        .says(&["bad.txt:2: is not a device key", "device_key"]);
    site.run(&["results", "night", "--devices-from", "nowhere.txt"])
        .expect(2)
        .says(&["nowhere.txt", "No such file"]);
    drop(sim);
}

#[test]
fn a_retry_sends_what_the_filter_chooses_and_nothing_else() {
    let (site, sim) = pushed();
    let oslo = rows(&site, &["--state", "failed", "--label", "site=Oslo"]);
    let others = rows(&site, &["--state", "failed"]).len() - oslo.len();
    assert!(!oslo.is_empty() && others > 0);
    let flags = ["retry", "night", "--label", "site=Oslo"];
    site.push(&sim, &[&flags[..], &["--dry-run"]].concat())
        .expect(0)
        .says(&[&format!("{} tasks would be sent again", oslo.len())]);
    sim.play(Scenario::default());
    let sent = sim.deliveries().len();
    site.push(&sim, &flags).expect(1);
    let again: BTreeSet<String> = sim.deliveries()[sent..]
        .iter()
        .map(|delivery| delivery.device_key.clone())
        .collect();
    let wanted: BTreeSet<String> = oslo
        .iter()
        .map(|row| row["device_key"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(again, wanted);
    agree(&site.journal(), &sim);

    let refused = |flags: &[&str]| -> Ended {
        let requests = sim.stats().requests;
        let args = [&["retry", "night"], flags].concat();
        let ended = site.push(&sim, &args).expect(2);
        assert_eq!(sim.stats().requests, requests);
        ended
    };
    refused(&["--label", "site=Oslo"]).says(&["matches the filter"]);
    refused(&["--device", "DK99999"]).says(&["the device DK99999 is not in run 'night'"]);

    let left = rows(&site, &["--state", "failed"]);
    site.write(
        "left.txt",
        left.iter()
            .map(|row| row["device_key"].as_str().unwrap())
            .collect::<Vec<_>>()
            .join("\n"),
    );
    site.push(&sim, &["retry", "night", "--devices-from", "left.txt"])
        .expect(0);
    agree(&site.journal(), &sim);
    assert_eq!(site.journal().run().accepted, 300);
}

/// Two commands for each device, with all that a row can have besides its data, and text that CSV and JSON have to quote.
const EVERYTHING: &str = r##"{"device_key":"DK1","product_key":"PK0001","service":"fuwu","params":{"raw1":"one, \"1\""},"qos":2,"is_cache":true,"cache_time":60,"extend_para":{"a":[1,"x"]},"labels":{"site":"=Oslo","note":"a \"b\"\nc"}}
{"device_key":"DK2","product_key":"PK0002","data":"[{\"fuwu\":[{\"raw1\":\"A\"}]}]","is_cover":false}
{"device_key":"DK1","product_key":"PK0001","service":"andere","params":{"raw1":"two"},"labels":{"line 2":"x,y;z"}}
{"device_key":"DK3","product_key":"PK0001","service":"fuwu","params":{"raw1":"one, \"1\""},"qos":2,"is_cache":true,"cache_time":60,"extend_para":{"a":[1,"x"]}}
{"device_key":"#N/A","product_key":"PK0001","service":"andere","params":{"raw1":"two"}}
"##;

#[test]
fn results_as_a_manifest_send_the_same_again() {
    let sim = Sim::start(Scenario::default());
    let site = Site::new();
    site.write("first.jsonl", EVERYTHING);
    let args = ["run", "first.jsonl", "--name", "first"];
    site.push(&sim, &args).expect(0);
    // All that was sent, and the labels.
    let sent = |run: &str, flags: &[&str]| {
        let args = [&["results", run, "--format", "jsonl"], flags].concat();
        let mut rows: Vec<String> = site
            .run(&args)
            .expect(0)
            .json_lines()
            .iter()
            .map(|row| {
                [
                    "device_key",
                    "product_key",
                    "data",
                    "qos",
                    "is_cache",
                    "cache_time",
                    "is_cover",
                    "extend_para",
                    "labels",
                ]
                .map(|field| row[field].to_string())
                .join(" ")
            })
            .collect();
        rows.sort();
        rows
    };
    // What no CSV may have as a key cannot go that way.
    let cases: [(&str, &[&str]); 2] = [("jsonl", &[]), ("csv", &["--device", "DK*"])];
    for (format, flags) in cases {
        let name = format!("again.{format}");
        let args = [
            &["results", "first", "--as-manifest", "--format", format],
            flags,
        ]
        .concat();
        site.write(&name, site.run(&args).expect(0).stdout);
        let before = sim.deliveries().len();
        site.push(&sim, &["run", &name, "--name", format]).expect(0);
        assert_eq!(sent(format, &[]), sent("first", flags), "{format}");
        let of_dk1: Vec<_> = sim.deliveries()[before..]
            .iter()
            .filter(|delivery| delivery.device_key == "DK1")
            .map(|delivery| delivery.data.contains("one"))
            .collect();
        assert_eq!(of_dk1, [true, false], "in the order of the manifest");
    }

    for format in ["csv", "jsonl"] {
        let name = format!("results.{format}");
        let results = site.run(&["results", "first", "--format", format]);
        site.write(&name, results.expect(0).stdout);
        let requests = sim.stats().requests;
        site.push(&sim, &["run", &name]).expect(2).says(&[
            &name,
            "is a list of results",
            "--as-manifest",
        ]);
        assert_eq!(sim.stats().requests, requests);
    }

    let nothing = ["results", "first", "--as-manifest", "--state", "failed"];
    site.run(&nothing).expect(2).says(&["matches the filter"]);
    site.run(&["results", "first", "--as-manifest", "--format", "table"])
        .expect(2)
        .says(&["--as-manifest", "--format jsonl"]);
}

#[test]
fn what_the_run_does_not_have_is_named_with_what_it_has() {
    let (site, sim) = pushed();
    let requests = sim.stats().requests;
    let both = |flags: &[&str], code: i32, words: &[&str]| {
        site.run(&[&["results", "night"], flags].concat())
            .expect(code)
            .says(words);
        let args = [&["retry", "night", "--dry-run"], flags].concat();
        site.push(&sim, &args).expect(2).says(words);
    };
    both(
        &["--label", "sit=Oslo"],
        2,
        &["no task of run 'night' has a label 'sit'; did you mean site? its labels are site, rack"],
    );
    both(
        &["--label", "site=Olso"],
        0,
        &["no task of run 'night' has the label site=Olso; did you mean Oslo?"],
    );
    both(
        &["--code", "61020"],
        0,
        &["run 'night' has no task with the code 61020; its codes are 200, 61002"],
    );
    both(
        &["--product", "PK0003"],
        0,
        &["run 'night' has no task of the product PK0003; its products are PK0001, PK0002"],
    );
    for command in ["results", "status"] {
        site.run(&[command, "ngiht"])
            .expect(2)
            .says(&["no run is called 'ngiht', did you mean 'night'"]);
        site.run(&[command, "xyz"])
            .expect(2)
            .says(&["no run is called 'xyz'; the latest are 'night'"]);
    }
    assert_eq!(sim.stats().requests, requests);
}

/// A time is another one each time.
fn without_times(text: &str) -> String {
    let mut words = String::new();
    for line in text.lines() {
        let cells: Vec<&str> = line
            .split("  ")
            .filter(|cell| !cell.trim().is_empty())
            .collect();
        words.push_str(&cells.join(" |"));
        words.push('\n');
    }
    words
}

#[test]
fn columns_are_chosen_labels_among_them_and_rows_are_sorted() {
    let (site, _sim) = pushed();
    let shown = |args: &[&str]| {
        site.run(&[&["results", "night"], args].concat())
            .expect(0)
            .stdout
    };
    insta::assert_snapshot!(without_times(&shown(&[
        "--columns",
        "device_key,label.site,state,code",
        "--columns",
        "label.rack",
        "--sort",
        "-label.rack,label.site,-device_key",
        "--limit",
        "5",
    ])));
    let csv = shown(&[
        "--columns",
        "label.site,device_key",
        "--sort",
        "device_key",
        "--format",
        "csv",
        "--limit",
        "2",
    ]);
    assert_eq!(
        csv,
        "label.site,device_key\nBergen,DK00001\nTromsø,DK00002\n"
    );
    let array: Vec<Value> = serde_json::from_str(&shown(&["--format", "json"])).unwrap();
    assert_eq!(array, rows(&site, &[]));
    let by_key = |rows: Vec<Value>| -> Vec<String> {
        rows.iter()
            .map(|row| row["device_key"].as_str().unwrap().to_owned())
            .collect()
    };
    let sorted = by_key(rows(&site, &["--sort", "-device_key", "--state", "failed"]));
    let mut expected = by_key(rows(&site, &["--state", "failed"]));
    expected.sort();
    expected.reverse();
    assert_eq!(sorted, expected);

    for (flags, words) in [
        (
            ["--columns", "sate"],
            "--columns: there is no column 'sate'; did you mean state; the columns are run, name, line",
        ),
        (
            ["--sort", "-site"],
            "label.NAME for a label, as in label.site",
        ),
        (
            ["--columns", "label.sit"],
            "no task of run 'night' has a label 'sit'; did you mean site?",
        ),
        (
            ["--sort", "label.sit"],
            "no task of run 'night' has a label 'sit'",
        ),
    ] {
        site.run(&[&["results", "night"], &flags[..]].concat())
            .expect(2)
            .says(&[words]);
    }
}

#[test]
fn a_file_is_written_whole_or_not_at_all() {
    let (site, _sim) = pushed();
    let list = |args: &[&str]| site.run(&[&["results", "night"], args].concat());
    let printed = list(&["--format", "csv"]).expect(0).stdout;
    site.write("out.csv", "old");
    let ended = list(&["--format", "csv", "--out", "out.csv"]).expect(0);
    assert_eq!(ended.stdout, "");
    assert_eq!(
        std::fs::read_to_string(site.path("out.csv")).unwrap(),
        printed
    );
    // What cannot be written is known before anything is asked, here before it is known that there is no such database.
    std::fs::create_dir(site.path("folder")).unwrap();
    for out in ["nowhere/out.csv", "folder"] {
        site.run(&["results", "no such run", "--out", out])
            .expect(2)
            .says(&[&format!("cannot write {out}")]);
    }
    // A mistake leaves the file as it was, and none beside it.
    list(&["--label", "sit=Oslo", "--out", "out.csv"]).expect(2);
    list(&["--as-manifest", "--device", "none", "--out", "again.jsonl"]).expect(2);
    assert_eq!(
        std::fs::read_to_string(site.path("out.csv")).unwrap(),
        printed
    );
    let left: BTreeSet<String> = std::fs::read_dir(site.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("push.db"))
        .collect();
    assert_eq!(
        left,
        ["fleet.csv", "folder", "out.csv"].map(str::to_owned).into()
    );
}
