//! The state of a push, and its exchanges: one transaction of the store records what came back and returns what to send.
//!
//! The types that this state consists of make the decisions. The methods here get the rows that they need from the store, and pass it the
//! changes. A read always sees the changes before it.

use std::collections::{HashMap, HashSet};

use super::{
    bundle::{Bundles, Halves},
    canary::CanaryState,
    chunk_limit,
    counts::TaskCounts,
    first_sends::FirstSends,
    others::Others,
    refusal::{KnownRefusals, Refusals, Refusing},
    request::{ClaimLimits, Exchange, Finding, Record, RequestEnd},
    requests::Requests,
    settle::TaskChanges,
    step::Step,
    task_end::TaskEnd,
    tasks::Tasks,
    waiting::{Cached, Waiting},
};
use crate::{
    budget::Budget,
    model::{AfterFailure, BundleId, Counts, TaskId, Timestamp},
    store::{FinishedRequest, PushRows, PushTransaction, Run, StoreError, Whole},
};

mod claim;
mod others;
mod probe;
mod told;

/// What a push knows of its run without asking the store.
#[derive(Debug)]
pub(super) struct PushState {
    run: Run,
    tasks: Tasks,
    firsts: FirstSends,
    requests: Requests,
    bundles: Bundles,
    refusals: Refusals,
    /// Tasks in doubt that have ended by what messages tell, of this exchange.
    told: u64,
    /// How the run as a whole stands, when this is the push of a part of it.
    whole: Option<Whole>,
    others: Others,
}

impl PushState {
    /// Begins with what the store knows. Payloads and claims are of this budget.
    pub(super) fn new(
        run: Run,
        after_failure: AfterFailure,
        rows: PushRows,
        budget: Budget,
    ) -> Self {
        let counts = TaskCounts::new(run.tasks, rows.tally, rows.snoozing, rows.in_flight);
        Self {
            tasks: Tasks::new(
                run.ordered,
                after_failure,
                counts,
                Waiting::new(rows.latest_due),
                CanaryState::from(rows.canary),
            ),
            firsts: FirstSends::from(rows.next_task),
            requests: Requests::within(budget),
            bundles: Bundles::new(rows.next_bundle, rows.bundle_statuses),
            refusals: Refusals::new(rows.refusals),
            told: 0,
            whole: rows.whole,
            others: Others::default(),
            run,
        }
    }

    /// The run, with what has been found out about the platform so far.
    pub(super) fn run(&self) -> &Run {
        &self.run
    }

    /// How many tasks are in which state.
    pub(super) fn counts(&self) -> Counts {
        self.tasks.counts.counts()
    }

    /// How the run as a whole stands, when this is the push of a part of it.
    pub(super) fn whole(&self) -> Option<&Whole> {
        self.whole.as_ref()
    }

    pub(super) fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    pub(super) fn tasks_mut(&mut self) -> &mut Tasks {
        &mut self.tasks
    }

    pub(super) fn bundles(&self) -> &Bundles {
        &self.bundles
    }

    /// First sends have been claimed up to here.
    pub(super) fn next_task(&self) -> TaskId {
        self.firsts.next()
    }

    /// Records what became of requests, and claims others.
    pub(super) async fn exchange<T: PushTransaction>(
        &mut self,
        rows: &mut T,
        records: Vec<Record>,
        limits: ClaimLimits,
    ) -> Result<Exchange, StoreError> {
        let mut exchange = Exchange::default();
        let mut step = Step::new(limits.now);
        self.record(rows, &mut step, records, &mut exchange.findings)
            .await?;
        (exchange.claims, exchange.more) = self.claim(rows, &mut step, limits).await?;
        exchange.full = self.requests.room.is_full();
        step.changes.tally = self.tasks.counts.take_unsaved();
        step.changes.lead = self.others.lead.take_unsaved(limits.now);
        step.write(rows).await?;
        exchange.next_due = self.next_due(rows).await?;
        let whole = rows.whole().await?;
        rows.commit().await?;
        self.whole = whole;
        exchange.told = std::mem::take(&mut self.told);
        exchange.trouble = rows.take_trouble();
        Ok(exchange)
    }

    /// When the next waiting task becomes due; what has been decided must have been written.
    async fn next_due<T: PushTransaction>(
        &mut self,
        rows: &mut T,
    ) -> Result<Option<Timestamp>, StoreError> {
        if let Cached::Known(next) = self.tasks.waiting.next() {
            return Ok(next);
        }
        let next = rows.next_due().await?;
        self.tasks.waiting.found(next);
        Ok(next)
    }

