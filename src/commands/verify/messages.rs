//! The messages in the inbox: records what they prove about accepted commands, and waits for more.

use std::time::Duration;

use super::{Lent, Work, commands::short_of};
use crate::{
    commands::reading::inbox_reader,
    engine::{
        Acquaintance, FINAL, Stop, acquaintance, next_doubts, proofs_by_device, proofs_by_ticket,
    },
    exit::Failure,
    gateway::HistoryClient,
    model::{Delivery, RunState, TaskId},
    settings::Verification as Settings,
    store::{DeliveryCounts, InboxError, InboxPlace, InboxReader, Presence, Run, Store, TaskProof},
    ui::{
        number::{counted, duration},
        printer::Printer,
    },
};

/// Commands that are settled before the database is let go for a moment.
const PAGE: u32 = 5_000;
/// The same where each device is looked at by itself.
const PAGE_BY_DEVICE: u32 = 500;
/// Between two looks whether more messages have come.
const LOOK: Duration = Duration::from_millis(500);
/// A look at all commands takes seconds when there are a million: the rest between two is so many times as long.
const REST: u32 = 4;

/// The inbox of the database.
pub(super) struct Messages {
    pub(super) inbox: InboxReader,
    /// Up to which message the inbox has been settled for commands that have not come far enough.
    settled: i64,
    /// The same for all commands that have no final answer.
    settled_for_all: i64,
    /// Whether any message has had a ticket of the run.
    is_known: bool,
    /// What was said last of how the queue stands to the run.
    said: Option<Acquaintance>,
    /// Whether it has been said that messages are waited for …
    is_told: bool,
    /// … and that they are not.
    is_told_alone: bool,
}

impl Messages {
    /// Opens the inbox; `None` when nobody has listened yet. An inbox that cannot be read is warned of: the history tells the same.
    pub(super) async fn open(settings: &Settings, printer: &Printer) -> Option<Self> {
        match inbox_reader(&settings.database.place).await {
            Ok(inbox) => Some(Self {
                inbox,
                settled: 0,
                settled_for_all: 0,
                is_known: false,
                said: None,
                is_told: false,
                is_told_alone: false,
            }),
            Err(InboxError::Missing(place)) => {
                if let Some(queue) = &settings.queue {
                    printer.warn(&format!(
                        "no messages of the queue {queue} have been received: there is no inbox at {place}; only the history is used (fleetpush listen --queue {queue} receives them)"
                    ));
                }
                None
            }
            Err(error) => {
                printer.warn(&format!("{error}; only the history is used"));
                None
            }
        }
    }

    /// Says for which times since the run began messages are missing: only the history tells of those.
    async fn tell_gaps(&mut self, run: &Run, printer: &Printer) -> Result<(), Failure> {
        for gap in self.inbox.gaps().await? {
            if gap.to >= run.created_at {
                printer.say(&format!(
                    "messages of the queue {} from {} to {} may be missing; the history covers that time",
                    gap.queue,
                    gap.from.human(),
                    gap.to.human()
                ));
            }
        }
        Ok(())
    }

    /// Closes the inbox.
    pub(super) async fn close(self) -> Result<(), Failure> {
        Ok(self.inbox.close().await?)
    }

    /// Whether somebody receives messages, so that more may come.
    pub(super) async fn is_listened_to(&mut self) -> Result<bool, Failure> {
        Ok(self.inbox.listener().await? != Presence::Nobody)
    }
}

