//! What `doctor` looks at. What is missing or wrong in the settings is one of its findings, and no reason to look at nothing else.

use std::path::PathBuf;

use super::{Credentials, Database, Destination, Error, push::Timeouts, source::Sources};
use crate::{
    cli::{DoctorArgs, keys},
    model::{Language, SummaryFormat},
};

/// `fleetpush doctor`
#[derive(Debug)]
pub(crate) struct Doctor {
    /// The platform, if one is named.
    pub destination: Result<Option<Destination>, Error>,
    /// Who logs in.
    pub credentials: Result<Credentials, Error>,
    /// The language of the platform's messages.
    pub language: Language,
    /// How long the network may take.
    pub timeouts: Timeouts,
    /// The results database.
    pub database: Database,
    /// Whether it may lie on a network file system.
    pub network_allowed: bool,
    /// The form of the report.
    pub format: SummaryFormat,
}

impl Doctor {
    pub(super) fn resolve(
        args: DoctorArgs,
        db: Option<PathBuf>,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let DoctorArgs {
            target,
            allow_network_filesystem,
            format,
        } = args;
        let simulated = target.simulate.simulate;
        let allowed = allow_network_filesystem.then_some(true);
        Ok(Self {
            language: sources.get(&keys::LANGUAGE, target.language)?,
            timeouts: Timeouts {
                connect: sources.get(&keys::CONNECT_TIMEOUT, target.connect_timeout)?,
                request: sources.get(&keys::REQUEST_TIMEOUT, target.request_timeout)?,
            },
            destination: Destination::resolve(target, sources),
            credentials: Credentials::resolve(sources),
            database: Database::resolve(db, simulated, sources)?,
            network_allowed: sources.get(&keys::ALLOW_NETWORK_FILESYSTEM, allowed)?,
            format: format.unwrap_or(SummaryFormat::Text),
        })
    }
}