    /// Records what became of these requests.
    async fn record<T: PushTransaction>(
        &mut self,
        rows: &mut T,
        step: &mut Step,
        records: Vec<Record>,
        findings: &mut Vec<Finding>,
    ) -> Result<(), StoreError> {
        let mut halves = halves(rows, &records).await?;
        for record in &records {
            let claim = &record.claim;
            self.requests
                .room
                .give_back(&claim.payload, claim.members.len());
            self.tasks.counts.finish(record.claim.members.len());
        }
        let accepted = records.iter().filter(|record| record.has_acceptance());
        let accepted = accepted.map(|record| record.claim.payload_id);
        step.changes.accepted_payloads = self.requests.payloads.take_unmarked(accepted);
        let sizes = self.run.sizes;
        let mut refusing = Vec::new();
        let mut settled = TaskChanges::default();
        for Record { mut claim, end } in records {
            let RequestEnd::Sent {
                finished,
                tasks,
                passed,
                together,
                refused,
            } = end
            else {
                let released = FinishedRequest::released(claim.request, step.now);
                step.changes.finished.push(released);
                settled.release(claim, step.now);
                continue;
            };
            let changes = &mut step.changes;
            changes.finished.push(finished);
            if let Some(passed) = passed {
                let devices = claim.members.len() as u32;
                let proof = claim
                    .bundle
                    .and_then(|bundle| halves.answered(changes, bundle, devices, passed));
                let before = self.run.sizes;
                self.run.sizes = chunk_limit::answered(before, devices, passed, proof);
                let limit = self.run.sizes.limit;
                let found = limit.filter(|_| limit != before.limit);
                findings.extend(found.map(Finding::ChunkLimit));
            }
            if let Some((refused, code)) = refused {
                let refused_halves = claim.bundle.map_or(0, |bundle| halves.refused(bundle));
                refusing.push(Refusing::new(&claim, refused, code, refused_halves));
            }
            let halves = self.bundles.split(changes, &claim, &tasks, together);
            if let Some(bundle_status) = together {
                self.bundles
                    .keep_together(changes, &mut claim, &tasks, bundle_status);
            }
            settled.settle(changes, claim, tasks, halves, step.now);
        }
        step.changes.sizes = Some(self.run.sizes).filter(|now| *now != sizes);
        if !refusing.is_empty() {
            findings.extend(self.refuse(rows, step, &refusing).await?);
        }
        self.tasks.make_due(step, settled.due);
        self.end(rows, step, settled.ended).await
    }

    /// Counts refusals, and ends the payloads and products that are refused as such.
    async fn refuse<T: PushTransaction>(
        &mut self,
        rows: &mut T,
        step: &mut Step,
        refusing: &[Refusing],
    ) -> Result<Vec<Finding>, StoreError> {
        let keys: HashSet<_> = refusing.iter().map(|one| one.key().clone()).collect();
        let keys: Vec<_> = keys.into_iter().collect();
        let known = KnownRefusals::new(rows.refusals(&keys).await?);
        let mut accepted = HashSet::new();
        for key in known.ends_unless_accepted(refusing) {
            // An acceptance in the same transaction speaks against a refusal.
            step.write(rows).await?;
            if rows.is_accepted(&key).await? {
                accepted.insert(key);
            }
        }
        let judged = known.judge(refusing, &accepted);
        for refusal in judged.changed.iter().filter(|refusal| refusal.ended) {
            self.refusals.end(refusal);
        }
        step.changes.refusals = judged.changed;
        Ok(judged.findings)
    }

    /// Ends these tasks; a device's next task becomes due, or ends too when it is blocked, as far as the transaction has room for it.
    async fn end<T: PushTransaction>(
        &mut self,
        rows: &mut T,
        step: &mut Step,
        ended: Vec<TaskEnd>,
    ) -> Result<(), StoreError> {
        self.tasks.end(step, ended);
        while !step.ended.is_empty() {
            step.write(rows).await?;
            let next = rows.next_tasks(&step.ended()).await?;
            let rests = if Tasks::has_throttled(step) {
                let tasks: Vec<TaskId> = next.iter().map(|next| next.task).collect();
                rows.throttled_until(&tasks, step.now).await?
            } else {
                HashMap::new()
            };
            let blocked = self.tasks.follow(step, next, &rests)?;
            self.tasks.end(step, blocked);
        }
        Ok(())
    }

    /// Ends tasks that have waited in `due` for it.
    async fn end_blocked<T: PushTransaction>(
        &mut self,
        rows: &mut T,
        step: &mut Step,
        tasks: &[TaskId],
    ) -> Result<(), StoreError> {
        if tasks.is_empty() {
            return Ok(());
        }
        let blockers = rows.blockers(tasks).await?;
        if blockers.len() != tasks.len() {
            return Err(StoreError::Damaged(
                "a task is blocked by none that has ended".to_owned(),
            ));
        }
        let ended = blockers.iter().map(TaskEnd::by).collect();
        self.end(rows, step, ended).await
    }
}

/// What has to be known of the bundles that were answered: whether both halves of a request say the same.
async fn halves<T: PushTransaction>(
    rows: &mut T,
    records: &[Record],
) -> Result<Halves, StoreError> {
    let bundles: Vec<BundleId> = records
        .iter()
        .filter(|record| {
            matches!(
                &record.end,
                RequestEnd::Sent { passed, refused, .. } if passed.is_some() || refused.is_some()
            )
        })
        .filter_map(|record| record.claim.bundle)
        .collect();
    if bundles.is_empty() {
        return Ok(Halves::default());
    }
    Ok(Halves::new(rows.halves(&bundles).await?))
}
