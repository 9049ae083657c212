//! Which run to write a page about.

use std::path::PathBuf;

use super::{Error, Readable, source::Sources};
use crate::{
    cli::{FilterArgs, ReportArgs},
    model::TaskStatus,
};

/// `fleetpush report`
#[derive(Debug, Clone)]
pub(crate) struct Report {
    /// The run's name; without one, the latest run.
    pub run: Option<String>,
    /// Only tasks in these states; empty: all.
    pub states: Vec<TaskStatus>,
    pub filter: FilterArgs,
    /// The file to write to; `-` is stdout.
    pub out: PathBuf,
    /// The results database.
    pub database: Readable,
}

impl Report {
    pub(super) fn resolve(
        args: ReportArgs,
        db: Option<PathBuf>,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let ReportArgs {
            run,
            state,
            filter,
            out,
            simulate,
        } = args;
        Ok(Self {
            run,
            states: state,
            filter,
            out,
            database: Readable::resolve(db, simulate.simulate, sources)?,
        })
    }
}
