//! Which runs to delete.

use std::path::PathBuf;

use super::{Database, Error, source::Sources};
use crate::{cli::PruneArgs, model::Age};

/// `fleetpush prune`: runs that have ended and meet each condition that is given; at least one is.
#[derive(Debug, Clone)]
pub(crate) struct Prune {
    /// Only runs that ended longer ago.
    pub older_than: Option<Age>,
    /// Not the latest of each manifest that have ended, so many.
    pub keep: Option<u64>,
    /// Where what is deleted is kept.
    pub archive: Option<PathBuf>,
    /// Whether only to say which.
    pub dry_run: bool,
    /// The results database.
    pub database: Database,
}

impl Prune {
    pub(super) fn resolve(
        args: PruneArgs,
        db: Option<PathBuf>,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let PruneArgs {
            older_than,
            keep,
            archive,
            dry_run,
            simulate,
            owner,
        } = args;
        Ok(Self {
            older_than,
            keep,
            archive,
            dry_run,
            database: Database::anywhere(db, simulate.simulate, sources)?
                .owned("prune", owner, sources)?,
        })
    }
}
