//! A queue that is consumed: its messages come in, and are acknowledged.

use std::{fmt, time::Duration};

use amqprs::{
    channel::{BasicAckArguments, Channel, ConsumerMessage, QueueDeclareArguments},
    connection::Connection,
    error::Error as AmqpError,
};
use tokio::{sync::mpsc::UnboundedReceiver, time::timeout};

use super::callbacks::CloseReason;

/// How long the broker may take to answer a question or a goodbye.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// One message that was handed out, and is handed out again unless it is acknowledged.
pub(crate) struct Delivery {
    /// Its number, by which it is acknowledged.
    pub(crate) tag: u64,
    /// What it says.
    pub(crate) body: Vec<u8>,
}

/// How a queue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueCounts {
    /// Messages that wait in it.
    pub(crate) waiting: u32,
    /// Who consumes it.
    pub(crate) consumers: u32,
}

/// A queue whose messages come in.
pub(crate) struct Subscription {
    pub(super) connection: Connection,
    pub(super) channel: Channel,
    /// On which the queue can be asked for, if that is allowed.
    pub(super) counter: Option<Channel>,
    pub(super) queue: String,
    pub(super) deliveries: UnboundedReceiver<ConsumerMessage>,
    pub(super) close_reason: CloseReason,
    pub(super) queue_counts: Option<QueueCounts>,
}

impl Subscription {
    /// How the queue stood before it was consumed by us, if the broker says it.
    pub(crate) fn queue_counts(&self) -> Option<QueueCounts> {
        self.queue_counts
    }

    /// How the queue stands now, with us, if the broker says it.
    pub(crate) async fn count(&self) -> Option<QueueCounts> {
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
    pub(crate) fn end_reason(&self) -> String {
        self.close_reason
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
pub(super) async fn count(channel: &Channel, queue: &str) -> Result<QueueCounts, AmqpError> {
    let arguments = QueueDeclareArguments::new(queue).passive(true).finish();
    let counted = channel.queue_declare(arguments).await?;
    let (_, waiting, consumers) = counted.unwrap_or_default();
    Ok(QueueCounts { waiting, consumers })
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