impl<H: HistoryClient> Work<'_, H> {
    /// Settles what the inbox has, and what comes until the time is over or all commands have one of these deliveries.
    pub(super) async fn settle_messages(
        &self,
        lent: &mut Lent<'_>,
        run: &Run,
        messages: &mut Messages,
        until: (Duration, &[Delivery]),
    ) -> Result<Option<Stop>, Failure> {
        let stop = self.wait_for_messages(lent, run, messages, until).await?;
        if stop.is_some() || self.settings.dry_run {
            return Ok(stop);
        }
        // What came meanwhile about commands that had come far enough.
        if messages.settled_for_all < messages.settled
            && self.pass(lent, run, messages, &FINAL).await?.is_none()
        {
            return Ok(Some(Stop::Signal));
        }
        self.note_settled(lent, run, messages).await
    }

    /// Notes how far the inbox is settled, for those who only read. A task in doubt may still get a ticket that an earlier message has, and
    /// so may one that has not ended.
    async fn note_settled(
        &self,
        lent: &mut Lent<'_>,
        run: &Run,
        messages: &mut Messages,
    ) -> Result<Option<Stop>, Failure> {
        let Some(place) = messages.inbox.place().await? else {
            return Ok(None);
        };
        let Some(mut store) = lent.take().await? else {
            return Ok(Some(Stop::Signal));
        };
        if run.state == RunState::Complete
            && next_doubts(&mut store, run, TaskId(0)).await?.is_empty()
        {
            let place = InboxPlace {
                position: messages.settled_for_all,
                ..place
            };
            store.note_settled(run, &place).await?;
        }
        lent.give_back(store).await?;
        Ok(None)
    }

    async fn wait_for_messages(
        &self,
        lent: &mut Lent<'_>,
        run: &Run,
        messages: &mut Messages,
        (wait, enough): (Duration, &[Delivery]),
    ) -> Result<Option<Stop>, Failure> {
        let reached = self.settings.level.reached();
        let until = self.clock.now().after(wait);
        let mut settled: &[Delivery] = &FINAL;
        if messages.settled == 0 {
            messages.tell_gaps(run, self.printer).await?;
        }
        loop {
            let began = self.clock.now();
            let Some((changed, counts)) = self.pass(lent, run, messages, settled).await? else {
                return Ok(Some(Stop::Signal));
            };
            tracing::debug!(changed, "the inbox has been settled");
            settled = reached;
            let short = short_of(&counts, enough);
            let now = self.clock.now();
            if short == 0 || now >= until || self.settings.dry_run {
                return Ok(None);
            }
            if !messages.is_listened_to().await? {
                if !std::mem::replace(&mut messages.is_told_alone, true) {
                    self.printer.say(&format!(
                    "not waiting for messages, because nothing receives them (fleetpush listen, or --queue); {} left for the history",
                    counted(short, "command")
                ));
                }
                return Ok(None);
            }
            if !std::mem::replace(&mut messages.is_told, true) {
                self.printer.say(&format!(
                    "waiting up to {} for messages about {}",
                    duration(wait),
                    counted(short, "accepted command")
                ));
            }
            let rest = LOOK.max(began.until(now) * REST).min(now.until(until));
            if self.interrupt.stopped_within(rest).await {
                return Ok(Some(Stop::Signal));
            }
            while messages.inbox.position().await? == messages.settled {
                if self.clock.now() >= until || !messages.is_listened_to().await? {
                    break;
                }
                if self.interrupt.stopped_within(LOOK).await {
                    return Ok(Some(Stop::Signal));
                }
            }
        }
    }

    /// Looks at all commands of the run whose delivery is none of `settled`. `None` when a signal has come meanwhile.
    async fn pass(
        &self,
        lent: &mut Lent<'_>,
        run: &Run,
        messages: &mut Messages,
        settled: &[Delivery],
    ) -> Result<Option<(u64, DeliveryCounts)>, Failure> {
        let position = messages.inbox.position().await?;
        let is_for_all = settled == FINAL;
        let before = if is_for_all {
            messages.settled_for_all
        } else {
            messages.settled
        };
        let mut changed = 0;
        if position > before {
            let mut after = TaskId(0);
            loop {
                let Some(mut store) = lent.take().await? else {
                    return Ok(None);
                };
                let sends = store.accepted_tickets(run, after, settled, PAGE).await?;
                let proofs = proofs_by_ticket(&mut messages.inbox, &sends).await?;
                messages.is_known |= !proofs.is_empty();
                changed += self.record(&mut store, run, proofs).await?;
                lent.give_back(store).await?;
                match sends.last() {
                    Some(last) => after = last.task,
                    None => break,
                }
                if self.interrupt.is_stopped() {
                    return Ok(None);
                }
            }
        }
        let Some(mut store) = lent.take().await? else {
            return Ok(None);
        };
        if position > before {
            changed += self.settle_earlier(&mut store, run, messages).await?;
        }
        if !messages.is_known && position > before {
            let stands = acquaintance(&mut store, run, &mut messages.inbox).await??;
            if messages.said.replace(stands) != Some(stands) {
                self.tell_acquaintance(stands);
            }
            if stands == Acquaintance::Strange {
                changed += self
                    .settle_by_device(&mut store, run, messages, settled)
                    .await?;
            }
        }
        messages.settled = position;
        if is_for_all {
            messages.settled_for_all = position;
        }
        let counts = store.delivery_counts(run).await?;
        lent.give_back(store).await?;
        Ok(Some((changed, counts)))
    }

    /// Settles the tickets of sends that were not the last of their task.
    async fn settle_earlier(
        &self,
        store: &mut Store,
        run: &Run,
        messages: &mut Messages,
    ) -> Result<u64, Failure> {
        let (mut after, mut changed) = ((TaskId(0), 0), 0);
        loop {
            let earlier = store.earlier_tickets(run, after, PAGE).await?;
            let Some(last) = earlier.last() else {
                return Ok(changed);
            };
            after = (last.task, last.attempt);
            let proofs = proofs_by_ticket(&mut messages.inbox, &earlier).await?;
            messages.is_known |= !proofs.is_empty();
            changed += self.record(store, run, proofs).await?;
        }
    }

    /// Settles by device and time.
    async fn settle_by_device(
        &self,
        store: &mut Store,
        run: &Run,
        messages: &mut Messages,
        settled: &[Delivery],
    ) -> Result<u64, Failure> {
        let (mut after, mut changed) = (TaskId(0), 0);
        loop {
            let commands = store
                .accepted_commands(run, after, settled, PAGE_BY_DEVICE)
                .await?;
            let Some(last) = commands.last() else {
                return Ok(changed);
            };
            after = last.task;
            let tolerance = self.settings.tolerance;
            let inbox = &mut messages.inbox;
            let proofs = proofs_by_device(store, inbox, run, &commands, tolerance).await??;
            changed += self.record(store, run, proofs).await?;
            if self.interrupt.is_stopped() {
                return Ok(changed);
            }
        }
    }

    async fn record(
        &self,
        store: &mut Store,
        run: &Run,
        mut proofs: Vec<TaskProof>,
    ) -> Result<u64, Failure> {
        if self.settings.dry_run || proofs.is_empty() {
            return Ok(0);
        }
        for one in &mut proofs {
            self.judge(&mut one.proof);
        }
        let now = self.clock.now();
        Ok(store
            .settle_deliveries(run, proofs, now, self.fold())
            .await?)
    }

    fn tell_acquaintance(&self, stands: Acquaintance) {
        match stands {
            Acquaintance::NoMessages | Acquaintance::Known => {}
            Acquaintance::Strange => self.printer.warn(
                "no ticket in the messages of the queue belongs to these runs: messages are matched by device and time instead, if exactly one \
                 command fits (evidence: device)",
            ),
            Acquaintance::OtherDevices => self.printer.warn(
                "none of the latest messages of the queue is about a device of these runs: check the queue's subscription (docs/delivery.md)",
            ),
        }
    }
}
