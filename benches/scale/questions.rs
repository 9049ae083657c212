//! What is asked the next morning: of us, and in SQL by somebody who knows the tables. Both go through the SQLite of this program, the SQL by
//! `fleetpush sql`.
//!
//! The databases take minutes to make, so that they are kept for the next time.

use std::{path::PathBuf, process::Command, time::Duration};

use serde_json::json;

use crate::{
    bench::{Bench, database_files, devices},
    common::tools::{fleetpush, fleetpush_run},
    fleet::{device_key, write_keys, write_varied_manifest},
    process::{measure, until_line},
    pushes::platform,
    table::{Reference, Samples, Target, Unit, row},
};

/// How long an answer may take that reads few rows, in seconds.
const QUICK: f64 = 0.2;
/// As many failures as somebody would look at.
const SOME: &str = "100";
/// The share of devices that are offline, and of those that refuse what they get.
const OFFLINE: f64 = 0.03;
const REJECTED: f64 = 0.002;
/// The exit code of a push of which some failed.
const SOME_FAILED: i32 = 1;
/// Keys of a list.
const KEYS: u64 = 100_000;
/// The most that a report may take, in megabytes.
const LARGEST_REPORT: f64 = 2.0;

/// A database, and how many devices each of its pushes had.
struct Asked {
    devices: u64,
    database: PathBuf,
}

impl Asked {
    /// The kept database of so many pushes of so many devices.
    fn of(bench: &Bench, number: u64, pushes: u32) -> Result<Self, String> {
        let database = Bench::kept(&format!("asked-{number}-{pushes}.db"));
        let asked = Self {
            devices: number,
            database,
        };
        let finished = "SELECT count(*) FROM runs WHERE state = 'complete'";
        let is_there = asked
            .answer(bench, &["sql", "--format", "csv", finished])
            .is_ok_and(|(_, said)| said.lines().nth(1) == Some(pushes.to_string().as_str()));
        if !is_there {
            asked.make(bench, pushes)?;
        }
        Ok(asked)
    }

    fn make(&self, bench: &Bench, pushes: u32) -> Result<(), String> {
        for file in database_files(&self.database) {
            let _ = std::fs::remove_file(file);
        }
        let manifest = bench.folder().join(format!("varied-{}.csv", self.devices));
        write_varied_manifest(&manifest, self.devices).map_err(|error| error.to_string())?;
        let platform = platform(
            Duration::ZERO,
            &json!({ "offline": OFFLINE, "rejected": REJECTED }),
        );
        for seed in 1..=pushes {
            // Each night other devices fail.
            platform.change(&json!({ "seed": seed }));
            let mut command = fleetpush_run(bench.folder(), &platform, &manifest);
            command
                .args(["--rate", "unlimited", "--again", "--db"])
                .arg(&self.database);
            measure(&mut command, SOME_FAILED)?;
        }
        let _ = std::fs::remove_file(manifest);
        Ok(())
    }

    fn command(&self, bench: &Bench, words: &[&str]) -> Command {
        let mut command = fleetpush(bench.folder());
        command.args(words).arg("--db").arg(&self.database);
        command
    }

    /// How long an answer takes, and the answer.
    fn answer(&self, bench: &Bench, words: &[&str]) -> Result<(f64, String), String> {
        let finished = measure(&mut self.command(bench, words), 0)?;
        Ok((finished.wall, finished.stdout))
    }
}

/// What is measured of an answer.
#[derive(Clone, Copy)]
enum Until {
    /// All of it.
    Whole,
    /// The first row, after the heading.
    FirstRow,
}

impl Until {
    fn seconds(self, asked: &Asked, bench: &Bench, words: &[&str]) -> Result<f64, String> {
        match self {
            Self::Whole => asked.answer(bench, words).map(|(wall, _)| wall),
            Self::FirstRow => until_line(&mut asked.command(bench, words), 2),
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Whole => "",
            Self::FirstRow => ", the first row",
        }
    }
}

