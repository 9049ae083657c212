//! The platform's message broker: AMQP 0.9.1 in the dialect of `RabbitMQ`, over TLS. This is the one place that knows the AMQP client.
//!
//! A queue is only ever consumed: it is asked for, never declared or cleared. Nothing is repeated behind these calls; when to connect again
//! is decided by whoever listens.

mod address;
mod callbacks;

use std::{fmt, sync::Arc, time::Duration};

use amqprs::{
    channel::{
        BasicAckArguments, BasicConsumeArguments, BasicQosArguments, Channel, ConsumerMessage,
        QueueDeclareArguments,
    },
    connection::{Connection, OpenConnectionArguments},
    error::Error as AmqpError,
    tls::TlsAdaptor,
};
use rustls::{ClientConfig, pki_types::ServerName};
use secrecy::SecretString;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc::UnboundedReceiver,
    time::timeout,
};
use tokio_rustls::TlsConnector;

pub(crate) use self::address::BrokerAddress;
use self::callbacks::{Fate, OfChannel, OfConnection};
use super::{GatewayError, credentials, transport};
use crate::clock::wall_now;

/// Seconds between signs of life; the platform asks for 30 to 60.
const HEARTBEAT: u16 = 30;
/// Messages that are under way to us before the first of them is acknowledged. A commit takes milliseconds and an acknowledgement the way
/// to the platform and back: at 50 ms this is 20,000 messages a second.
const PREFETCH: u16 = 1000;
/// How long the broker may take to answer a question or a goodbye.
const PATIENCE: Duration = Duration::from_secs(15);
/// What a client says first ("AMQP 0.9.1", 4.2.2).
const GREETING: &[u8; 8] = b"AMQP\0\0\x09\x01";
/// What a frame that carries a method begins with: the answer to a greeting.
const METHOD: u8 = 1;

/// Why a queue cannot be listened to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokerError {
    /// Nobody answers there, or not in time.
    #[error("the message broker {address} cannot be reached: {reason}")]
    Unreachable {
        /// The broker.
        address: BrokerAddress,
        /// Why not.
        reason: String,
    },
    /// Its certificate is not trusted.
    #[error(
        "the certificate of the message broker {address} is not trusted ({reason}): put its issuer into the system's trust store, or check \
         --region and --amqp-url"
    )]
    Certificate {
        /// The broker.
        address: BrokerAddress,
        /// What is wrong with it.
        reason: String,
    },
    /// Whoever answers is no broker of this kind.
    #[error("{address} does not speak AMQP 0.9.1 ({reason}): check --region and --amqp-url")]
    Foreign {
        /// The broker.
        address: BrokerAddress,
        /// What it said.
        reason: String,
    },
    /// The broker ends every connection that has logged in.
    #[error(
        "the message broker {address} refuses the login: check FLEETPUSH_ACCESS_KEY and FLEETPUSH_ACCESS_SECRET, that they belong to this \
         platform, and this machine's clock, which may be at most 10 minutes off"
    )]
    Login {
        /// The broker.
        address: BrokerAddress,
    },
    /// The login is good, and the broker refuses what is asked for.
    #[error(
        "the message broker {address} refuses access ({reason}): check the path of --amqp-url, and that the queue belongs to this account"
    )]
    Denied {
        /// The broker.
        address: BrokerAddress,
        /// What it said.
        reason: String,
    },
    /// There is no such queue.
    #[error(
        "the message broker {address} has no queue '{queue}' ({reason}): give --queue the whole name, as in a.123.fleet; docs/delivery.md \
         says how to make one"
    )]
    NoQueue {
        /// The broker.
        address: BrokerAddress,
        /// The queue.
        queue: String,
        /// What it said.
        reason: String,
    },
}

impl BrokerError {
    /// Whether the same again would come to the same, until somebody changes something.
    pub(crate) fn is_refusal(&self) -> bool {
        !matches!(self, Self::Unreachable { .. })
    }
}

/// One message that was handed out, and is handed out again unless it is acknowledged.
pub(crate) struct Delivery {
    /// Its number, by which it is acknowledged.
    pub(crate) tag: u64,
    /// What it says.
    pub(crate) body: Vec<u8>,
}

/// A message broker, and who logs in to it.
pub(crate) struct Broker {
    address: BrokerAddress,
    access_key: String,
    access_secret: SecretString,
    tls: Option<Arc<ClientConfig>>,
    connect_timeout: Duration,
}

impl Broker {
    /// The broker at this address; nothing is sent yet.
    pub(crate) fn new(
        address: BrokerAddress,
        access_key: String,
        access_secret: SecretString,
        connect_timeout: Duration,
    ) -> Result<Self, GatewayError> {
        let tls = address
            .is_encrypted()
            .then(transport::message_tls)
            .transpose()
            .map_err(|error| GatewayError::Client(error.to_string()))?;
        Ok(Self {
            address,
            access_key,
            access_secret,
            tls: tls.map(Arc::new),
            connect_timeout,
        })
    }

