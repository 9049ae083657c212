//! `diff`, `explain` and `revert` answer the same of a file and of a server.

use std::fmt::Write as _;

use fleetpush::simulator::{Fault, Scenario};
use serde_json::Value;

use super::{
    copy, made,
    reading::{ask, said},
    views::everything,
};
use crate::support::{Database, Ended, PASSWORD, Push, Sim, Site, USER, with_server};

/// What is asked of a database with everything that pushes can leave.
const OF_EVERYTHING: [&[&str]; 58] = [
    &["diff"],
    &["diff", "mixed", "held"],
    &["diff", "mixed", "held", "--format", "csv"],
    &["diff", "held", "killed", "--format", "jsonl"],
    &["diff", "mixed", "held", "--by", "class,state"],
    &["diff", "mixed", "held", "--by", "product,payload"],
    &["diff", "gone-2", "mixed", "--by", "product,payload,code"],
    &["diff", "mixed", "held", "--by", "label.site,label.qos"],
    &["diff", "mixed", "held", "--by", "label.colour"],
    &["diff", "mixed", "held", "--by", "color"],
    &["diff", "mixed", "held", "--list", "--format", "jsonl"],
    &["diff", "held", "mixed", "--list", "--format", "csv"],
    &["diff", "mixed", "cancelled", "--list", "--format", "csv"],
    &["diff", "cancelled", "canary", "--list", "--format", "json"],
    &["diff", "mixed", "held", "--list", "--limit", "7"],
    &["diff", "mixed", "held", "--only", "recovered,new"],
    &["diff", "held", "unchanged", "--only", "gone"],
    &["diff", "mixed", "held", "--state", "failed", "--list"],
    &["diff", "mixed", "held", "--class", "offline"],
    &["diff", "mixed", "held", "--code", "61000-62000"],
    &["diff", "mixed", "held", "--code", "1-2"],
    &["diff", "mixed", "held", "--device", "DK0001*", "--list"],
    &["diff", "mixed", "held", "--device", "nobody"],
    &["diff", "mixed", "held", "--product", "PK0001", "--list"],
    &["diff", "mixed", "held", "--product", "PK0009"],
    &["diff", "mixed", "held", "--label", "site=Ås \\ \"x\""],
    &["diff", "mixed", "held", "--label", "site=nowhere"],
    &["diff", "mixed", "held", "--as-manifest"],
    &[
        "diff",
        "mixed",
        "held",
        "--as-manifest",
        "--only",
        "recovered",
    ],
    &["diff", "held", "--last", "2", "--format", "csv"],
    &["diff", "--last", "4"],
    &["diff", "--last", "4", "--by", "class"],
    &["diff", "--last", "9"],
    &["diff", "mixed", "mixed"],
    &["diff", "mixed", "nothing-like-it"],
    &["diff", "mixed", "held", "--last", "2"],
    &["explain", "DK00001"],
    &["explain", "DK00001", "--format", "json"],
    &["explain", "DK00002", "--state", "accepted,pending"],
    &["explain", "DK0006*"],
    &["explain", "DK0000*", "--format", "json"],
    &["explain", "DK00060", "--class", "blocked,in_doubt"],
    &["explain", "DK*"],
    &["explain", "XX*"],
    &["explain", "DK0000"],
    &["explain", "DK00061", "--device", "DK00062"],
    &["explain", "8.6E+14"],
    &["explain", "--label", "site=Ås \\ \"x\"", "--product", "PK"],
    &["explain", "--label", "colour=red"],
    &["revert", "held", "--service", "fuwu"],
    &["revert", "held", "--service", "fuwu", "--format", "csv"],
    &["revert", "canary", "--service", "fuwu"],
    &["revert", "cancelled", "--service", "fuwu"],
    &[
        "revert",
        "mixed",
        "--service",
        "fuwu",
        "--device",
        "DK0001*",
        "--class",
        "accepted",
    ],
    &["revert", "killed", "--service", "fuwu"],
    &["revert", "mixed", "--service", "fuwo"],
    &["revert", "nothing-like-it", "--service", "fuwu"],
    &["revert", "held", "--service", "fuwu", "--state", "skipped"],
];

