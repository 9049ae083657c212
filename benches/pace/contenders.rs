//! Those who push: fleetpush, and the scripts beside it.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::{
    Work,
    platform::{Platform, TOKEN},
};

/// The most requests in flight, for everybody.
const CONCURRENCY: u32 = 16;
/// Why a tool cannot be used here.
type Missing = String;

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

fn tool(name: &str) -> Result<(), Missing> {
    run(Command::new(name).arg("--version")).map_err(|_| format!("{name} is not installed"))
}

/// A Python that has aiohttp; makes an environment for it under `target/` when there is none.
fn python_with_aiohttp() -> Result<PathBuf, Missing> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pace-venv");
    let python = folder.join("bin/python");
    let has_it = |python: &Path| run(Command::new(python).args(["-c", "import aiohttp"]));
    if has_it(&python).is_ok() {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "aiohttp"]))?;
    has_it(&python).map(|()| python)
}

/// Runs a command to its end; the error is what it says of its failure.
fn run(command: &mut Command) -> Result<(), String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    let program = command.get_program().display();
    Err(format!("{program}: {}", last.unwrap_or("no reason given")))
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
    run(Command::new(env!("CARGO_BIN_EXE_fleetpush"))
        .env_clear()
        .env("HOME", folder.path())
        .env("FLEETPUSH_TOKEN", TOKEN)
        .arg("run")
        .arg(&path)
        .args(["--base-url", platform.base_url(), "--rate", "unlimited"])
        .args(["--concurrency", &CONCURRENCY.to_string()])
        .args(["--chunk-size", &work.chunk_size.to_string()])
        .args(["--progress", "none", "--db"])
        .arg(folder.path().join("pace.db")))
}
