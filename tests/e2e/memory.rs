//! Memory does not grow with the manifest, however large its rows are.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, BufWriter, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use fleetpush::simulator::{Fault, Scenario};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, sqlite::SqliteConnectOptions};

use crate::support::{PATIENCE, Push, Sim, Site, devices};

/// What a process may take at its peak, in KiB.
const MOST: u64 = 150 * 1024;

/// Writes rows of so many bytes, each with a payload of its own.
fn write_rows(path: &Path, rows: usize, bytes: usize) {
    let mut file = BufWriter::new(File::create(path).expect("a file"));
    let filler = "A".repeat(bytes);
    for number in 0..rows {
        writeln!(
            file,
            r#"{{"device_key":"DK{number:05}","product_key":"PK0001","data":"[{{\"fuwu\":[{{\"raw1\":\"{filler}{number}\"}}]}}]"}}"#
        )
        .expect("room on the disk");
    }
    file.flush().expect("room on the disk");
}

/// The most memory that a process has had until it ended, in KiB; the code that it ended with is one of these.
fn peak(mut push: Push, codes: &[i32]) -> u64 {
    let status = format!("/proc/{}/status", push.pid());
    let mut most = 0;
    // What a test build takes seconds for, a machine that is busy takes minutes for.
    let deadline = Instant::now() + 4 * PATIENCE;
    while !push.has_ended() {
        assert!(Instant::now() < deadline, "it does not end");
        std::thread::sleep(Duration::from_millis(2));
        if let Ok(status) = std::fs::read_to_string(&status)
            && let Some(peak) = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))
        {
            let peak = peak.trim().trim_end_matches(" kB");
            most = peak.parse().expect("a number");
        }
    }
    let ended = push.ended();
    assert!(
        ended.code.is_some_and(|code| codes.contains(&code)),
        "{ended:?}"
    );
    assert!(most > 1024, "the peak was seen");
    most
}

#[test]
fn the_peak_is_bounded_whatever_the_size_of_a_row() {
    // Enough that a memory of all rows, or of all requests that may be in flight, would show.
    for (rows, bytes) in [(80, 560_000), (32, 3_900_000)] {
        let sim = Sim::start(Scenario {
            // Whatever may be in flight is in flight together.
            latency_ms: 500,
            ..Scenario::default()
        });
        let site = Site::new();
        write_rows(&site.path("large.jsonl"), rows, bytes);
        let args = [
            "run",
            "large.jsonl",
            "--concurrency",
            "64",
            "--chunk-size",
            "10",
        ];
        let peak_of_push = peak(site.start(&sim, &args), &[0]);
        assert!(
            peak_of_push < MOST,
            "{peak_of_push} KiB for rows of {bytes}"
        );
        assert_eq!(site.journal().run().pending, 0);
        let listing = Push::start(site.command(&["results", "--format", "jsonl"]));
        let peak_of_results = peak(listing, &[0]);
        assert!(
            peak_of_results < MOST,
            "{peak_of_results} KiB to list rows of {bytes}"
        );
    }
}

#[test]
fn the_peak_is_bounded_whatever_the_size_of_a_reply() {
    // Longer than a reply may be, almost as long, and long ones that are many, or very many, at a time. With very many in flight a test build
    // takes 157 to 167 MiB where a release takes 114 to 146, and took 182 to 306 when connections kept their buffers.
    for (devices, oversized_bytes, concurrency, most) in [
        (64, 100 << 20, "64", MOST),
        (24, 7_500_000, "64", MOST),
        (600, 250_000, "256", MOST),
        (1_200, 250_000, "1024", 195 * 1024),
    ] {
        let sim = Sim::start(Scenario {
            faults: [(Fault::Oversized, 1.0)].into(),
            oversized_bytes,
            // All of them arrive at a time.
            latency_ms: 500,
            ..Scenario::default()
        });
        let site = Site::with(&crate::support::devices(devices));
        let args = [
            "run",
            "fleet.csv",
            "--concurrency",
            concurrency,
            "--chunk-size",
            "1",
            "--max-attempts",
            "1",
            // Replies that nobody can read are an outage, which is not waited for here.
            "--max-outage",
            "2s",
        ];
        let peak = peak(site.start(&sim, &args), &[0, 1, 3]);
        assert!(
            peak < most,
            "{peak} KiB for replies of {oversized_bytes} with {concurrency} in flight"
        );
    }
}

/// Adds a run of so many failed tasks, each with labels, to the database of a push.
fn add_run(path: &Path, name: &str, tasks: u32) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut connection = SqliteConnectOptions::new()
            .filename(path)
            .connect()
            .await
            .expect("a database");
        let rows = format!(
            "PRAGMA synchronous = OFF; BEGIN; \
             CREATE TEMP TABLE new AS SELECT max(r.id) + 1 AS run, max(r.end_task) AS first, (SELECT max(id) + 1 FROM payload) AS payload \
                FROM run AS r; \
             INSERT INTO run (id, name, manifest, manifest_sha256, defaults, base_url, identity, state, created_at, started_at, finished_at, \
                tasks, first_task, end_task, next_task) \
             SELECT run, '{name}', 'fleet.csv', 'x', '{{}}', 'simulator', '{name}', 'complete', 1000, 1000, 2000, {tasks}, first, \
                first + {tasks}, first + {tasks} FROM new; \
             INSERT INTO payload (id, run_id, digest, product_key, data) SELECT payload, run, x'00', 'PK', '[{{\"fuwu\":[]}}]' FROM new; \
             CREATE TEMP TABLE n AS WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {tasks}) SELECT i FROM n; \
             INSERT INTO task (id, payload_id, line, device_key, labels) \
             SELECT first + i, payload, i + 2, printf('DK%08d', i * 7919 % {tasks}), printf('{{\"site\":\"%d\"}}', i % 100) FROM n, new; \
             INSERT INTO device_task (run_id, device_key, task_id) SELECT run, printf('DK%08d', i * 7919 % {tasks}), first + i FROM n, new; \
             INSERT INTO outcome (task_id, state, class, code, message, attempts, finished_at) \
             SELECT first + i, 2, 10, 70091, 'no such device', 0, 2000 FROM n, new; \
             INSERT INTO tally (run_id, state, class, code, n) SELECT run, 2, 10, 70091, {tasks} FROM new; COMMIT"
        );
        connection
            .execute(sqlx::raw_sql(sqlx::AssertSqlSafe(rows)))
            .await
            .expect("rows");
        connection.close().await.expect("the database closes");
    });
}

#[test]
fn the_peak_of_a_listing_does_not_grow_with_the_run() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(1));
    site.push(&sim, &["run", "fleet.csv", "--name", "one"])
        .expect(0);
    add_run(&site.path("push.db"), "small", 2_000);
    add_run(&site.path("push.db"), "large", 80_000);
    for question in [
        "results RUN --format csv --out rows",
        "results RUN --format json --sort -device_key,label.site --out rows",
        "results RUN --as-manifest --out rows",
    ] {
        let [small, large] = ["small", "large"].map(|run| {
            let question = question.replace("RUN", run);
            let words: Vec<&str> = question.split(' ').collect();
            let peak = peak(Push::start(site.command(&words)), &[0]);
            let lines = BufReader::new(File::open(site.path("rows")).expect("rows")).lines();
            let rows = if run == "small" { 2_000 } else { 80_000 };
            assert!(lines.count() >= rows, "{question}");
            peak
        });
        // Caches fill up; a row is more than a hundred bytes.
        assert!(
            large < small + 10 * 1024,
            "{question}: {small} and {large} KiB"
        );
    }
}
