//! Asks the history of devices what became of commands that the platform has accepted.

use futures::{StreamExt as _, stream};

use super::{HistoryAsker, Stop};
use crate::{
    gateway::HistoryClient,
    journal::{delivery, messages::ANSWER_TIME},
    model::{Proof, TimeRange, Timestamp},
    store::{AcceptedCommand, TaskProof},
};

/// A command, and what was found.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) command: AcceptedCommand,
    /// What the history says of it, if anything; or why the platform tells nothing of this device.
    pub(crate) found: Result<Option<Proof>, String>,
    /// Whether the history had more entries than are read, so that the command may be among the others.
    pub(crate) cut: bool,
}

impl Asked {
    /// What the history says of the command, if anything.
    pub(crate) fn found(&self) -> Option<&Proof> {
        self.found.as_ref().ok().and_then(Option::as_ref)
    }

    /// The evidence, as it is recorded.
    pub(crate) fn proof(&self) -> Option<TaskProof> {
        Some(TaskProof {
            task: self.command.task,
            attempt: self.command.attempt,
            proof: self.found()?.clone(),
        })
    }
}

/// Asks about commands. Something may stop it, and then those that were asked about until then are given, too.
pub(crate) async fn ask_about_commands<H: HistoryClient>(
    asker: &HistoryAsker<H>,
    commands: Vec<AcceptedCommand>,
    now: impl Fn() -> Timestamp,
) -> (Vec<Asked>, Option<Stop>) {
    let now = &now;
    let mut answers = stream::iter(commands)
        .map(|command| async move { ask(asker, command, now()).await })
        .buffered(asker.options().concurrency);
    let mut found = Vec::new();
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(one) => found.push(one),
            Err(stop) => return (found, Some(stop)),
        }
    }
    (found, None)
}

async fn ask<H: HistoryClient>(
    asker: &HistoryAsker<H>,
    command: AcceptedCommand,
    now: Timestamp,
) -> Result<Asked, Stop> {
    let cache_ends = delivery::cache_ends(command.is_cache, command.cache_time, command.sent.to);
    let latest = cache_ends.unwrap_or(command.sent.to).after(ANSWER_TIME);
    let window = TimeRange {
        from: command.sent.from,
        to: latest.min(now).max(command.sent.to),
    };
    let device = (&*command.product_key, &*command.device_key);
    let told = asker
        .trace(device, [window.widened(asker.options().tolerance)])
        .await?;
    let mut cut = false;
    let found = told.map(|trace| {
        cut = trace.cut;
        delivery::of_history(&trace, &command.ticket, now, cache_ends)
    });
    Ok(Asked {
        command,
        found,
        cut,
    })
}
