//! The `fleetpush` binary: reads what is asked, does it, and tells how it ended.

use std::{io, process::ExitCode};

use anyhow::Context;
use clap::Parser;
use fleetpush::{
    cli::Cli,
    clock, commands,
    exit::{Exit, Failure},
    logging,
    settings::{self, Environment, Level},
    ui::printer::Printer,
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
    let set_by_a_test = clock::begin().map_err(Failure::usage)?;
    let settings = settings::resolve(cli, &Environment::of_process()).map_err(Failure::usage)?;
    let printer = Printer::new(settings.logging.level == Level::Errors);
    // The log shares the terminal with the progress.
    logging::init(&settings.logging, printer.screen().clone()).map_err(Failure::usage)?;
    for warning in settings.warnings {
        tracing::warn!("{warning}");
    }
    if let Some(start) = set_by_a_test {
        tracing::warn!(
            "{} is set: this process takes {start} for the time at its start",
            clock::TEST_NOW
        );
    }
    let runtime = tokio::runtime::Runtime::new()
        .context("cannot start the runtime")
        .map_err(Failure::usage)?;
    let exit = runtime.block_on(commands::execute(settings.command, &printer));
    // A command that has ended has saved what counts; a thread that still waits for something must not hold the process.
    runtime.shutdown_background();
    // What went wrong is reported after all that has been said before.
    printer.screen().finish();
    exit
}
