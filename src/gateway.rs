//! The platform, seen from the engine: one call that sends one request and says what became of it, and one that asks what was sent.
//!
//! [`Gateway`] and [`HistoryClient`] are traits, because tests need another platform; [`Platform`] is the real one.
//! They are two, since whoever pushes does not ask, and whoever asks does not push. How an answer is judged, and what follows, is not
//! decided here.

mod base_url;
mod broker;
mod credentials;
mod handover;
mod history;
mod lenient;
mod listing;
mod login;
mod message;
mod platform;
mod proxy;
mod queues;
mod reply;
mod scrub;
#[cfg(test)]
mod testing;
mod token_source;
mod transport;
mod wire;

use std::{sync::Arc, time::Duration};

pub(crate) use base_url::{BaseUrl, BaseUrlError};
pub(crate) use broker::{Broker, BrokerAddress, BrokerError, QueueCounts, Subscription};
pub(crate) use credentials::Credentials;
pub(crate) use handover::Handover;
pub(crate) use history::{HistoryPage, HistoryQuery, HistoryReply};
pub(crate) use listing::DeviceQuery;
pub(crate) use message::read_message;
pub(crate) use platform::{Platform, PlatformOptions, Reached};
pub(crate) use proxy::Proxy;
pub(crate) use queues::{Backlog, ListedQueue, QueueState};
pub use reply::read as read_reply;
pub(crate) use wire::example;

use serde_json::Value;

use crate::model::{Payload, SendResult, Timestamp};

/// One request to be sent.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Whether refusals of it are known to be about itself, so that they say nothing of the token.
    pub suspect: bool,
    /// What the devices get.
    pub payload: Arc<Payload>,
    /// The device keys, each once.
    pub devices: Vec<Arc<str>>,
    /// The time from which on it must not be sent, if there is one.
    pub not_after: Option<Timestamp>,
}

/// What became of one request, and when.
#[derive(Debug, Clone)]
pub(crate) struct SendReport {
    /// When the send began.
    pub sent_at: Timestamp,
    /// From the beginning of the send to the end of the reply, or to the failure.
    pub latency: Duration,
    /// What became of it.
    pub result: SendResult,
}

/// Sends requests to a platform.
pub(crate) trait Gateway: Send + Sync + 'static {
    /// Sends one request, once: no retry of any kind happens behind this call. A request whose time is over when it could go out is
    /// not sent ([`Unsent::Late`](crate::model::Unsent::Late)).
    ///
    /// `handover` happens when the last piece of the request has been handed to HTTP. Until then it can be withdrawn, and what ends
    /// before it was surely not acted on.
    fn send(
        &self,
        request: Outgoing,
        handover: Handover,
    ) -> impl Future<Output = SendReport> + Send;
}

/// Tells what a platform has sent.
pub(crate) trait HistoryClient: Send + Sync + 'static {
    /// Asks for one page of a device's history, once: no retry of any kind happens behind this call.
    fn page(&self, query: HistoryQuery<'_>) -> impl Future<Output = HistoryReply> + Send;

    /// Whether an entry of a device of this product tells the data that was sent. Who knows the types of values knows how else they may be
    /// spelt.
    fn is_same(&self, _product_key: &str, told: &Value, sent: &Value) -> bool {
        told == sent
    }
}

/// Why a gateway cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// No HTTPS client, as a rule because the system has no trust store.
    #[error(
        "cannot set up HTTPS: {0}: check that the system's certificate authorities are installed (the package is often called ca-certificates)"
    )]
    Client(String),
    /// A variable that is to name a proxy and does not.
    #[error("{variable}: {reason}: correct it, or exclude the platform with NO_PROXY")]
    Proxy {
        variable: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A ready token that no header can carry.
    #[error("FLEETPUSH_TOKEN: {0}: give it on one line, as the platform gave it")]
    Token(&'static str),
}
