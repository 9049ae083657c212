//! The events of the engine, its only output. An event about a request or its tasks is emitted after the commit that records them, so that
//! nothing that is shown can be lost.
//!
//! The engine never waits for a listener. One that does not keep up misses events, and a later [`Event::Progress`] has the counts.

use std::{collections::BTreeMap, time::Duration};

use super::Traffic;
use crate::{
    journal::Finding,
    model::{CanaryVerdict, Class, Counts, Timestamp},
};

/// Something that happened in a push.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    /// The counts after a commit, and every second without one.
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
    /// What machines want to know besides, as often as [`Event::Progress`] and after it.
    Measured(Box<Measures>),
    /// Nothing more is sent until the platform answers again.
    Paused(Pause),
    /// What was missing is there again.
    Resumed {
        /// What it is, for a person.
        what: &'static str,
        /// How long the outage lasted.
        after: Duration,
    },
    /// The platform said that there are too many requests.
    RateLowered {
        /// The new rate, requests a second.
        rate: f64,
    },
    /// So many pushes share the account of the platform, this one included.
    RateShared {
        /// How many.
        pushes: usize,
    },
    /// The platform takes only so many requests at the same time.
    InFlightLimited {
        /// Requests in flight.
        requests: usize,
    },
    /// The ceiling on the requests in flight is what limits the rate.
    HeldUp {
        /// Requests in flight.
        requests: usize,
        /// About so many requests a second go then.
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
    /// The rollout got on.
    Rollout(RolloutStep),
    /// A stop has begun: nothing new is claimed, requests in flight are waited for.
    Draining {
        /// Requests in flight.
        requests: u32,
        /// How long they are waited for.
        timeout: Duration,
    },
}

impl Event {
    /// An outage of the platform is over.
    pub(super) fn answered(after: Duration) -> Self {
        Self::Resumed {
            what: "requests are answered again",
            after,
        }
    }
}

impl From<Finding> for Event {
    fn from(finding: Finding) -> Self {
        match finding {
            Finding::ChunkLimit(devices) => Self::ChunkSizeLowered { devices },
            Finding::Ended { code, what } => Self::PayloadEnded { code, what },
        }
    }
}

/// What is measured of a push, beyond its counts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Measures {
    /// Failed tasks of the run by class.
    pub(crate) failed: BTreeMap<Class, u64>,
    /// What the requests of this push came to.
    pub(crate) traffic: Traffic,
    /// The requests a second that may be sent at present, in full batches; none when nothing limits them.
    pub(crate) rate_limit: Option<f64>,
}

/// How a push gets on that begins carefully.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RolloutStep {
    /// The devices that go first have been chosen.
    CanaryChosen {
        /// How many.
        devices: u64,
    },
    /// The devices that go first were chosen at an earlier start.
    CanaryGoesOn {
        /// How many of them had ended then.
        ended: u64,
        /// How many there are.
        devices: u64,
    },
    /// The fleet is no larger than its canary would be, and is sent as a whole.
    CanaryOfAll {
        /// Devices of the fleet.
        devices: u64,
    },
    /// A canary was asked for after the run had begun, and there is none.
    CanaryTooLate,
    /// So many devices of the canary have ended, after a commit.
    Canary {
        /// How many have.
        ended: u64,
        /// How many there are.
        devices: u64,
    },
    /// The canary is over, and the others follow.
    CanaryOver {
        /// How it went, for a person.
        went: String,
        /// How it was judged.
        verdict: CanaryVerdict,
    },
    /// The ramp has another ceiling.
    Ramp {
        /// Tasks accepted since it began.
        accepted: u64,
        /// The ceiling, in requests a second; `None` when nothing limits the rate any more.
        ceiling: Option<f64>,
        /// Whether it is as high as it will be.
        is_top: bool,
    },
}

/// Where a push stands in its rollout.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum RolloutPhase {
    /// The canary goes.
    Canary {
        /// How many of its devices have ended.
        ended: u64,
        /// How many there are.
        devices: u64,
    },
    /// The rate rises.
    Ramp {
        /// Its ceiling at present, in requests a second.
        ceiling: f64,
    },
    /// Nothing holds the fleet back.
    Rest,
}

/// Why a push pauses.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pause {
    /// What the platform or the network said.
    pub(crate) reason: String,
    /// When one request will probe again.
    pub(crate) probe_at: Timestamp,
    /// When the run stops if it lasts.
    pub(crate) give_up_at: Timestamp,
}

/// How a push ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pushed {
    /// Why it ended.
    pub(crate) stop: Stop,
    /// Requests answered or lost.
    pub(crate) requests: u64,
    /// Where it stood then.
    pub(crate) phase: RolloutPhase,
    /// The requests a second that the platform has been found to take, when it has refused more.
    pub(crate) found: Option<f64>,
}

/// Why a push ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stop {
    /// Every task has ended.
    Complete,
    /// A signal asked for it.
    Signal,
    /// Somebody has paused the run.
    Paused {
        /// Who and when, for a person.
        reason: String,
    },
    /// Somebody has cancelled the run.
    Cancelled {
        /// Who and when, for a person.
        reason: String,
    },
    /// The time came from which on nothing is to be sent.
    Deadline {
        /// What came to its end, for a person.
        reason: String,
    },
    /// An outage lasted longer than `--max-outage`.
    Outage {
        /// What the platform or the network said last.
        reason: String,
    },
    /// The canary is over and good, and somebody wants to look at it before the others go.
    Canary {
        /// How it went, for a person.
        went: String,
    },
    /// The canary is over, and its devices have not proved yet that they got their commands.
    Unproved {
        /// How it went, or why nothing can be proved, for a person.
        reason: String,
    },
    /// What goes first has gone, and the rest is to be divided into parts.
    Divide,
    /// Somebody else has stopped the run, of which this is a part.
    Elsewhere,
    /// What is left would undo what younger runs send, which are pushed at the same time.
    Overtaken {
        /// How much that is, for a person.
        reason: String,
    },
    /// A threshold of `--abort-if` was crossed.
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

impl Stop {
    /// The word for it, in the database and for programs.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Signal => "signal",
            Self::Paused { .. } => "paused",
            Self::Cancelled { .. } => "cancelled",
            Self::Deadline { .. } => "deadline",
            Self::Outage { .. } => "outage",
            Self::Canary { .. } => "canary",
            Self::Unproved { .. } => "unproved",
            Self::Divide => "parts",
            Self::Elsewhere => "elsewhere",
            Self::Overtaken { .. } => "overtaken",
            Self::Aborted { .. } => "aborted",
            Self::Refused { .. } => "refused",
        }
    }

    /// What was said of it, for a person.
    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::Complete | Self::Signal | Self::Divide | Self::Elsewhere => None,
            Self::Paused { reason }
            | Self::Cancelled { reason }
            | Self::Deadline { reason }
            | Self::Outage { reason }
            | Self::Canary { went: reason }
            | Self::Unproved { reason }
            | Self::Overtaken { reason }
            | Self::Aborted { reason }
            | Self::Refused { reason } => Some(reason),
        }
    }
}
