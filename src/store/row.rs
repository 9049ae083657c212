//! Rows as the journal reads and changes them: values without a rule.

use std::{sync::Arc, time::Duration};

use super::part::Whole;
use crate::model::{
    BundleId, BundleStatus, CanaryProof, Class, History, Outcome, Payload, PayloadId, RequestId,
    Tally, TaskId, TaskState, Ticket, Timestamp,
};

/// One task of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub task: TaskId,
    pub device_key: Arc<str>,
    /// What it has been through before this send.
    pub history: History,
    /// What its last send came to.
    pub class: Option<Class>,
    /// Whether it comes out of `due`, and not out of the first sends.
    pub(crate) was_due: bool,
}

impl Member {
    /// A member of a first send.
    pub(crate) fn never_sent(task: TaskId, device_key: Arc<str>) -> Self {
        Self {
            task,
            device_key,
            history: History::default(),
            class: None,
            was_due: false,
        }
    }

    /// Whether this send is the first to its device in this run.
    pub(crate) fn is_first_of_device(&self) -> bool {
        // What comes out of `due` has been sent before, or waited for another task of its device.
        !self.was_due
    }
}

/// A task that is due now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DueTask {
    pub(crate) payload: PayloadId,
    pub(crate) bundle: Option<BundleId>,
    pub(crate) member: Member,
}

/// A task that is due now and may be a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProbeTask {
    /// Its bundle is that of a suspect, or none.
    pub(crate) due: DueTask,
    /// Whether its payload is among those that probes have had.
    pub(crate) probed: bool,
}

/// A task that has never been sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FirstTask {
    pub(crate) task: TaskId,
    pub(crate) payload: PayloadId,
    pub(crate) device_key: Arc<str>,
}

/// A row of `due`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) task: TaskId,
    pub(crate) payload: PayloadId,
    pub(crate) bundle: Option<BundleId>,
    pub(crate) not_before: Timestamp,
    pub(crate) class: Option<Class>,
    pub(crate) history: History,
}

/// A send that was not a task's last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) task: TaskId,
    pub(crate) number: u32,
    pub(crate) request: RequestId,
    pub(crate) outcome: Outcome,
}

/// How a task has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EndedTask {
    pub(crate) task: TaskId,
    pub(crate) state: TaskState,
    pub(crate) class: Option<Class>,
    pub(crate) code: Option<i64>,
    pub(crate) message: Option<Box<str>>,
    pub(crate) ticket: Option<Ticket>,
    /// The request that ended it, if one did.
    pub(crate) request: Option<RequestId>,
    /// All its sends.
    pub(crate) sends: u32,
}

/// Neighbouring first sends that one request ended alike, accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AcceptedRange {
    /// The tasks are the ids from this one …
    pub(crate) first_task: TaskId,
    /// … up to but not including this one.
    pub(crate) end_task: TaskId,
    pub(crate) request: RequestId,
    pub(crate) code: i64,
    pub(crate) message: Option<Box<str>>,
    pub(crate) ticket_bytes: usize,
    /// The tickets of the tasks, one after the other.
    pub(crate) tickets: Vec<u8>,
}

/// The task that waits for one that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NextTask {
    /// The one that has ended …
    pub(crate) previous: TaskId,
    /// … and its line.
    pub(crate) line: i64,
    pub(crate) task: TaskId,
    pub(crate) payload: PayloadId,
    pub(crate) sends: u32,
}

/// What stands in the way of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Blocker {
    pub(crate) task: TaskId,
    /// All sends of the task itself.
    pub(crate) sends: u32,
    /// The line of the task before it …
    pub(crate) line: i64,
    /// … and how that has ended.
    pub(crate) state: TaskState,
}

/// A throttled reply, as it is remembered of its device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceThrottle {
    pub(crate) device_key: Arc<str>,
    pub(crate) payload: Arc<Payload>,
    pub(crate) class: Class,
    pub(crate) until: Timestamp,
}

/// A request that is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NewRequest {
    pub(crate) request: RequestId,
    pub(crate) payload: PayloadId,
    pub(crate) bundle: Option<BundleId>,
    /// The first and the last task of a first send; the members of another one name their request.
    pub(crate) range: Option<(TaskId, TaskId)>,
    pub(crate) devices: usize,
}

