//! `revert`: what takes a run back.

use std::fmt::Write as _;

use fleetpush::simulator::{Fault, Scenario};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Push, Sim, Site, agree, clock_at, devices, push_at, steady};

/// A manifest of these devices with a value of the service `setApn`.
fn apn(devices: impl IntoIterator<Item = u32>, value: &str) -> String {
    let mut text = String::from("device_key,product_key,service,param.apn,site\n");
    for n in devices {
        writeln!(text, "DK{n},PK,setApn,{value},site {}", n % 2).expect("a string takes all");
    }
    text
}

fn push(site: &Site, sim: &Sim, name: &str, manifest: &str) {
    // Versions of one manifest.
    site.write("fleet.csv", manifest);
    site.push_named(sim, name).expect(0);
}

/// Two nights: the first sets `old` on four devices, the second sets `new` on five and restarts one.
fn nights() -> (Site, Sim) {
    let sim = Sim::start(Scenario::default());
    let site = Site::new();
    push(&site, &sim, "first", &apn(1..=4, "old"));
    let restart = "DK1,PK,restart,,\n";
    push(&site, &sim, "second", &(apn(1..=5, "new") + restart));
    (site, sim)
}

/// Keys and data of a manifest.
fn rows(text: &str) -> Vec<(String, String)> {
    text.lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).expect("JSON");
            let text = |name: &str| row[name].as_str().expect("text").to_owned();
            (text("device_key"), text("data"))
        })
        .collect()
}

