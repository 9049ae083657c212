//! The writer: the one task that owns the journal. It turns reports into records, records into commits, and commits into claims.
//!
//! [`Writer::event_loop`] has the order of things: handle one [`Wakeup`], do what has become due, wait for the next. Each kind of state has
//! its own type: what has come in ([`Wakeups`]), what is claimed and can be claimed ([`Claims`]), what requests say about the platform, the
//! pace and the thresholds ([`Judge`]), the [`Rollout`], the end ([`StopState`]), the [`Senders`], and the events to emit ([`EventSink`]).
//! None of them changes another one. Where one reads another one, the writer lends it: claims depend on what the judge knows of pace and
//! outage, and the end depends on what is outstanding.

use tokio::time::Instant;

use self::{
    claims::Claims,
    event_sink::EventSink,
    judge::{Effect, Judge},
    locked::Waits,
    senders::Senders,
    stop::StopState,
    wakeups::{Wait, Wakeup, Wakeups},
};
use super::{
    Context, Event, Options, Pause, Pushed, Stop,
    pace::FoundRate,
    rollout::{Advance, Rollout},
    sender::{Gate, SenderReport},
};
use crate::{
    clock::Clock,
    gateway::{Gateway, SendReport},
    journal::{ClaimLimits, Journal, Record, outage::OutageChange},
    model::{RequestId, Timestamp},
    policy::Sample,
    store::{KeptRate, StoreError},
    throttle::Ticket,
};

mod backlog;
mod came_back;
mod claims;
mod event_sink;
mod judge;
mod locked;
mod outstanding;
mod platform;
mod senders;
mod stop;
mod stops;
mod thresholds;
mod told;
mod wakeups;

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

struct Writer<'j, 's> {
    journal: &'j mut Journal<'s>,
    options: &'j Options,
    clock: Clock,
    wakeups: Wakeups,
    events: EventSink,
    senders: Senders,
    claims: Claims,
    judge: Judge,
    rollout: Rollout,
    stop: StopState,
    wait: Waits,
}

impl<'j, 's> Writer<'j, 's> {
    fn new<G: Gateway>(
        journal: &'j mut Journal<'s>,
        options: &'j Options,
        found: Option<KeptRate>,
        context: Context<G>,
    ) -> Self {
        let Context {
            gateway,
            clock,
            random,
            events,
            stop,
            leave,
            control,
            deadline,
        } = context;
        let rollout = Rollout::new(options, journal);
        let first_step = rollout.first_step(journal).map(Event::Rollout);
        let mut judge = Judge::new(options, journal, found, random, clock.now());
        judge.pace.set_ceiling(rollout.ceiling());
        let mut events = EventSink::new(events, first_step);
        events.push(judge.share(journal));
        let pacer = judge.pace.pacer();
        let patience = journal.patience();
        let (senders, reports) =
            Senders::spawn(gateway, pacer, journal.permission(), options.concurrency);
        Self {
            journal,
            options,
            clock,
            wakeups: Wakeups::new(clock, stop, leave, control, deadline, reports),
            events,
            senders,
            claims: Claims::new(options),
            judge,
            rollout,
            stop: StopState::new(options.drain_timeout),
            wait: Waits::new(options, patience),
        }
    }

    async fn run(mut self) -> Result<Pushed, StoreError> {
        let result = self.event_loop().await;
        // On an error too.
        self.senders.abort().await;
        let stop = result?;
        self.drain().await?;
        if let Some(missing) = self.stop.missing() {
            return Err(StoreError::Gone(missing));
        }
        self.persist_rate(true).await?;
        Ok(Pushed {
            stop,
            requests: self.judge.traffic.durations.count(),
            phase: self.rollout.phase(self.journal),
            found: self.judge.pace.found(),
        })
    }

    async fn event_loop(&mut self) -> Result<Stop, StoreError> {
        self.emit_progress();
        // A stop may have been asked for while the run was staged: it is heard before anything is claimed.
        let mut wait = Wait::No;
        if let Some(why) = self.rollout.stop(self.journal) {
            self.begin_stop(why);
        }
        loop {
            let wakeup = self.wakeups.next(wait).await;
            self.handle(wakeup).await;
            self.stop.look(Instant::now());
            self.give_up_if_due();
            self.exchange_if_due().await?;
            // What is not of a request, as the beginning of a stop, waits for no commit.
            self.events.flush();
            let pending = self.journal.counts().pending;
            if let Some(stop) = self.stop.ended(&self.claims.outstanding, pending) {
                return Ok(stop);
            }
            wait = self.wait();
        }
    }

