//! The changes of an exchange, grouped by kind, so that each kind is one statement of many rows.

use super::{
    TaskProof,
    row::{
        AcceptedRange, Attempt, DeviceThrottle, Due, EndedTask, FinishedRequest, NewBundle,
        NewRequest, RefusalRow,
    },
};
use crate::model::{BundleId, BundleStatus, Lead, PayloadId, RequestId, Sizes, Tally, TaskId};

/// Changes that are written together, in the order of the fields.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Changes {
    pub(crate) finished: Vec<FinishedRequest>,
    /// Payloads that a device has accepted.
    pub(crate) accepted_payloads: Vec<PayloadId>,
    pub(crate) sizes: Option<Sizes>,
    pub(crate) bundles: Vec<NewBundle>,
    /// Whether a request of all devices of a bundle was answered device by device.
    pub(crate) answered_bundles: Vec<(BundleId, bool)>,
    pub(crate) bundle_statuses: Vec<(BundleId, BundleStatus)>,
    pub(crate) refusals: Vec<RefusalRow>,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) throttles: Vec<DeviceThrottle>,
    /// Tasks that wait, whether they were in `due` or not.
    pub(crate) due: Vec<Due>,
    /// Those of them that leave the first sends before these have come to them.
    pub(crate) held: Vec<TaskId>,
    pub(crate) accepted_ranges: Vec<AcceptedRange>,
    /// Tasks that have ended outside those ranges.
    pub(crate) ended: Vec<EndedTask>,
    /// Sends that stand with the end of their task from now on, and no longer among the earlier ones.
    pub(crate) now_last: Vec<(TaskId, u32)>,
    /// What is known of accepted sends besides their reply.
    pub(crate) proofs: Vec<TaskProof>,
    /// Those of the ended tasks that were in `due`.
    pub(crate) no_longer_due: Vec<TaskId>,
    pub(crate) requests: Vec<NewRequest>,
    /// Tasks of `due` that are members of a request now.
    pub(crate) in_flight: Vec<(TaskId, RequestId)>,
    /// First sends have been claimed up to here.
    pub(crate) next_task: Option<TaskId>,
    /// The pace that others are to follow.
    pub(crate) lead: Option<Lead>,
    /// What is added to the counts of ended tasks.
    pub(crate) tally: Vec<(Tally, u64)>,
}
