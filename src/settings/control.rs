//! Which run to pause or to cancel.

use std::path::PathBuf;

use super::{Database, Error, source::Sources};
use crate::cli::ControlArgs;

/// `fleetpush pause` and `fleetpush cancel`
#[derive(Debug, Clone)]
pub(crate) struct Control {
    /// The run's name; without one, the only unfinished run.
    pub run: Option<String>,
    /// The results database.
    pub database: Database,
}

impl Control {
    pub(super) fn resolve(
        command: &'static str,
        args: ControlArgs,
        db: Option<PathBuf>,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let ControlArgs {
            run,
            simulate,
            owner,
        } = args;
        Ok(Self {
            run,
            database: Database::anywhere(db, simulate.simulate, sources)?
                .owned(command, owner, sources)?,
        })
    }
}
