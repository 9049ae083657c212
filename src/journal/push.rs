//! The journal of one run while it is pushed. One transaction records what came back and returns what to send.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    canary::{self, CanaryAsked, CanaryState, Choice, OpenCanary},
    request::{Claim, ClaimLimits, Exchange, Record},
    state::PushState,
};
use crate::{
    clock::Permission,
    model::{
        AfterFailure, Canary, CanaryProof, CanaryVerdict, Control, Counts, Lead, ProofAsked,
        RequestId, RunState, Tally, TaskState, Timestamp,
    },
    store::{KeptRate, Missing, NewCanary, PushTransaction, Run, Sharing, Store, StoreError},
};

/// One run being pushed.
#[derive(Debug)]
pub(crate) struct Journal<'s> {
    store: &'s mut Store,
    state: PushState,
    /// Of the ended tasks, those that ended in outages.
    excused: BTreeMap<Tally, u64>,
    /// Exchanges since the length of the log was last looked at.
    exchanges: u32,
    /// Pauses that have begun, with the reason, or ended, and have not been noted.
    pauses: Vec<(Timestamp, Option<String>)>,
}

/// After so many exchanges the length of the log is looked at, which is a trip of its own.
const EXCHANGES: u32 = 16;

impl<'s> Journal<'s> {
    /// Begins to push a run.
    pub(crate) async fn open(
        store: &'s mut Store,
        run: Run,
        after_failure: AfterFailure,
    ) -> Result<Self, StoreError> {
        let mut rows = store.push_rows(run.id).await?;
        let excused = std::mem::take(&mut rows.excused).into_iter().collect();
        let budget = store.budget().clone();
        Ok(Self {
            store,
            state: PushState::new(run, after_failure, rows, budget),
            excused,
            exchanges: 0,
            pauses: Vec::new(),
        })
    }

    /// The run, with what has been found out about the platform so far.
    pub(crate) fn run(&self) -> &Run {
        self.state.run()
    }

    /// How many tasks are in which state, as of the last commit.
    pub(crate) fn counts(&self) -> Counts {
        self.state.counts()
    }

    /// How many tasks of the run have ended how, as of the last commit: of the whole run when this is a part of it.
    pub(crate) fn tally(&self) -> Vec<(Tally, u64)> {
        match self.state.whole() {
            Some(whole) => whole.tally.clone(),
            None => self.state.tasks().counts.ended().collect(),
        }
    }

    /// How many of them ended in outages, as far as earlier pushes and other workers found out.
    pub(crate) fn excused(&self) -> BTreeMap<Tally, u64> {
        match self.state.whole() {
            Some(whole) => whole.excused.iter().copied().collect(),
            None => self.excused.clone(),
        }
    }

    /// Whether the run, of which this is a part, does not go on any more.
    pub(crate) fn is_stopped_elsewhere(&self) -> bool {
        self.state
            .whole()
            .is_some_and(|whole| !matches!(whole.state, RunState::Running | RunState::Complete))
    }

    /// Notes that so many more of them ended in an outage.
    pub(crate) async fn excuse(&mut self, more: &BTreeMap<Tally, u64>) -> Result<(), StoreError> {
        self.store.excuse(self.state.run().id, more).await
    }

    /// The latest time at which a waiting task becomes due.
    pub(crate) fn latest_due(&self) -> Option<Timestamp> {
        self.state.tasks().waiting.latest()
    }

    /// Records what became of requests, and claims others, in one transaction. After an error nothing of it has happened in the
    /// database, and the journal must not be used again.
    pub(crate) async fn exchange(
        &mut self,
        records: Vec<Record>,
        limits: ClaimLimits,
    ) -> Result<Exchange, StoreError> {
        let mut rows = self.store.transaction(self.state.run().id);
        let exchange = Box::pin(self.state.exchange(&mut rows, records, limits)).await;
        if exchange.is_err() {
            rows.roll_back().await;
            return exchange;
        }
        for (at, reason) in self.pauses.drain(..) {
            match reason {
                Some(reason) => self.store.begin_pause(&reason, at).await?,
                None => self.store.end_pause(at).await?,
            }
        }
        self.exchanges += 1;
        if self.exchanges >= EXCHANGES {
            self.exchanges = 0;
            self.store.tidy().await?;
        }
        exchange
    }

