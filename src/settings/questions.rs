//! What to ask across runs and devices.

use std::path::PathBuf;

use super::{Database, Error, results::row_format, source::Sources};
use crate::{
    cli::{OutputArgs, SqlArgs},
    model::RowFormat,
};

/// `fleetpush sql`
#[derive(Debug, Clone)]
pub struct Sql {
    /// The statement; `-` is stdin.
    pub statement: String,
    /// The form of the rows.
    pub format: RowFormat,
    /// The file to write to.
    pub out: Option<PathBuf>,
    /// The results database.
    pub database: Database,
}

impl Sql {
    pub(super) fn resolve(
        args: SqlArgs,
        db: Option<PathBuf>,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let SqlArgs {
            statement,
            output: OutputArgs { format, out },
            simulate,
        } = args;
        Ok(Self {
            statement,
            format: row_format(format, false)?,
            out,
            database: Database::resolve(db, simulate.simulate, sources)?,
        })
    }
}
