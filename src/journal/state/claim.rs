//! Claiming: which tasks are sent next, and in which requests.

use super::PushState;
use crate::{
    journal::{
        chunk::chunks,
        prefetch::READ_MOST,
        request::{Claim, ClaimLimits},
        requests::{Chunk, Made, write_claims},
        step::Step,
        tasks::is_blocked,
        throttled::is_throttled,
    },
    model::TaskId,
    store::{PushTransaction, StoreError},
};

/// Tasks read from `due` for one claim, at most, however large chunks are.
const MOST_DUE: usize = 8192;

impl PushState {
    /// Claims requests, and says whether there may be more right now. First sends and due tasks share a claim by halves, as long as
    /// there are both; as long as the canary has not passed there are no first sends.
    pub(super) async fn claim<T: PushTransaction>(
        &mut self,
        rows: &mut T,
        step: &mut Step,
        limits: ClaimLimits,
    ) -> Result<(Vec<Claim>, bool), StoreError> {
        if limits.requests == 0 {
            return Ok((Vec::new(), true));
        }
        self.others.gate = rows.gate().await?;
        self.requests.have_numbers(rows, limits.requests).await?;
        self.requests.room.begin();
        if limits.probe {
            let claims = self.claim_probe(rows, step).await?;
            self.write_claims(step, &claims);
            // What is due later is seen by its time.
            return Ok((claims, self.has_first_sends()));
        }
        self.requests.forget_probes();
        let chunk_size = limits
            .chunk_size
            .min(self.run.sizes.limit.unwrap_or(u32::MAX))
            .max(1) as usize;
        let first_sends_left = self.has_first_sends();
        let for_due = self.firsts.for_due(limits.requests, first_sends_left);
        let has_suspects = self.bundles.has_suspects();
        let (mut claims, mut more_due) = self
            .claim_due(rows, step, chunk_size, for_due, !has_suspects)
            .await?;
        let left = limits.requests - claims.len();
        let more_first = !self.tasks.canary.is_open()
            && self
                .claim_first(rows, step, chunk_size, left, &mut claims)
                .await?;
        if claims.is_empty() && has_suspects {
            // Suspects go last.
            (claims, more_due) = self
                .claim_due(rows, step, chunk_size, limits.requests, true)
                .await?;
        }
        self.write_claims(step, &claims);
        Ok((claims, more_due || more_first))
    }

    /// Whether first sends may be claimed now or later in this push, as long as nothing but the canary goes.
    fn has_first_sends(&self) -> bool {
        !self.firsts.prefetch.is_empty() && !self.tasks.canary.is_open()
    }

    /// Claims at most `most` requests of tasks that are due.
    async fn claim_due<T: PushTransaction>(
        &mut self,
        rows: &mut T,
        step: &mut Step,
        chunk_size: usize,
        most: usize,
        suspects: bool,
    ) -> Result<(Vec<Claim>, bool), StoreError> {
        step.write(rows).await?;
        if self.next_due(rows).await?.is_none_or(|due| due > step.now) {
            return Ok((Vec::new(), false));
        }
        let limit = (most * chunk_size).min(MOST_DUE.max(chunk_size));
        let tasks = rows.due_tasks(step.now, limit, suspects).await?;
        let read = tasks.len();
        let (blocked, tasks): (Vec<_>, Vec<_>) =
            tasks.into_iter().partition(|task| is_blocked(&task.member));
        let blocked: Vec<TaskId> = blocked.iter().map(|task| task.member.task).collect();
        self.end_blocked(rows, step, &blocked).await?;
        let tasks = tasks
            .into_iter()
            .map(|task| ((task.bundle, task.payload), task.member))
            .collect();
        let mut claims = Vec::new();
        let mut chunks = chunks(tasks, chunk_size, most);
        let told = self.end_told(rows, step, &mut chunks).await?;
        let aside = self.set_aside(rows, step, &mut chunks).await?;
        let mut taken = blocked.len() + told + aside;
        for ((bundle, payload_id), members) in chunks {
            let chunk = Chunk {
                payload_id,
                bundle,
                members,
            };
            let count = chunk.members.len();
            match self.make_claim(rows, chunk, false).await? {
                Made::Claim(claim) => claims.push(claim),
                Made::Refused(ended) => self.end(rows, step, ended).await?,
                // They stay due.
                Made::NoRoom(_) => break,
            }
            taken += count;
        }
        // The next of those that have ended may be due by now.
        let more = taken < read || read == limit || !blocked.is_empty() || told > 0;
        Ok((claims, more))
    }

