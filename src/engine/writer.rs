//! The writer: the one task that owns the journal. It turns reports into records, records into commits, and commits into claims.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use rand::rngs::SmallRng;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};
use tracing::warn;

use super::{
    Context, Event, Options, Pushed, Stop, Traffic,
    feeder::{linger, room},
    pace::{FoundRate, Pace},
    rollout::Rollout,
    sender::{self, Gate, Job, Report},
};
use crate::{
    clock::Clock,
    gateway::{Gateway, Outgoing},
    journal::{
        Claim, ClaimLimits, Exchange, Finding, Journal, Record, RequestEnd, Strays,
        excuse::Excused, outage::OutageTracker, suspect::Others,
    },
    model::{Control, Deadline, PayloadId, RequestId, Timestamp},
    store::{KeptRate, Missing, StoreError, Tally},
};

mod events;
mod judge;
mod locked;
mod signal;
mod stop;
mod thresholds;

/// Claims, hands out and records until the run is complete or something stops it.
///
/// It begins at the rate that was `found` before. What is still under way then is left without an end, as after a crash.
pub(super) async fn write<G: Gateway>(
    journal: &mut Journal<'_>,
    options: &Options,
    found: Option<KeptRate>,
    context: Context<G>,
) -> Result<Pushed, StoreError> {
    Writer::new(journal, options, found, context).run().await
}

/// How often the counts are told when nothing happens: to whoever watches, a sign that the engine is alive.
const HEARTBEAT: Duration = Duration::from_secs(1);

struct Writer<'j, 's> {
    journal: &'j mut Journal<'s>,
    options: &'j Options,
    clock: Clock,
    random: SmallRng,
    events: mpsc::Sender<Event>,
    /// What has been learnt and is told after the next commit.
    pending_events: Vec<Event>,
    stop: watch::Receiver<bool>,
    leave: watch::Receiver<bool>,
    control: watch::Receiver<Option<Control>>,
    deadline: Option<Deadline>,
    pace: Pace,
    gate: watch::Sender<Gate>,
    jobs: mpsc::Sender<Job>,
    reports: mpsc::Receiver<Report>,
    /// Ends with the writer, whatever ends that.
    senders: JoinSet<()>,
    /// Claims of which nothing can have reached the platform.
    waiting: HashMap<RequestId, Claim>,
    /// Claims that may have reached the platform, and have not been reported back.
    under_way: HashMap<RequestId, Claim>,
    outage: OutageTracker,
    /// What the payloads are that an outage has been met with, for a person.
    tried: BTreeMap<PayloadId, String>,
    others: Others,
    rollout: Rollout,
    /// What has ended and counts towards no threshold.
    excused: Excused<Tally>,
    stopping: Option<stop::Stopping>,
    /// What somebody has taken away from under the push.
    missing: Option<Missing>,
    /// Whether there may be something to claim right now.
    more: bool,
    /// Whether it has to wait until a request is done.
    full: bool,
    next_due: Option<Timestamp>,
    traffic: Traffic,
    strays: Strays,
}

impl<'j, 's> Writer<'j, 's> {
    fn new<G: Gateway>(
        journal: &'j mut Journal<'s>,
        options: &'j Options,
        found: Option<KeptRate>,
        context: Context<G>,
    ) -> Self {
        let rollout = Rollout::new(options, journal);
        let first_step = rollout.first_step(journal).map(Event::Rollout);
        let pace = Pace::new(
            options.ceilings,
            options.concurrency,
            found,
            context.clock.now(),
        );
        pace.set_ceiling(rollout.ceiling());
        // Claims are made only as long as there is a place here for each, so that the writer never waits for a sender that waits for it.
        let places = 2 * options.concurrency;
        let (jobs, jobs_out) = mpsc::channel(places);
        // Each of them is reported at most twice.
        let (reports_in, reports) = mpsc::channel(2 * places);
        let (gate, gate_out) = watch::channel(Gate::Open);
        let mut senders = JoinSet::new();
        senders.spawn(sender::run(
            context.gateway,
            pace.pacer(),
            jobs_out,
            gate_out,
            reports_in,
            options.concurrency,
        ));
        let forgiven = if options.override_abort {
            journal.tally().collect()
        } else {
            journal.excused().clone()
        };
        Self {
            journal,
            options,
            clock: context.clock,
            random: context.random,
            events: context.events,
            pending_events: first_step.into_iter().collect(),
            stop: context.stop,
            leave: context.leave,
            control: context.control,
            deadline: context.deadline,
            pace,
            gate,
            jobs,
            reports,
            senders,
            waiting: HashMap::new(),
            under_way: HashMap::new(),
            outage: OutageTracker::new(options.max_outage, options.concurrency),
            tried: BTreeMap::new(),
            others: Others::default(),
            rollout,
            excused: Excused::new(forgiven),
            stopping: None,
            missing: None,
            more: true,
            full: false,
            next_due: None,
            traffic: Traffic::default(),
            strays: Strays::default(),
        }
    }

