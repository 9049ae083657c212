//! Decides tasks in doubt by the histories of devices, a batch at a time: reads a batch, asks, weighs the entries, and records the result
//! before anything is shown.
//!
//! It asks only about tasks that have ended in doubt. Those that are due to be sent again belong to the push: a ticket found for one of
//! them would have to stop a send that may be under way.
//!
//! The database is needed only to read a batch and to record the result, not while the platform is asked.

use futures::{StreamExt as _, stream};
use serde_json::Value;

use super::{HistoryAsker, Stop};
use crate::{
    gateway::HistoryClient,
    journal::{delivery, told},
    model::{EvidenceSource, InDoubtTask, Proof, TaskId, Timestamp},
    policy::{self, Evidence, EvidenceVerdict, Match},
    store::{Adopted, Adoption, Run, Store, StoreError},
};

/// Tasks that are asked about before anything is recorded.
const BATCH: u32 = 128;

/// One task in doubt, and what was found.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) doubt: InDoubtTask,
    /// Where it comes from: the history, or an `INPUT` message.
    pub(crate) source: EvidenceSource,
    /// What was found, or why the platform tells nothing of this device.
    pub(crate) found: Result<Evidence, String>,
    /// What the history says of the command besides, where it was found.
    pub(crate) proof: Option<Proof>,
}

impl Resolved {
    /// Whether the evidence gives the task a ticket.
    pub(crate) fn is_adopted(&self) -> bool {
        adoption(self).is_some()
    }
}

/// The next tasks of a run that are in doubt.
pub(crate) async fn next_doubts(
    store: &mut Store,
    run: &Run,
    after: TaskId,
) -> Result<Vec<InDoubtTask>, StoreError> {
    store.doubts(run, after, BATCH).await
}

/// Asks about tasks in doubt. Something may stop it, and then those that were asked about until then are given, too.
pub(crate) async fn ask_about_doubts<H: HistoryClient>(
    asker: &HistoryAsker<H>,
    doubts: Vec<InDoubtTask>,
    now: impl Fn() -> Timestamp,
) -> (Vec<Resolved>, Option<Stop>) {
    let now = &now;
    let mut answers = stream::iter(doubts)
        .map(|doubt| async move { ask(asker, doubt, now()).await })
        .buffered(asker.options().concurrency);
    let mut resolved = Vec::new();
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(one) => resolved.push(one),
            Err(stop) => return (resolved, Some(stop)),
        }
    }
    (resolved, None)
}

/// Records what was proved.
pub(crate) async fn adopt(
    store: &mut Store,
    run: &Run,
    resolved: &[Resolved],
    now: Timestamp,
) -> Result<Adopted, StoreError> {
    let adoptions: Vec<Adoption> = resolved.iter().filter_map(adoption).collect();
    if adoptions.is_empty() {
        return Ok(Adopted::default());
    }
    store.adopt(run, &adoptions, now, delivery::fold).await
}

/// Asks about one task.
async fn ask<H: HistoryClient>(
    asker: &HistoryAsker<H>,
    doubt: InDoubtTask,
    now: Timestamp,
) -> Result<Resolved, Stop> {
    let tolerance = asker.options().tolerance;
    let device = (&*doubt.product_key, &*doubt.device_key);
    let told = asker
        .trace(device, policy::spans(&doubt, tolerance))
        .await?;
    let is_same = |told: &Value, sent: &Value| asker.is_same(&doubt.product_key, told, sent);
    let mut proof = None;
    let found = told.map(|trace| {
        let evidence = policy::weigh(&doubt, &trace, tolerance, is_same);
        if let EvidenceVerdict::Adopt { ticket, .. } = &evidence.verdict {
            // When its cache is over is not known of a send without a reply.
            proof = delivery::of_history(&trace, ticket, now, None);
        }
        evidence
    });
    Ok(Resolved {
        doubt,
        source: EvidenceSource::History,
        found,
        proof,
    })
}

/// The ticket that the evidence gives a task.
fn adoption(resolved: &Resolved) -> Option<Adoption> {
    let Ok(Evidence {
        verdict:
            EvidenceVerdict::Adopt {
                ticket,
                sent_at,
                by,
            },
        ..
    }) = &resolved.found
    else {
        return None;
    };
    let by = match by {
        Match::TimeAlone => ", matched by its time alone",
        _ => "",
    };
    let message = match resolved.source {
        EvidenceSource::Input => told::adopted(*sent_at),
        _ => format!("adopted from the device's history: sent at {sent_at}{by}"),
    };
    Some(Adoption {
        task: resolved.doubt.task,
        ticket: ticket.clone(),
        message: message.into(),
        proof: resolved.proof.clone(),
    })
}

#[cfg(test)]
mod tests;
