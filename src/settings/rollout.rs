//! How a push begins.

use super::{Error, source::Sources};
use crate::{
    cli::{RolloutArgs, keys},
    model::{Canary, Ramp},
};

/// How a push begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rollout {
    /// How many devices go first.
    pub canary: Canary,
    /// Whether the push stops after a good canary.
    pub canary_pause: bool,
    /// How the rate rises from the start.
    pub ramp: Ramp,
}

impl Rollout {
    pub(super) fn resolve(args: RolloutArgs, sources: &Sources<'_>) -> Result<Self, Error> {
        let RolloutArgs {
            canary,
            canary_pause,
            ramp,
        } = args;
        Ok(Self {
            canary: sources.get(&keys::CANARY, canary)?,
            canary_pause: sources.get(&keys::CANARY_PAUSE, canary_pause.then_some(true))?,
            ramp: sources.get(&keys::RAMP, ramp)?,
        })
    }
}
