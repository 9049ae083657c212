//! A push from the start of the process to its end, staging included, to a platform without latency or limits.

use std::{path::Path, sync::OnceLock, time::Duration};

use serde_json::json;

use crate::{
    bench::{Bench, CONCURRENCY, CpuLine, database_files},
    common::{platform::Platform, tools::fleetpush_run},
    process::{cpu_seconds, measure},
    table::Samples,
    wrk,
};

/// What a push came to.
#[derive(Debug, Clone)]
pub(crate) struct Pushed {
    /// In seconds.
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
    pub(crate) simulator_cpu: f64,
    /// In bytes.
    pub(crate) peak_rss: f64,
    pub(crate) database: f64,
}

/// Pushes of one kind, and what each was compared with in the same round.
pub(crate) struct Pushes {
    pub(crate) devices: u64,
    pub(crate) chunk_size: u64,
    pub(crate) ours: Vec<Pushed>,
    /// The time that `wrk` takes for the same requests, and the same with the time of `.import` added.
    pub(crate) requests_alone: Result<Samples, String>,
    pub(crate) requests_and_import: Result<Samples, String>,
}

impl Pushes {
    /// Pushes so many devices, round by round.
    pub(crate) fn play(bench: &Bench, devices: u64, chunk_size: u64) -> Result<Self, String> {
        let manifest = bench.manifest(devices)?;
        let platform = platform(Duration::ZERO, &json!({}));
        let (mut ours, mut requests, mut both) = (Vec::new(), Vec::new(), Vec::new());
        let mut missing = None;
        for _ in 0..bench.rounds {
            let database = bench.fresh_database();
            ours.push(push(
                &platform,
                &manifest,
                &database,
                (devices, chunk_size),
                &["--rate", "unlimited"],
                0,
            )?);
            let reference = wrk::seconds(bench, &platform, devices, chunk_size)
                .and_then(|sent| Ok((sent, bench.import(&manifest)?)));
            match reference {
                Ok((sent, imported)) => {
                    requests.push(sent);
                    both.push(sent + imported);
                }
                Err(why) => missing = Some(why),
            }
        }
        let samples = |rounds| match &missing {
            Some(why) => Err(why.clone()),
            None => Ok(Samples::new(rounds)),
        };
        Ok(Self {
            devices,
            chunk_size,
            ours,
            requests_alone: samples(requests),
            requests_and_import: samples(both),
        })
    }

    pub(crate) fn samples(&self, of: fn(&Pushed) -> f64) -> Samples {
        Samples::new(self.ours.iter().map(of))
    }

    pub(crate) fn devices_per_second(&self) -> Samples {
        self.samples(|push| push.wall)
            .map(|wall| self.devices as f64 / wall)
    }
}

/// A million devices at a hundred in a request; pushed once for all measures.
pub(crate) fn at_chunk_100(bench: &Bench) -> Result<&Pushes, String> {
    static PUSHES: OnceLock<Result<Pushes, String>> = OnceLock::new();
    PUSHES
        .get_or_init(|| Pushes::play(bench, bench.size(1_000_000), 100))
        .as_ref()
        .map_err(Clone::clone)
}

/// A hundred thousand devices at one in a request; pushed once for all measures.
pub(crate) fn at_chunk_1(bench: &Bench) -> Result<&Pushes, String> {
    static PUSHES: OnceLock<Result<Pushes, String>> = OnceLock::new();
    PUSHES
        .get_or_init(|| Pushes::play(bench, bench.size(100_000), 1))
        .as_ref()
        .map_err(Clone::clone)
}

/// A platform that keeps no ledger and looks for no faults of its clients, so that it costs little; the scenario adds to that.
pub(crate) fn platform(latency: Duration, scenario: &serde_json::Value) -> Platform {
    let platform = Platform::start(latency, scenario);
    platform.change(&json!({ "ledger": false, "watch_order": false }));
    platform
}

/// Pushes a manifest of so many devices, so many in a request, into a database that is fresh. It is an error if the platform has not been
/// asked to take each of them once, or if the exit code is another one.
pub(crate) fn push(
    platform: &Platform,
    manifest: &Path,
    database: &Path,
    (devices, chunk_size): (u64, u64),
    pace: &[&str],
    exit_code: i32,
) -> Result<Pushed, String> {
    let home = database.parent().unwrap_or(database);
    let mut command = fleetpush_run(home, platform, manifest);
    command
        .args(pace)
        .args(["--concurrency", &CONCURRENCY.to_string()])
        .args(["--chunk-size", &chunk_size.to_string(), "--db"])
        .arg(database);
    let simulator = || cpu_seconds(platform.child.id());
    let (asked_before, cpu_before) = (platform.asked(), simulator());
    let finished = measure(&mut command, exit_code)?;
    let simulator_cpu = simulator() - cpu_before;
    let taken = platform.asked() - asked_before;
    if taken != devices {
        return Err(format!("{taken} of {devices} devices reached the platform"));
    }
    Ok(Pushed {
        wall: finished.wall,
        cpu: finished.cpu,
        simulator_cpu,
        peak_rss: finished.peak_rss as f64,
        database: size(database),
    })
}

/// Takes down what these pushes used of the processor, for the table at the end.
pub(crate) fn note_cpu(bench: &Bench, measure: &str, pushes: &[Pushed]) {
    let median = |of: fn(&Pushed) -> f64| Samples::new(pushes.iter().map(of)).median();
    bench.note_cpu(CpuLine {
        measure: measure.to_owned(),
        wall: median(|push| push.wall),
        ours: median(|push| push.cpu),
        simulator: median(|push| push.simulator_cpu),
    });
}

/// What a database takes on the disk, with what is beside it.
fn size(database: &Path) -> f64 {
    let bytes: u64 = database_files(database)
        .filter_map(|file| std::fs::metadata(file).ok())
        .map(|file| file.len())
        .sum();
    bytes as f64
}
