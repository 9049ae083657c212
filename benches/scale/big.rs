//! Ten million devices: the memory of the push, and the size of its database. One push serves both, since one takes a minute or more.

use std::{sync::OnceLock, time::Duration};

use serde_json::json;

use crate::{
    bench::{Bench, devices},
    pushes::{Pushed, at_chunk_100, note_cpu, platform, push},
    table::{Samples, Target, Unit, row},
};

/// The share of devices that are offline.
const OFFLINE: f64 = 0.001;
const MEBIBYTE: f64 = 1024.0 * 1024.0;
/// The exit code of a push of which some failed.
const SOME_FAILED: i32 = 1;

/// The push of ten million devices.
pub(crate) struct Big {
    devices: u64,
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