fn data(value: &str) -> String {
    format!(r#"[{{"setApn":[{{"apn":"{value}"}}]}}]"#)
}

#[test]
fn each_device_gets_back_what_it_had_before_the_run() {
    let (site, sim) = nights();
    push(&site, &sim, "third", &apn([2], "newest"));
    let sent = sim.deliveries().len();
    let ended = site
        .run(&[
            "revert",
            "second",
            "--service",
            "setApn",
            "--out",
            "back.jsonl",
            "--left-out",
            "left.csv",
        ])
        .expect(0);
    insta::assert_snapshot!(steady(&ended.stderr));
    assert_eq!(ended.stdout, "");
    assert_eq!(sim.deliveries().len(), sent, "nothing is sent");
    let text = std::fs::read_to_string(site.path("back.jsonl")).unwrap();
    let expected = ["DK1", "DK3", "DK4"].map(|key| (key.to_owned(), data("old")));
    assert_eq!(rows(&text), expected);
    assert!(text.contains(r#""labels":{"site":"site 1"}"#), "{text}");
    let left = std::fs::read_to_string(site.path("left.csv")).unwrap();
    let left: Vec<String> = left
        .lines()
        .map(|line| line.split(',').take(4).collect::<Vec<_>>().join(","))
        .collect();
    assert_eq!(
        left,
        [
            "device_key,product_key,service,reason",
            "DK2,PK,setApn,newer",
            "DK5,PK,setApn,nothing_earlier"
        ]
    );
    site.push(&sim, &["run", "back.jsonl"]).expect(0);
    let again: Vec<_> = sim
        .deliveries()
        .into_iter()
        .skip(sent)
        .map(|one| (one.device_key, one.data))
        .collect();
    assert_eq!(again, expected);
    agree(&site.journal(), &sim);
    // Once more: those have something newer now.
    site.run(&["revert", "second", "--service", "setApn"])
        .expect(2)
        .says(&["nothing of run 'second' can be taken back"]);
}

#[test]
fn services_are_taken_back_one_by_one_and_only_those_that_are_named() {
    let sim = Sim::start(Scenario::default());
    let site = Site::new();
    let row = |data: &str| {
        format!(
            "{}\n",
            serde_json::json!({"device_key": "DK1", "product_key": "PK", "data": data, "qos": 2})
        )
    };
    push_jsonl(
        &site,
        &sim,
        "first",
        &row(r#"[{"setApn":[{"apn":"old"}]},{"setName":[{"name":"one"}]}]"#),
    );
    push_jsonl(
        &site,
        &sim,
        "between",
        &row(r#"[{"setName":[{"name":"two"}]}]"#),
    );
    push_jsonl(
        &site,
        &sim,
        "last",
        &row(r#"[{"setApn":[{"apn":"new"}]},{"setName":[{"name":"three"}]}]"#),
    );
    let back = |services: &str| {
        rows(
            &site
                .run(&["revert", "last", "--service", services])
                .expect(0)
                .stdout,
        )
    };
    let of = |data: &str| ("DK1".to_owned(), data.to_owned());
    assert_eq!(back("setApn"), [of(&data("old"))]);
    assert_eq!(
        back("setName,setApn"),
        [of(r#"[{"setName":[{"name":"two"}]}]"#), of(&data("old"))]
    );
    let csv = site
        .run(&["revert", "last", "--service", "setApn", "--format", "csv"])
        .expect(0)
        .stdout;
    assert!(csv.lines().nth(1).unwrap().ends_with(",2,,,,"), "{csv}");
    site.run(&["revert", "last"]).expect(2).says(&["--service"]);
    site.run(&["revert", "last", "--service", "setAp"])
        .expect(2)
        .says(&["calls no service 'setAp'; did you mean setApn; it calls setApn, setName"]);
}

fn push_jsonl(site: &Site, sim: &Sim, name: &str, manifest: &str) {
    let file = format!("{name}.jsonl");
    site.write(&file, manifest);
    site.push(sim, &["run", &file, "--name", name]).expect(0);
}

#[test]
fn what_was_pruned_can_still_be_given_back() {
    let (site, sim) = nights();
    push(&site, &sim, "zero", &apn([9], "x"));
    site.run(&["prune", "--keep", "2"]).expect(0);
    assert_eq!(site.journal().runs.len(), 2);
    let back = |run: &str| {
        rows(
            &site
                .run(&["revert", run, "--service", "setApn"])
                .expect(0)
                .stdout,
        )
    };
    assert_eq!(back("second").len(), 4);
    // The second run goes as well: the last two acceptances of a device are kept.
    push(&site, &sim, "third", &apn(1..=5, "newest"));
    site.run(&["prune", "--keep", "1"]).expect(0);
    let expected: Vec<_> = (1..=5).map(|n| (format!("DK{n}"), data("new"))).collect();
    assert_eq!(back("third"), expected);
}

#[test]
fn what_may_have_arrived_is_taken_back_too_and_what_may_be_newer_is_left() {
    let sim = Sim::start(Scenario::default());
    let site = Site::new();
    push(&site, &sim, "first", &apn(1..=2, "old"));
    sim.play(Scenario {
        faults: [(Fault::BadGateway, 1.0)].into(),
        ..Scenario::default()
    });
    site.write("second.csv", apn([1], "new"));
    site.push(
        &sim,
        &[
            "run",
            "second.csv",
            "--name",
            "second",
            "--in-doubt",
            "hold",
        ],
    )
    .expect(1);
    let ended = site
        .run(&["revert", "second", "--service", "setApn"])
        .expect(0);
    assert_eq!(rows(&ended.stdout), [("DK1".to_owned(), data("old"))]);
    // Of the first run DK1 may have got something newer, and DK2 has nothing earlier.
    site.run(&["revert", "first", "--service", "setApn"])
        .expect(2)
        .says(&[
            "accepted something newer since, or may have got it: DK1",
            "accepted nothing earlier that is known: DK2",
        ]);
}

#[test]
fn a_cached_command_is_warned_of() {
    let (site, sim) = nights();
    let cached = apn([1], "cached")
        .replace("site\n", "site,is_cache,cache_time\n")
        .replace("site 1\n", "site 1,true,3600\n");
    push(&site, &sim, "cached", &cached);
    site.run(&["revert", "cached", "--service", "setApn"])
        .expect(0)
        .says(&[
            "warning: the platform may still have 1 command of run 'cached' in its cache",
            "wait until",
        ]);
}

#[test]
fn a_run_that_has_not_ended_is_refused() {
    let sim = Sim::start(Scenario {
        latency_ms: 100,
        ..Scenario::default()
    });
    let site = Site::with(&devices(100));
    let push = site.start(
        &sim,
        &[
            "run",
            "fleet.csv",
            "--name",
            "night",
            "--chunk-size",
            "5",
            "--concurrency",
            "2",
        ],
    );
    sim.wait_for_requests(3);
    let revert = [
        "revert",
        "night",
        "--service",
        "fuwu",
        "--out",
        "back.jsonl",
    ];
    site.run(&revert)
        .expect(2)
        .says(&["run 'night' is running", "fleetpush cancel night"]);
    push.signal(Signal::TERM);
    push.ended().expect(3);
    site.run(&revert)
        .expect(2)
        .says(&["run 'night' is stopped", "fleetpush cancel night"]);
    assert!(!site.path("back.jsonl").exists());
}

#[test]
fn the_filter_says_who_gets_it_back() {
    let (site, _sim) = nights();
    let keys = |filter: &[&str]| -> Vec<String> {
        let args = [&["revert", "second", "--service", "setApn"], filter].concat();
        let text = site.run(&args).expect(0).stdout;
        rows(&text).into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(keys(&["--label", "site=site 0"]), ["DK2", "DK4"]);
    assert_eq!(
        keys(&["--device", "DK1", "--device", "DK3"]),
        ["DK1", "DK3"]
    );
    site.write("keys.txt", "DK3\nDK9\n");
    let listed = [
        "revert",
        "second",
        "--service",
        "setApn",
        "--devices-from",
        "keys.txt",
    ];
    let ended = site.run(&listed).expect(0);
    assert_eq!(rows(&ended.stdout).len(), 1);
    ended.says(&["the device DK9 is not in run 'second'"]);
    assert_eq!(
        keys(&[
            "--state",
            "accepted",
            "--code",
            "200",
            "--product",
            "PK",
            "--attempts",
            "1"
        ])
        .len(),
        4
    );
    let nothing = |filter: &[&str], words: &[&str]| {
        let args = [
            &[
                "revert",
                "second",
                "--service",
                "setApn",
                "--out",
                "none.jsonl",
            ],
            filter,
        ];
        site.run(&args.concat()).expect(2).says(words);
        assert!(!site.path("none.jsonl").exists());
    };
    nothing(
        &["--state", "failed"],
        &["nothing of run 'second' can be taken back"],
    );
    nothing(&["--label", "sit=1"], &["did you mean site?"]);
    nothing(&["--label", "site=site 9"], &["has the label site=site 9"]);
    nothing(&["--code", "61002"], &["its codes are 200"]);
}

/// What a database has recorded later is later, whatever the clock of the push showed.
#[test]
fn what_a_clock_that_was_ahead_has_stamped_is_not_the_last_command() {
    let sim = Sim::start(Scenario::default());
    let site = Site::new();
    let push = |now: &str, name: &str| {
        sim.play(clock_at(now, Scenario::default()));
        site.write("fleet.csv", apn(1..=2, name));
        Push::start(push_at(
            &site,
            &sim,
            now,
            &["run", "fleet.csv", "--name", name],
        ))
        .ended()
        .expect(0);
    };
    let last = || {
        let sql = "SELECT name FROM devices ORDER BY device_key";
        let ended = site.run(&["sql", sql, "--format", "jsonl"]).expect(0);
        let rows = ended.json_lines();
        let names = rows
            .iter()
            .map(|row| row["name"].as_str().unwrap_or("none"));
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    let back = |run: &str| {
        rows(
            &site
                .run(&["revert", run, "--service", "setApn"])
                .expect(0)
                .stdout,
        )
    };
    let of = |value: &str| ["DK1", "DK2"].map(|key| (key.to_owned(), data(value)));
    push("2026-04-28T02:00:00Z", "ahead");
    push("2026-03-29T02:00:00Z", "second");
    assert_eq!(last(), ["second"; 2]);
    assert_eq!(back("second"), of("ahead"));
    site.run(&["revert", "ahead", "--service", "setApn"])
        .expect(2)
        .says(&["accepted something newer since"]);
    push("2026-03-29T03:00:00Z", "third");
    assert_eq!(last(), ["third"; 2]);
    assert_eq!(back("third"), of("second"));
    site.run(&["prune", "--keep", "1"]).expect(0);
    assert_eq!(last(), ["third"; 2]);
    assert_eq!(back("third"), of("second"));
    // Of the three that are gone, the last two are known.
    site.run(&["prune", "--keep", "0"]).expect(0);
    assert_eq!(last(), ["third"; 2]);
    push("2026-03-29T04:00:00Z", "fourth");
    assert_eq!(last(), ["fourth"; 2]);
    assert_eq!(back("fourth"), of("third"));
    let kept =
        "SELECT p.data FROM device_past_before AS b JOIN past_payload AS p ON p.id = b.payload_id";
    let kept = site.run(&["sql", kept, "--format", "jsonl"]).expect(0);
    let kept = kept.json_lines();
    assert_eq!(kept.len(), 2);
    for row in kept {
        assert_eq!(row["data"].as_str(), Some(&*data("second")));
    }
}
