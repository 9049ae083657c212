//! What the simulator has counted.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::scenario::{Fault, Quirk};

/// Counts since the simulator started.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Connections that clients have made.
    pub connections: u64,
    /// `sendServiceData` requests that have arrived, whatever became of them.
    pub requests: u64,
    /// Questions about a device's history that have arrived, one for each page.
    pub histories: u64,
    /// Questions for the thing model of a product.
    pub thing_models: u64,
    /// Questions for the devices of a product, one for each page.
    pub device_lists: u64,
    /// Questions for the products of the account, one for each page.
    pub product_lists: u64,
    /// Questions about the queues of messages.
    pub queues: u64,
    /// Messages that were to be published so far, repeats included.
    pub messages_planned: u64,
    /// Messages that the broker has, repeats included.
    pub messages: u64,
    /// Commands acted on, one for each device.
    pub deliveries: u64,
    /// Logins that gave a token.
    pub logins: u64,
    /// Logins and refreshes that were refused.
    pub logins_refused: u64,
    /// Refreshes that were granted, also those that gave the same token back.
    pub refreshes: u64,
    /// Requests over the rate limit (HTTP 429).
    pub too_many: u64,
    /// Refusals of whole requests, by top-level code.
    pub refused_requests: BTreeMap<i64, u64>,
    /// Refusals of single devices, by the code of the element.
    pub refused_devices: BTreeMap<i64, u64>,
    /// Faults met, logins included.
    pub faults: BTreeMap<Fault, u64>,
    /// Odd replies, by what was odd.
    pub quirks: BTreeMap<Quirk, u64>,
    /// `sendServiceData` requests that are being worked on.
    pub concurrent: u64,
    /// The most of them at once.
    pub max_concurrent: u64,
    /// How often a device was in a request while it was in another, or twice in one: each is a breach of order by the client.
    pub overlaps: u64,
}

/// The counts, while they change.
#[derive(Default)]
pub(super) struct Counters(Mutex<Stats>);

impl Counters {
    /// The counts, to be changed; not to be kept.
    pub(super) fn lock(&self) -> MutexGuard<'_, Stats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request, and that it is being worked on until the guard is dropped. Returns its number too, from 1.
    pub(super) fn begin(&self) -> (u64, Working<'_>) {
        let mut stats = self.lock();
        stats.requests += 1;
        stats.concurrent += 1;
        stats.max_concurrent = stats.max_concurrent.max(stats.concurrent);
        (stats.requests, Working(self))
    }
}

/// A request that is being worked on.
pub(super) struct Working<'a>(&'a Counters);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.lock().concurrent -= 1;
    }
}
