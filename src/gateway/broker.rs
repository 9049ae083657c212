//! The platform's message broker: AMQP 0.9.1 in the dialect of `RabbitMQ`, over TLS. This is the only place that uses the AMQP client.
//!
//! A queue is only consumed, never declared or cleared. Nothing is repeated behind these calls. The caller decides when to connect again.

mod address;
mod callbacks;
mod error;
mod subscription;

use std::{fmt, sync::Arc, time::Duration};

use amqprs::{
    channel::{BasicConsumeArguments, BasicQosArguments, Channel, ConsumerMessage},
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

pub(crate) use self::{
    address::BrokerAddress,
    error::BrokerError,
    subscription::{QueueCounts, Subscription},
};
use self::{
    callbacks::{CloseReason, OfChannel, OfConnection},
    subscription::{PATIENCE, count},
};
use super::{GatewayError, credentials, transport};
use crate::clock::wall_now;

/// Seconds between signs of life; the platform asks for 30 to 60.
const HEARTBEAT: u16 = 30;
/// Messages that are under way to us before the first of them is acknowledged. A commit takes milliseconds and an acknowledgement the way
/// to the platform and back: at 50 ms this is 20,000 messages a second.
const PREFETCH: u16 = 1000;
/// What a client says first ("AMQP 0.9.1", 4.2.2).
const GREETING: &[u8; 8] = b"AMQP\0\0\x09\x01";
/// What a frame that carries a method begins with: the answer to a greeting.
const METHOD: u8 = 1;

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

    /// Logs in anew, and asks how a queue stands, if the broker says it. Nothing is consumed.
    pub(crate) async fn look(&self, queue: &str) -> Result<Option<QueueCounts>, BrokerError> {
        let connection = self.open().await?;
        let close_reason = CloseReason::default();
        let asked = timeout(PATIENCE, self.ask(&connection, &close_reason, queue)).await;
        let _ = timeout(PATIENCE, connection.close()).await;
        match asked {
            Ok(asked) => Ok(asked?.map(|(_, queue_counts)| queue_counts)),
            Err(_) => Err(self.unreachable("no answer in time")),
        }
    }

    /// Logs in anew, and asks for the messages of a queue.
    pub(crate) async fn subscribe(&self, queue: &str) -> Result<Subscription, BrokerError> {
        let connection = self.open().await?;
        match timeout(PATIENCE, self.consume(&connection, queue)).await {
            Ok(subscription) => {
                let (deliveries, channel, counter, queue_counts, close_reason) = subscription?;
                Ok(Subscription {
                    connection,
                    channel,
                    counter,
                    queue: queue.to_owned(),
                    deliveries,
                    close_reason,
                    queue_counts,
                })
            }
            Err(_) => Err(self.unreachable("no answer in time")),
        }
    }

    /// Logs in anew.
    async fn open(&self) -> Result<Connection, BrokerError> {
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
        match opened {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(AmqpError::ConnectionOpenError(reason))) => Err(BrokerError::Denied {
                address: self.address.clone(),
                reason,
            }),
            Ok(Err(error)) => Err(self.diagnosis(&error).await),
            Err(_) => Err(self.unreachable("no answer in time")),
        }
    }

    /// Asks how a queue stands, on a channel of its own, which a refusal closes. Whoever may not ask may consume all the same.
    async fn ask(
        &self,
        connection: &Connection,
        close_reason: &CloseReason,
        queue: &str,
    ) -> Result<Option<(Channel, QueueCounts)>, BrokerError> {
        let told = CloseReason::default();
        let failed = |error: AmqpError| self.refused(close_reason, queue, &error);
        connection
            .register_callback(OfConnection(close_reason.clone()))
            .await
            .map_err(failed)?;
        let channel = connection.open_channel(None).await.map_err(failed)?;
        channel
            .register_callback(OfChannel(told.clone()))
            .await
            .map_err(failed)?;
        match count(&channel, queue).await {
            Ok(queue_counts) => Ok(Some((channel, queue_counts))),
            Err(error) if told.code() == Some(404) => Err(self.refused(&told, queue, &error)),
            Err(_) => Ok(None),
        }
    }

    async fn consume(
        &self,
        connection: &Connection,
        queue: &str,
    ) -> Result<Consuming, BrokerError> {
        let close_reason = CloseReason::default();
        let failed = |error: AmqpError| self.refused(&close_reason, queue, &error);
        let (counter, queue_counts) = self.ask(connection, &close_reason, queue).await?.unzip();
        let channel = connection.open_channel(None).await.map_err(failed)?;
        channel
            .register_callback(OfChannel(close_reason.clone()))
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
        Ok((deliveries, channel, counter, queue_counts, close_reason))
    }

    /// What an error after the login means, by what the broker has said.
    fn refused(&self, close_reason: &CloseReason, queue: &str, error: &AmqpError) -> BrokerError {
        let (address, reason) = (self.address.clone(), close_reason.words());
        match close_reason.code() {
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

type Consuming = (
    UnboundedReceiver<ConsumerMessage>,
    Channel,
    Option<Channel>,
    Option<QueueCounts>,
    CloseReason,
);

async fn answer(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
) -> std::io::Result<[u8; 4]> {
    stream.write_all(GREETING).await?;
    stream.flush().await?;
    let mut begins = [0; 4];
    stream.read_exact(&mut begins).await?;
    Ok(begins)
}
