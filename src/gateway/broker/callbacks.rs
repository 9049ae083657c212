//! Receives what the broker says when it ends a connection, a channel or a subscription.

use std::sync::{Arc, Mutex, PoisonError};

use amqprs::{
    Ack, BasicProperties, Cancel, Close, CloseChannel, Nack, Return,
    callbacks::{ChannelCallback, ConnectionCallback},
    channel::Channel,
    connection::Connection,
};

/// What the broker said first, with its code. Clones are of the same.
#[derive(Debug, Clone, Default)]
pub(super) struct CloseReason(Arc<Mutex<Option<(u16, String)>>>);

impl CloseReason {
    fn set(&self, code: u16, words: &str) {
        let mut reason = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reason.get_or_insert_with(|| (code, words.to_owned()));
    }

    pub(super) fn code(&self) -> Option<u16> {
        let reason = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reason.as_ref().map(|(code, _)| *code)
    }

    pub(super) fn words(&self) -> Option<String> {
        let reason = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reason.as_ref().map(|(_, words)| words.clone())
    }
}

/// Hears how a connection ends.
pub(super) struct OfConnection(pub(super) CloseReason);

// The client's traits are made with `async_trait`: this is what it writes.
#[async_trait::async_trait]
impl ConnectionCallback for OfConnection {
    async fn close(&mut self, _: &Connection, close: Close) -> Result<(), amqprs::error::Error> {
        self.0.set(close.reply_code(), close.reply_text());
        Ok(())
    }

    async fn blocked(&mut self, _: &Connection, _: String) {}

    async fn unblocked(&mut self, _: &Connection) {}

    async fn secret_updated(&mut self, _: &Connection) {}
}

/// Hears how a channel ends.
pub(super) struct OfChannel(pub(super) CloseReason);

#[async_trait::async_trait]
impl ChannelCallback for OfChannel {
    async fn close(
        &mut self,
        _: &Channel,
        close: CloseChannel,
    ) -> Result<(), amqprs::error::Error> {
        self.0.set(close.reply_code(), close.reply_text());
        Ok(())
    }

    async fn cancel(&mut self, _: &Channel, _: Cancel) -> Result<(), amqprs::error::Error> {
        self.0.set(404, "the queue was deleted");
        Ok(())
    }

    async fn flow(&mut self, _: &Channel, active: bool) -> Result<bool, amqprs::error::Error> {
        Ok(active)
    }

    async fn publish_ack(&mut self, _: &Channel, _: Ack) {}

    async fn publish_nack(&mut self, _: &Channel, _: Nack) {}

    async fn publish_return(&mut self, _: &Channel, _: Return, _: BasicProperties, _: Vec<u8>) {}
}
