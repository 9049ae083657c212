//! Questions while a push is at work: each is answered, and none of them writes to the database.

use std::fmt::Write as _;

use fleetpush::simulator::Scenario;
use sqlx::{ConnectOptions as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::support::{Sim, Site, wait_for};

fn fleet(value: &str) -> String {
    let mut text = String::from("device_key,product_key,service,param.mode,site\n");
    for number in 0..60 {
        let site = ["Oslo", "Bergen"][number % 2];
        writeln!(text, "DK{number:02},PK,setMode,{value},{site}").expect("a string takes all");
    }
    text
}

/// What changes as soon as anybody commits anything to the database.
struct Version {
    runtime: tokio::runtime::Runtime,
    reader: SqliteConnection,
}

impl Version {
    fn of(site: &Site) -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let options = SqliteConnectOptions::new()
            .filename(site.path("push.db"))
            .read_only(true);
        let reader = runtime.block_on(options.connect()).expect("a database");
        Self { runtime, reader }
    }

    fn now(&mut self) -> i64 {
        let version = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut self.reader);
        self.runtime.block_on(version).expect("a number")
    }
}

#[test]
fn every_question_is_answered_while_a_push_is_on_and_none_of_them_writes() {
    let sim = Sim::start(Scenario {
        seed: 3,
        offline: 0.3,
        ..Scenario::default()
    });
    let site = Site::new();
    for (name, value) in [("before", "1"), ("monday", "2")] {
        site.write("fleet.csv", fleet(value));
        site.push(&sim, &["run", "fleet.csv", "--name", name])
            .expect(1);
    }
    site.write("fleet.csv", fleet("3"));
    let requests = sim.stats().requests;
    let flags = "--chunk-size 5 --concurrency 1 --rate 2 --request-timeout 30m";
    let mut command = vec!["run", "fleet.csv", "--name", "tuesday"];
    command.extend(flags.split(' '));
    let mut push = site.start(&sim, &command);
    sim.wait_for_requests(requests + 2);
    // The next request is not answered as long as the test lasts, and there is no other one.
    sim.play(Scenario {
        latency_ms: 3_600_000,
        ..Scenario::default()
    });
    sim.wait_for_requests(sim.stats().requests + 1);
    let mut version = Version::of(&site);
    wait_for("a push that waits for a reply", || {
        let before = version.now();
        let told = site.run(&["status"]).expect(0).stdout;
        assert!(told.contains("running, pid"), "{told}");
        (version.now() == before).then_some(())
    });

    site.write("keys.txt", "DK01\nDK02\n");
    let files = || {
        ["push.db", "push.db-wal", "push.db.lock"]
            .map(|name| std::fs::read(site.path(name)).expect("a file of the push"))
    };
    let (before, at) = (files(), version.now());
    let retry = |run: &str| format!("retry {run} --dry-run --base-url {}", sim.base_url());
    let (retry_ended, retry_live) = (retry("monday"), retry("tuesday"));
    let mut asked = 0;
    for (question, code) in [
        ("status", 0),
        ("status monday --by product,code,payload,hour,label.site", 0),
        ("status --format jsonl", 0),
        ("runs", 0),
        ("runs --pruned", 0),
        ("sessions", 0),
        ("sessions tuesday", 0),
        ("results", 0),
        ("results --format csv --sort -code,device_key", 0),
        ("results --format jsonl --columns device_key,label.site", 0),
        ("results --format json --out results.json", 0),
        (
            "results --devices-from keys.txt --state pending,accepted,failed,in_flight",
            0,
        ),
        ("results monday --state failed --as-manifest", 0),
        (
            "results monday --state failed --as-manifest --format csv",
            0,
        ),
        ("results --state in_doubt --as-manifest", 2),
        ("explain DK01", 0),
        ("explain --label site=Oslo --device DK02 --format json", 0),
        ("diff", 0),
        ("diff before monday --list --format csv", 0),
        ("diff --last 3", 0),
        ("diff before monday --as-manifest --out failing.jsonl", 0),
        ("report --out tuesday.html", 0),
        ("report monday --label site=Oslo --out oslo.html", 0),
        // What goes on could overtake it.
        ("revert tuesday --service setMode", 2),
        ("revert monday --service setMode --out back.jsonl", 0),
        ("check fleet.csv", 0),
        ("codes 61002", 0),
        ("config show", 0),
        (&retry_ended, 0),
        (&retry_live, 0),
        // What would write finds the owner.
        ("db migrate", 7),
    ] {
        let words: Vec<&str> = question.split(' ').collect();
        let ended = site.run(&words);
        assert_eq!(ended.code, Some(code), "{question}: {}", ended.stderr);
        asked += 1;
        assert_eq!(version.now(), at, "{question} has written to the database");
    }
    let sql = "SELECT state, count(*) FROM results WHERE run = 3 GROUP BY 1";
    let counted = site.run(&["sql", sql, "--format", "csv"]).expect(0).stdout;
    assert!(
        counted.contains("pending,") && counted.contains("in_flight,"),
        "{counted}"
    );
    assert!(asked > 25 && !push.has_ended(), "{asked} questions");
    assert!(files() == before, "a file of the database has changed");
    let report = std::fs::read_to_string(site.path("tuesday.html")).expect("a page");
    assert!(report.contains("not finished"));
    push.kill();
}
