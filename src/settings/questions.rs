//! What to ask across runs and devices.

use std::path::PathBuf;

use super::{Error, Push, Readable, query::asking, results::row_format, source::Sources};
use crate::{
    cli::{DiffArgs, ExplainArgs, FilterArgs, OutputArgs, PaceArgs, RevertArgs, SqlArgs},
    model::{Change, RowFormat, SummaryFormat, TaskStatus, Tsl},
};

/// `fleetpush explain`
#[derive(Debug, Clone)]
pub(crate) struct Explain {
    /// Only tasks in these states; empty: all.
    pub states: Vec<TaskStatus>,
    /// The device and, of its tasks, which.
    pub filter: FilterArgs,
    /// The platform that is asked, when one is.
    pub live: Option<Push>,
    /// The thing models by which its entries are named, besides those kept beside the database.
    pub tsl: Vec<Tsl>,
    /// The form of the answer.
    pub format: SummaryFormat,
    /// The results database.
    pub database: Readable,
}

impl Explain {
    pub(super) fn resolve(
        args: ExplainArgs,
        db: Option<PathBuf>,
        quiet: bool,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let ExplainArgs {
            key,
            state,
            mut filter,
            live,
            tsl,
            format,
            target,
        } = args;
        filter.device.extend(key);
        if filter.device.is_empty() && filter.devices_from.is_none() && filter.label.is_empty() {
            return Err(Error::NoDevice);
        }
        let simulated = target.simulate.simulate;
        let live = live
            .then(|| Push::resolve(asking(target, PaceArgs::default(), None), quiet, sources))
            .transpose()?;
        Ok(Self {
            states: state,
            filter,
            live,
            tsl,
            format: format.unwrap_or(SummaryFormat::Text),
            database: Readable::resolve(db, simulated, sources)?,
        })
    }
}

/// `fleetpush diff`
#[derive(Debug, Clone)]
pub(crate) struct Diff {
    /// None, one or two runs, the earlier one first.
    pub runs: Vec<String>,
    /// How many of the last runs have to agree, where that is asked.
    pub last: Option<u32>,
    /// What to count by; empty: by code.
    pub by: Vec<String>,
    /// Whether to list the devices.
    pub list: bool,
    /// Only these changes; empty: all.
    pub only: Vec<Change>,
    /// Only tasks in these states; empty: all.
    pub states: Vec<TaskStatus>,
    pub filter: FilterArgs,
    /// The most devices to list.
    pub limit: Option<u64>,
    /// Whether to write a manifest.
    pub as_manifest: bool,
    /// The form of the rows.
    pub format: RowFormat,
    /// The file to write to.
    pub out: Option<PathBuf>,
    /// The results database.
    pub database: Readable,
}

impl Diff {
    pub(super) fn resolve(
        args: DiffArgs,
        db: Option<PathBuf>,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let DiffArgs {
            run,
            last,
            by,
            list,
            only,
            state,
            filter,
            limit,
            output: OutputArgs { format, out },
            as_manifest,
            simulate,
        } = args;
        Ok(Self {
            runs: run,
            last,
            by,
            list,
            only,
            states: state,
            filter,
            limit,
            as_manifest,
            format: row_format(format, as_manifest)?,
            out,
            database: Readable::resolve(db, simulate.simulate, sources)?,
        })
    }
}

/// `fleetpush revert`
#[derive(Debug, Clone)]
pub(crate) struct Revert {
    /// The run that is taken back.
    pub(crate) run: String,
    /// The services that are taken back, each once.
    pub(crate) services: Vec<String>,
    /// Only tasks in these states; empty: all.
    pub(crate) states: Vec<TaskStatus>,
    pub(crate) filter: FilterArgs,
    /// The form of the manifest.
    pub(crate) format: RowFormat,
    /// The file to write to.
    pub(crate) out: Option<PathBuf>,
    /// The file for the devices that are left out.
    pub(crate) left_out: Option<PathBuf>,
    /// The results database.
    pub(crate) database: Readable,
}

impl Revert {
    pub(super) fn resolve(
        args: RevertArgs,
        db: Option<PathBuf>,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let RevertArgs {
            run,
            service,
            state,
            filter,
            format,
            out,
            left_out,
            simulate,
        } = args;
        let mut services: Vec<String> = Vec::new();
        for service in service {
            if !services.contains(&service) {
                services.push(service);
            }
        }
        Ok(Self {
            run,
            services,
            states: state,
            filter,
            format: row_format(format, true)?,
            out,
            left_out,
            database: Readable::resolve(db, simulate.simulate, sources)?,
        })
    }
}

/// `fleetpush sql`
#[derive(Debug, Clone)]
pub(crate) struct Sql {
    /// The statement; `-` is stdin.
    pub statement: String,
    /// The form of the rows.
    pub format: RowFormat,
    /// The file to write to.
    pub out: Option<PathBuf>,
    /// The results database.
    pub database: Readable,
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
            database: Readable::resolve(db, simulate.simulate, sources)?,
        })
    }
}