    /// The broker's address.
    pub(crate) fn address(&self) -> &BrokerAddress {
        &self.address
    }

    /// Logs in anew, and asks for the messages of a queue.
    pub(crate) async fn subscribe(&self, queue: &str) -> Result<Subscription, BrokerError> {
        // The wall clock of this moment: the broker compares it with standard time, at each login.
        let username = credentials::username(&self.access_key, wall_now());
        let password = credentials::password(&username, &self.access_secret);
        let (host, port) = (self.address.host(), self.address.port());
        let mut arguments = OpenConnectionArguments::new(host, port, &username, &password);
        arguments
            .virtual_host(self.address.virtual_host())
            .connection_name("fleetpush")
            .heartbeat(HEARTBEAT);
        if let Some(tls) = &self.tls {
            let connector = TlsConnector::from(Arc::clone(tls));
            arguments.tls_adaptor(TlsAdaptor::new(connector, self.address.name().to_owned()));
        }
        // A refused login takes the broker some seconds, so that nobody guesses.
        let opened = timeout(
            self.connect_timeout + PATIENCE,
            Connection::open(&arguments),
        )
        .await;
        let connection = match opened {
            Ok(Ok(connection)) => connection,
            Ok(Err(AmqpError::ConnectionOpenError(reason))) => {
                return Err(BrokerError::Denied {
                    address: self.address.clone(),
                    reason,
                });
            }
            Ok(Err(error)) => return Err(self.diagnosis(&error).await),
            Err(_) => return Err(self.unreachable("no answer in time")),
        };
        match timeout(PATIENCE, self.consume(&connection, queue)).await {
            Ok(subscription) => {
                let (deliveries, channel, counter, standing, fate) = subscription?;
                Ok(Subscription {
                    connection,
                    channel,
                    counter,
                    queue: queue.to_owned(),
                    deliveries,
                    fate,
                    standing,
                })
            }
            Err(_) => Err(self.unreachable("no answer in time")),
        }
    }

    async fn consume(
        &self,
        connection: &Connection,
        queue: &str,
    ) -> Result<Consuming, BrokerError> {
        let fate = Fate::default();
        let failed = |error: AmqpError| self.refused(&fate, queue, &error);
        connection
            .register_callback(OfConnection(fate.clone()))
            .await
            .map_err(failed)?;
        // On a channel of its own, which a refusal closes.
        let (mut counter, mut standing) = (None, None);
        let asking = connection.open_channel(None).await.map_err(failed)?;
        let told = Fate::default();
        asking
            .register_callback(OfChannel(told.clone()))
            .await
            .map_err(failed)?;
        match count(&asking, queue).await {
            Ok(now) => {
                standing = Some(now);
                counter = Some(asking);
            }
            // Whoever may not ask may consume all the same.
            Err(error) if told.code() == Some(404) => {
                return Err(self.refused(&told, queue, &error));
            }
            Err(_) => {}
        }
        let channel = connection.open_channel(None).await.map_err(failed)?;
        channel
            .register_callback(OfChannel(fate.clone()))
            .await
            .map_err(failed)?;
        channel
            .basic_qos(BasicQosArguments::new(0, PREFETCH, false))
            .await
            .map_err(failed)?;
        let arguments = BasicConsumeArguments::new(queue, "fleetpush")
            .manual_ack(true)
            .finish();
        let (_, deliveries) = channel.basic_consume_rx(arguments).await.map_err(failed)?;
        Ok((deliveries, channel, counter, standing, fate))
    }

    /// What an error after the login means, by what the broker has said.
    fn refused(&self, fate: &Fate, queue: &str, error: &AmqpError) -> BrokerError {
        let (address, reason) = (self.address.clone(), fate.words());
        match fate.code() {
            Some(404) => BrokerError::NoQueue {
                address,
                queue: queue.to_owned(),
                reason: reason.unwrap_or_default(),
            },
            Some(403 | 405 | 530) => BrokerError::Denied {
                address,
                reason: reason.unwrap_or_default(),
            },
            _ => self.unreachable(&reason.unwrap_or_else(|| error.to_string())),
        }
    }

    /// What an error before the end of the login means. The client does not say; so it is found out how far one comes without a login.
    async fn diagnosis(&self, error: &AmqpError) -> BrokerError {
        let address = self.address.clone();
        match timeout(self.connect_timeout + PATIENCE, self.greet()).await {
            // The broker is well, and what it has not liked is the login.
            Ok(Ok(answer)) if answer[0] == METHOD => BrokerError::Login { address },
            Ok(Ok(answer)) => BrokerError::Foreign {
                address,
                reason: format!("it answers {}", answer.escape_ascii()),
            },
            Ok(Err(error)) => error,
            Err(_) => self.unreachable(&error.to_string()),
        }
    }

