//! The platform, seen from the engine: one call that sends one request and says what became of it.
//!
//! This is the crate's one trait at a boundary, because tests need another platform.

use std::{sync::Arc, time::Duration};

use crate::model::{Fate, Payload, Timestamp};

/// One request to be sent.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// What the devices get.
    pub payload: Arc<Payload>,
    /// The device keys, each once.
    pub devices: Vec<Arc<str>>,
}

/// What became of one request, and when.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// When the send began.
    pub sent_at: Timestamp,
    /// From the beginning of the send to the end of the reply, or to the failure.
    pub latency: Duration,
    /// What became of it.
    pub fate: Fate,
}

/// Sends requests to a platform.
pub trait Gateway: Send + Sync + 'static {
    /// Sends one request, once: no retry of any kind happens behind this call.
    fn send(&self, request: Outgoing) -> impl Future<Output = Delivery> + Send;
}
