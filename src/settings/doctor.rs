//! The settings of `doctor`. A missing or wrong setting is one of its results, and does not prevent the other tests.

use std::path::PathBuf;

use super::{Credentials, Database, Destination, Error, push::Timeouts, source::Sources};
use crate::{
    cli::{DoctorArgs, keys},
    model::{Language, Region, SummaryFormat},
};

/// `fleetpush doctor`
#[derive(Debug)]
pub(crate) struct Doctor {
    /// The platform, if one is named.
    pub destination: Result<Option<Destination>, Error>,
    /// Who logs in.
    pub credentials: Result<Credentials, Error>,
    /// The queue whose messages `listen` receives, if one is named.
    pub queue: Option<String>,
    /// The message broker, if one is known.
    pub amqp_url: Option<String>,
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
            queue,
            amqp_url,
            allow_network_filesystem,
            format,
        } = args;
        let simulated = target.simulate.simulate;
        let allowed = allow_network_filesystem.then_some(true);
        let language = sources.get(&keys::LANGUAGE, target.language)?;
        let timeouts = Timeouts {
            connect: sources.get(&keys::CONNECT_TIMEOUT, target.connect_timeout)?,
            request: sources.get(&keys::REQUEST_TIMEOUT, target.request_timeout)?,
        };
        let destination = Destination::resolve(target, sources);
        Ok(Self {
            queue: sources.find(&keys::QUEUE, queue)?.map(|found| found.value),
            amqp_url: match sources.find(&keys::AMQP_URL, amqp_url)? {
                Some(found) => Some(found.value),
                None => amqp_url_of(&destination),
            },
            language,
            timeouts,
            destination,
            credentials: Credentials::resolve(sources),
            database: Database::anywhere(db, simulated, sources)?,
            network_allowed: sources.get(&keys::ALLOW_NETWORK_FILESYSTEM, allowed)?,
            format: format.unwrap_or(SummaryFormat::Text),
        })
    }
}

/// The message broker of a data centre.
fn amqp_url_of(destination: &Result<Option<Destination>, Error>) -> Option<String> {
    match destination {
        Ok(Some(Destination::Platform { base_url, .. })) => {
            Region::of_base_url(base_url).map(|region| region.amqp_url().to_owned())
        }
        Ok(Some(Destination::Simulator) | None) | Err(_) => None,
    }
}
