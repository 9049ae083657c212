//! Ten million devices: the memory of the push, the size of its database, and questions to it. One push serves all three, since one takes
//! a minute or more.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use serde_json::json;

use crate::{
    bench::{Bench, devices},
    common::tools::{fleetpush, tool},
    fleet::device_key,
    process::measure,
    pushes::{Pushed, at_chunk_100, note_cpu, platform, push},
    table::{Reference, Samples, Target, Unit, row},
};

/// The share of devices that are offline, so that there are failures to list.
const OFFLINE: f64 = 0.001;
/// How long an answer may take that reads few rows, in seconds.
const QUICK: f64 = 0.2;
/// As many failures as somebody would look at.
const SOME: &str = "100";
const MEBIBYTE: f64 = 1024.0 * 1024.0;
/// The exit code of a push of which some failed.
const SOME_FAILED: i32 = 1;

/// The push of ten million devices.
pub(crate) struct Big {
    devices: u64,
    database: PathBuf,
    pushed: Pushed,
}

impl Big {
    fn push(bench: &Bench) -> Result<Self, String> {
        let number = bench.size(10_000_000);
        let manifest = bench.manifest(number)?;
        let platform = platform(Duration::ZERO, &json!({ "offline": OFFLINE }));
        let database = bench.folder().join("big.db");
        let pushed = push(
            &platform,
            &manifest,
            &database,
            (number, 100),
            &["--rate", "unlimited"],
            SOME_FAILED,
        )?;
        // It is large, and nobody needs it any more.
        let _ = std::fs::remove_file(manifest);
        Ok(Self {
            devices: number,
            database,
            pushed,
        })
    }
}

fn big(bench: &Bench) -> Result<&Big, String> {
    static BIG: OnceLock<Result<Big, String>> = OnceLock::new();
    BIG.get_or_init(|| Big::push(bench))
        .as_ref()
        .map_err(Clone::clone)
}

/// The peak of the resident memory at three sizes.
pub(crate) fn memory(bench: &Bench) -> Result<(), String> {
    let number = bench.size(10_000);
    let manifest = bench.manifest(number)?;
    let platform = platform(Duration::ZERO, &json!({}));
    let small: Result<Vec<Pushed>, String> = (0..bench.rounds)
        .map(|_| {
            let database = bench.fresh_database();
            push(
                &platform,
                &manifest,
                &database,
                (number, 100),
                &["--rate", "unlimited"],
                0,
            )
        })
        .collect();
    drop(platform);
    let peak = |number, samples: Samples| {
        row(
            &format!("peak RSS, {}", devices(number)),
            &samples.map(|bytes| bytes / MEBIBYTE),
            Unit::Mebibytes,
            None,
            Target::AtMost(64.0),
        );
    };
    peak(
        number,
        Samples::new(small?.iter().map(|push| push.peak_rss)),
    );
    let million = at_chunk_100(bench)?;
    peak(million.devices, million.samples(|push| push.peak_rss));
    let big = big(bench)?;
    peak(big.devices, Samples::new([big.pushed.peak_rss]));
    note_cpu(
        bench,
        &format!("push, {}, chunk 100, once", devices(big.devices)),
        std::slice::from_ref(&big.pushed),
    );
    Ok(())
}

/// What a device takes in the database when the push is done.
pub(crate) fn database(bench: &Bench) -> Result<(), String> {
    let big = big(bench)?;
    row(
        &format!("database, a device, {}, one push", devices(big.devices)),
        &Samples::new([big.pushed.database / big.devices as f64]),
        Unit::BytesPerDevice,
        None,
        Target::AtMost(250.0),
    );
    Ok(())
}

