//! The `fleetpush` binary: reads what is asked, does it, and tells how it ended.

use std::{io, process::ExitCode};

use anyhow::Context;
use clap::Parser;
use fleetpush::{
    cli::Cli,
    exit::{Exit, Failure},
    logging,
    settings::{self, Command, Environment},
};

fn main() -> ExitCode {
    let exit = start(Cli::parse()).unwrap_or_else(|failure| {
        // When even stderr is gone, the exit code still tells.
        let _ = failure.report(io::stderr().lock());
        failure.exit()
    });
    exit.into()
}

fn start(cli: Cli) -> Result<Exit, Failure> {
    let settings = settings::resolve(cli, &Environment::of_process()).map_err(Failure::usage)?;
    logging::init(&settings.logging, io::stderr).map_err(Failure::usage)?;
    for warning in settings.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Runtime::new()
        .context("cannot start the runtime")
        .map_err(Failure::usage)?;
    let exit = runtime.block_on(execute(settings.command));
    // A command that has ended has saved what counts; a thread that still waits for something must not hold the process.
    runtime.shutdown_background();
    exit
}

/// AT THE MERGE: delete this function and import `fleetpush::commands::execute`, which has its signature.
#[expect(clippy::unused_async, reason = "the real one awaits")]
async fn execute(command: Command) -> Result<Exit, Failure> {
    Err(Failure::usage(anyhow::anyhow!(
        "not built yet: {command:?}"
    )))
}
