//! Merges the command line, the environment and the config file: one value for each setting.
//!
//! A flag overrides its `FLEETPUSH_*` variable, the variable the profile of the config file, the profile the keys at the top of the file,
//! and those the default. Arguments are destructured without `..`, so that the compiler finds a flag that is not used.

mod arguments;
mod control;
mod credential_names;
mod credentials;
mod database;
mod db;
mod doctor;
mod environment;
mod error;
mod file;
mod inventory;
mod listen;
mod listening;
mod logging;
mod manifest;
mod nearest;
mod prune;
mod push;
mod query;
mod questions;
mod report;
mod results;
mod rollout;
mod show;
mod source;
mod template;
#[cfg(test)]
mod tests;
mod verification;
mod worker;

pub(crate) use self::nearest::did_you_mean;
pub(crate) use self::{
    arguments::kept_arguments,
    control::Control,
    credentials::{Credentials, CredentialsError},
    database::{Database, Introduction, OnlyForFile, Place, Readable, SIMULATED, Server},
    db::{Copy, Migrate, MigrateFile, MigrateServer},
    doctor::Doctor,
    environment::Environment,
    error::Error,
    inventory::Inventory,
    listen::Listen,
    listening::Listening,
    logging::{Level, Logging},
    manifest::{
        AskedPush, Check, DefaultData, FetchFrom, ManifestDefaults, ManifestInput, OtherVersions,
        Run,
    },
    prune::Prune,
    push::{Destination, PaceSettings, Push, Target, Timeouts},
    query::{Codes, Resume, Retry, Runs, Sessions, Status},
    questions::{Diff, Explain, Revert, Sql},
    report::Report,
    results::{Results, SortColumn},
    rollout::Rollout,
    show::{Show, Shown, ShownValue},
    source::Origin,
    template::Template,
    verification::{Verification, Verifying},
    worker::Worker,
};
pub(crate) use crate::cli::{CompletionsArgs, ManArgs, SimulatorArgs};

use std::path::PathBuf;

use self::source::Sources;
use crate::{
    cli::{self, Cli, GlobalArgs, keys},
    model::LogFormat,
};

/// Everything that an invocation needs to know.
#[derive(Debug)]
pub(crate) struct Settings {
    /// What to do.
    pub command: Command,
    /// What to log, and how.
    pub logging: Logging,
    /// What looks like a mistake and stops nothing.
    pub warnings: Vec<String>,
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Stage and push a manifest, or continue the same push.
    Run(Box<Run>),
    /// Continue an unfinished run.
    Resume(Box<Resume>),
    /// Send failed tasks again.
    Retry(Box<Retry>),
    /// Push parts of runs.
    Worker(Box<Worker>),
    /// Find out what became of commands.
    Verify(Box<Verification>),
    /// Stop a run until somebody resumes it.
    Pause(Control),
    /// End a run.
    Cancel(Control),
    /// Validate a manifest.
    Check(Box<Check>),
    /// Write the beginning of a manifest.
    Template(Box<Template>),
    /// Write the device list.
    Inventory(Box<Inventory>),
    /// Receive messages.
    Listen(Box<Listen>),
    /// Delete old runs.
    Prune(Prune),
    /// List the runs.
    Runs(Runs),
    /// List the sessions.
    Sessions(Sessions),
    /// Show what a run has come to.
    Status(Status),
    /// List what happened to each device.
    Results(Box<Results>),
    /// Tell what happened to a device.
    Explain(Box<Explain>),
    /// Show what has changed between runs.
    Diff(Box<Diff>),
    /// Write a page about a run.
    Report(Box<Report>),
    /// Take a run back.
    Revert(Box<Revert>),
    /// Ask in SQL.
    Sql(Sql),
    /// Bring the database up to date.
    Migrate(Migrate),
    /// Copy runs to a database on a server.
    Copy(Copy),
    /// Explain codes.
    Codes(Codes),
    /// Serve the simulator.
    Simulator(Box<SimulatorArgs>),
    /// Try what a push needs.
    Doctor(Box<Doctor>),
    /// Show the settings.
    Show(Show),
    /// Print completions.
    Completions(CompletionsArgs),
    /// Print the manual.
    Man(ManArgs),
}

impl Command {
    /// Whether its results database is on a server.
    fn is_on_server(&self) -> bool {
        matches!(self, Self::Migrate(Migrate::Server(_)) | Self::Copy(_))
    }

    /// Whether it needs credentials, unless it is simulated.
    fn logs_in(&self) -> bool {
        match self {
            Self::Run(_)
            | Self::Resume(_)
            | Self::Retry(_)
            | Self::Worker(_)
            | Self::Listen(_)
            | Self::Verify(_)
            | Self::Inventory(_) => true,
            Self::Explain(explain) => explain.live.is_some(),
            Self::Check(check) => check.input.fetch.is_some(),
            Self::Template(template) => template.fetch.is_some(),
            _ => false,
        }
    }
}

/// The form of log lines as far as flag and variable ask for one: for an error that comes before the settings are known.
pub(crate) fn asked_log_format(cli: &Cli, environment: &Environment) -> LogFormat {
    let variable = || {
        let text = environment.text(&keys::variable(keys::LOG_FORMAT.key.name));
        text.ok().flatten()?.parse().ok()
    };
    cli.global
        .log_format
        .or_else(variable)
        .unwrap_or(LogFormat::Text)
}

