//! What the store keeps of requests that were refused, for the rules of the journal.

use super::RequestId;

/// How a request stands that has been refused and is kept together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct BundleStatus {
    /// How often it was refused, each time while a request that was sent later was answered.
    pub(crate) refusals: u32,
    /// Whether it is a suspect.
    pub(crate) suspect: bool,
    /// The request of its last refusal, while no later one is known to have been answered.
    pub(crate) open: Option<RequestId>,
    /// How often it was refused as the next request after a probe that passed.
    pub(crate) after_probe: u32,
}

/// What is known of the sizes of requests that the platform takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sizes {
    /// The most devices of a request that passed.
    pub(crate) passed: u32,
    /// The most devices that the platform takes in one request, when that has been found.
    pub(crate) limit: Option<u32>,
    /// How often it seemed to have a lower limit since.
    pub(crate) hints: u32,
}
