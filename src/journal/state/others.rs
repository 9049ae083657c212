//! Devices that another run has too: what is not to be sent to them now is put off.

use super::{PushState, told::DueChunk};
use crate::{
    journal::{others::Others, requests::Chunk, step::Step},
    model::TaskId,
    store::{PushTransaction, StoreError},
};

impl PushState {
    pub(in crate::journal) fn others(&self) -> &Others {
        &self.others
    }

    pub(in crate::journal) fn others_mut(&mut self) -> &mut Others {
        &mut self.others
    }

    /// Puts off those of these tasks whose devices another run has; gives how many.
    pub(super) async fn set_aside<T: PushTransaction>(
        &mut self,
        rows: &mut T,
        step: &mut Step,
        chunks: &mut Vec<DueChunk>,
    ) -> Result<usize, StoreError> {
        if !self.others.gate.is_common {
            return Ok(0);
        }
        let members = chunks.iter().flat_map(|(_, members)| members);
        let tasks: Vec<TaskId> = members.map(|member| member.task).collect();
        let common = rows.common_tasks(&tasks, self.others.reply_time).await?;
        if common.is_empty() {
            return Ok(0);
        }
        for ((bundle, payload), members) in chunks.iter_mut() {
            let key = (*payload, *bundle);
            let firsts = members.iter().filter(|member| !member.was_due);
            let held = firsts
                .map(|member| member.task)
                .filter(|task| common.contains_key(task));
            step.changes.held.extend(held);
            let due = self.others.set_aside(key, members, &common, step.now);
            // They have been counted as snoozing, those that are.
            self.tasks.put_off(step, due);
        }
        chunks.retain(|(_, members)| !members.is_empty());
        Ok(common.len())
    }

    /// The same for one chunk, of which nothing may be left.
    pub(super) async fn set_aside_of<T: PushTransaction>(
        &mut self,
        rows: &mut T,
        step: &mut Step,
        chunk: Chunk,
    ) -> Result<Option<Chunk>, StoreError> {
        if !self.others.gate.is_common {
            return Ok(Some(chunk));
        }
        let mut chunks = vec![((chunk.bundle, chunk.payload_id), chunk.members)];
        self.set_aside(rows, step, &mut chunks).await?;
        Ok(chunks.pop().map(|((bundle, payload_id), members)| Chunk {
            payload_id,
            bundle,
            members,
        }))
    }
}
