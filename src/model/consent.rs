//! What somebody agrees to, and how long it is meant for.

/// What is refused of a results database unless somebody has agreed to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Consent {
    /// `--allow-network-filesystem`: it may lie where other machines can use it.
    pub(crate) network_filesystem: bool,
    /// `--accept-lost-log`: what its last owner's log had is gone.
    pub(crate) lost_log: bool,
    /// It is owned for moments only, which is said beside it from the first: whoever wants it waits.
    pub(crate) for_moments: bool,
}
