//! How near a push comes to what the platform takes, when nobody tells it the limit: the release binary against a simulator in a process
//! of its own, beside what else one might use for the job.
//!
//! `cargo bench --bench pace` plays every scenario once, `cargo bench --bench pace -- 3` three times. Each begins with an empty database,
//! so that nothing is known beforehand. At the end come all kinds of limits, see `limits`; `-- limits 3 burst=10` plays these alone,
//! those whose names contain the word. `cargo bench --bench pace -- virtual 8 burst=10` plays the state machine of the pace alone, in
//! virtual time: all cases whose names contain the word, with so many seeds, or four.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

#[path = "../common/mod.rs"]
mod common;
mod contenders;
mod limits;
mod virtual_time;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use common::platform::{Platform, Stats};
use contenders::{Contender, Outcome};
use serde_json::json;

/// Requests of the scenarios with a limit on requests, and devices of the one with a limit on each device.
const REQUESTS: u64 = 1000;
const DEVICES: u64 = 200;
/// The hidden limits: requests a second, at first and after half of them, and the distance of a device's messages.
const LIMIT: f64 = 40.0;
const HALF_LIMIT: f64 = 20.0;
const SPACING: Duration = Duration::from_secs(2);
const LATENCY: Duration = Duration::from_millis(20);

/// What is pushed to which platform.
struct Scenario {
    name: &'static str,
    /// What the platform is to be like, as a part of a simulator's scenario.
    platform: serde_json::Value,
    /// What it becomes after half of the requests have been taken.
    then: Option<serde_json::Value>,
    work: Work,
    /// The time of the best possible schedule, and how many times that is the target.
    ideal: Duration,
    target: f64,
    /// The share of refused requests that is the target; none where every schedule meets some.
    refused: Option<f64>,
}

/// What is to be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    devices: u64,
    payloads: u64,
    /// The most devices in one request, for those who can.
    chunk_size: u32,
}

fn scenarios() -> [Scenario; 3] {
    let requests = Work {
        devices: REQUESTS,
        payloads: 1,
        chunk_size: 1,
    };
    let seconds = |requests: u64, limit: f64| Duration::from_secs_f64(requests as f64 / limit);
    [
        Scenario {
            name: "hidden limit",
            platform: json!({ "rate_limit": LIMIT }),
            then: None,
            work: requests,
            ideal: seconds(REQUESTS, LIMIT),
            target: 1.10,
            refused: Some(0.02),
        },
        Scenario {
            name: "halved midway",
            platform: json!({ "rate_limit": LIMIT }),
            then: Some(json!({ "rate_limit": HALF_LIMIT })),
            work: requests,
            ideal: seconds(REQUESTS / 2, LIMIT) + seconds(REQUESTS / 2, HALF_LIMIT),
            target: 1.10,
            refused: Some(0.02),
        },
        Scenario {
            name: "spaced devices",
            platform: json!({
                "frequency_limit": { "messages": 1, "window_ms": SPACING.as_millis() as u64 }
            }),
            then: None,
            work: Work {
                devices: DEVICES,
                payloads: 3,
                chunk_size: 100,
            },
            ideal: SPACING * 2 + LATENCY * 3,
            target: 1.15,
            refused: None,
        },
    ]
}

fn main() {
    if !common::is_asked_for() {
        return;
    }
    // Cargo adds a flag of its own.
    let mut words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    let number = words.iter().find_map(|word| word.parse().ok());
    words.retain(|word| word.parse::<u64>().is_err());
    if words.first().is_some_and(|word| word == "virtual") {
        let only = words.get(1).map_or("", String::as_str);
        virtual_time::print(&(0..number.unwrap_or(4)), only);
        return;
    }
    if words.first().is_some_and(|word| word == "limits") {
        let only = words.get(1).map_or("", String::as_str);
        limits::print(number.unwrap_or(1), only);
        return;
    }
    let rounds = number;
    let contenders = contenders::all();
    println!(
        "| scenario | contender | time | ideal | ratio | refused | delivered | target |\n|---|---|---|---|---|---|---|---|"
    );
    for scenario in scenarios() {
        for round in 1..=rounds.unwrap_or(1_u64) {
            for contender in &contenders {
                play(&scenario, contender, round);
            }
        }
    }
    println!();
    limits::print(rounds.unwrap_or(1), "");
}

/// Lets a contender play a scenario, and prints a row about it.
fn play(scenario: &Scenario, contender: &Contender, round: u64) {
    let platform = Platform::start(LATENCY, &scenario.platform);
    let over = AtomicBool::new(false);
    let begun = Instant::now();
    let (outcome, took) = std::thread::scope(|scope| {
        if let Some(then) = &scenario.then {
            let taken = scenario.work.devices * scenario.work.payloads / 2;
            let (platform, over) = (&platform, &over);
            scope.spawn(move || change_after(platform, taken, then, over));
        }
        let outcome = contender.push(&platform, scenario.work);
        let took = begun.elapsed();
        over.store(true, Ordering::Relaxed);
        (outcome, took)
    });
    let head = format!("| {} ({round}) | {} |", scenario.name, contender.name());
    match outcome {
        Outcome::Pushed => {
            let row = row(scenario, contender, took, &platform.stats());
            println!("{head} {row}");
        }
        Outcome::Skipped(why) => println!("{head} skipped: {why} | | | | | |"),
        Outcome::Failed(why) => println!("{head} failed: {why} | | | | | |"),
    }
}

/// Changes the platform once it has acted on so many commands, unless it is over before.
fn change_after(
    platform: &Platform,
    deliveries: u64,
    change: &serde_json::Value,
    over: &AtomicBool,
) {
    while platform.stats().deliveries < deliveries {
        if over.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    platform.change(change);
}

fn row(scenario: &Scenario, contender: &Contender, took: Duration, stats: &Stats) -> String {
    let ratio = took.as_secs_f64() / scenario.ideal.as_secs_f64();
    let refused = stats.too_many as f64 / stats.requests as f64;
    let met = ratio <= scenario.target
        && scenario.refused.is_none_or(|most| refused < most)
        && stats.deliveries == scenario.work.devices * scenario.work.payloads;
    let target = match (contender.is_ours(), scenario.refused) {
        (false, _) => String::new(),
        (true, refused) => format!(
            "{:.2}{} {}",
            scenario.target,
            refused.map_or_else(String::new, |most| format!(", {:.0} %", most * 100.0)),
            if met { "met" } else { "MISSED" }
        ),
    };
    format!(
        "{:.2} s | {:.2} s | {ratio:.3} | {:.2} % | {} | {target} |",
        took.as_secs_f64(),
        scenario.ideal.as_secs_f64(),
        refused * 100.0,
        stats.deliveries
    )
}
