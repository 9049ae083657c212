//! Messages that a push, or a verification, receives itself.

use super::{Error, Target, listen::region_of, source::Sources};
use crate::{
    cli::{MessagesArgs, keys},
    model::Age,
};

/// The queue whose messages are received, if somebody has set one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listening {
    /// The queue, by its whole name.
    pub queue: String,
    /// The message broker; `None` when nothing says which.
    pub amqp_url: Option<String>,
    /// How long messages are kept.
    pub keep: Age,
}

impl Listening {
    pub(super) fn resolve(
        args: MessagesArgs,
        target: &Target,
        sources: &Sources<'_>,
    ) -> Result<Option<Self>, Error> {
        let MessagesArgs { queue, amqp_url } = args;
        let Some(queue) = sources.find(&keys::QUEUE, queue)? else {
            return Ok(None);
        };
        let amqp_url = sources
            .find(&keys::AMQP_URL, amqp_url)?
            .map(|found| found.value);
        let amqp_url =
            amqp_url.or_else(|| region_of(target).map(|region| region.amqp_url().to_owned()));
        Ok(Some(Self {
            queue: queue.value,
            amqp_url,
            keep: sources.get(&keys::INBOX_KEEP, None)?,
        }))
    }
}