/// The names of the profiles in the config file that `config`, a variable or the usual place names.
pub(crate) fn profiles(
    config: Option<PathBuf>,
    environment: &Environment,
) -> Result<Vec<String>, Error> {
    let sources = Sources::load(environment, config, None)?;
    Ok(sources.profiles())
}

/// Brings the command line, the environment and the config file together.
///
/// Reads the config file and, when a command sends to a platform, the files that hold its credentials.
pub(crate) fn resolve(cli: Cli, environment: &Environment) -> Result<Settings, Error> {
    let Cli { command, global } = cli;
    let GlobalArgs {
        db,
        config,
        profile,
        quiet,
        verbose,
        log_format,
    } = global;
    let chosen = show::Chosen {
        config: config.is_some(),
        profile: profile.is_some(),
    };
    let sources = Sources::load(environment, config, profile)?;
    let command = match command {
        cli::Command::Run(args) if args.before.dry_run => {
            Command::Check(Box::new(Check::resolve(*args, db, &sources)?))
        }
        cli::Command::Run(args) => {
            Command::Run(Box::new(Run::resolve(*args, db, quiet, &sources)?))
        }
        cli::Command::Resume(args) => {
            Command::Resume(Box::new(Resume::resolve(*args, db, quiet, &sources)?))
        }
        cli::Command::Retry(args) => {
            Command::Retry(Box::new(Retry::resolve(*args, db, quiet, &sources)?))
        }
        cli::Command::Worker(args) => {
            Command::Worker(Box::new(Worker::resolve(*args, db, quiet, &sources)?))
        }
        cli::Command::Verify(args) => {
            Command::Verify(Box::new(Verification::resolve(*args, db, quiet, &sources)?))
        }
        cli::Command::Pause(args) => Command::Pause(Control::resolve("pause", args, db, &sources)?),
        cli::Command::Cancel(args) => {
            Command::Cancel(Control::resolve("cancel", args, db, &sources)?)
        }
        cli::Command::Check(args) => {
            Command::Check(Box::new(Check::resolve(args.run, db, &sources)?))
        }
        cli::Command::Template(args) => {
            Command::Template(Box::new(Template::resolve(*args, db, &sources)?))
        }
        cli::Command::Inventory(args) => {
            Command::Inventory(Box::new(Inventory::resolve(*args, quiet, &sources)?))
        }
        cli::Command::Listen(args) => {
            Command::Listen(Box::new(Listen::resolve(*args, db, quiet, &sources)?))
        }
        cli::Command::Prune(args) => Command::Prune(Prune::resolve(args, db, &sources)?),
        cli::Command::Runs(args) => Command::Runs(Runs::resolve(args, db, &sources)?),
        cli::Command::Sessions(args) => Command::Sessions(Sessions::resolve(args, db, &sources)?),
        cli::Command::Status(args) => Command::Status(Status::resolve(args, db, &sources)?),
        cli::Command::Results(args) => {
            Command::Results(Box::new(Results::resolve(*args, db, &sources)?))
        }
        cli::Command::Explain(args) => {
            Command::Explain(Box::new(Explain::resolve(*args, db, quiet, &sources)?))
        }
        cli::Command::Diff(args) => Command::Diff(Box::new(Diff::resolve(*args, db, &sources)?)),
        cli::Command::Report(args) => {
            Command::Report(Box::new(Report::resolve(*args, db, &sources)?))
        }
        cli::Command::Revert(args) => {
            Command::Revert(Box::new(Revert::resolve(*args, db, &sources)?))
        }
        cli::Command::Sql(args) => Command::Sql(Sql::resolve(args, db, &sources)?),
        cli::Command::Db(args) => match args.command {
            cli::DbCommand::Migrate(args) => {
                Command::Migrate(Migrate::resolve(args, db, &sources)?)
            }
            cli::DbCommand::Copy(args) => {
                Command::Copy(Copy::resolve(args, db.as_deref(), &sources)?)
            }
        },
        cli::Command::Codes(args) => Command::Codes(Codes::resolve(args)),
        cli::Command::Simulator(args) => Command::Simulator(args),
        cli::Command::Doctor(args) => {
            Command::Doctor(Box::new(Doctor::resolve(*args, db, &sources)?))
        }
        cli::Command::Config(args) => {
            let cli::ConfigCommand::Show(args) = args.command;
            Command::Show(Show::resolve(
                args,
                db.as_deref(),
                log_format,
                chosen,
                &sources,
            )?)
        }
        cli::Command::Completions(args) => Command::Completions(args),
        cli::Command::Man(args) => Command::Man(args),
    };
    Ok(Settings {
        warnings: warnings(&command, environment, &sources)?,
        command,
        logging: Logging::resolve(quiet, verbose, log_format, &sources)?,
    })
}

fn warnings(
    command: &Command,
    environment: &Environment,
    sources: &Sources<'_>,
) -> Result<Vec<String>, Error> {
    let mut warnings = environment.unknown_variables();
    if command.logs_in() {
        warnings.extend(credentials::warnings(sources)?);
    }
    if command.is_on_server() {
        warnings.extend(credentials::database_warning(sources));
    }
    Ok(warnings)
}