/// A question, the same in SQL, and how long the answer may take.
type Question<'q> = (&'q [&'q str], String, Until, f64);

fn ask(bench: &Bench, asked: &Asked, name: &str, question: &Question<'_>) -> Result<(), String> {
    let (words, by_hand, until, seconds) = question;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        ours.push(until.seconds(asked, bench, words)?);
        let sql = ["sql", "--format", "csv", by_hand.as_str()];
        theirs.push(until.seconds(asked, bench, &sql)?);
    }
    row(
        &format!("{name}{}, {}", until.words(), devices(asked.devices)),
        &Samples::new(ours),
        Unit::Seconds,
        Some(&Reference {
            name: "SQL by hand",
            samples: &Ok(Samples::new(theirs)),
        }),
        Target::AtMost(*seconds),
    );
    Ok(())
}

/// Asks one push of ten million devices, and two of a million.
pub(crate) fn questions(bench: &Bench) -> Result<(), String> {
    let large = Asked::of(bench, bench.size(10_000_000), 1)?;
    of_one_push(bench, &large)?;
    of_keys(bench, &large)?;
    of_two_pushes(bench, &Asked::of(bench, bench.size(1_000_000), 2)?)
}

fn of_one_push(bench: &Bench, asked: &Asked) -> Result<(), String> {
    let device = device_key(asked.devices / 2);
    // A label costs a reading of all tasks: so much for a million.
    let reading = (asked.devices as f64 / 1e6).max(QUICK);
    // Nor does the tally know the product and the hour; accepted ranges do, of which there are a hundred times fewer.
    let untallied = (reading / 10.0).max(QUICK);
    let (whole, first) = (Until::Whole, Until::FirstRow);
    let some =
        |words: &'static [&'static str]| [words, &["--format", "csv", "--limit", SOME]].concat();
    let questions: [(&str, Question<'_>); 11] = [
        ("status", (&["status"], STATUS.to_owned(), whole, QUICK)),
        (
            "status --by code",
            (&["status", "--by", "code"], STATUS.to_owned(), whole, QUICK),
        ),
        (
            "status --by product",
            (
                &["status", "--by", "product"],
                BY_PRODUCT.to_owned(),
                whole,
                untallied,
            ),
        ),
        (
            "status --by hour",
            (
                &["status", "--by", "hour"],
                BY_HOUR.to_owned(),
                whole,
                untallied,
            ),
        ),
        (
            "status --by label.site",
            (
                &["status", "--by", "label.site"],
                BY_SITE.to_owned(),
                whole,
                reading,
            ),
        ),
        (
            "results --state failed",
            (
                &some(&["results", "--state", "failed"]),
                format!("{FAILED} LIMIT {SOME}"),
                first,
                QUICK,
            ),
        ),
        (
            "results --class rejected",
            (
                &some(&["results", "--class", "rejected"]),
                format!("{FAILED_WITH} o.class = 10 ORDER BY o.task_id LIMIT {SOME}"),
                first,
                QUICK,
            ),
        ),
        (
            "results --code 61002",
            (
                &some(&["results", "--code", "61002"]),
                format!("{FAILED_WITH} o.code = 61002 ORDER BY o.task_id LIMIT {SOME}"),
                first,
                QUICK,
            ),
        ),
        (
            "results --state accepted",
            (
                &some(&["results", "--state", "accepted"]),
                format!("{ACCEPTED} LIMIT {SOME}"),
                first,
                QUICK,
            ),
        ),
        (
            "results --device",
            (
                &["results", "--format", "csv", "--device", &device],
                format!("{OF_DEVICE} AND d.device_key = '{device}'"),
                whole,
                QUICK,
            ),
        ),
        (
            "results --state failed --format csv",
            (
                &["results", "--state", "failed", "--format", "csv"],
                FAILED.to_owned(),
                whole,
                reading,
            ),
        ),
    ];
    for (name, question) in &questions {
        ask(bench, asked, name, question)?;
    }
    Ok(())
}

/// The rows of a list of a hundred thousand keys.
fn of_keys(bench: &Bench, asked: &Asked) -> Result<(), String> {
    let step = asked.devices / KEYS.min(asked.devices);
    let keys = bench.folder().join("keys.txt");
    write_keys(&keys, asked.devices, step).map_err(|error| error.to_string())?;
    let keys = keys.to_string_lossy();
    let listed = ["results", "--format", "csv", "--devices-from", &*keys];
    let by_hand =
        format!("{OF_DEVICE} AND (CAST(substr(d.device_key, 3) AS INTEGER) - 1) % {step} = 0");
    for (until, seconds) in [(Until::FirstRow, QUICK), (Until::Whole, 1.0)] {
        let question = (&listed[..], by_hand.clone(), until, seconds);
        ask(
            bench,
            asked,
            "results --devices-from, 100,000 keys",
            &question,
        )?;
    }
    Ok(())
}