/// What is asked the next morning: of us, and of SQLite by somebody who knows the tables.
pub(crate) fn query(bench: &Bench) -> Result<(), String> {
    let big = big(bench)?;
    let device = device_key(big.devices / 2);
    // A label costs a reading of all tasks: so much for a million.
    let reading = (big.devices as f64 / 1e6).max(0.2);
    let questions: [(&[&str], String, f64); 8] = [
        (&["status"], STATUS.to_owned(), QUICK),
        (&["status", "--by", "code"], STATUS.to_owned(), QUICK),
        (&["status", "--by", "product"], BY_PRODUCT.to_owned(), QUICK),
        (&["status", "--by", "hour"], BY_HOUR.to_owned(), QUICK),
        (
            &["status", "--by", "label.site"],
            BY_SITE.to_owned(),
            reading,
        ),
        (
            &["results", "--state", "failed", "--limit", SOME],
            format!("{FAILED} LIMIT {SOME}"),
            QUICK,
        ),
        (&["results", "--state", "failed"], FAILED.to_owned(), QUICK),
        (
            &["results", "--device", &device],
            format!("{OF_DEVICE} AND d.device_key = '{device}'"),
            QUICK,
        ),
    ];
    for (words, by_hand, seconds) in questions {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..bench.rounds {
            let mut command = fleetpush(bench.folder());
            command.args(words).arg("--db").arg(&big.database);
            ours.push(measure(&mut command, 0)?.wall);
            theirs.push(sqlite3(&big.database, &by_hand));
        }
        let theirs: Result<Vec<f64>, String> = theirs.into_iter().collect();
        row(
            &format!("{}, {}", words.join(" "), devices(big.devices)),
            &Samples::new(ours),
            Unit::Seconds,
            Some(&Reference {
                name: "sqlite3 by hand",
                samples: &theirs.map(Samples::new),
            }),
            Target::AtMost(seconds),
        );
    }
    Ok(())
}

fn sqlite3(database: &Path, query: &str) -> Result<f64, String> {
    tool("sqlite3")?;
    let mut command = Command::new("sqlite3");
    command.args(["-readonly", "-box"]).arg(database).arg(query);
    let finished = measure(&mut command, 0)?;
    if finished.stdout.is_empty() {
        return Err("sqlite3 found nothing".to_owned());
    }
    Ok(finished.wall)
}

/// On the tables, which may change with a migration: these queries have to follow.
const STATUS: &str = "\
SELECT r.name, r.state, r.tasks, s.name AS state, k.name AS class, y.code, y.n
FROM run AS r JOIN tally AS y ON y.run_id = r.id JOIN task_state AS s ON s.id = y.state LEFT JOIN class AS k ON k.id = y.class
WHERE r.id = (SELECT max(id) FROM run)";
const BY_PRODUCT: &str = "\
SELECT p.product_key, 1 AS state, sum(g.end_task - g.first_task) AS n
FROM accepted_span AS g JOIN task AS t ON t.id = g.first_task JOIN payload AS p ON p.id = t.payload_id GROUP BY 1
UNION ALL
SELECT p.product_key, o.state, count(*)
FROM outcome AS o JOIN task AS t ON t.id = o.task_id JOIN payload AS p ON p.id = t.payload_id GROUP BY 1, 2";
const BY_HOUR: &str = "\
SELECT finished_at / 3600000 AS hour, 1 AS state, sum(end_task - first_task) AS n FROM accepted_span GROUP BY 1
UNION ALL
SELECT finished_at / 3600000, state, count(*) FROM outcome GROUP BY 1, 2";
const BY_SITE: &str = "\
SELECT t.labels ->> 'site' AS site, coalesce(o.state, 1) AS state, count(*) AS n
FROM task AS t LEFT JOIN outcome AS o ON o.task_id = t.id GROUP BY 1, 2";
const FAILED: &str = "\
SELECT t.line, p.product_key, t.device_key, k.name AS class, o.code, o.message, o.attempts, o.finished_at, t.labels
FROM outcome AS o JOIN task AS t ON t.id = o.task_id JOIN payload AS p ON p.id = t.payload_id JOIN class AS k ON k.id = o.class
WHERE o.state = 2 ORDER BY o.task_id";
const OF_DEVICE: &str = "\
SELECT t.line, p.product_key, t.device_key, s.name AS state, k.name AS class, coalesce(o.code, g.code) AS code, o.message,
    coalesce(o.ticket, CAST(substr(g.tickets, (t.id - g.first_task) * g.ticket_bytes + 1, g.ticket_bytes) AS TEXT)) AS ticket,
    coalesce(o.attempts, 1) AS attempts, coalesce(o.finished_at, g.finished_at) AS finished_at, t.labels
FROM device_task AS d JOIN task AS t ON t.id = d.task_id JOIN payload AS p ON p.id = t.payload_id
LEFT JOIN outcome AS o ON o.task_id = t.id
LEFT JOIN accepted_span AS g
    ON g.first_task = (SELECT max(first_task) FROM accepted_span WHERE first_task <= t.id) AND g.end_task > t.id
LEFT JOIN task_state AS s ON s.id = coalesce(o.state, 1) LEFT JOIN class AS k ON k.id = coalesce(o.class, 1)
WHERE d.run_id = (SELECT max(id) FROM run)";
