//! Each kind of limit that the simulator has, met by the release binary. A push at such a rate leaves the machine idle for the most part, so
//! that several are played at the same time.

use std::{
    fmt::Write as _,
    fs::File,
    path::Path,
    process::{Child, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use fleetpush::simulator::{LimitKind, RequestLimit};
use serde_json::{Value, json};

use crate::common::{
    platform::{Platform, Stats},
    tools::fleetpush,
};

/// So many are played at the same time: each takes some 5 % of a core with its simulator.
const AT_ONCE: usize = 6;
const CEILING: u32 = 400;
const CONCURRENCY: u32 = 16;
/// A reply takes so long, and up to so many milliseconds longer by chance.
const LATENCY: Duration = Duration::from_millis(20);
const LONGER: u32 = 30;

/// Each limit is met with 429 and with 503, with `Retry-After` and without.
const LIMITS: [&str; 13] = [
    "token-bucket:40,burst=1",
    "token-bucket:40,burst=10",
    "token-bucket:40,burst=10,count-refused=yes",
    "token-bucket:40,burst=40",
    "token-bucket:2,burst=1",
    "fixed-window:40,window=1s",
    "fixed-window:400,window=10s",
    "sliding-window:40,window=1s",
    "sliding-window:400,window=10s",
    "leaky-bucket:40,queue=1",
    "leaky-bucket:40,queue=20",
    "in-flight:2",
    "in-flight:8",
];
/// Windows of a minute are counted whole.
const LONG: [&str; 2] = [
    "fixed-window:2400,window=60s",
    "sliding-window:2400,window=60s",
];

/// What is played, and for how long: a first stretch, from when its second half is counted, and the whole.
struct Row {
    text: String,
    limit: RequestLimit,
    later: Duration,
    whole: Duration,
}

impl Row {
    fn new(text: String) -> Self {
        let limit: RequestLimit = text.parse().expect("a limit");
        let seconds = Duration::from_secs;
        let (later, whole) = match limit.kind {
            LimitKind::FixedWindow { window, .. } | LimitKind::SlidingWindow { window, .. } => {
                if window == seconds(60) {
                    (seconds(180), seconds(300))
                } else if window == seconds(10) {
                    (seconds(20), seconds(30))
                } else {
                    (seconds(15), seconds(30))
                }
            }
            _ => (seconds(15), seconds(30)),
        };
        Self {
            text,
            limit,
            later,
            whole,
        }
    }

    fn has_long_windows(&self) -> bool {
        matches!(
            self.limit.kind,
            LimitKind::FixedWindow { window, .. } | LimitKind::SlidingWindow { window, .. }
                if window >= Duration::from_secs(10)
        )
    }

    /// What somebody gets who knows the limit, in requests a second.
    fn ideal(&self) -> f64 {
        match self.limit.kind {
            LimitKind::TokenBucket { rate, .. } | LimitKind::LeakyBucket { rate, .. } => rate,
            LimitKind::FixedWindow { requests, window }
            | LimitKind::SlidingWindow { requests, window } => {
                f64::from(requests) / window.as_secs_f64()
            }
            LimitKind::InFlight { requests } => {
                f64::from(requests) / (LATENCY.as_secs_f64() + f64::from(LONGER) / 2000.0)
            }
        }
    }
}

/// Plays each limit so often, and prints a row for each.
pub(crate) fn print(rounds: u64, only: &str) {
    println!("| limit | whole | second half | refused | said |\n|---|---|---|---|---|");
    // The long ones first, so that they do not end alone.
    let mut rows = Vec::new();
    for text in LONG.iter().chain(&LIMITS) {
        for status in ["429", "503"] {
            for answer in ["yes", "no"] {
                let text = format!("{text},refuse={status},retry-after={answer}");
                if text.contains(only)
                    && !(status == "503" && LONG.iter().any(|long| text.starts_with(long)))
                {
                    rows.extend((1..=rounds).map(|_| Row::new(text.clone())));
                }
            }
        }
    }
    let rows = Mutex::new(rows.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let row = rows.lock().expect("nobody has panicked").next();
                    let Some(row) = row else {
                        return;
                    };
                    println!("{}", play(&row));
                }
            });
        }
    });
}

fn play(row: &Row) -> String {
    let made = Instant::now();
    let platform = Platform::start(
        LATENCY,
        &json!({ "limit": row.text, "latency_jitter_ms": LONGER }),
    );
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut push = start(folder.path(), &platform, row);
    let begun = Instant::now();
    while platform.stats().requests == 0 && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(5));
    }
    // Windows begin with the simulator; the long ones are counted whole, and no part of the next one.
    let begun = if row.has_long_windows() {
        made
    } else {
        Instant::now()
    };
    std::thread::sleep(row.later.saturating_sub(begun.elapsed()));
    let (half, at_half) = (platform.stats(), begun.elapsed());
    std::thread::sleep(row.whole.saturating_sub(begun.elapsed()));
    let (stats, at_end) = (platform.stats(), begun.elapsed());
    let said = end(folder.path(), &mut push);
    let share = |taken: u64, took: Duration| taken as f64 / took.as_secs_f64() / row.ideal();
    let requests = |stats: &Stats| stats.requests.max(1) as f64;
    format!(
        "| `{}` | {:.2} | {:.2} | {:.1} % | {said} |",
        row.text,
        share(stats.deliveries, at_end),
        share(
            stats.deliveries - half.deliveries,
            at_end.saturating_sub(at_half)
        ),
        100.0 * stats.too_many as f64 / requests(&stats),
    )
}

fn start(folder: &Path, platform: &Platform, row: &Row) -> Child {
    let devices = (row.ideal() * row.whole.as_secs_f64() * 1.5) as u32 + 3000;
    let mut manifest = String::from("device_key,product_key,service,param.raw1\n");
    for device in 1..=devices {
        let _ = writeln!(manifest, "DK{device:06},PK0001,fuwu,01");
    }
    let path = folder.join("fleet.csv");
    std::fs::write(&path, manifest).expect("the manifest can be written");
    let file = |name: &str| File::create(folder.join(name)).expect("a file can be made");
    fleetpush(folder)
        .arg("run")
        .arg(path)
        .args(["--base-url", platform.base_url()])
        .args(["--rate", &CEILING.to_string()])
        .args(["--concurrency", &CONCURRENCY.to_string()])
        .args([
            "--chunk-size",
            "1",
            "--progress",
            "lines",
            "--format",
            "json",
        ])
        .arg("--db")
        .arg(folder.join("pace.db"))
        .stdin(Stdio::null())
        .stdout(file("summary.json"))
        .stderr(file("said.txt"))
        .spawn()
        .expect("the binary starts")
}

/// Stops a push, and gives what it has said of the limit.
fn end(folder: &Path, push: &mut Child) -> String {
    let pid = rustix::process::Pid::from_child(push);
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
    let _ = push.wait();
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    let summary: Value = serde_json::from_str(&read("summary.json")).unwrap_or_default();
    let rate = summary["session"]["found_requests_per_second"].as_f64();
    let mut said: Vec<String> = rate
        .map(|rate| format!("{rate:.1}/s"))
        .into_iter()
        .collect();
    let told = read("said.txt");
    said.extend(
        told.lines()
            .filter_map(|line| line.split_once("takes at most ")?.1.split_once(" request"))
            .map(|(requests, _)| format!("{requests} in flight")),
    );
    said.join(", ")
}