fn of_two_pushes(bench: &Bench, asked: &Asked) -> Result<(), String> {
    let millions = (asked.devices as f64 / 1e6).max(0.1);
    let diff = (
        &["diff"][..],
        CHANGES.to_owned(),
        Until::Whole,
        3.0 * millions,
    );
    ask(bench, asked, "diff", &diff)?;
    // The view is the same on both sides; what the other reads is the tables alone. A million is of acceptances, and each push has one a device.
    let view = "SELECT count(*), count(ticket), count(last_throttle_at) FROM devices";
    let devices_view = (
        &["sql", view][..],
        LAST_ACCEPTED.to_owned(),
        Until::Whole,
        2.0 * 3.0 * millions,
    );
    ask(bench, asked, "the view devices, two runs", &devices_view)?;
    let page = bench.folder().join("report.html");
    let mut walls = Vec::new();
    for _ in 0..bench.rounds {
        let out = page.to_string_lossy();
        walls.push(asked.answer(bench, &["report", "--out", &out])?.0);
    }
    let size = std::fs::metadata(&page).map_err(|error| error.to_string())?;
    row(
        &format!("report, {}", devices(asked.devices)),
        &Samples::new(walls),
        Unit::Seconds,
        None,
        Target::AtMost(5.0 * millions),
    );
    row(
        &format!("report, {}", devices(asked.devices)),
        &Samples::new([size.len() as f64 / 1e6]),
        Unit::Megabytes,
        None,
        Target::AtMost(LARGEST_REPORT),
    );
    Ok(())
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
const FAILED_WITH: &str = "\
SELECT t.line, p.product_key, t.device_key, k.name AS class, o.code, o.message, o.attempts, o.finished_at, t.labels
FROM outcome AS o JOIN task AS t ON t.id = o.task_id JOIN payload AS p ON p.id = t.payload_id JOIN class AS k ON k.id = o.class
WHERE o.state = 2 AND";
const ACCEPTED: &str = "\
SELECT t.line, t.device_key, 'accepted' AS state, g.code, g.finished_at, t.labels
FROM accepted_span AS g CROSS JOIN task AS t ON t.id >= g.first_task AND t.id < g.end_task ORDER BY g.first_task, t.id";
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
const CHANGES: &str = "\
WITH failed AS (
    SELECT d.run_id, t.device_key FROM outcome AS o JOIN task AS t ON t.id = o.task_id
    JOIN device_task AS d ON d.device_key = t.device_key AND d.task_id = t.id WHERE o.state IN (2, 3)
)
SELECT (SELECT count(*) FROM failed WHERE run_id = 2 AND device_key NOT IN (SELECT device_key FROM failed WHERE run_id = 1)) AS newly,
    (SELECT count(*) FROM failed WHERE run_id = 1 AND device_key NOT IN (SELECT device_key FROM failed WHERE run_id = 2)) AS recovered,
    (SELECT count(*) FROM device_task AS d WHERE d.run_id = 2
        AND NOT EXISTS (SELECT 1 FROM device_task AS e WHERE e.run_id = 1 AND e.device_key = d.device_key)) AS new,
    (SELECT count(*) FROM device_task AS d WHERE d.run_id = 1
        AND NOT EXISTS (SELECT 1 FROM device_task AS e WHERE e.run_id = 2 AND e.device_key = d.device_key)) AS gone";
const LAST_ACCEPTED: &str = "\
SELECT count(*), count(accepted_at) FROM (
    SELECT t.device_key, max(coalesce(o.finished_at, g.finished_at)) AS accepted_at
    FROM task AS t
    LEFT JOIN outcome AS o ON o.task_id = t.id AND o.state = 1
    LEFT JOIN accepted_span AS g
        ON g.first_task = (SELECT max(first_task) FROM accepted_span WHERE first_task <= t.id) AND g.end_task > t.id
    GROUP BY t.device_key
)";
