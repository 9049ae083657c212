//! The same requests from a load generator that stores nothing and reads no reply.

use std::process::Command;

use crate::{
    bench::{Bench, CONCURRENCY},
    common::{
        platform::{Platform, TOKEN},
        tools::tool,
    },
    fleet, process,
};

/// How long it sends, in seconds.
const DURATION: u64 = 2;
/// It has that many different requests and sends them over and over.
const DIFFERENT: u64 = 1000;

pub(crate) const SEND: &str = "/v2/deviceshadow/r3/openapi/dm/sendServiceData?language=EN";

/// The time that `wrk` takes to send to so many devices: it counts what it sends in a fixed time, and this is reckoned from its rate.
pub(crate) fn seconds(
    bench: &Bench,
    platform: &Platform,
    devices: u64,
    chunk_size: u64,
) -> Result<f64, String> {
    tool("wrk")?;
    let bodies = bench.folder().join("bodies");
    let lines: Vec<String> = fleet::bodies(DIFFERENT * chunk_size, chunk_size).collect();
    std::fs::write(&bodies, lines.join("\n")).map_err(|error| error.to_string())?;
    let mut command = Command::new("wrk");
    command
        .args(["--threads", "1", "--connections", &CONCURRENCY.to_string()])
        .args(["--duration", &format!("{DURATION}s"), "--script"])
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/benches/scale/wrk.lua"
        ))
        .arg(format!("{}{SEND}", platform.base_url()))
        .args(["--", TOKEN])
        .arg(&bodies);
    let before = platform.asked();
    let told = process::measure(&mut command, 0)?.stdout;
    let counts = counts(&told).ok_or_else(|| format!("wrk: {told}"))?;
    if counts.errors > 0 {
        return Err(format!("wrk met {} errors", counts.errors));
    }
    if platform.asked() - before < counts.requests * chunk_size {
        return Err("the platform did not take what wrk sent".to_owned());
    }
    let rate = counts.requests as f64 / (counts.microseconds as f64 / 1e6);
    Ok(devices.div_ceil(chunk_size) as f64 / rate)
}

struct Counts {
    requests: u64,
    microseconds: u64,
    errors: u64,
}

/// Reads the line of the script: `requests N microseconds N errors N`.
fn counts(told: &str) -> Option<Counts> {
    let line = told.lines().find(|line| line.starts_with("requests "))?;
    let mut numbers = line.split(' ').filter_map(|word| word.parse().ok());
    Some(Counts {
        requests: numbers.next()?,
        microseconds: numbers.next()?,
        errors: numbers.next()?,
    })
}