/// What is asked of runs with several products.
const OF_PRODUCTS: [&[&str]; 19] = [
    &["diff", "one", "two"],
    &["diff", "two", "three", "--list", "--format", "csv"],
    &["diff", "three", "four", "--list", "--format", "csv"],
    &[
        "diff",
        "three",
        "four",
        "--by",
        "product,payload,label.site",
    ],
    &["diff", "three", "four", "--by", "label.site"],
    &["diff", "two", "four", "--product", "PK0002", "--list"],
    &["diff", "two", "four", "--as-manifest", "--only", "new"],
    &["diff", "two", "four", "--as-manifest", "--only", "gone"],
    &["diff", "four", "--last", "2", "--format", "csv"],
    &["explain", "DK01"],
    &["explain", "DK02", "--product", "PK0002"],
    &["explain", "DK0*", "--format", "json"],
    &["revert", "four", "--service", "setApn"],
    &["revert", "four", "--service", "setName,setApn"],
    &["revert", "four", "--service", "setApn", "--format", "csv"],
    &["revert", "three", "--service", "setName"],
    &["revert", "three", "--service", "setApn"],
    &["revert", "four", "--service", "setApn", "--label", "site=a"],
    &["revert", "four", "--service", "setApn", "--label", "site=c"],
];

/// What is said without what to do next, which only a file has.
fn told(ended: &Ended, names: [&str; 2]) -> (Option<i32>, String, String) {
    let (code, stdout, stderr) = said(ended, names);
    let without = |text: &str| {
        let mut kept = String::new();
        for line in text.lines() {
            if line.starts_with("to send to it again: ") {
                // With the empty line before it.
                kept.pop();
            } else if let Some((reverted, _)) = line.split_once("; to send it") {
                kept.push_str(reverted);
                kept.push('\n');
            } else if let Ok(Value::Object(mut timeline)) = serde_json::from_str(line) {
                timeline.remove("next");
                let _ = writeln!(kept, "{}", Value::Object(timeline));
            } else {
                kept.push_str(line);
                kept.push('\n');
            }
        }
        kept
    };
    (code, without(&stdout), without(&stderr))
}

fn are_alike(site: &Site, database: &Database, questions: &[&[&str]]) {
    let (here, there) = (site.path("push.db").display().to_string(), database.url());
    let mut differing = Vec::new();
    for question in questions {
        let [ours, theirs] =
            [&here, &there].map(|name| told(&ask(site, question, name), [&here, &there]));
        if ours != theirs {
            differing.push((question, ours, theirs));
        }
    }
    assert!(differing.is_empty(), "{differing:#?}");
}

#[test]
fn what_is_asked_across_runs_is_answered_the_same_of_both() {
    let sim = Sim::healthy();
    let site = everything(&sim);
    let Some(database) = made(&site) else { return };
    copy(&site, &database, &[]).expect(0);
    are_alike(&site, &database, &OF_EVERYTHING);
    // Some of each are answers.
    for (question, words) in [
        (&["diff", "mixed", "held"][..], "recovered"),
        (&["diff", "--last", "2", "held"], "DK0"),
        (&["explain", "DK00001"], "snoozing"),
    ] {
        let answer = ask(&site, question, &database.url()).expect(0);
        assert!(answer.stdout.contains(words), "{answer:?}");
    }
}

/// A manifest of these devices, each with a product, a value of `setApn` or `setName`, and a site.
fn manifest(rows: &[(&str, &str, &str, &str)]) -> String {
    let mut text = String::from("device_key,product_key,service,param.apn,param.name,site\n");
    for (number, (device, product, service, value)) in rows.iter().enumerate() {
        let parameters = match *service {
            "setApn" => format!("{value},"),
            _ => format!(",{value}"),
        };
        let place = ["a", "B", "ä", ""][number % 4];
        writeln!(text, "{device},{product},{service},{parameters},{place}")
            .expect("a string takes all");
    }
    text
}

