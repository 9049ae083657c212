//! The course of a push: what happened when.

use std::time::Duration;

use super::{Latency, Timestamp};

/// The course of a run in equal steps of time, from its first request to its last.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Course {
    /// When the first step begins.
    pub(crate) start: Timestamp,
    /// How long each is.
    pub(crate) step: Duration,
    /// What happened in each of them.
    pub(crate) steps: Vec<CourseStep>,
}

/// What happened in one step of a course.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CourseStep {
    /// Tasks that were accepted.
    pub(crate) accepted: u64,
    /// Tasks that failed.
    pub(crate) failed: u64,
    /// Tasks that ended in doubt.
    pub(crate) in_doubt: u64,
    /// Requests that ended.
    pub(crate) requests: u64,
    /// Devices that they had.
    pub(crate) devices: u64,
    /// Those of the devices that the platform throttled.
    pub(crate) throttled: u64,
    /// The latency of the requests.
    pub(crate) latency: Option<Latency>,
    /// Nothing was in flight, for so long that it is a pause.
    pub(crate) is_pause: bool,
}