/// A request that has no end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenRequest {
    pub(crate) payload_id: PayloadId,
    pub(crate) payload: Payload,
    pub(crate) bundle: Option<BundleId>,
    pub(crate) members: Vec<Member>,
}

/// How a request has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FinishedRequest {
    pub(crate) request: RequestId,
    pub(crate) sent_at: Option<Timestamp>,
    pub(crate) finished_at: Timestamp,
    pub(crate) latency: Option<Duration>,
    pub(crate) http_status: Option<u16>,
    pub(crate) code: Option<i64>,
    pub(crate) message: Option<Box<str>>,
    pub(crate) error: Option<Box<str>>,
    /// Whether it was surely never sent.
    pub(crate) released: bool,
}

impl FinishedRequest {
    /// A request that was never sent.
    pub(crate) fn released(request: RequestId, now: Timestamp) -> Self {
        Self {
            request,
            sent_at: None,
            finished_at: now,
            latency: None,
            http_status: None,
            code: None,
            message: None,
            error: None,
            released: true,
        }
    }

    /// A request that was answered with status 200.
    #[cfg(test)]
    pub(crate) fn answered(request: RequestId, code: Option<i64>, at: Timestamp) -> Self {
        Self {
            sent_at: Some(at),
            http_status: Some(200),
            code,
            released: false,
            ..Self::released(request, at)
        }
    }
}

/// Tasks that travel together and are never merged with others, since a request of them was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NewBundle {
    pub(crate) bundle: BundleId,
    /// The request that was refused.
    pub(crate) parent: RequestId,
    pub(crate) devices: usize,
    pub(crate) bundle_status: BundleStatus,
    /// Whether the refusal may have been about the number of devices.
    pub(crate) of_size: bool,
}

/// What is known of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bundle {
    pub(crate) id: BundleId,
    /// The request that it came from …
    pub(crate) parent: RequestId,
    /// … and the number of its devices.
    pub(crate) parent_devices: u32,
    pub(crate) devices: u32,
    /// Whether a request of all its devices was answered device by device; none while nothing is known.
    pub(crate) passed: Option<bool>,
    pub(crate) of_size: bool,
}

/// What a refusal of a whole request is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RefusalKey {
    /// The payload; none when the product as such is refused.
    pub(crate) payload: Option<PayloadId>,
    pub(crate) product_key: Box<str>,
}

/// The refusals of a payload or product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefusalRow {
    pub(crate) key: RefusalKey,
    /// The code and the request of the last one.
    pub(crate) code: i64,
    pub(crate) request: RequestId,
    /// How many requests were refused, and how many devices they had.
    pub(crate) requests: i64,
    pub(crate) devices: i64,
    /// Whether it is not sent any more.
    pub(crate) ended: bool,
}

/// What a push is told of its run when it begins.
#[derive(Debug)]
pub(crate) struct PushRows {
    /// First sends have been claimed up to here.
    pub(crate) next_task: TaskId,
    pub(crate) next_bundle: BundleId,
    /// Waiting tasks whose device the platform throttles.
    pub(crate) snoozing: u64,
    pub(crate) in_flight: u64,
    pub(crate) latest_due: Option<Timestamp>,
    pub(crate) tally: Vec<(Tally, u64)>,
    /// Of the tally, what ended in outages.
    pub(crate) excused: Vec<(Tally, u64)>,
    /// Those that are not sent any more.
    pub(crate) refusals: Vec<RefusalRow>,
    pub(crate) bundle_statuses: Vec<(BundleId, BundleStatus)>,
    pub(crate) canary: Option<CanaryRow>,
    /// How the run as a whole stands, when this is a part of it.
    pub(crate) whole: Option<Whole>,
}

/// What was put off because devices rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deferred {
    /// Tasks that were first sends, and wait in `due` now.
    pub(crate) first: u64,
    /// Tasks that were due before.
    pub(crate) due: u64,
    /// The latest time at which a waiting task becomes due.
    pub(crate) latest_due: Option<Timestamp>,
}

/// The canary of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CanaryRow {
    pub(crate) devices: u64,
    pub(crate) pause: bool,
    /// How many tasks had been accepted when it passed.
    pub(crate) passed: Option<u64>,
    /// Tasks of the run that stand in `due`; counted as long as it has not passed.
    pub(crate) left: u64,
    /// What its devices have to prove before the others go.
    pub(crate) proof: CanaryProof,
}
