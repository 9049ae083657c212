//! What `listen` needs: the queue, as the platform describes it, and the message broker. Nothing is consumed. A push works without both, so
//! no result here is a failure.

use std::time::Duration;

use super::{super::listen::said, finding::Finding};
use crate::{
    gateway::{Broker, BrokerAddress, Platform, QueueCounts, QueueState},
    journal::message_gap::is_full,
    settings::{Credentials, Doctor as Settings},
    ui::number::{bytes, counted},
};

const QUEUE: &str = "queue";
const BROKER: &str = "broker";
const MAKE_ONE: &str =
    "create a new queue and subscribe it (docs/delivery.md), then give its name with --queue";

/// Looks at both; at neither when no queue is named.
pub(super) async fn look(settings: &Settings, platform: &Platform) -> Vec<Finding> {
    let Some(queue) = &settings.queue else {
        return Vec::new();
    };
    vec![
        listed(platform, queue).await,
        reached(settings, queue).await,
    ]
}

/// The same when the platform cannot be asked.
pub(super) fn skip(settings: &Settings, reason: &str) -> Vec<Finding> {
    let checks = settings.queue.iter().flat_map(|_| [QUEUE, BROKER]);
    checks.map(|check| Finding::skip(check, reason)).collect()
}

/// What the platform says of the queue.
async fn listed(platform: &Platform, name: &str) -> Finding {
    let queues = match platform.queues().await {
        Ok(queues) => queues,
        Err(result) => {
            let told = format!("the platform does not list the queues: {}", said(&result));
            return Finding::warn(QUEUE, told)
                .todo("check that the account may use message subscription");
        }
    };
    let Some(queue) = queues.into_iter().find(|queue| queue.name == name) else {
        return Finding::warn(QUEUE, format!("the platform does not list {name}")).todo(
            "give the full name, as in a.123.fleet; docs/delivery.md shows how to create a queue",
        );
    };
    match queue.state {
        Some(QueueState::Disabled) => {
            return Finding::warn(
                QUEUE,
                format!("{name} is disabled, because nothing has read it for 30 days"),
            )
            .todo(MAKE_ONE);
        }
        Some(QueueState::NotEnabled) => {
            return Finding::warn(QUEUE, format!("{name} is not enabled yet"))
                .todo("start a subscription for it (docs/delivery.md)");
        }
        Some(QueueState::Enabled) | None => {}
    }
    let backlog = platform.backlog(&queue.id).await.unwrap_or_default();
    if backlog.bytes.is_some_and(is_full) {
        return Finding::warn(QUEUE, format!("{name} is full, so that messages are lost"))
            .todo("start `fleetpush listen`; the device history still covers what is lost");
    }
    let waiting = match (backlog.messages, backlog.bytes) {
        (Some(messages), Some(size)) => {
            format!("; {} wait ({})", counted(messages, "message"), bytes(size))
        }
        (Some(messages), None) => format!("; {} wait", counted(messages, "message")),
        (None, _) => String::new(),
    };
    Finding::ok(QUEUE, format!("{name} is enabled{waiting}"))
}

/// Whether the broker takes the login and has the queue.
async fn reached(settings: &Settings, queue: &str) -> Finding {
    let Some(amqp_url) = &settings.amqp_url else {
        return Finding::warn(BROKER, "no message broker is known")
            .todo("give --amqp-url amqps://HOST:5671/quec-open, or --region");
    };
    let address = match BrokerAddress::parse(amqp_url) {
        Ok(address) => address,
        Err(error) => return Finding::warn(BROKER, format!("--amqp-url: {error}")),
    };
    let Ok(Credentials::KeyPair {
        access_key,
        access_secret,
    }) = &settings.credentials
    else {
        return Finding::warn(
            BROKER,
            "an access token cannot log in to the message broker",
        )
        .todo("set FLEETPUSH_ACCESS_KEY and FLEETPUSH_ACCESS_SECRET instead");
    };
    let connect: Duration = settings.timeouts.connect;
    let broker = Broker::new(
        address.clone(),
        access_key.clone(),
        access_secret.clone(),
        connect,
    );
    let looked = match &broker {
        Ok(broker) => broker.look(queue).await,
        Err(error) => return Finding::warn(BROKER, error.to_string()),
    };
    match looked {
        Ok(queue_counts) => queue_words(&address.to_string(), queue_counts),
        Err(error) => Finding::warn(BROKER, error.to_string()),
    }
}

fn queue_words(address: &str, queue_counts: Option<QueueCounts>) -> Finding {
    let told = format!("{address} accepts the login");
    match queue_counts.map(|queue_counts| queue_counts.consumers) {
        None => Finding::ok(BROKER, told),
        Some(0) => Finding::ok(BROKER, format!("{told}; nothing reads the queue now")),
        Some(1) => Finding::ok(BROKER, format!("{told}; one consumer reads the queue")),
        Some(consumers) => Finding::warn(
            BROKER,
            format!("{consumers} consumers share the queue, and each gets a part of its messages"),
        )
        .todo("end the others, or create a separate queue for each"),
    }
}
