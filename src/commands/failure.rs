//! Maps the errors of each layer to exit codes, and adds what a command knows about them.

use std::{ffi::OsStr, path::Path};

use anyhow::anyhow;

use crate::{
    exit::Failure,
    gateway::{BaseUrlError, GatewayError},
    manifest::ManifestError,
    settings::{OnlyForFile, SIMULATED},
    store::{
        BreakdownError, FindError, ReadError, ServerError, SourceError, SqlError, StoreError,
        Written,
    },
    thing_model::{Cause, NoModel},
    ui::{
        monitor::MetricsError, out_file::OutFileError, page::PageError, printer::OutputError,
        repeat::quoted,
    },
};

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Owned { .. } | StoreError::Leased { .. } | StoreError::RunHeld { .. } => {
                Self::locked(error)
            }
            StoreError::Server(error) => error.into(),
            StoreError::NameTaken(_) => Self::usage(error),
            StoreError::HeavyMigration { ref path, .. } => {
                let db = quoted(&path.to_string_lossy());
                Self::database(anyhow!(
                    "{error}; when no push is due: fleetpush db migrate --db {db} (with --backup FILE it first makes a copy)"
                ))
            }
            _ => Self::database(error),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Missing(ref path) if hides_simulated(path) => Self::usage(anyhow!(
                "{error}; there are simulated runs, which --simulate shows"
            )),
            ReadError::Missing(_) => Self::usage(error),
            _ => Self::database(error),
        }
    }
}

impl From<OnlyForFile> for Failure {
    fn from(error: OnlyForFile) -> Self {
        Self::usage(error)
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        match error {
            ServerError::HasPushes { .. } => Self::usage(error),
            _ => Self::database(error),
        }
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Read(error) => error.into(),
            SourceError::Missing(_) => Self::usage(error),
            _ => Self::database(error),
        }
    }
}

impl From<Written> for Failure {
    fn from(error: Written) -> Self {
        match error {
            Written::Source(error) => error.into(),
            Written::Server(error) => error.into(),
            Written::Differs { .. } => Self::database(error),
        }
    }
}

impl From<FindError> for Failure {
    fn from(error: FindError) -> Self {
        match error {
            FindError::Read(error) => error.into(),
            FindError::Unknown { ref path, .. } => {
                let flag = if is_simulated(path) {
                    " --simulate"
                } else {
                    ""
                };
                Self::usage(anyhow!("{error}; fleetpush runs{flag} lists them"))
            }
            _ => Self::usage(error),
        }
    }
}

impl From<BreakdownError> for Failure {
    fn from(error: BreakdownError) -> Self {
        match error {
            BreakdownError::Read(error) => error.into(),
            _ => Self::usage(error),
        }
    }
}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Self {
        match error {
            ManifestError::Model(no_model) => no_model.into(),
            error => Self::usage(error),
        }
    }
}

impl From<NoModel> for Failure {
    fn from(error: NoModel) -> Self {
        let cause = error.cause;
        let error = ManifestError::Model(error);
        match cause {
            Cause::Absent => Self::usage(error),
            Cause::Refused => Self::refused(error),
            Cause::Unreachable => Self::stopped(error),
        }
    }
}

impl From<BaseUrlError> for Failure {
    fn from(error: BaseUrlError) -> Self {
        Self::usage(error)
    }
}

impl From<GatewayError> for Failure {
    fn from(error: GatewayError) -> Self {
        match error {
            GatewayError::Proxy { .. } => Self::refused(error),
            GatewayError::Client(_) | GatewayError::Token(_) => Self::usage(error),
        }
    }
}

impl From<MetricsError> for Failure {
    fn from(error: MetricsError) -> Self {
        Self::usage(error)
    }
}

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::Read(error) => error.into(),
            other => Self::usage(other),
        }
    }
}

impl From<PageError> for Failure {
    fn from(error: PageError) -> Self {
        Self::usage(error)
    }
}

impl From<OutFileError> for Failure {
    fn from(error: OutFileError) -> Self {
        Self::usage(error)
    }
}

impl From<OutputError> for Failure {
    fn from(error: OutputError) -> Self {
        Self::usage(error)
    }
}

/// Whether this is the database that only `--simulate` finds.
fn is_simulated(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name == OsStr::new(SIMULATED))
}

/// Whether the simulator has a database where a platform's is missing.
fn hides_simulated(path: &Path) -> bool {
    !is_simulated(path) && path.with_file_name(SIMULATED).is_file()
}
