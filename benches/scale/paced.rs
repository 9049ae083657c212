//! Pushes at a rate: whether they keep it, and what they cost while they wait.

use std::time::Duration;

use serde_json::json;

use crate::{
    bench::Bench,
    pushes::{Pushed, note_cpu, platform, push},
    table::{Reference, Samples, Target, Unit, row},
};

const LATENCY: Duration = Duration::from_millis(50);

/// 2,000 requests at 200 a second, against what the arithmetic allows.
pub(crate) fn paced(bench: &Bench) -> Result<(), String> {
    let requests = bench.size(2000);
    let pushes = at_rate(bench, 200, requests, 1)?;
    // The first request goes at once, and the last one is waited for.
    let ideal = (requests - 1) as f64 / 200.0 + LATENCY.as_secs_f64();
    row(
        &format!("paced, {requests} requests at --rate 200"),
        &Samples::new(pushes.iter().map(|push| push.wall)),
        Unit::Seconds,
        Some(&Reference {
            name: "arithmetic",
            samples: &Ok(Samples::new([ideal])),
        }),
        Target::RatioNear(0.01),
    );
    note_cpu(bench, "paced, --rate 200, chunk 1", &pushes);
    Ok(())
}

/// What a push uses of a core at the pace that the platform wants by default.
pub(crate) fn idle(bench: &Bench) -> Result<(), String> {
    let pushes = at_rate(bench, 25, bench.size(200).max(50), 100)?;
    row(
        "CPU of fleetpush at --rate 25, chunk 100, staging included",
        &Samples::new(pushes.iter().map(|push| push.cpu * 100.0 / push.wall)),
        Unit::PercentOfACore,
        None,
        Target::AtMost(2.0),
    );
    note_cpu(bench, "paced, --rate 25, chunk 100", &pushes);
    Ok(())
}

fn at_rate(
    bench: &Bench,
    rate: u32,
    requests: u64,
    chunk_size: u64,
) -> Result<Vec<Pushed>, String> {
    let devices = requests * chunk_size;
    let manifest = bench.manifest(devices)?;
    let platform = platform(LATENCY, &json!({}));
    let pace = ["--rate", &rate.to_string()];
    (0..bench.rounds)
        .map(|_| {
            let database = bench.fresh_database();
            push(
                &platform,
                &manifest,
                &database,
                (devices, chunk_size),
                &pace,
                0,
            )
        })
        .collect()
}
