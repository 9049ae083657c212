//! Probes: requests with one device. Each has another device, and another payload if there is one, so that a bad device or payload does not
//! look like an outage.

use super::PushState;
use crate::{
    journal::{
        prefetch::READ_MOST,
        request::Claim,
        requests::{Chunk, Made},
        step::Step,
    },
    model::{History, PayloadId, TaskId},
    store::{Due, DueTask, FirstTask, Member, ProbeTask, PushTransaction, StoreError},
};

/// So many payloads are passed over in the search for one that no probe has had.
const PASSED_OVER: usize = 16;
/// So many tasks that are blocked end before a probe, at most.
const MOST_BLOCKED: usize = 1000;

impl PushState {
    /// Claims one task for a probe, if there is one that may be sent now.
    pub(super) async fn claim_probe<T: PushTransaction>(
        &mut self,
        rows: &mut T,
        step: &mut Step,
    ) -> Result<Vec<Claim>, StoreError> {
        step.write(rows).await?;
        let blocked = rows.blocked_due(step.now, MOST_BLOCKED).await?;
        self.end_blocked(rows, step, &blocked).await?;
        // A payload that is refused as such ends its tasks here, and is no probe.
        for _ in 0..READ_MOST {
            step.write(rows).await?;
            let Some(chunk) = self.choose_probe(rows, step).await? else {
                break;
            };
            let mut chunks = vec![((chunk.bundle, chunk.payload_id), chunk.members)];
            self.end_told(rows, step, &mut chunks).await?;
            self.set_aside(rows, step, &mut chunks).await?;
            let Some(((bundle, payload_id), members)) = chunks.pop() else {
                continue;
            };
            let chunk = Chunk {
                payload_id,
                bundle,
                members,
            };
            self.requests.probe(chunk.payload_id);
            match self.make_claim(rows, chunk, true).await? {
                Made::Claim(claim) => return Ok(vec![claim]),
                Made::Refused(ended) => self.end(rows, step, ended).await?,
                Made::NoRoom(_) => {}
            }
        }
        Ok(Vec::new())
    }

    async fn choose_probe<T: PushTransaction>(
        &mut self,
        rows: &mut T,
        step: &mut Step,
    ) -> Result<Option<Chunk>, StoreError> {
        let front = self.front_payload(rows).await?;
        if front.is_some_and(|payload| !self.requests.probed().contains(&payload)) {
            return Ok(self.take_first());
        }
        let due = rows.probe_task(step.now, self.requests.probed()).await?;
        let due_is_probed = due.as_ref().is_none_or(|due| due.probed);
        if due_is_probed && let Some(front) = front {
            return match self.other_first(rows, front).await? {
                Some(task) => Ok(Some(self.pull_forward(step, task))),
                None => Ok(self.take_first()),
            };
        }
        // Only when nothing but suspects is left is it one of theirs; and what has a device of a suspect stays one.
        Ok(due.map(|ProbeTask { due, .. }| {
            let DueTask {
                payload,
                bundle,
                member,
            } = due;
            Chunk {
                payload_id: payload,
                bundle,
                members: vec![member],
            }
        }))
    }

    /// The payload of the next first send.
    async fn front_payload<T: PushTransaction>(
        &mut self,
        rows: &mut T,
    ) -> Result<Option<PayloadId>, StoreError> {
        if self.tasks.canary.is_open() {
            return Ok(None);
        }
        let prefetch = &self.firsts.prefetch;
        if prefetch.front().is_none() && !prefetch.is_exhausted() {
            self.read_ahead(rows, 1).await?;
        }
        Ok(self.firsts.prefetch.front())
    }

    fn take_first(&mut self) -> Option<Chunk> {
        let (payload_id, members) = self.firsts.prefetch.take_chunk(1)?;
        self.firsts.claimed(members.first()?.task);
        Some(Chunk {
            payload_id,
            bundle: None,
            members,
        })
    }

    /// A first send of a payload that no probe has had. Tasks of one payload stand side by side, so that its end is found by halving.
    async fn other_first<T: PushTransaction>(
        &self,
        rows: &mut T,
        front: PayloadId,
    ) -> Result<Option<FirstTask>, StoreError> {
        let end = self.run.end_task;
        let mut payload = front;
        let mut from = self.firsts.next();
        for _ in 0..PASSED_OVER {
            let (mut low, mut high) = (from.0, end.0);
            while low < high {
                let middle = low.midpoint(high);
                if rows.payload_of(TaskId(middle)).await? == Some(payload) {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            let found = rows.first_tasks(TaskId(low), end, 1).await?.pop();
            match found {
                Some(first) if self.requests.probed().contains(&first.payload) => {
                    (payload, from) = (first.payload, first.task);
                }
                found => return Ok(found),
            }
        }
        Ok(None)
    }

    /// Takes a task out of the first sends, which go out in the order of their ids: it becomes due.
    fn pull_forward(&mut self, step: &mut Step, first: FirstTask) -> Chunk {
        step.changes.held.push(first.task);
        step.changes.due.push(Due {
            task: first.task,
            payload: first.payload,
            bundle: None,
            not_before: step.now,
            class: None,
            history: History::default(),
        });
        self.firsts.prefetch.remove(first.task);
        Chunk {
            payload_id: first.payload,
            bundle: None,
            members: vec![Member {
                was_due: true,
                ..Member::never_sent(first.task, first.device_key)
            }],
        }
    }
}
