//! What to do with the results database itself.

use std::path::PathBuf;

use super::{Database, Error, source::Sources};
use crate::cli::{DbArgs, DbCommand, MigrateArgs};

/// `fleetpush db migrate`
#[derive(Debug, Clone)]
pub(crate) struct Migrate {
    /// The file for a copy of the database as it is.
    pub backup: Option<PathBuf>,
    /// Whether only to say what is to be done.
    pub dry_run: bool,
    /// The results database.
    pub database: Database,
}

impl Migrate {
    pub(super) fn resolve(
        args: DbArgs,
        db: Option<PathBuf>,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let DbCommand::Migrate(MigrateArgs {
            backup,
            dry_run,
            simulate,
            owner,
        }) = args.command;
        Ok(Self {
            backup,
            dry_run,
            database: Database::resolve(db, simulate.simulate, sources)?.owned(
                "db migrate",
                owner,
                sources,
            )?,
        })
    }
}
