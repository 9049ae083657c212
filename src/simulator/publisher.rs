//! The way of messages to the broker. A message counts as published when the broker has confirmed it; until then it is published again
//! whenever the connection is lost.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use amqprs::{
    Ack, BasicProperties, Cancel, CloseChannel, FieldTable, FieldValue, Nack, Return,
    callbacks::ChannelCallback,
    channel::{
        BasicPublishArguments, Channel, ConfirmSelectArguments, ExchangeDeclareArguments,
        QueueBindArguments, QueueDeclareArguments,
    },
    connection::{Connection, OpenConnectionArguments},
    error::Error as AmqpError,
};
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};

use super::{
    messages::{Due, MessageKind},
    platform::{Platform, Playing},
    scenario::{BrokerUrl, Messages},
};

/// How long to wait before the broker is tried again, and how often it is looked whether it is still there.
const PAUSE: Duration = Duration::from_millis(100);
/// How long the broker may take to let us in.
const PATIENCE: Duration = Duration::from_secs(15);
/// Messages that are on their way without being confirmed.
const UNCONFIRMED: usize = 2000;

/// The exchanges of the platform's broker, each for a kind of messages.
const ONLINE: &str = "quec.device.online";
const REQACK: &str = "quec.device.reqack";
const MSERV: &str = "quec.model.serv";

/// Why there is nobody to publish to.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot publish to the message broker {address} ({reason}): check that it runs, and that the user of --amqp may declare exchanges and \
     queues in that virtual host"
)]
pub(super) struct LineError {
    address: String,
    reason: String,
}

/// A connection to the broker, where everything is as the platform has it: its exchanges, and the queue with its subscription.
pub(super) struct Line {
    connection: Connection,
    channel: Channel,
    way: Arc<Way>,
    messages: Messages,
}

/// What has been given to the broker, and what it has said of it.
#[derive(Default)]
struct Way {
    state: Mutex<WayState>,
    news: Notify,
}

#[derive(Default)]
struct WayState {
    /// By the number that the broker confirms them by.
    unconfirmed: BTreeMap<u64, Due>,
    sent: u64,
    confirmed: u64,
    refused: Vec<Due>,
}

impl Way {
    fn state(&self) -> MutexGuard<'_, WayState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what the broker has said of one message, or of all up to it.
    fn heard(&self, tag: u64, is_multiple: bool, is_taken: bool) {
        let mut state = self.state();
        let about = if is_multiple {
            let after = state.unconfirmed.split_off(&(tag + 1));
            std::mem::replace(&mut state.unconfirmed, after)
        } else {
            state.unconfirmed.remove_entry(&tag).into_iter().collect()
        };
        if is_taken {
            state.confirmed += about.len() as u64;
        } else {
            state.refused.extend(about.into_values());
        }
        drop(state);
        self.news.notify_one();
    }
}

// The client's traits are made with `async_trait`: this is what it writes.
#[async_trait::async_trait]
impl ChannelCallback for Hearing {
    async fn close(&mut self, _: &Channel, _: CloseChannel) -> Result<(), AmqpError> {
        Ok(())
    }

    async fn cancel(&mut self, _: &Channel, _: Cancel) -> Result<(), AmqpError> {
        Ok(())
    }

    async fn flow(&mut self, _: &Channel, active: bool) -> Result<bool, AmqpError> {
        Ok(active)
    }

    async fn publish_ack(&mut self, _: &Channel, ack: Ack) {
        self.0.heard(ack.delivery_tag(), ack.mutiple(), true);
    }

    async fn publish_nack(&mut self, _: &Channel, nack: Nack) {
        self.0.heard(nack.delivery_tag(), nack.multiple(), false);
    }

    async fn publish_return(&mut self, _: &Channel, _: Return, _: BasicProperties, _: Vec<u8>) {}
}

/// Hears what the broker says of what it was given.
struct Hearing(Arc<Way>);

