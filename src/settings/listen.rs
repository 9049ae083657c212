//! How to listen to messages.

use std::path::PathBuf;

use super::{
    Database, Error, Push, Target,
    query::asking,
    source::{Found, Sources},
};
use crate::{
    cli::{ListenArgs, PaceArgs, keys},
    model::{Age, Region},
};

/// `fleetpush listen`
#[derive(Debug, Clone)]
pub(crate) struct Listen {
    /// The queue, by its whole name.
    pub queue: String,
    /// The message broker, as it was given; the gateway checks it.
    pub amqp_url: String,
    /// How long messages are kept.
    pub keep: Age,
    /// Where metrics are written, if anywhere.
    pub metrics_file: Option<PathBuf>,
    /// The platform that the queue belongs to, and who logs in.
    pub push: Push,
    /// The results database beside which the inbox lies.
    pub database: Database,
}

impl Listen {
    pub(super) fn resolve(
        args: ListenArgs,
        db: Option<PathBuf>,
        quiet: bool,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let ListenArgs {
            queue,
            amqp_url,
            inbox_keep,
            metrics_file,
            target,
            owner,
        } = args;
        let queue = sources.find(&keys::QUEUE, queue)?.ok_or(Error::NoQueue)?;
        let simulated = target.simulate.simulate;
        let push = asking(target, PaceArgs::default(), None);
        let push = Push {
            // It is the one that listens.
            listening: None,
            ..Push::resolve(push, quiet, sources)?
        };
        let amqp_url = match sources.find(&keys::AMQP_URL, amqp_url)? {
            Some(found) => found.value,
            None => region_of(&push.target)
                .ok_or(Error::NoBroker)?
                .amqp_url()
                .to_owned(),
        };
        Ok(Self {
            queue: queue.value,
            amqp_url,
            keep: sources.get(&keys::INBOX_KEEP, inbox_keep)?,
            metrics_file: sources
                .find(&keys::METRICS_FILE, metrics_file)?
                .map(Found::into_path),
            push,
            database: Database::anywhere(db, simulated, sources)?
                .owned("listen", owner, sources)?,
        })
    }
}

/// The data centre that a push goes to.
pub(super) fn region_of(target: &Target) -> Option<Region> {
    match target {
        Target::Platform { base_url, .. } => Region::of_base_url(base_url),
        Target::Simulator => None,
    }
}
