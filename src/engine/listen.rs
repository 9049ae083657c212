//! Listens to a queue: receives its messages, and acknowledges them when they are on the disk.
//!
//! If the connection is lost, it connects again with a new login. Messages that were not acknowledged are delivered again, and the inbox
//! ignores those that it has already.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval, sleep},
};

use crate::{
    clock::Clock,
    gateway::{Backlog, Broker, BrokerError, Subscription, read_message},
    journal::message_gap::{is_full, message_gap},
    model::{MessageGap, QueueMessage, Timestamp},
    policy,
    store::{Inbox, InboxError},
};

/// Messages in one transaction.
const BATCH: usize = 1000;
/// Bytes in one transaction, about.
const BATCH_BYTES: usize = 16 << 20;
/// How often a listener shows that it is alive.
const BEAT: Duration = Duration::from_secs(1);
/// Beats between two notes of until when somebody has listened.
const NOTE_EVERY: u64 = 10;
/// Beats between two questions who else consumes the queue.
const COUNT_EVERY: u64 = 60;
/// Beats between two looks for messages to be deleted.
const PRUNE_EVERY: u64 = 600;
/// How soon a connection that has brought something is made again: the platform cuts them at each release.
const SOON: Duration = Duration::from_millis(200);
/// Refused logins in a row that are believed.
const REFUSALS: u32 = 2;
/// Types of messages that are named when they first come.
const NAMED_TYPES: usize = 20;

/// What to listen to.
#[derive(Debug, Clone)]
pub(crate) struct ListenOptions {
    pub(crate) queue: String,
    /// How long messages are kept.
    pub(crate) keep: Duration,
}

/// What a listener has taken in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ListenTotals {
    /// Messages that were acknowledged.
    pub(crate) messages: u64,
    /// Those about commands that were new.
    pub(crate) recorded: u64,
    /// Those about commands that were there already.
    pub(crate) repeated: u64,
    /// Those that are counted and not kept.
    pub(crate) others: u64,
    /// Connections that were made.
    pub(crate) connections: u64,
}

/// What happens to a listener.
#[derive(Debug, Clone)]
pub(crate) enum ListenEvent {
    /// The queue is consumed; so many messages wait there, if that is known.
    Listening {
        /// Messages that wait.
        waiting: Option<u64>,
        bytes: Option<u64>,
    },
    /// The connection is gone, and will be made again.
    Disconnected {
        /// Why.
        reason: String,
    },
    /// Something is not as it should be. Told once.
    Warning(String),
    /// How far it has come: every second, and so a sign of life.
    Progress(ListenTotals),
}

/// Why a listener has ended.
#[derive(Debug)]
pub(crate) enum ListenEnd {
    /// Somebody asked for it.
    Stopped,
    /// The broker does not let us.
    Refused(BrokerError),
    /// The broker was out of reach at the start.
    Unreachable(BrokerError),
    /// The inbox could not be written. Nothing that is not in it was acknowledged.
    Inbox(InboxError),
}

/// Listens until a stop is asked for, or cannot go on. `backlog` asks the platform what waits in the queue, if it says so.
pub(crate) async fn listen(
    broker: &Broker,
    inbox: &mut Inbox,
    options: &ListenOptions,
    backlog: impl AsyncFn() -> Option<Backlog>,
    clock: &Clock,
    stop: watch::Receiver<bool>,
    events: mpsc::Sender<ListenEvent>,
) -> ListenEnd {
    let mut listener = Listener {
        inbox,
        options,
        clock,
        stop,
        events,
        totals: ListenTotals::default(),
        named: BTreeSet::new(),
        is_shared_told: false,
        full_since: None,
        is_full_told: false,
        is_prune_due: false,
    };
    let mut failed = 0;
    let mut refusals = 0;
    loop {
        let subscribed = tokio::select! {
            biased;
            () = stopped(&listener.stop) => return ListenEnd::Stopped,
            subscribed = broker.subscribe(&options.queue) => subscribed,
        };
        let error = match subscribed {
            Ok(subscription) => {
                refusals = 0;
                let before = listener.totals.messages;
                match listener.follow(subscription, &backlog).await {
                    Ok(reason) => listener.tell(ListenEvent::Disconnected { reason }),
                    Err(end) => return end,
                }
                if listener.totals.messages > before {
                    failed = 0;
                    if listener.pause(SOON).await {
                        return ListenEnd::Stopped;
                    }
                    continue;
                }
                None
            }
            Err(error) => Some(error),
        };
        if let Some(error) = error {
            if matches!(error, BrokerError::Login { .. }) {
                // A broker that is going down ends connections in the middle of a login, too.
                refusals += 1;
                if refusals >= REFUSALS {
                    return ListenEnd::Refused(error);
                }
            } else if error.is_refusal() {
                return ListenEnd::Refused(error);
            } else if listener.totals.connections == 0 {
                return ListenEnd::Unreachable(error);
            } else if failed == 0 {
                let reason = error.to_string();
                listener.tell(ListenEvent::Disconnected { reason });
            }
        }
        if listener.pause(policy::probe_delay(failed, None)).await {
            return ListenEnd::Stopped;
        }
        failed += 1;
    }
}