    /// The push pauses since `now`; noted with the next exchange, which follows at once.
    pub(crate) fn pauses(&mut self, reason: String, now: Timestamp) {
        self.pauses.push((now, Some(reason)));
    }

    /// The push goes on since `now`; noted with the next exchange.
    pub(crate) fn goes_on(&mut self, now: Timestamp) {
        self.pauses.push((now, None));
    }

    /// Notes that the run is being pushed. From now on a log that is lost will be noticed.
    pub(crate) async fn begin(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.store.begin_push(self.state.run(), now).await
    }

    /// Brings forward what is due later than `latest`; gives how many tasks that concerns.
    pub(crate) async fn clamp_due(&mut self, latest: Timestamp) -> Result<u64, StoreError> {
        let clamped = self.store.clamp_due(self.state.run().id, latest).await?;
        self.state.tasks_mut().waiting.clamp(latest);
        Ok(clamped)
    }

    /// Notes how the push ended.
    pub(crate) async fn end(&mut self, state: RunState, now: Timestamp) -> Result<(), StoreError> {
        self.store.end_push(self.state.run(), state, now).await
    }

    /// Notes that the push ends because somebody pauses the run.
    pub(crate) async fn pause(&mut self, control: &Control) -> Result<(), StoreError> {
        self.store.pause_push(self.state.run(), control).await
    }

    /// Notes that the push ends because somebody cancels the run, and ends its tasks as [`cancel`](Self::cancel) does.
    pub(crate) async fn end_cancelled(
        &mut self,
        control: &Control,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.store.leave_push().await?;
        self.cancel(control, now).await
    }

    /// Ends every pending task as skipped, but those of which any send is in doubt: they end in doubt, since nobody knows whether they
    /// were acted on, and skipped would say that they were not. Gives how many ended. Claims without an end must have been recorded before.
    pub(crate) async fn cancel(
        &mut self,
        control: &Control,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.store.cancel(self.state.run(), control, now).await
    }

    /// How long a statement waits for another process that holds a write transaction.
    pub(crate) async fn wait_for_others(&mut self, timeout: Duration) -> Result<(), StoreError> {
        self.store.wait_for_others(timeout).await
    }

    /// The same as when the database was opened.
    pub(crate) async fn wait_as_usual(&mut self) -> Result<(), StoreError> {
        self.store.wait_as_usual().await
    }

    /// What somebody has taken away since the push began. Costs two calls of the system.
    pub(crate) fn missing(&self) -> Option<Missing> {
        self.store.missing()
    }

    /// For how long requests of the process that owned the database before may still be under way, when none takes longer than this.
    pub(crate) fn others_are_under_way_for(&self, request_timeout: Duration) -> Duration {
        self.store
            .free_for()
            .map_or(Duration::ZERO, |free| request_timeout.saturating_sub(free))
    }

    /// Who sends to the run's platform with its account at present.
    pub(crate) fn sharing(&self) -> Sharing {
        match self.state.whole() {
            Some(whole) => whole.sharing,
            None => self.store.sharing(),
        }
    }

    /// Whether a request may leave that is claimed here.
    pub(crate) fn permission(&self) -> Permission {
        self.store.permission()
    }

