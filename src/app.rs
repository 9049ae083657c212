//! The process: parses the arguments, runs the command, and returns the exit code.

use std::{
    borrow::Cow,
    env,
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
};

use crate::{
    cli::{self, Cli},
    clock, commands,
    exit::{Exit, Failure},
    logging,
    model::Timestamp,
    settings::{self, Environment, Level, Settings},
    ui::{printer::Printer, text::clean},
};
use anyhow::Context;
use clap::Parser;

/// What the binary does, from its arguments to its exit code.
pub fn main() -> ExitCode {
    match cli::complete(commands::candidates()) {
        Ok(true) => return ExitCode::SUCCESS,
        Ok(false) => {}
        Err(error) => error.exit(),
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    let environment = Environment::of_process();
    let mut words = settings::asked_log_format(&cli, &environment);
    let exit = clock::begin()
        .map_err(Failure::usage)
        .and_then(|set_by_a_test| {
            let settings = settings::resolve(cli, &environment).map_err(Failure::usage)?;
            words = settings.logging.format;
            start(settings, set_by_a_test)
        })
        .unwrap_or_else(|failure| {
            // When even stderr is gone, the exit code still tells.
            let _ = failure.report(words, io::stderr().lock());
            failure.exit()
        });
    exit.into()
}

/// Prints help, or what is wrong with the arguments. These are quoted there, and must not steer the terminal.
fn misused(error: &clap::Error) -> ExitCode {
    let given = env::args_os().chain(env::vars_os().map(|(_, value)| value));
    let is_harmless = |text: OsString| matches!(clean(&text.to_string_lossy()), Cow::Borrowed(_));
    // When even the terminal is gone, the exit code still tells.
    let _ = if !error.use_stderr() || given.into_iter().all(is_harmless) {
        error.print()
    } else {
        let text = error.to_string();
        let mut out = io::stderr().lock();
        text.lines()
            .try_for_each(|line| writeln!(out, "{}", clean(line)))
    };
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn start(settings: Settings, set_by_a_test: Option<Timestamp>) -> Result<Exit, Failure> {
    let logging = &settings.logging;
    let printer = Printer::new(logging.level == Level::Errors, logging.format);
    // The log shares the terminal with the progress.
    logging::init(logging, printer.screen().clone()).map_err(Failure::usage)?;
    for warning in settings.warnings {
        tracing::warn!(target: "fleetpush", "{warning}");
    }
    if let Some(start) = set_by_a_test {
        tracing::warn!(
            target: "fleetpush",
            "{} is set: this process takes {start} for the time at its start",
            clock::TEST_NOW
        );
    }
    // One thread for all tasks: a small request passes through four of them, and waking another thread each time costs more than a
    // second core gains. What blocks has a thread of its own: SQLite, files that are read, and a terminal that is drawn on. The writer
    // is looked at after every few tasks, or it would be the last to hear that a commit is done.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .event_interval(4)
        .enable_all()
        .build()
        .context("cannot start the runtime")
        .map_err(Failure::usage)?;
    let exit = runtime.block_on(commands::execute(settings.command, &printer));
    // A command that has ended has saved what counts; a thread that still waits for something must not hold the process.
    runtime.shutdown_background();
    // What went wrong is reported after all that has been said before.
    printer.screen().finish();
    exit
}
