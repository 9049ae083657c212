//! One file for each command: it opens what the command needs, does or asks it, and tells how it went.

mod bad_rows;
mod cancel;
mod check;
mod codes;
mod confirm;
mod interrupt;
mod prune;
mod push;
mod resolve;
mod results;
mod resume;
mod retry;
mod run;
mod runs;
mod simulator;
mod stage;
mod stale;
mod status;
mod target;

use self::interrupt::Interrupt;
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
        Command::Run(settings) => {
            stoppable(printer, async |interrupt| {
                run::run(*settings, interrupt, printer).await
            })
            .await
        }
        Command::Resume(settings) => {
            stoppable(printer, async |interrupt| {
                resume::resume(*settings, interrupt, printer).await
            })
            .await
        }
        Command::Retry(settings) => {
            stoppable(printer, async |interrupt| {
                retry::retry(*settings, interrupt, printer).await
            })
            .await
        }
        Command::Resolve(settings) => {
            stoppable(printer, async |interrupt| {
                resolve::resolve(*settings, interrupt, printer).await
            })
            .await
        }
        Command::Check(settings) => {
            stoppable(printer, async |interrupt| {
                check::check(settings, interrupt, printer).await
            })
            .await
        }
        Command::Simulator(arguments) => {
            stoppable(printer, async |interrupt| {
                simulator::simulator(&arguments, interrupt, printer).await
            })
            .await
        }
        // These have nothing to bring in order: a signal ends them as it ends any process.
        Command::Cancel(settings) => cancel::cancel(settings, printer).await,
        Command::Prune(settings) => prune::prune(settings, printer).await,
        Command::Runs(settings) => runs::runs(settings, printer).await,
        Command::Status(settings) => status::status(settings, printer).await,
        Command::Results(settings) => results::results(settings, printer).await,
        Command::Codes(settings) => codes::codes(&settings, printer),
    }
}

/// Works until the work is done or a second signal comes, whatever the work is waiting for. The database is then as after a crash, which
/// the next start puts right.
async fn stoppable(
    printer: &Printer,
    work: impl AsyncFnOnce(&Interrupt) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    let interrupt = Interrupt::listen(printer)?;
    tokio::select! {
        exit = work(&interrupt) => exit,
        () = interrupt.left() => Ok(Exit::Stopped),
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
