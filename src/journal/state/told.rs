//! Before a send in doubt is repeated, looks for a message that proves that the platform has accepted it.

use std::collections::HashSet;

use super::PushState;
use crate::{
    journal::{
        step::Step,
        told::{Found, found, may_be_in_doubt},
    },
    model::{BundleId, PayloadId, TaskId},
    store::{Member, PushTransaction, StoreError},
};

/// Sends in doubt that are looked up in one transaction, at most: signals and replies wait for its end.
const MOST_LOOKED_UP: usize = 1000;

/// Tasks of `due` that are about to be claimed together.
pub(super) type DueChunk = ((Option<BundleId>, PayloadId), Vec<Member>);

impl PushState {
    /// Ends those of these tasks whose last send is in doubt and told of by a message, and leaves the others to be sent. Gives how many
    /// have ended. What it does not get to stays due, and is left out as well.
    pub(super) async fn end_told<T: PushTransaction>(
        &mut self,
        rows: &mut T,
        step: &mut Step,
        chunks: &mut Vec<DueChunk>,
    ) -> Result<usize, StoreError> {
        let members = chunks.iter().flat_map(|(_, members)| members);
        let in_doubt: Vec<TaskId> = members
            .filter(|member| may_be_in_doubt(member))
            .map(|member| member.task)
            .collect();
        if in_doubt.is_empty() {
            return Ok(0);
        }
        let (looked_up, later) = in_doubt.split_at(in_doubt.len().min(MOST_LOOKED_UP));
        let told = rows.told_doubts(looked_up, step.now).await?;
        let mut ended = Vec::new();
        let mut accepted = HashSet::new();
        for task in told {
            let Some(told) = rows.told_doubt(task, step.now).await? else {
                continue;
            };
            let Some(Found { end, proof }) = found(&told) else {
                continue;
            };
            accepted.insert(task);
            step.changes.now_last.push((task, end.task.sends));
            step.changes.proofs.extend(proof);
            ended.push(end);
        }
        let has_accepted =
            |members: &[Member]| members.iter().any(|member| accepted.contains(&member.task));
        let payloads = chunks
            .iter()
            .filter(|(_, members)| has_accepted(members))
            .map(|((_, payload), _)| *payload);
        let payloads = self.requests.payloads.take_unmarked(payloads);
        step.changes.accepted_payloads.extend(payloads);
        let later: HashSet<TaskId> = later.iter().copied().collect();
        for (_, members) in chunks.iter_mut() {
            members
                .retain(|member| !accepted.contains(&member.task) && !later.contains(&member.task));
        }
        chunks.retain(|(_, members)| !members.is_empty());
        let count = ended.len();
        self.told += count as u64;
        self.end(rows, step, ended).await?;
        Ok(count)
    }
}