    async fn handle(&mut self, wakeup: Wakeup) {
        match wakeup {
            Wakeup::Stop(why) => self.begin_stop(why),
            Wakeup::Leave => {
                self.begin_stop(Stop::Signal);
                self.stop.leave();
            }
            Wakeup::Reports(reports) => {
                let records: Vec<Record> = reports
                    .into_iter()
                    .filter_map(|report| self.take(report))
                    .collect();
                self.claims.came_back.add(records);
            }
            Wakeup::NoSenders => self.senders.join().await,
            Wakeup::Heartbeat => {
                self.stop_if_missing();
                self.emit_progress();
            }
            Wakeup::Due => {}
        }
    }

    /// How long to wait for the next wakeup.
    fn wait(&self) -> Wait {
        let now = self.clock.now();
        // With something left to claim the loop goes on at once, unless reports are needed to make room.
        if self.wanted(now, false) > 0 {
            return Wait::No;
        }
        let linger = self.waits_until();
        match [self.next_look(now), linger].into_iter().flatten().min() {
            Some(at) => Wait::Until(at),
            None => Wait::Forever,
        }
    }

    /// When to look again, if nothing wakes the writer before.
    fn next_look(&self, now: Timestamp) -> Option<Instant> {
        if let Some(look) = self.stop.next_look() {
            return Some(look);
        }
        [
            self.judge.platform.next_claim(&self.claims.backlog),
            self.judge.platform.give_up_at(),
            self.wakeups.deadline(),
        ]
        .into_iter()
        .flatten()
        .filter(|at| *at > now)
        .min()
        .map(|at| Instant::now() + now.until(at))
    }

    /// Until when what came back may wait for a claim to share its transaction.
    fn waits_until(&self) -> Option<Instant> {
        self.claims.waits_until(&self.judge, self.stop.has_begun())
    }

    /// How many requests to claim now; a claim that `rides` shares the transaction of what is recorded.
    fn wanted(&self, now: Timestamp, rides: bool) -> usize {
        if self.stop.has_begun() {
            return 0;
        }
        self.claims.wanted(&self.judge, now, rides)
    }

    /// Records and claims when there is something to claim, or when what came back has waited for long enough.
    async fn exchange_if_due(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let linger = self.waits_until();
        if linger.is_none_or(|end| end > Instant::now()) && self.wanted(now, false) == 0 {
            return Ok(());
        }
        let wanted = self.wanted(now, !self.claims.came_back.is_empty());
        self.exchange(wanted, now).await?;
        self.persist_rate(false).await
    }

    /// One transaction: what came back goes in, what is to be sent comes out.
    async fn exchange(&mut self, requests: usize, now: Timestamp) -> Result<(), StoreError> {
        // What came back is recorded all the same: it can be saved.
        self.stop_if_missing();
        self.events.push(self.judge.share(self.journal));
        let requests = self.stop.missing().map_or(requests, |_| 0);
        let limits = ClaimLimits {
            requests,
            chunk_size: self.options.chunk_size,
            probe: self.judge.platform.is_paused(),
            now,
        };
        let records = self.claims.came_back.take();
        let wait = self.wait.begin(&self.senders, &self.wakeups, &self.stop);
        let exchange = wait.until(self.journal.exchange(records, limits)).await?;
        self.claims.backlog.learn(&exchange, requests > 0);
        let excused = self.judge.thresholds.newly_excused();
        if !excused.is_empty() {
            let wait = self.wait.begin(&self.senders, &self.wakeups, &self.stop);
            wait.until(self.journal.excuse(&excused)).await?;
        }
        for claim in exchange.claims {
            let probe = self.judge.platform.handed_out(claim.request);
            self.senders.send(&claim, probe, self.wakeups.deadline());
            self.claims.outstanding.add(claim);
        }
        for finding in exchange.findings {
            self.events.push(Event::from(finding));
        }
        told::tell(exchange.told, exchange.trouble);
        self.emit_progress();
        self.events.flush();
        self.abort_if_crossed();
        self.advance_rollout(now).await?;
        self.stop_if_left();
        Ok(())
    }

