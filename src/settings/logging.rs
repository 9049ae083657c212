//! What to log, and how.

use super::{Error, environment::LOG, source::Sources};
use crate::{cli::keys, model::LogFormat};

/// What to log, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logging {
    /// What to log.
    pub level: Level,
    /// How lines are written.
    pub format: LogFormat,
    /// Whether colours are welcome on a terminal.
    pub colour: bool,
}

/// What to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Level {
    /// Errors only: `-q`.
    Errors,
    /// Warnings too: the default.
    Warnings,
    /// What happens as well, `-v`; of other crates warnings.
    Info,
    /// Each decision as well, `-vv`; of other crates warnings.
    Debug,
    /// Everything, `-vvv`; of other crates warnings.
    Trace,
    /// What the directives in `FLEETPUSH_LOG` say.
    Directives(String),
}

impl Logging {
    pub(super) fn resolve(
        quiet: bool,
        verbose: u8,
        format: Option<LogFormat>,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let level = match (quiet, verbose) {
            (true, _) => Level::Errors,
            (false, 0) => match sources.environment.text(LOG)? {
                Some(directives) => Level::Directives(directives.to_owned()),
                None => Level::Warnings,
            },
            (false, 1) => Level::Info,
            (false, 2) => Level::Debug,
            (false, _) => Level::Trace,
        };
        Ok(Self {
            level,
            format: sources.get(&keys::LOG_FORMAT, format)?,
            colour: !sources.environment.forbids_colour(),
        })
    }
}