    /// How long an answer of the database is waited for before its connection counts as lost; `None`: as long as it takes.
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.store.patience()
    }

    /// This push's part of what the run's platform was last found to take; `None` when it has refused nothing.
    pub(crate) async fn found_rate(&mut self) -> Result<Option<KeptRate>, StoreError> {
        let base_url = &self.state.run().about.base_url;
        let kept = self.store.found_rate(base_url).await?;
        Ok(kept.map(|kept| KeptRate {
            rate: kept.rate / self.sharing().pushes as f64,
            ..kept
        }))
    }

    /// The pace of the push that finds what the platform takes, as of the last claim, for those who share its account.
    pub(crate) fn followed(&self) -> Option<Lead> {
        self.state.others().gate.lead
    }

    /// Has the others know this push's pace with the next exchange.
    pub(crate) fn lead(&mut self, lead: Option<Lead>) {
        self.state.others_mut().lead.set(lead);
    }

    /// Tasks that were left to younger runs are due again, for the next push. A reply to what others send takes so long at most.
    pub(crate) async fn take_back(
        &mut self,
        reply_time: Duration,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.state.others_mut().reply_time = reply_time;
        self.store.take_back(self.state.run().id, now).await?;
        self.state.tasks_mut().waiting.changed();
        Ok(())
    }

    /// What is left to younger runs, for a person.
    pub(crate) fn left_to_younger(&self) -> Option<String> {
        self.state.others().left()
    }

    /// Notes the requests a second that the run's platform takes, or that nothing is known of a limit. The push has found its own part of it.
    pub(crate) async fn keep_rate(
        &mut self,
        rate: Option<(f64, Duration)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let pushes = self.sharing().pushes as f64;
        let rate = rate.map(|(rate, span)| (rate * pushes, span));
        let base_url = &self.state.run().about.base_url;
        self.store.keep_rate(base_url, rate, now).await
    }

    /// The claims that have no end: a process was ended between the claim and its record, so that nobody knows whether they were sent.
    pub(crate) async fn unfinished(&mut self) -> Result<Vec<RequestId>, StoreError> {
        self.store.unfinished(self.state.run().id).await
    }

    /// One of the claims that have no end, as it was made.
    pub(crate) async fn reopen(&mut self, request: RequestId) -> Result<Claim, StoreError> {
        let open = self.store.open_request(request).await?;
        Ok(Claim {
            request,
            payload_id: open.payload_id,
            payload: Arc::new(open.payload),
            bundle: open.bundle,
            bundle_status: self.state.bundles().bundle_status(open.bundle),
            members: open.members,
        })
    }

    /// Defers the tasks of devices that the platform has throttled, until their pauses end, and gives how many. They leave the first
    /// sends, since those go out in the order of their ids; nothing of the pause counts towards `--max-snooze`. Has to come before the
    /// first claim, and again when a canary has passed: until then `due` has nothing but the canary's tasks.
    pub(crate) async fn defer_throttled(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        let canary_is_open = self.state.tasks().canary.is_open();
        let first_sends = Some(self.state.next_task()).filter(|_| !canary_is_open);
        let deferred = self
            .store
            .defer_throttled(self.state.run(), first_sends, now)
            .await?;
        let tasks = self.state.tasks_mut();
        tasks.counts.snooze(deferred.first);
        tasks.waiting.found_latest(deferred.latest_due);
        Ok(deferred.first + deferred.due)
    }

    /// The run's canary, when it goes first now.
    pub(crate) fn canary(&self) -> Option<OpenCanary> {
        match self.state.tasks().canary {
            CanaryState::Open(open) => Some(open),
            CanaryState::None | CanaryState::Passed { .. } => None,
        }
    }

    /// Tasks accepted since the canary passed, or since the run began when it has none.
    pub(crate) fn accepted_after_canary(&self) -> u64 {
        let accepted = match self.state.whole() {
            Some(whole) => {
                let accepted = whole
                    .tally
                    .iter()
                    .filter(|(key, _)| key.state == TaskState::Accepted);
                accepted.map(|(_, tasks)| tasks).sum()
            }
            None => self.counts().accepted,
        };
        self.state.tasks().canary.accepted_since(accepted)
    }

    /// Whether the run has no canary, and nothing of it has ever been claimed, or opened again after its end.
    pub(crate) async fn may_choose_canary(&mut self) -> Result<bool, StoreError> {
        let run = self.state.run();
        Ok(matches!(self.state.tasks().canary, CanaryState::None)
            && self.state.next_task() == run.first_task
            && !self.store.has_due(run).await?)
    }

    /// Chooses a canary of this size, when the run has none and nothing of it has been claimed. The same seed chooses the same devices.
    pub(crate) async fn choose_canary(
        &mut self,
        asked: CanaryAsked<'_>,
        seed: u64,
        now: Timestamp,
    ) -> Result<Choice, StoreError> {
        match self.state.tasks().canary {
            CanaryState::Passed { .. } => return Ok(Choice::None),
            CanaryState::Open(mut open) => {
                if asked.pause && !open.pause {
                    self.store.pause_canary(self.state.run()).await?;
                    open.pause = true;
                }
                open.is_unproved = self.ask_for_proof(asked.proof).await?;
                self.state.tasks_mut().canary = CanaryState::Open(open);
                return Ok(Choice::Open(open));
            }
            CanaryState::None => {}
        }
        if asked.canary == Canary::None && asked.devices.is_none() {
            return Ok(Choice::None);
        }
        if !self.may_choose_canary().await? {
            return Ok(Choice::TooLate);
        }
        let run = self.state.run();
        let followers = self.store.followers(run).await?;
        let devices = canary::devices(run.tasks, self.tally().into_iter(), followers);
        let size = match asked.devices {
            Some(named) => Some(self.store.first_sends_of(run, named).await?)
                .filter(|named| (1..devices).contains(named)),
            None => canary::size(asked.canary, devices),
        };
        let Some(wanted) = size else {
            return Ok(Choice::WholeFleet { devices });
        };
        let canary = NewCanary {
            asked: Some(asked.canary).filter(|_| asked.devices.is_none()),
            devices: wanted,
            pause: asked.pause,
            seed,
        };
        self.store
            .choose_canary(run, canary, asked.devices, now)
            .await?;
        let open = OpenCanary {
            devices: wanted,
            left: wanted,
            pause: asked.pause,
            is_unproved: self.ask_for_proof(asked.proof).await?,
        };
        let tasks = self.state.tasks_mut();
        tasks.canary = CanaryState::Open(open);
        tasks.waiting.changed();
        Ok(Choice::Chosen(open))
    }

    /// The store, for a moment in which nothing is sent.
    pub(crate) fn store_and_run(&mut self) -> (&mut Store, Run) {
        let run = self.state.run().clone();
        (self.store, run)
    }

    /// What the canary's devices have to prove, if the run has a canary.
    pub(crate) async fn canary_proof(&mut self) -> Result<Option<CanaryProof>, StoreError> {
        self.store.canary_proof(self.state.run()).await
    }

    /// Notes that the canary's devices have proved what they have to. [`choose_canary`](Self::choose_canary) finds it when the push goes on.
    pub(crate) async fn canary_is_proved(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.store.canary_is_proved(self.state.run(), now).await
    }

    /// Notes that the command of the canary has decided for it, in the same way.
    pub(crate) async fn canary_is_checked(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.store.canary_is_checked(self.state.run(), now).await
    }

    /// Notes what this push asks the canary's devices to prove; gives whether they have not proved it yet.
    async fn ask_for_proof(&mut self, asked: &ProofAsked) -> Result<bool, StoreError> {
        let run = self.state.run();
        let before = self.store.canary_proof(run).await?.unwrap_or_default();
        let proof = before.asked(asked);
        if proof != before {
            self.store.set_canary_proof(run, &proof).await?;
        }
        Ok(proof.is_open())
    }

    /// Notes how the canary was judged: from now on the other devices go.
    pub(crate) async fn end_canary(
        &mut self,
        verdict: CanaryVerdict,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let accepted = self.counts().accepted;
        let run = self.state.run();
        self.store.end_canary(run, verdict, accepted, now).await?;
        self.state.tasks_mut().canary = CanaryState::Passed { accepted };
        Ok(())
    }
}