/// Pushes a version of one manifest, of which some devices are offline and some replies are lost.
fn push(site: &Site, sim: &Sim, name: &str, seed: u64, rows: &[(&str, &str, &str, &str)]) {
    sim.play(Scenario {
        seed,
        offline: 0.3,
        faults: [(Fault::ResetAfter, 0.4)].into(),
        ..Scenario::default()
    });
    site.write("fleet.csv", manifest(rows));
    let run = ["run", "fleet.csv", "--name", name, "--abort-if", "never"];
    site.push(
        sim,
        &[&run[..], &["--in-doubt", "hold", "--chunk-size", "8"]].concat(),
    );
}

/// Devices with one key and two products, with a value of `setApn`, and one of `setName` in the end.
fn fleet(value: &str, devices: std::ops::Range<u32>) -> Vec<(String, &'static str, &str)> {
    devices
        .flat_map(|n| ["PK0001", "PK0002"].map(|product| (format!("DK{n:02}"), product, value)))
        .collect()
}

fn pushed(site: &Site, sim: &Sim, name: &str, seed: u64, devices: std::ops::Range<u32>) {
    let value = format!("value {name}");
    let fleet = fleet(&value, devices);
    let mut rows: Vec<(&str, &str, &str, &str)> = fleet
        .iter()
        .map(|(device, product, value)| (device.as_str(), *product, "setApn", *value))
        .collect();
    // One product is gone in some versions.
    if seed.is_multiple_of(2) {
        rows.retain(|(device, product, ..)| *device != "DK05" || *product == "PK0001");
    }
    if seed < 7 {
        rows.push(("DK03", "PK0001", "setName", "a name"));
    } else if seed < 10 {
        // The same numbers are those of other products.
        rows.reverse();
    }
    push(site, sim, name, seed, &rows);
}

#[test]
fn what_devices_of_several_products_had_before_is_found_on_both_also_when_it_is_pruned() {
    let sim = Sim::healthy();
    let site = Site::new();
    pushed(&site, &sim, "zero", 1, 1..20);
    pushed(&site, &sim, "nought", 2, 1..25);
    site.run(&["prune", "--keep", "0"]).expect(0);
    pushed(&site, &sim, "one", 3, 1..25);
    pushed(&site, &sim, "two", 4, 3..28);
    pushed(&site, &sim, "three", 5, 1..30);
    pushed(&site, &sim, "four", 6, 2..31);
    let Some(database) = made(&site) else { return };
    copy(&site, &database, &[]).expect(0);
    are_alike(&site, &database, &OF_PRODUCTS);
    let back = &["revert", "four", "--service", "setApn"];
    let back = ask(&site, back, &database.url()).expect(0).json_lines();
    assert!(!back.is_empty());
    // Of what only the server still has, numbers of payloads are given again.
    site.run(&["prune", "--keep", "0"]).expect(0);
    pushed(&site, &sim, "five", 8, 1..30);
    pushed(&site, &sim, "six", 9, 4..33);
    pushed(&site, &sim, "seven", 10, 3..33);
    copy(&site, &database, &[]).expect(0);
    are_alike(
        &site,
        &database,
        &[
            &["diff", "five", "six", "--by", "product,payload"],
            &["diff", "five", "six", "--list", "--format", "csv"],
            &["diff", "six", "--last", "2", "--format", "csv"],
            &["revert", "six", "--service", "setApn"],
            &["diff", "six", "seven", "--list", "--format", "csv"],
            &["revert", "seven", "--service", "setApn"],
            &["revert", "six", "--service", "setName"],
            &["revert", "six", "--service", "nothing"],
            &["revert", "five", "--service", "setApn"],
        ],
    );
}

