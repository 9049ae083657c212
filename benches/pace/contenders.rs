//! Those who push: fleetpush, and the scripts beside it.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    Work,
    common::{
        platform::{Platform, TOKEN},
        tools::{Missing, fleetpush_run, python_with_aiohttp, run, tool},
    },
};

/// The most requests in flight, for everybody.
const CONCURRENCY: u32 = 16;

/// Somebody who pushes.
pub(crate) enum Contender {
    /// The release binary.
    Fleetpush,
    /// GNU parallel with curl: what fails is started again at once, as often as needed.
    Parallel(Result<(), Missing>),
    /// Python with asyncio and aiohttp: what fails is sent again after an exponential backoff.
    Asyncio(Result<PathBuf, Missing>),
}

/// How a push went.
pub(crate) enum Outcome {
    Pushed,
    Skipped(String),
    Failed(String),
}

/// Everybody, with what they need made ready.
pub(crate) fn all() -> [Contender; 3] {
    [
        Contender::Fleetpush,
        Contender::Parallel(tool("parallel").and_then(|()| tool("curl"))),
        Contender::Asyncio(python_with_aiohttp()),
    ]
}

impl Contender {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Fleetpush => "fleetpush",
            Self::Parallel(_) => "parallel, curl",
            Self::Asyncio(_) => "python asyncio",
        }
    }

    pub(crate) fn is_ours(&self) -> bool {
        matches!(self, Self::Fleetpush)
    }

    /// Pushes all of the work to the platform.
    pub(crate) fn push(&self, platform: &Platform, work: Work) -> Outcome {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/pace");
        let ended = match self {
            Self::Fleetpush => fleetpush(&folder, platform, work),
            Self::Parallel(Err(missing)) | Self::Asyncio(Err(missing)) => {
                return Outcome::Skipped(missing.clone());
            }
            // A refusal inside a reply looks like a success to curl.
            Self::Parallel(Ok(())) if work.payloads > 1 => {
                return Outcome::Skipped("it cannot tell a throttled device".to_owned());
            }
            Self::Parallel(Ok(())) => run(Command::new("sh")
                .arg(scripts.join("parallel_curl.sh"))
                .args([platform.base_url(), TOKEN])
                .args([CONCURRENCY.to_string(), work.devices.to_string()])
                .env("HOME", folder.path())),
            Self::Asyncio(Ok(python)) => run(Command::new(python)
                .arg(scripts.join("backoff.py"))
                .args([platform.base_url(), TOKEN])
                .args([CONCURRENCY.to_string(), work.devices.to_string()])
                .arg(work.payloads.to_string())),
        };
        match ended {
            Ok(()) => Outcome::Pushed,
            Err(why) => Outcome::Failed(why),
        }
    }
}

fn fleetpush(folder: &TempDir, platform: &Platform, work: Work) -> Result<(), String> {
    let mut manifest = String::from("device_key,product_key,service,param.raw1\n");
    for device in 1..=work.devices {
        for payload in 1..=work.payloads {
            let _ = writeln!(manifest, "DK{device:05},PK0001,fuwu,{payload:02}");
        }
    }
    let path = folder.path().join("fleet.csv");
    std::fs::write(&path, manifest).expect("the manifest can be written");
    run(fleetpush_run(folder.path(), platform, &path)
        .args(["--rate", "unlimited"])
        .args(["--concurrency", &CONCURRENCY.to_string()])
        .args(["--chunk-size", &work.chunk_size.to_string(), "--db"])
        .arg(folder.path().join("pace.db")))
}
