//! How a push begins.

use super::{
    Error,
    source::{Origin, Sources},
};
use crate::{
    cli::{RolloutArgs, keys},
    model::{Canary, Ramp},
};

/// How a push begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rollout {
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
        let canary = sources.get_found(&keys::CANARY, canary)?;
        let pause = sources.get_found(&keys::CANARY_PAUSE, canary_pause.then_some(true))?;
        // Who wants to look before the others go must not see the whole fleet go. A `canary = "none"` that somebody has written is a choice.
        if pause.value && canary.origin == Origin::Default {
            return Err(Error::PauseWithoutCanary {
                pause: pause.origin,
            });
        }
        Ok(Self {
            canary: canary.value,
            canary_pause: pause.value,
            ramp: sources.get(&keys::RAMP, ramp)?,
        })
    }
}