    async fn run(mut self) -> Result<Pushed, StoreError> {
        let result = self.event_loop().await;
        // On an error too: nothing more is sent than what is on its way.
        self.senders.abort_all();
        self.join_senders().await;
        let stop = result?;
        self.drain().await?;
        if let Some(missing) = self.missing {
            return Err(StoreError::Gone(missing));
        }
        self.persist_rate(true).await?;
        Ok(Pushed {
            stop,
            requests: self.traffic.durations.count(),
            phase: self.rollout.phase(self.journal),
            found: self.pace.found(),
        })
    }

    async fn event_loop(&mut self) -> Result<Stop, StoreError> {
        let mut records = Vec::new();
        // When the first of the records came.
        let mut since = None;
        let mut reports = Vec::new();
        let (mut stop, mut leave) = (self.stop.clone(), self.leave.clone());
        let mut control = self.control.clone();
        self.emit_progress();
        loop {
            // Before anything is claimed: the signal may have come while the run was staged.
            self.stop_if_due();
            let now = self.clock.now();
            let linger = since.map(|since| since + self.linger());
            if linger.is_some_and(|end| end <= Instant::now()) || self.wanted(now, false) > 0 {
                let wanted = self.wanted(now, !records.is_empty());
                self.exchange(std::mem::take(&mut records), wanted, now)
                    .await?;
                since = None;
                self.persist_rate(false).await?;
            }
            // What is not of a request, as the beginning of a stop, waits for no commit.
            self.flush_events();
            if let Some(stop) = self.ended() {
                return Ok(stop);
            }
            // With something left to claim the loop goes on at once, unless reports are needed to make room.
            let now = self.clock.now();
            if self.wanted(now, false) > 0 {
                while let Ok(report) = self.reports.try_recv() {
                    reports.push(report);
                }
            } else {
                let wake = [self.wake(now), linger].into_iter().flatten().min();
                tokio::select! {
                    received = self.reports.recv_many(&mut reports, 1024) => {
                        if received == 0 {
                            self.join_senders().await;
                        }
                    }
                    () = sleep_until(wake) => {}
                    () = tokio::time::sleep(HEARTBEAT) => {
                        self.stop_if_missing();
                        self.emit_progress();
                    }
                    Ok(_) = stop.wait_for(|stop| *stop), if self.stopping.is_none() => {}
                    Ok(()) = control.changed() => {}
                    Ok(_) = leave.wait_for(|leave| *leave) => {}
                }
            }
            for report in reports.drain(..) {
                records.extend(self.take(report));
            }
            if !records.is_empty() {
                since.get_or_insert_with(Instant::now);
            }
        }
    }

    /// How long what came back may wait for a claim to share its transaction.
    fn linger(&self) -> Duration {
        if self.stopping.is_some() || self.outage.is_paused() {
            return Duration::ZERO;
        }
        linger(
            self.pace.rate(self.options.chunk_size),
            self.waiting.len() + self.under_way.len(),
        )
    }

    /// Waits for the end of the senders. A panic of theirs is carried on, since without them a push would wait for ever.
    async fn join_senders(&mut self) {
        if let Some(Err(error)) = self.senders.join_next().await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }

    fn has_some_to_send(&self, now: Timestamp) -> bool {
        self.more || self.next_due.is_some_and(|due| due <= now)
    }

    /// How many requests to claim now; a claim that `rides` shares the transaction of what is recorded.
    fn wanted(&self, now: Timestamp, rides: bool) -> usize {
        if self.stopping.is_some() || !self.has_some_to_send(now) || self.full {
            0
        } else if self.outage.is_paused() {
            usize::from(self.outage.wants_probe(now) && self.waiting.is_empty())
        } else {
            let room = room(
                self.options.concurrency,
                self.pace.rate(self.options.chunk_size),
                self.waiting.len(),
                self.waiting.len() + self.under_way.len(),
                rides,
            );
            match self.outage.allowed() {
                Some((after, allowed)) => {
                    let out = self.waiting.keys().chain(self.under_way.keys());
                    let recent = out.filter(|request| **request > after).count();
                    room.min(allowed.saturating_sub(recent))
                }
                None => room,
            }
        }
    }

