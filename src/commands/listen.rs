//! `fleetpush listen`: receives the platform's messages into the inbox, until a signal comes.

use anyhow::anyhow;
use tokio::sync::mpsc;

use super::{
    interrupt::Interrupt,
    session::holder,
    target::{Connection, connect},
};
use crate::{
    budget::Budget,
    clock::Clock,
    engine::{ListenEnd, ListenOptions, listen as listen_to},
    exit::{Exit, Failure},
    gateway::{Backlog, Broker, BrokerAddress, ListedQueue, Platform, QueueState},
    model::SendResult,
    policy,
    settings::{Credentials, Database, Listen, Place, Push, Target},
    store::{Inbox, InboxError, ServerStore, StoreError, inbox_path},
    ui::{monitor::ListenMonitor, printer::Printer},
};

/// Events that may wait to be shown; the listener waits for none of them.
const EVENTS: usize = 1024;

/// Listens until a signal comes.
pub(super) async fn listen(
    settings: &Listen,
    interrupt: &Interrupt,
    printer: &Printer,
    monitor: &mut ListenMonitor,
) -> Result<Exit, Failure> {
    let clock = Clock::start();
    let broker = broker_of(&settings.push, Some(&settings.amqp_url))?;
    let mut inbox = inbox_of(&settings.database).await?;
    printer.say(&format!("inbox: {inbox}"));
    let budget = Budget::default();
    let Connection { platform, .. } = connect(&settings.push, &budget, clock).await?;
    let queue = known_queue(&platform, &settings.queue, printer).await?;
    printer.say(&format!("broker: {}", broker.address()));

    let options = ListenOptions {
        queue: settings.queue.clone(),
        keep: settings.keep.duration(),
    };
    let backlog = async || -> Option<Backlog> {
        let queue = queue.as_ref()?;
        platform.backlog(&queue.id).await.ok()
    };
    let (events, heard) = mpsc::channel(EVENTS);
    let shown = monitor.watch(heard, printer, || clock.now());
    let listening = listen_to(
        &broker,
        &mut inbox,
        &options,
        backlog,
        &clock,
        interrupt.stop(),
        events,
    );
    let (end, ()) = tokio::join!(listening, shown);
    let closed = inbox.close().await;
    printer.say(&monitor.words());
    match end {
        ListenEnd::Stopped => {
            closed?;
            Ok(Exit::Complete)
        }
        ListenEnd::Refused(error) => Err(Failure::refused(error)),
        ListenEnd::Unreachable(error) => Err(Failure::stopped(error)),
        ListenEnd::Inbox(error @ InboxError::Sql(_)) => {
            let what_to_do = match &settings.database.place {
                Place::File(_) => "free some space on the disk, then listen again".to_owned(),
                Place::Server(server) => format!(
                    "listen again when the results database {} answers",
                    server.address
                ),
            };
            Err(Failure::database(anyhow::Error::new(error).context(format!(
                "the messages that were not recorded are not acknowledged, and will be delivered again: {what_to_do}"
            ))))
        }
        ListenEnd::Inbox(error) => Err(Failure::from(error)),
    }
}

/// Takes the inbox of a database.
pub(super) async fn inbox_of(database: &Database) -> Result<Inbox, InboxError> {
    match &database.place {
        Place::File(path) => Inbox::open(&inbox_path(path), database.consent).await,
        Place::Server(server) => {
            let server = ServerStore::connect(&server.address, server.password.as_ref()).await?;
            Inbox::on_server(server, &holder()).await
        }
    }
}

/// The message broker, and who logs in to it.
pub(super) fn broker_of(push: &Push, amqp_url: Option<&str>) -> Result<Broker, Failure> {
    let (access_key, access_secret) = key_pair(push)?;
    let amqp_url = amqp_url.ok_or_else(|| {
        Failure::usage(anyhow!(
            "no message broker is known for this platform: give it with --amqp-url"
        ))
    })?;
    let address = BrokerAddress::parse(amqp_url).map_err(|error| {
        let shown = if amqp_url.contains('@') {
            "…"
        } else {
            amqp_url
        };
        Failure::usage(anyhow!("invalid value '{shown}' for --amqp-url: {error}"))
    })?;
    let connect_timeout = push.timeouts.connect;
    Ok(Broker::new(
        address,
        access_key,
        access_secret,
        connect_timeout,
    )?)
}

/// The key pair: the broker takes nothing else.
fn key_pair(push: &Push) -> Result<(String, secrecy::SecretString), Failure> {
    match &push.target {
        Target::Platform {
            credentials:
                Credentials::KeyPair {
                    access_key,
                    access_secret,
                },
            ..
        } => Ok((access_key.clone(), access_secret.clone())),
        Target::Platform { .. } => Err(Failure::usage(anyhow!(
            "an access token cannot log in to the message broker: set FLEETPUSH_ACCESS_KEY and FLEETPUSH_ACCESS_SECRET instead"
        ))),
        Target::Simulator => Err(Failure::usage(anyhow!(
            "--simulate has no message broker: start fleetpush simulator --amqp with one, and give --base-url and --amqp-url"
        ))),
    }
}

/// Finds the queue in the account's list. A platform that does not answer is no reason not to listen: the broker decides.
pub(super) async fn known_queue(
    platform: &Platform,
    name: &str,
    printer: &Printer,
) -> Result<Option<ListedQueue>, Failure> {
    let queues = match platform.queues().await {
        Ok(queues) => queues,
        Err(result) => {
            printer.warn(&format!(
                "the platform does not list the queues ({}), so the number of messages that wait in {name} is not known",
                said(&result)
            ));
            return Ok(None);
        }
    };
    let Some(queue) = queues.into_iter().find(|queue| queue.name == name) else {
        printer.warn(&format!(
            "the platform does not list a queue of the name {name}; the number of messages that wait in it is not known"
        ));
        return Ok(None);
    };
    match queue.state {
        Some(QueueState::Disabled) => Err(Failure::refused(anyhow!(
            "the queue {name} is disabled, because nothing has read it for 30 days: create a new queue and subscribe it \
             (docs/delivery.md), then give its name with --queue"
        ))),
        Some(QueueState::NotEnabled) => Err(Failure::refused(anyhow!(
            "the queue {name} is not enabled yet: start a subscription for it (docs/delivery.md)"
        ))),
        Some(QueueState::Enabled) | None => Ok(Some(queue)),
    }
}

/// Why there is no answer, in words.
pub(super) fn said(result: &SendResult) -> String {
    let judged = policy::judge(result, 1).devices.into_iter().next();
    let words = judged.and_then(|judged| judged.outcome.message);
    words.map_or_else(|| "no reason given".to_owned(), String::from)
}

impl From<InboxError> for Failure {
    fn from(error: InboxError) -> Self {
        match error {
            InboxError::Owned { .. } => Self::locked(error),
            InboxError::Missing(_) => Self::usage(error),
            InboxError::Sql(_) => Self::database(anyhow::Error::new(error).context(
                "the messages of the platform cannot be read, so the command has stopped; what it has found is recorded: start the same command again",
            )),
            InboxError::Server(error) => Self::from(StoreError::from(error)),
            InboxError::Fenced | InboxError::Open { .. } | InboxError::Damaged(_) | InboxError::File(_) => Self::database(error),
        }
    }
}
