//! One file for each command: it opens what the command needs, does or asks it, and tells how it went.

mod bad_rows;
mod cancel;
mod check;
mod codes;
mod interrupt;
mod push;
mod resolve;
mod results;
mod resume;
mod retry;
mod run;
mod runs;
mod simulator;
mod stage;
mod status;
mod target;

use crate::{
    exit::{Exit, Failure},
    gateway::{BaseUrlError, GatewayError},
    manifest::ManifestError,
    settings::Command,
    store::{FindError, ReadError, StoreError},
    ui::printer::{OutputError, Printer},
};

/// Does what was asked, and gives the exit code.
pub async fn execute(command: Command, printer: &Printer) -> Result<Exit, Failure> {
    match command {
        Command::Run(settings) => run::run(*settings, printer).await,
        Command::Resume(settings) => resume::resume(*settings, printer).await,
        Command::Retry(settings) => retry::retry(*settings, printer).await,
        Command::Resolve(settings) => resolve::resolve(*settings, printer).await,
        Command::Cancel(settings) => cancel::cancel(settings, printer).await,
        Command::Check(settings) => check::check(settings, printer).await,
        Command::Runs(settings) => runs::runs(settings, printer).await,
        Command::Status(settings) => status::status(settings, printer).await,
        Command::Results(settings) => results::results(settings, printer).await,
        Command::Codes(settings) => codes::codes(&settings, printer),
        Command::Simulator(arguments) => simulator::simulator(&arguments, printer).await,
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Owned { .. } => Self::locked(error),
            StoreError::NameTaken(_) => Self::usage(error),
            _ => Self::database(error),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Missing { .. } => Self::usage(error),
            _ => Self::database(error),
        }
    }
}

impl From<FindError> for Failure {
    fn from(error: FindError) -> Self {
        match error {
            FindError::Read(error) => error.into(),
            _ => Self::usage(error),
        }
    }
}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Self {
        Self::usage(error)
    }
}

impl From<BaseUrlError> for Failure {
    fn from(error: BaseUrlError) -> Self {
        Self::usage(error)
    }
}

impl From<GatewayError> for Failure {
    fn from(error: GatewayError) -> Self {
        Self::usage(error)
    }
}

impl From<OutputError> for Failure {
    fn from(error: OutputError) -> Self {
        Self::usage(error)
    }
}
