//! What to list of a run, how, and where to.

use std::path::PathBuf;

use super::{Error, Readable, source::Sources};
use crate::{
    cli::{FilterArgs, OutputArgs, ResultsArgs},
    model::{RowFormat, TaskStatus},
};

/// `fleetpush results`; what is empty leaves nothing out.
#[derive(Debug, Clone)]
pub(crate) struct Results {
    /// The run's name; without one, the latest run.
    pub run: Option<String>,
    /// Only tasks in these states.
    pub states: Vec<TaskStatus>,
    pub filter: FilterArgs,
    /// The most rows to show.
    pub limit: Option<u64>,
    /// Whether to write a manifest.
    pub as_manifest: bool,
    /// The columns; empty: those of the view.
    pub columns: Vec<String>,
    /// What to sort by; empty: as they are found.
    pub sort: Vec<SortColumn>,
    /// The form of the rows.
    pub format: RowFormat,
    /// The file to write to.
    pub out: Option<PathBuf>,
    /// The results database.
    pub database: Readable,
}

/// A column that rows are sorted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SortColumn {
    /// Its name.
    pub column: String,
    /// Whether the largest comes first.
    pub descending: bool,
}

impl SortColumn {
    /// `finished_at`, or `-finished_at` for the largest first.
    fn parse(text: &str) -> Self {
        match text.strip_prefix('-') {
            Some(column) => Self {
                column: column.to_owned(),
                descending: true,
            },
            None => Self {
                column: text.to_owned(),
                descending: false,
            },
        }
    }
}

impl Results {
    pub(super) fn resolve(
        args: ResultsArgs,
        db: Option<PathBuf>,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let ResultsArgs {
            run,
            state,
            filter,
            limit,
            columns,
            sort,
            output: OutputArgs { format, out },
            as_manifest,
            simulate,
        } = args;
        Ok(Self {
            run,
            states: state,
            filter,
            limit,
            as_manifest,
            columns,
            sort: sort.iter().map(|text| SortColumn::parse(text)).collect(),
            format: row_format(format, as_manifest)?,
            out,
            database: Readable::resolve(db, simulate.simulate, sources)?,
        })
    }
}

/// The form of the rows: of a manifest only what can be one.
pub(super) fn row_format(format: Option<RowFormat>, as_manifest: bool) -> Result<RowFormat, Error> {
    match (format, as_manifest) {
        (Some(RowFormat::Table | RowFormat::Json), true) => Err(Error::ManifestForm),
        (None, true) => Ok(RowFormat::Jsonl),
        (format, _) => Ok(format.unwrap_or(RowFormat::Table)),
    }
}
