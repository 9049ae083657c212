//! Requests: what is claimed, and what became of it.

use std::sync::Arc;

use crate::{
    model::{BundleId, BundleStatus, Outcome, Payload, PayloadId, RequestId, TaskState, Timestamp},
    policy::Disposition,
    store::{FinishedRequest, Member},
};

/// A request to be sent, and its members. On the disk before anybody sees it.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) request: RequestId,
    pub(crate) payload_id: PayloadId,
    pub(crate) payload: Arc<Payload>,
    /// The bundle that it is, or is part of.
    pub(crate) bundle: Option<BundleId>,
    /// How it stands when it was refused before.
    pub(crate) bundle_status: BundleStatus,
    /// The tasks, at least one; no device twice.
    pub(crate) members: Vec<Member>,
}

/// What became of one request.
#[derive(Debug)]
pub(crate) struct Record {
    /// The request and its members.
    pub(crate) claim: Claim,
    /// What became of it.
    pub(crate) end: RequestEnd,
}

impl Record {
    /// That a request was never sent.
    pub(crate) fn released(claim: Claim) -> Self {
        Self {
            claim,
            end: RequestEnd::Released,
        }
    }

    /// Whether a device has accepted its payload.
    pub(super) fn has_acceptance(&self) -> bool {
        let accepted = Next::End(TaskState::Accepted);
        self.end.tasks().iter().any(|task| task.next == accepted)
    }
}

/// What became of a request.
#[derive(Debug)]
pub(crate) enum RequestEnd {
    /// It was never sent: its tasks are pending as before.
    Released,
    /// It was sent, or at least tried.
    Sent {
        /// What is kept of it as a whole.
        finished: FinishedRequest,
        /// Whether the request was answered device by device; `Some(false)` when it was refused as a whole.
        passed: Option<bool>,
        /// How it stands, when it was refused as a whole and stays together.
        together: Option<BundleStatus>,
        /// That the payload or product as such was refused, with the code.
        refused: Option<(Refused, i64)>,
        /// What follows for each member, in their order.
        tasks: Vec<Settlement>,
    },
}

impl RequestEnd {
    /// What follows for each member, if it was sent.
    pub(crate) fn tasks(&self) -> &[Settlement] {
        match self {
            Self::Released => &[],
            Self::Sent { tasks, .. } => tasks,
        }
    }
}

/// What a refusal of a whole request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Payload,
    Product,
}

/// What a send came to for one task, and what follows.
#[derive(Debug)]
pub(crate) struct Settlement {
    /// What it came to.
    pub(crate) outcome: Outcome,
    /// The task's history with this send in it.
    pub(crate) history: crate::model::History,
    /// What follows.
    pub(crate) next: Next,
    /// Before when the device's next task is not sent, once this one has ended; at once when `None`.
    pub(crate) next_task_at: Option<Timestamp>,
}

/// What follows for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    End(TaskState),
    /// It is sent again.
    Again {
        /// Not before this time.
        due_at: Timestamp,
        /// Whether it stays in its bundle.
        keep_bundle: bool,
    },
    /// It is sent again at once, with one half of its request.
    Split {
        second_half: bool,
    },
}

impl Next {
    /// What follows by the policy; a task that is sent again stays in its bundle or not.
    pub(crate) fn of(disposition: Disposition, keep_bundle: bool) -> Self {
        match disposition {
            Disposition::End(state) => Self::End(state),
            Disposition::Again { due_at } => Self::Again {
                due_at,
                keep_bundle,
            },
        }
    }
}

/// What may be claimed in an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClaimLimits {
    /// The most requests to claim.
    pub(crate) requests: usize,
    /// The most devices in one of them, if the run's own limit is not lower.
    pub(crate) chunk_size: u32,
    /// Whether it is a request of one device, to see whether the platform is there.
    pub(crate) probe: bool,
    /// The present time.
    pub(crate) now: Timestamp,
}

/// What an exchange gave. All of it is on the disk.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// The requests to send.
    pub(crate) claims: Vec<Claim>,
    /// Whether there may be more to claim right now.
    pub(crate) more: bool,
    /// Whether what was left has to wait until a request is done, or memory would run out.
    pub(crate) full: bool,
    /// When the next waiting task becomes due; it may have passed when there is more to claim.
    pub(crate) next_due: Option<Timestamp>,
    /// What was found out about the platform.
    pub(crate) findings: Vec<Finding>,
    /// Tasks in doubt that messages of the platform tell of: they are accepted, and not sent again.
    pub(crate) told: u64,
    /// Why messages could not be read, once.
    pub(crate) trouble: Option<String>,
}

/// Something that replies together say of the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Both halves of a refused request passed: the platform takes at most this many devices in one.
    ChunkLimit(u32),
    /// A payload or product is refused as such; its other tasks fail unsent.
    Ended {
        /// The code that the platform gave.
        code: i64,
        /// What is refused, for a person.
        what: String,
    },
}