    /// Records what came back while the senders were being stopped, and releases what none of them had begun.
    async fn drain(&mut self) -> Result<(), StoreError> {
        let reports = self.wakeups.take_reports();
        self.handle(Wakeup::Reports(reports)).await;
        let released = self.claims.outstanding.take_unsent().map(Record::released);
        self.claims.came_back.add(released);
        if self.claims.came_back.is_empty() {
            return Ok(());
        }
        self.exchange(0, self.clock.now()).await
    }

    /// Notes the rate that was found in the database; in the end (`all`) whatever has changed of it.
    async fn persist_rate(&mut self, all: bool) -> Result<(), StoreError> {
        match self.judge.pace.unkept(all) {
            Some(FoundRate { found }) => {
                let wait = self.wait.begin(&self.senders, &self.wakeups, &self.stop);
                let keep = self.journal.keep_rate(found, self.clock.now());
                wait.until(keep).await
            }
            None => Ok(()),
        }
    }

    /// Takes a report, and gives what is to be recorded of it.
    fn take(&mut self, report: SenderReport) -> Option<Record> {
        match report {
            SenderReport::Started(request) => {
                self.claims.outstanding.started(request);
                None
            }
            SenderReport::Returned(request) => {
                self.claims.backlog.request_ended();
                self.judge.platform.returned(request, self.clock.now());
                self.claims.outstanding.take(request).map(Record::released)
            }
            SenderReport::Done {
                request,
                ticket,
                started,
                send_report,
            } => {
                self.claims.backlog.request_ended();
                self.done(request, (ticket, started), &send_report)
            }
        }
    }

    /// Takes what became of a request, and gives what is to be recorded of it.
    fn done(
        &mut self,
        request: RequestId,
        sent: (Ticket, Instant),
        send_report: &SendReport,
    ) -> Option<Record> {
        let Some(claim) = self.claims.outstanding.take(request) else {
            self.judge.pace.silent(sent.0);
            return None;
        };
        let now = self.clock.now();
        let (end, effects) = self.judge.judge(&claim, sent, send_report, now);
        for effect in effects {
            match effect {
                Effect::Tell(event) => self.events.push(event),
                Effect::Stop(why) => self.begin_stop(why),
                Effect::Follow(change) => self.follow(change, now),
            }
        }
        Some(Record { claim, end })
    }

    /// Does what follows from a change of what is known of the platform.
    fn follow(&mut self, change: OutageChange, now: Timestamp) {
        match change {
            OutageChange::Paused { reason, probe_at } => {
                self.senders.set_gate(Gate::ProbesOnly);
                self.journal.pauses(reason.clone(), now);
                self.events.push(Event::Paused(Pause {
                    reason,
                    probe_at,
                    give_up_at: self.judge.platform.give_up_at().unwrap_or(now),
                }));
            }
            OutageChange::Resumed { after } => {
                self.senders.set_gate(Gate::Open);
                self.journal.goes_on(now);
                self.events.push(Event::answered(after));
            }
            OutageChange::Refused { reason } => self.begin_stop(Stop::Refused { reason }),
        }
    }

    /// Gets on with the rollout: ends the canary when all its devices have ended, and lets the rate rise.
    async fn advance_rollout(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let thresholds = &self.judge.thresholds;
        let crossed = |journal: &Journal<'_>| thresholds.crossed(journal, Sample::Canary);
        let wait = self.wait.begin(&self.senders, &self.wakeups, &self.stop);
        let (rollout, is_stopping) = (&mut self.rollout, self.stop.has_begun());
        let advance = rollout.advance(self.journal, is_stopping, crossed, now);
        let Advance {
            progress,
            steps,
            stop,
            opened,
            risen,
        } = wait.until(advance).await?;
        if let Some(step) = progress {
            self.events.emit(Event::Rollout(step));
        }
        if let Some(why) = stop {
            self.begin_stop(why);
        }
        if opened {
            self.claims.backlog.opened();
        }
        if risen {
            self.judge.pace.set_ceiling(self.rollout.ceiling());
        }
        for step in steps {
            self.events.push(Event::Rollout(step));
        }
        Ok(())
    }

    fn emit_progress(&self) {
        let (judge, size) = (&self.judge, self.options.chunk_size);
        self.events
            .emit_progress(self.journal, &judge.traffic, &judge.pace, size);
    }
}
