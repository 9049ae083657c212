//! A push, or a verification, that receives the messages of its queue itself while it runs, if no `listen` does.
//!
//! Messages are useful but never needed: if they cannot be received, it warns and continues.

use std::{thread, time::Duration};

use tokio::{
    runtime,
    sync::{mpsc, oneshot, watch},
};

use super::{
    interrupt::Interrupt,
    listen::{broker_of, inbox_of, known_queue},
    reading::inbox_presence,
    target::connect,
};
use crate::{
    budget::Budget,
    clock::Clock,
    engine::{ListenEnd, ListenEvent, ListenOptions, listen},
    exit::Failure,
    gateway::{Backlog, Broker},
    settings::{Database, Listening, Place, Push, Target},
    store::{InboxError, Presence},
    ui::{monitor::listening_words, printer::Printer, text::clean},
};

/// Events that may wait to be shown; the listener waits for none of them.
const EVENTS: usize = 1024;
/// How soon a broker that is out of reach is looked for again.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How long the work waits for a broker before it begins without.
const WAIT_FOR_BROKER: Duration = Duration::from_secs(10);

/// The reception of messages, if there is one.
pub(super) struct Receiving(Option<(watch::Sender<bool>, oneshot::Receiver<()>)>);

impl Receiving {
    /// Begins to receive, when a queue is set and nobody receives its messages. When this returns, messages are received, or it is known
    /// that they are not yet, so that whoever looks whether more may come is told right; a broker that does not answer is not waited for.
    pub(super) async fn begin(
        push: &Push,
        database: &Database,
        interrupt: &Interrupt,
        printer: &Printer,
    ) -> Self {
        let Some(listening) = &push.listening else {
            return Self(None);
        };
        // Nobody has ever listened when it is not known.
        let is_free = match inbox_presence(&database.place).await {
            Presence::Nobody => true,
            Presence::Unknown => matches!(database.place, Place::Server(_)),
            Presence::Owned { .. } => false,
        };
        if !is_free || matches!(push.target, Target::Simulator) {
            return Self(None);
        }
        let (sender, stop) = watch::channel(false);
        let (began, mut has_begun) = watch::channel(false);
        let reception = Reception {
            listening: listening.clone(),
            push: push.clone(),
            database: database.clone(),
            printer: printer.clone(),
            clock: Clock::start(),
            stop,
            began,
        };
        let (done, ended) = oneshot::channel();
        // A thread of its own: neither a batch of messages nor a terminal that is stopped holds up the work.
        let thread = thread::Builder::new().name("messages".to_owned());
        let spawned = thread.spawn(move || {
            reception.run();
            // Who does not wait for the end does not hear of it.
            let _ = done.send(());
        });
        if let Err(error) = spawned {
            printer.warn(&format!("messages are not received: {error}"));
            return Self(None);
        }
        tokio::select! {
            // That it has ended is known as well.
            _ = has_begun.wait_for(|began| *began) => {}
            () = interrupt.stopped() => {}
            () = tokio::time::sleep(WAIT_FOR_BROKER) => {}
        }
        Self(Some((sender, ended)))
    }

    /// Ends it in good order: what has been received is on the disk and acknowledged.
    pub(super) async fn end(mut self) {
        if let Some((stop, ended)) = self.0.take() {
            stop.send_replace(true);
            // A thread that has panicked has said so.
            let _ = ended.await;
        }
    }
}

impl Drop for Receiving {
    /// Work that is left as it is does not wait for the end.
    fn drop(&mut self) {
        if let Some((stop, _)) = &self.0 {
            stop.send_replace(true);
        }
    }
}

struct Reception {
    listening: Listening,
    push: Push,
    database: Database,
    printer: Printer,
    clock: Clock,
    stop: watch::Receiver<bool>,
    /// Becomes true when it is known whether messages are received.
    began: watch::Sender<bool>,
}

impl Reception {
    fn run(&self) {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let received = match runtime {
            Ok(runtime) => runtime.block_on(self.receive()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = received {
            self.printer.warn(&format!(
                "messages of the queue {} are not received: {why}; the device history has the same information",
                self.listening.queue
            ));
        }
    }

    /// Receives until it is asked to stop, or cannot go on.
    async fn receive(&self) -> Result<(), String> {
        let said = |failure: Failure| failure.message();
        let broker = broker_of(&self.push, self.listening.amqp_url.as_deref()).map_err(said)?;
        let mut is_told = false;
        loop {
            // Only with a broker is the inbox taken: whoever looks may wait for messages then.
            let error = match broker.look(&self.listening.queue).await {
                Ok(_) => match self.follow(&broker).await? {
                    ListenEnd::Stopped => return Ok(()),
                    ListenEnd::Refused(error) => return Err(error.to_string()),
                    ListenEnd::Inbox(error) => return Err(error.to_string()),
                    ListenEnd::Unreachable(error) => error,
                },
                Err(error) if error.is_refusal() => return Err(error.to_string()),
                Err(error) => error,
            };
            if !is_told {
                is_told = true;
                self.printer.warn(&format!(
                    "messages of the queue {} are not received yet: {error}; trying again",
                    self.listening.queue
                ));
            }
            self.began.send_replace(true);
            let mut stop = self.stop.clone();
            tokio::select! {
                _ = stop.wait_for(|asked| *asked) => return Ok(()),
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    /// Listens with the inbox.
    async fn follow(&self, broker: &Broker) -> Result<ListenEnd, String> {
        let mut inbox = match inbox_of(&self.database).await {
            Ok(inbox) => inbox,
            // Somebody else has begun to listen meanwhile.
            Err(InboxError::Owned { .. }) => return Ok(ListenEnd::Stopped),
            Err(error) => return Err(error.to_string()),
        };
        self.began.send_replace(true);
        let said = |failure: Failure| failure.message();
        let connection = connect(&self.push, &Budget::default(), self.clock)
            .await
            .map_err(said)?;
        let platform = connection.platform;
        let queue = known_queue(&platform, &self.listening.queue, &self.printer)
            .await
            .map_err(said)?;
        let backlog = async || -> Option<Backlog> {
            let queue = queue.as_ref()?;
            platform.backlog(&queue.id).await.ok()
        };
        let options = ListenOptions {
            queue: self.listening.queue.clone(),
            keep: self.listening.keep.duration(),
        };
        let (events, heard) = mpsc::channel(EVENTS);
        let stop = self.stop.clone();
        let listening = listen(
            broker,
            &mut inbox,
            &options,
            backlog,
            &self.clock,
            stop,
            events,
        );
        let (end, ()) = tokio::join!(listening, self.show(heard));
        inbox.close().await.map_err(|error| error.to_string())?;
        Ok(end)
    }

    async fn show(&self, mut heard: mpsc::Receiver<ListenEvent>) {
        while let Some(event) = heard.recv().await {
            match event {
                ListenEvent::Listening { waiting, bytes } => {
                    let words = listening_words(&self.listening.queue, waiting, bytes);
                    self.printer.say(&words);
                }
                ListenEvent::Disconnected { reason } => {
                    self.printer.warn(&format!(
                        "messages are not received; connecting to the message broker again: {}",
                        clean(&reason)
                    ));
                }
                ListenEvent::Warning(words) => self.printer.warn(&words),
                ListenEvent::Progress(_) => {}
            }
        }
    }
}