struct Listener<'a> {
    inbox: &'a mut Inbox,
    options: &'a ListenOptions,
    clock: &'a Clock,
    stop: watch::Receiver<bool>,
    events: mpsc::Sender<ListenEvent>,
    totals: ListenTotals,
    /// The types that have been named.
    named: BTreeSet<String>,
    is_shared_told: bool,
    /// Since when messages are in doubt because the queue was full at each connection.
    full_since: Option<Timestamp>,
    is_full_told: bool,
    /// Whether a piece of what is to be deleted may be left.
    is_prune_due: bool,
}

impl Listener<'_> {
    /// Takes in what comes over one connection, until that is lost; gives the reason.
    async fn follow(
        &mut self,
        mut subscription: Subscription,
        backlog: &impl AsyncFn() -> Option<Backlog>,
    ) -> Result<String, ListenEnd> {
        self.begin(&subscription, backlog)
            .await
            .map_err(ListenEnd::Inbox)?;
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut beat = 0;
        loop {
            let batch = tokio::select! {
                biased;
                () = stopped(&self.stop) => {
                    subscription.close().await;
                    self.tell(ListenEvent::Progress(self.totals));
                    return Err(ListenEnd::Stopped);
                }
                _ = beats.tick() => None,
                batch = subscription.batch(BATCH, BATCH_BYTES) => Some(batch),
            };
            let kept = match batch {
                None => {
                    beat += 1;
                    self.beat(beat, &subscription).await
                }
                Some(None) => return Ok(subscription.end_reason()),
                Some(Some(batch)) => {
                    let messages: Vec<QueueMessage> = batch
                        .iter()
                        .map(|delivery| read_message(&delivery.body))
                        .collect();
                    let kept = self.record(&messages).await;
                    let last = batch.last().map(|delivery| delivery.tag);
                    if let (Ok(()), Some(tag)) = (&kept, last) {
                        // An acknowledgement that is lost has the messages come again.
                        subscription.acknowledge(tag).await;
                    }
                    kept
                }
            };
            if let Err(error) = kept {
                subscription.close().await;
                return Err(ListenEnd::Inbox(error));
            }
        }
    }

    /// Says how the queue stands, and notes what is missing.
    async fn begin(
        &mut self,
        subscription: &Subscription,
        backlog: &impl AsyncFn() -> Option<Backlog>,
    ) -> Result<(), InboxError> {
        self.totals.connections += 1;
        let queue_counts = subscription.queue_counts();
        let backlog = backlog().await.unwrap_or_default();
        let now = self.clock.now();
        self.note_gap(now, backlog.bytes.is_some_and(is_full))
            .await?;
        self.inbox.listened(&self.options.queue, now).await?;
        self.tell(ListenEvent::Listening {
            waiting: backlog
                .messages
                .or(queue_counts.map(|queue_counts| u64::from(queue_counts.waiting))),
            bytes: backlog.bytes,
        });
        if queue_counts.is_some_and(|queue_counts| queue_counts.consumers > 0) {
            self.tell_shared();
        }
        Ok(())
    }

    /// Notes of which time messages may be missing, and says it; of a queue that stays full once.
    async fn note_gap(&mut self, now: Timestamp, is_full: bool) -> Result<(), InboxError> {
        let queue = &self.options.queue;
        let until = self.inbox.listened_until(queue).await?;
        let gap = message_gap(queue, until, now, is_full);
        if !is_full {
            self.full_since = None;
        }
        let Some(mut gap) = gap else { return Ok(()) };
        if is_full {
            // What was full at the last connection and is at this one was so in between, for all that anybody knows.
            gap.from = self.full_since.unwrap_or(gap.from);
            self.full_since = Some(gap.from);
        }
        self.inbox.record_gap(&gap, now).await?;
        if !(is_full && self.is_full_told) {
            self.is_full_told |= is_full;
            self.tell(ListenEvent::Warning(gap_words(&gap, is_full)));
        }
        Ok(())
    }

    async fn beat(&mut self, beat: u64, subscription: &Subscription) -> Result<(), InboxError> {
        self.tell(ListenEvent::Progress(self.totals));
        let now = self.clock.now();
        if beat.is_multiple_of(NOTE_EVERY) {
            self.inbox.listened(&self.options.queue, now).await?;
        }
        if beat.is_multiple_of(COUNT_EVERY) && !self.is_shared_told {
            let queue_counts = subscription.count().await;
            if queue_counts.is_some_and(|queue_counts| queue_counts.consumers > 1) {
                self.tell_shared();
            }
        }
        self.prune(beat, now).await
    }

    /// Deletes a piece of what is old enough. What is left of it is for the next beat: messages wait meanwhile.
    async fn prune(&mut self, beat: u64, now: Timestamp) -> Result<(), InboxError> {
        if self.is_prune_due || beat % PRUNE_EVERY == 1 {
            let before = now.before(self.options.keep);
            self.is_prune_due = self.inbox.prune(before).await?;
        }
        Ok(())
    }

    /// Records messages; they may be acknowledged when this has returned.
    async fn record(&mut self, messages: &[QueueMessage]) -> Result<(), InboxError> {
        let now: Timestamp = self.clock.now();
        let recorded = self
            .inbox
            .record(&self.options.queue, messages, now)
            .await?;
        self.totals.messages += messages.len() as u64;
        self.totals.recorded += recorded.new;
        self.totals.repeated += recorded.repeated;
        for message in messages {
            if let QueueMessage::Other { kind, is_odd } = message {
                self.totals.others += 1;
                self.name(kind, *is_odd);
            }
        }
        Ok(())
    }

    /// Names a type of messages that are counted alone, when the first one comes.
    fn name(&mut self, kind: &str, is_odd: bool) {
        if self.named.contains(kind) || self.named.len() >= NAMED_TYPES {
            return;
        }
        self.named.insert(kind.to_owned());
        let words = if is_odd {
            format!(
                "a message is not as the platform documents it: {kind}; such messages are counted and acknowledged"
            )
        } else {
            format!(
                "messages of type {kind} are counted and not kept; to save their transfer, let the subscription have the msgTypes 1, 5 and 10 alone"
            )
        };
        self.tell(ListenEvent::Warning(words));
    }

    fn tell_shared(&mut self) {
        if !self.is_shared_told {
            self.is_shared_told = true;
            self.tell(ListenEvent::Warning(format!(
                "somebody else consumes the queue {} as well, and gets a part of its messages: end the other consumer, or make a queue of \
                 its own for each",
                self.options.queue
            )));
        }
    }

    /// Tells what happens; whoever does not keep up misses something.
    fn tell(&self, event: ListenEvent) {
        let _ = self.events.try_send(event);
    }

    /// Waits, and still shows that it is alive. True when somebody asks for a stop.
    async fn pause(&self, mut pause: Duration) -> bool {
        while !pause.is_zero() {
            let part = pause.min(BEAT);
            tokio::select! {
                biased;
                () = stopped(&self.stop) => return true,
                () = sleep(part) => {}
            }
            pause -= part;
            self.tell(ListenEvent::Progress(self.totals));
        }
        false
    }
}

fn gap_words(gap: &MessageGap, is_full: bool) -> String {
    let why = if is_full {
        "the queue is full (500 MB)"
    } else {
        "nothing listened for longer than the queue keeps messages (6 hours)"
    };
    format!(
        "{why}: messages from {} to {} may be lost; the device history still covers them",
        gap.from.human(),
        gap.to.human()
    )
}

/// Waits for somebody to ask for a stop.
async fn stopped(stop: &watch::Receiver<bool>) {
    let mut stop = stop.clone();
    if stop.wait_for(|asked| *asked).await.is_err() {
        // Nobody is left who could.
        std::future::pending::<()>().await;
    }
}