    /// When to look again, if no report comes before.
    fn wake(&self, now: Timestamp) -> Option<Instant> {
        let later = |at: Timestamp| Instant::now() + now.until(at);
        let deadline = self
            .stopping
            .as_ref()
            .map(|stopping| stopping.drain.next_look());
        if deadline.is_some() {
            return deadline;
        }
        let next_claim = match self.outage.next_probe() {
            Some(probe) => Some(probe.max(self.next_due.filter(|_| !self.more).unwrap_or(probe))),
            None => self.next_due.filter(|due| *due > now),
        };
        let give_up = self.outage.give_up_at();
        let end = self.deadline.as_ref().map(|deadline| deadline.at);
        [
            next_claim.filter(|at| *at > now),
            give_up.filter(|at| *at > now),
            end.filter(|at| *at > now),
        ]
        .into_iter()
        .flatten()
        .min()
        .map(later)
    }

    /// One transaction: what came back goes in, what is to be sent comes out.
    async fn exchange(
        &mut self,
        records: Vec<Record>,
        requests: usize,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // What came back is recorded all the same: it can be saved.
        self.stop_if_missing();
        let requests = if self.missing.is_some() { 0 } else { requests };
        let limits = ClaimLimits {
            requests,
            chunk_size: self.options.chunk_size,
            probe: self.outage.is_paused(),
            now,
        };
        let Exchange {
            claims,
            more,
            full,
            next_due,
            findings,
        } = locked::LockWait {
            gate: &self.gate,
            stop: self.stop.clone(),
            deadline: self
                .stopping
                .as_ref()
                .map(|_| Instant::now() + self.options.drain_timeout),
            drain_timeout: self.options.drain_timeout,
        }
        .until(self.journal.exchange(records, limits))
        .await?;
        if requests > 0 {
            self.more = more;
            self.full = full;
        }
        self.next_due = next_due;
        let excused = self.excused.take_pending();
        if !excused.is_empty() {
            self.journal.excuse(&excused).await?;
        }
        for claim in claims {
            self.dispatch(claim);
        }
        for finding in findings {
            let event = match finding {
                Finding::ChunkLimit(devices) => Event::ChunkSizeLowered { devices },
                Finding::Ended { code, what } => Event::PayloadEnded { code, what },
            };
            self.pending_events.push(event);
        }
        self.emit_progress();
        self.flush_events();
        self.abort_if_crossed();
        self.advance_rollout(now).await
    }

    /// Notes the rate that was found in the database; in the end (`all`) whatever has changed of it.
    async fn persist_rate(&mut self, all: bool) -> Result<(), StoreError> {
        match self.pace.unkept(all) {
            Some(FoundRate { found }) => self.journal.keep_rate(found, self.clock.now()).await,
            None => Ok(()),
        }
    }

    fn dispatch(&mut self, claim: Claim) {
        let probe = self.outage.is_paused();
        self.outage.handed_out(claim.request);
        let job = Job {
            request: claim.request,
            outgoing: Outgoing {
                payload: Arc::clone(&claim.payload),
                devices: claim
                    .members
                    .iter()
                    .map(|member| Arc::clone(&member.device_key))
                    .collect(),
                suspect: claim.bundle_status.suspect,
                not_after: self.deadline.as_ref().map(|deadline| deadline.at),
            },
            probe,
        };
        self.waiting.insert(claim.request, claim);
        // There is a place for every claim; that the senders are gone is noticed when their reports are waited for.
        if let Err(error) = self.jobs.try_send(job) {
            warn!(%error, "a claimed request could not be handed to a sender");
        }
    }

    /// Takes a report, and gives what is to be recorded of it.
    fn take(&mut self, report: Report) -> Option<Record> {
        match report {
            Report::Started(request) => {
                let claim = self.waiting.remove(&request)?;
                self.under_way.insert(request, claim);
                None
            }
            Report::Returned(request) => {
                self.full = false;
                self.outage.silent(request, self.clock.now());
                let claim = self
                    .waiting
                    .remove(&request)
                    .or_else(|| self.under_way.remove(&request))?;
                Some(Record {
                    claim,
                    end: RequestEnd::Released,
                })
            }
            Report::Done {
                request,
                ticket,
                started,
                send_report,
            } => {
                self.full = false;
                self.done(request, (ticket, started), &send_report)
            }
        }
    }

    fn set_gate(&self, gate: Gate) {
        // A stop has the last word.
        if self.stopping.is_none() || gate == Gate::Closed {
            self.gate.send_replace(gate);
        }
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
