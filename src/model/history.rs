//! What a task has been through so far.

use std::time::Duration;

/// A task's sends so far, as far as the policy and the store need them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct History {
    /// Requests that the task has been in.
    pub(crate) sends: u32,
    /// How many of them were of the task's budget, `--max-attempts`.
    pub(crate) attempts: u32,
    /// Throttled replies (61006, 61007) in a row.
    pub(crate) throttles: u32,
    /// The pauses planned for throttled replies, all together.
    pub(crate) snoozed: Duration,
    /// Sends repeated because the device was offline, of `--retry-offline`.
    pub(crate) offline_retries: u32,
}