    /// Claims at most `most` requests of tasks that have never been sent.
    async fn claim_first<T: PushTransaction>(
        &mut self,
        rows: &mut T,
        step: &mut Step,
        chunk_size: usize,
        most: usize,
        claims: &mut Vec<Claim>,
    ) -> Result<bool, StoreError> {
        let full = claims.len() + most;
        // Tasks of a refused payload end here unsent; no more of them in one transaction than are read at once.
        let mut looked_at = 0;
        while claims.len() < full && looked_at < READ_MOST {
            if self.firsts.prefetch.len() < chunk_size && !self.firsts.prefetch.is_exhausted() {
                let wanted = (full - claims.len()) * chunk_size;
                self.read_ahead(rows, wanted.max(chunk_size)).await?;
                continue;
            }
            let Some((payload_id, members)) = self.firsts.prefetch.take_chunk(chunk_size) else {
                break;
            };
            looked_at += members.len();
            let last = members.last().map(|last| last.task);
            let chunk = Chunk {
                payload_id,
                bundle: None,
                members,
            };
            let chunk = self.set_aside_of(rows, step, chunk).await?;
            let made = match chunk {
                Some(chunk) => Some(self.make_claim(rows, chunk, false).await?),
                None => None,
            };
            match made {
                Some(Made::Claim(claim)) => claims.push(claim),
                Some(Made::Refused(ended)) => self.end(rows, step, ended).await?,
                Some(Made::NoRoom(chunk)) => {
                    self.firsts.prefetch.give_back(payload_id, chunk.members);
                    break;
                }
                None => {}
            }
            if let Some(last) = last {
                self.firsts.claimed(last);
            }
        }
        Ok(!self.firsts.prefetch.is_empty())
    }

    /// Reads first sends ahead, when so many are wanted.
    pub(super) async fn read_ahead<T: PushTransaction>(
        &mut self,
        rows: &mut T,
        tasks: usize,
    ) -> Result<(), StoreError> {
        let (from, most) = self.firsts.prefetch.wants(tasks);
        let read = rows.first_tasks(from, self.run.end_task, most).await?;
        self.firsts.prefetch.fill(read, most);
        Ok(())
    }

    /// Makes a request of these tasks, if there is room and their payload is not refused as such.
    pub(super) async fn make_claim<T: PushTransaction>(
        &mut self,
        rows: &mut T,
        chunk: Chunk,
        probe: bool,
    ) -> Result<Made, StoreError> {
        let payload = if let Some(payload) = self.requests.payloads.loaded(chunk.payload_id) {
            payload
        } else {
            let payload = rows.payload(chunk.payload_id).await?;
            self.requests.payloads.keep(chunk.payload_id, payload)
        };
        let members = chunk.members.len();
        let was_due = chunk.members.iter().any(|member| member.was_due);
        let throttled = chunk
            .members
            .iter()
            .filter(|member| is_throttled(member.class))
            .count() as u64;
        let made = self
            .requests
            .make(chunk, payload, &self.refusals, &self.bundles, probe);
        match &made {
            Made::NoRoom(_) => return Ok(made),
            Made::Refused(_) => {}
            Made::Claim(_) => self.tasks.counts.claim(members),
        }
        self.tasks.counts.wake(throttled);
        if was_due {
            self.tasks.waiting.changed();
        }
        Ok(made)
    }

    fn write_claims(&mut self, step: &mut Step, claims: &[Claim]) {
        write_claims(&mut step.changes, claims);
        step.changes.next_task = self.firsts.take_unsaved();
    }
}