    /// Says what a client says first, and gives the beginning of the answer.
    async fn greet(&self) -> Result<[u8; 4], BrokerError> {
        let unreachable = |error: std::io::Error| self.unreachable(&error.to_string());
        let stream = TcpStream::connect(format!("{}:{}", self.address.host(), self.address.port()))
            .await
            .map_err(unreachable)?;
        match &self.tls {
            None => answer(stream).await.map_err(unreachable),
            Some(tls) => {
                let name = ServerName::try_from(self.address.name().to_owned())
                    .map_err(|error| self.unreachable(&error.to_string()))?;
                let connector = TlsConnector::from(Arc::clone(tls));
                let stream = connector
                    .connect(name, stream)
                    .await
                    .map_err(|error| self.tls_fault(&error))?;
                answer(stream).await.map_err(unreachable)
            }
        }
    }

    fn tls_fault(&self, error: &std::io::Error) -> BrokerError {
        let fault = error
            .get_ref()
            .and_then(|content| content.downcast_ref::<rustls::Error>());
        let address = self.address.clone();
        match fault {
            Some(rustls::Error::InvalidCertificate(fault)) => BrokerError::Certificate {
                address,
                reason: fault.to_string(),
            },
            Some(rustls::Error::InvalidMessage(_)) => BrokerError::Foreign {
                address,
                reason: "it does not speak TLS".to_owned(),
            },
            _ => self.unreachable(&error.to_string()),
        }
    }

    fn unreachable(&self, reason: &str) -> BrokerError {
        BrokerError::Unreachable {
            address: self.address.clone(),
            reason: reason.to_owned(),
        }
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// How a queue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueStanding {
    /// Messages that wait in it.
    pub(crate) waiting: u32,
    /// Who consumes it.
    pub(crate) consumers: u32,
}

type Consuming = (
    UnboundedReceiver<ConsumerMessage>,
    Channel,
    Option<Channel>,
    Option<QueueStanding>,
    Fate,
);

/// A queue whose messages come in.
pub(crate) struct Subscription {
    connection: Connection,
    channel: Channel,
    /// On which the queue can be asked for, if that is allowed.
    counter: Option<Channel>,
    queue: String,
    deliveries: UnboundedReceiver<ConsumerMessage>,
    fate: Fate,
    standing: Option<QueueStanding>,
}

impl Subscription {
    /// How the queue stood before it was consumed by us, if the broker says it.
    pub(crate) fn standing(&self) -> Option<QueueStanding> {
        self.standing
    }

    /// How the queue stands now, with us, if the broker says it.
    pub(crate) async fn count(&self) -> Option<QueueStanding> {
        let counter = self.counter.as_ref()?;
        timeout(PATIENCE, count(counter, &self.queue))
            .await
            .ok()?
            .ok()
    }

    /// The next messages: waits for one, and takes along what has come with it, up to `most` messages and about `bytes` bytes. `None` when
    /// the connection is gone. Nothing is lost when this is not waited for to its end.
    pub(crate) async fn batch(&mut self, most: usize, bytes: usize) -> Option<Vec<Delivery>> {
        let mut batch = vec![delivery(self.deliveries.recv().await?)];
        let mut size = batch[0].body.len();
        while batch.len() < most
            && size < bytes
            && let Ok(message) = self.deliveries.try_recv()
        {
            let next = delivery(message);
            size += next.body.len();
            batch.push(next);
        }
        Some(batch)
    }

    /// Acknowledges every message up to the one with this tag. False when the connection is gone: they will come again.
    pub(crate) async fn acknowledge(&self, tag: u64) -> bool {
        let arguments = BasicAckArguments::new(tag, true);
        self.channel.basic_ack(arguments).await.is_ok()
    }

    /// What the broker has said of the end of the connection.
    pub(crate) fn fate(&self) -> String {
        self.fate
            .words()
            .unwrap_or_else(|| "the connection was lost".to_owned())
    }

    /// Ends the connection in order: what was acknowledged has arrived when this returns.
    pub(crate) async fn close(self) {
        // Whatever comes of it, the connection ends with this value.
        let _ = timeout(PATIENCE, self.connection.close()).await;
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

/// Asks how a queue stands, which does not make one.
async fn count(channel: &Channel, queue: &str) -> Result<QueueStanding, AmqpError> {
    let arguments = QueueDeclareArguments::new(queue).passive(true).finish();
    let counted = channel.queue_declare(arguments).await?;
    let (_, waiting, consumers) = counted.unwrap_or_default();
    Ok(QueueStanding { waiting, consumers })
}

fn delivery(message: ConsumerMessage) -> Delivery {
    Delivery {
        tag: message
            .deliver
            .as_ref()
            .map_or(0, amqprs::Deliver::delivery_tag),
        body: message.content.unwrap_or_default(),
    }
}

async fn answer(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
) -> std::io::Result<[u8; 4]> {
    stream.write_all(GREETING).await?;
    stream.flush().await?;
    let mut begins = [0; 4];
    stream.read_exact(&mut begins).await?;
    Ok(begins)
}
