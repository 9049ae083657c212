//! What the engine tells the outside, and the only way out of it. What is said of requests and their tasks is said after the commit that
//! records them, so that nothing that is shown can be lost.
//!
//! The engine never waits for a listener: one that does not keep up misses events, and a later [`Event::Progress`] tells the counts.

use std::time::Duration;

use crate::model::{Counts, Timestamp};

/// Something that happened in a push.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The counts after a commit.
    Progress {
        /// How many tasks are in which state.
        counts: Counts,
        /// Requests answered or lost in this push.
        requests: u64,
        /// The latest time at which a waiting task becomes due.
        latest_due: Option<Timestamp>,
        /// The requests a second that the platform has been found to take, when it has refused more.
        found: Option<f64>,
    },
    /// Nothing more is sent until the platform answers again.
    Paused(Pause),
    /// The platform answers again.
    Resumed {
        /// How long the outage lasted.
        after: Duration,
    },
    /// The platform said that there are too many requests.
    RateLowered {
        /// The new rate, requests a second.
        rate: f64,
    },
    /// The platform's limit of devices in one request has been met.
    ChunkSizeLowered {
        /// Devices in one request from now on.
        devices: u32,
    },
    /// The platform refuses a payload or a product; its other tasks fail unsent.
    PayloadEnded {
        /// The code that the platform gave.
        code: i64,
        /// What was refused, for a person: `payload 3 of product PK0001`.
        what: String,
    },
    /// The platform accepted commands without giving a ticket.
    TicketMissing {
        /// For how many devices of the request.
        devices: u32,
    },
    /// A stop has begun: nothing new is claimed, requests in flight are waited for.
    Draining {
        /// Requests in flight.
        requests: u32,
        /// How long they are waited for.
        timeout: Duration,
    },
}

/// Why a push pauses.
#[derive(Debug, Clone, PartialEq)]
pub struct Pause {
    /// What the platform or the network said.
    pub reason: String,
    /// When one request will probe again.
    pub probe_at: Timestamp,
    /// When the run stops if it lasts.
    pub give_up_at: Timestamp,
}

/// How a push ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Pushed {
    /// Why it ended.
    pub stop: Stop,
    /// Requests answered or lost.
    pub requests: u64,
    /// The requests a second that the platform has been found to take, when it has refused more.
    pub found: Option<f64>,
}

/// Why a push ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Stop {
    /// Every task has ended.
    Complete,
    /// A signal asked for it.
    Signal,
    /// An outage lasted longer than `--max-outage`.
    Outage {
        /// What the platform or the network said last.
        reason: String,
    },
    /// The threshold of `--abort-if` was crossed.
    Aborted {
        /// What was counted, for a person.
        reason: String,
    },
    /// Credentials, permission, certificate or endpoint were refused.
    Refused {
        /// What the platform said, and what to do.
        reason: String,
    },
}