/// Publishes what is planned, for as long as it is let, over this connection first. A broker that goes away is tried again.
pub(super) async fn publish(platform: Arc<Platform>, mut first: Option<Line>) {
    let mut playing = platform.watch();
    loop {
        let messages = playing.borrow_and_update().scenario.messages.clone();
        let line = match first.take() {
            Some(line) => Some(line),
            None => match Line::open(&messages).await {
                Ok(line) => line,
                Err(error) => {
                    tracing::debug!(%error, "the simulator cannot publish yet");
                    sleep(PAUSE).await;
                    continue;
                }
            },
        };
        match line {
            Some(line) => line.follow(&platform, &mut playing).await,
            // Another scenario may name a broker.
            None => {
                if playing.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}

impl Line {
    /// Connects, and sets everything up; none when no broker is named.
    pub(super) async fn open(messages: &Messages) -> Result<Option<Self>, LineError> {
        let Some(amqp) = &messages.amqp else {
            return Ok(None);
        };
        let failed = |address: String, reason: String| LineError { address, reason };
        let url = BrokerUrl::parse(amqp)
            .ok_or_else(|| failed(String::new(), "no usable address".to_owned()))?;
        let opened = timeout(PATIENCE, Self::set_up(&url, messages)).await;
        match opened {
            Ok(Ok(line)) => Ok(Some(line)),
            Ok(Err(error)) => Err(failed(url.to_string(), error.to_string())),
            Err(_) => Err(failed(url.to_string(), "no answer in time".to_owned())),
        }
    }

    async fn set_up(url: &BrokerUrl, messages: &Messages) -> Result<Self, AmqpError> {
        let mut arguments =
            OpenConnectionArguments::new(&url.host, url.port, &url.user, &url.password);
        arguments
            .virtual_host(&url.virtual_host)
            .connection_name("fleetpush simulator");
        let connection = Connection::open(&arguments).await?;
        let channel = connection.open_channel(None).await?;
        let way = Arc::<Way>::default();
        channel.register_callback(Hearing(Arc::clone(&way))).await?;
        channel
            .confirm_select(ConfirmSelectArguments::default())
            .await?;
        channel
            .queue_declare(QueueDeclareArguments::durable_client_named(&messages.queue))
            .await?;
        for exchange in [ONLINE, REQACK, MSERV] {
            let arguments = ExchangeDeclareArguments::new(exchange, "headers")
                .durable(true)
                .finish();
            channel.exchange_declare(arguments).await?;
            let arguments = QueueBindArguments::new(&messages.queue, exchange, "")
                .arguments(table(&[("queue", &messages.queue), ("x-match", "all")])?)
                .finish();
            channel.queue_bind(arguments).await?;
        }
        Ok(Self {
            connection,
            channel,
            way,
            messages: messages.clone(),
        })
    }

    /// Publishes until the connection is lost, or another scenario names another queue. What is not confirmed then is given back.
    async fn follow(self, platform: &Platform, playing: &mut watch::Receiver<Arc<Playing>>) {
        loop {
            self.account(platform);
            let is_open = self.channel.is_open() && self.connection.is_open();
            let is_meant = {
                let messages = &playing.borrow_and_update().scenario.messages;
                messages.amqp == self.messages.amqp && messages.queue == self.messages.queue
            };
            if !is_open || !is_meant {
                break;
            }
            let has_room = self.way.state().unconfirmed.len() < UNCONFIRMED;
            let due = tokio::select! {
                due = platform.post.next(), if has_room => due,
                () = self.way.news.notified() => continue,
                changed = playing.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => break,
                },
                () = sleep(PAUSE) => continue,
            };
            if !self.send(due).await {
                break;
            }
        }
        let unconfirmed = std::mem::take(&mut self.way.state().unconfirmed);
        platform.post.give_back(unconfirmed.into_values());
        self.account(platform);
    }

    /// Counts what has been confirmed, and gives back what the broker has refused.
    fn account(&self, platform: &Platform) {
        let (confirmed, refused) = {
            let mut state = self.way.state();
            let confirmed = std::mem::take(&mut state.confirmed);
            (confirmed, std::mem::take(&mut state.refused))
        };
        platform.post.give_back(refused);
        let mut stats = platform.counters.lock();
        stats.messages += confirmed;
    }

    /// Gives a message to the broker; false when the connection is gone.
    async fn send(&self, due: Due) -> bool {
        let exchange = match due.kind {
            MessageKind::Input | MessageKind::Output => MSERV,
            MessageKind::ReqackSucc | MessageKind::ReqackFail => REQACK,
            MessageKind::Online => ONLINE,
        };
        let body = due.body();
        {
            // Before it is on its way: the answer may be quicker than whatever follows here.
            let mut state = self.way.state();
            state.sent += 1;
            let tag = state.sent;
            state.unconfirmed.insert(tag, due);
        }
        let Ok(headers) = table(&[("queue", &self.messages.queue)]) else {
            return false;
        };
        let properties = BasicProperties::default()
            .with_headers(headers)
            .with_delivery_mode(2)
            .finish();
        let arguments = BasicPublishArguments::new(exchange, "");
        let sent = self
            .channel
            .basic_publish(properties, body.into_bytes(), arguments);
        sent.await.is_ok()
    }
}

fn table(fields: &[(&str, &str)]) -> Result<FieldTable, AmqpError> {
    let mut table = FieldTable::new();
    for (name, value) in fields {
        let name = (*name).try_into().map_err(unwritable)?;
        let value = (*value).try_into().map_err(unwritable)?;
        table.insert(name, FieldValue::S(value));
    }
    Ok(table)
}

fn unwritable<E: std::fmt::Display>(error: E) -> AmqpError {
    AmqpError::InternalChannelError(error.to_string())
}