#[test]
fn a_manifest_that_reverts_is_written_and_sent_from_where_pushes_are_made() {
    let sim = Sim::healthy();
    let site = Site::new();
    for (name, value) in [("first", "old"), ("second", "new")] {
        site.write("fleet.csv", manifest(&[("DK1", "PK", "setApn", value)]));
        site.push(&sim, &["run", "fleet.csv", "--name", name]);
    }
    let Some(database) = made(&site) else { return };
    copy(&site, &database, &[]).expect(0);
    let url = database.url();
    let revert = |out: &[&str]| {
        let question = [&["revert", "second", "--service", "setApn"], out].concat();
        ask(&site, &question, &url).expect(0)
    };
    let written = revert(&["--out", "back.jsonl", "--left-out", "left.csv"]).says(&[
        "1 command to take it back",
        "to send it from the machine that pushes: fleetpush run back.jsonl --base-url",
    ]);
    assert!(!written.stderr.contains("postgres"), "{written:?}");
    revert(&[]).says(&["from the machine that pushes, write it to a file"]);
    assert!(site.path("left.csv").exists());
    site.push(&sim, &["run", "back.jsonl"]).expect(0);
    let last = sim.deliveries().pop().expect("a command");
    assert_eq!(last.data, r#"[{"setApn":[{"apn":"old"}]}]"#);
    let explained = ask(&site, &["explain", "DK1"], &url).expect(0);
    assert!(!explained.stdout.contains("to send"), "{explained:?}");
    // The platform is asked as usual.
    let live = ["explain", "DK1", "--live", "--base-url", sim.base_url()];
    let live = ask(&site, &live, &url).expect(0);
    assert!(live.stdout.contains("platform"), "{live:?}");
}

#[test]
fn who_may_only_read_needs_the_right_to_temporary_tables_and_is_told_so() {
    let sim = Sim::healthy();
    let site = Site::new();
    for name in ["first", "second"] {
        site.write("fleet.csv", manifest(&[("DK1", "PK", "setApn", name)]));
        site.push(&sim, &["run", "fleet.csv", "--name", name])
            .expect(0);
    }
    let Some(database) = made(&site) else { return };
    copy(&site, &database, &[]).expect(0);
    let url = database.url();
    let name = url.rsplit_once('/').expect("a name").1;
    // Roles are the server's.
    let role = format!("reader_{}", std::process::id());
    database.execute(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'; ALTER ROLE {role} SET default_transaction_read_only = on;
         GRANT USAGE ON SCHEMA fleetpush TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA fleetpush TO {role};
         REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC"
    ));
    let theirs = url.replacen(USER, &role, 1);
    let questions: [&[&str]; 3] = [
        &["diff", "first", "second"],
        &["revert", "second", "--service", "setApn"],
        &["results", "second", "--sort", "line"],
    ];
    for question in questions {
        ask(&site, question, &theirs)
            .expect(6)
            .says(&["refuses temporary tables", "GRANT TEMPORARY ON DATABASE"]);
    }
    ask(&site, &["explain", "DK1"], &theirs).expect(0);
    database.execute(&format!("GRANT TEMPORARY ON DATABASE {name} TO {role}"));
    for question in questions {
        ask(&site, question, &theirs).expect(0);
    }
    database.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn a_simulated_run_is_found_on_a_server_without_the_flag_and_reverted_with_it() {
    let site = Site::new();
    let run = |args: &[&str]| Push::start(with_server(&site, args)).ended();
    for name in ["first", "second"] {
        site.write("fleet.csv", manifest(&[("DK1", "PK", "setApn", name)]));
        let args = ["run", "fleet.csv", "--name", name, "--simulate"];
        run(&[&args[..], &["--db", "push.db"]].concat()).expect(0);
    }
    let Some(database) = made(&site) else { return };
    copy(&site, &database, &[]).expect(0);
    let status = ask(&site, &["status", "second"], &database.url()).expect(0);
    let mut next = status.stdout.lines().map(str::trim);
    let next = next.find_map(|line| line.strip_prefix("fleetpush "));
    let words: Vec<&str> = next.expect("a command").split(' ').collect();
    assert!(run(&words).expect(0).stdout.contains("DK1"));
    let revert = ["revert", "second", "--service", "setApn"];
    ask(&site, &revert, &database.url())
        .expect(0)
        .says(&["fleetpush run revert.jsonl --simulate\n"]);
}
