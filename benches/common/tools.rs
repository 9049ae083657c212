//! The programs that the benchmarks run.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::platform::{Platform, TOKEN};

/// Why a tool cannot be used here.
pub(crate) type Missing = String;

/// A push of a manifest by the release binary; the caller adds the pace, the database and so on.
pub(crate) fn fleetpush_run(home: &Path, platform: &Platform, manifest: &Path) -> Command {
    let mut command = fleetpush(home);
    command.arg("run").arg(manifest).args([
        "--base-url",
        platform.base_url(),
        "--progress",
        "none",
    ]);
    command
}

/// The release binary, untouched by the settings of whoever runs the benchmark.
pub(crate) fn fleetpush(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetpush"));
    command
        .env_clear()
        .env("HOME", home)
        .env("FLEETPUSH_TOKEN", TOKEN);
    command
}

/// Whether there is a tool of this name.
pub(crate) fn tool(name: &str) -> Result<(), Missing> {
    Command::new(name)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map(drop)
        .map_err(|_| format!("{name} is not installed"))
}

/// A Python that has aiohttp; makes an environment for it under `target/` when there is none.
pub(crate) fn python_with_aiohttp() -> Result<PathBuf, Missing> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-venv");
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
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(complaint(command, &String::from_utf8_lossy(&output.stderr)))
}

/// What a command says of its failure, in one line.
pub(crate) fn complaint(command: &Command, stderr: &str) -> String {
    let last = stderr.lines().rfind(|line| !line.trim().is_empty());
    let program = command.get_program().display();
    format!("{program}: {}", last.unwrap_or("no reason given"))
}
