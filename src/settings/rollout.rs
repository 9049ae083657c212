//! How a push begins.

use super::{
    Error,
    source::{Origin, Sources},
};
use crate::{
    cli::{RolloutArgs, keys},
    model::{Canary, CanaryVerify, ProofAsked, Ramp, VerifyLevel},
};

/// How a push begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rollout {
    /// How many devices go first.
    pub canary: Canary,
    /// Whether the push stops after a good canary.
    pub canary_pause: bool,
    /// What the canary's devices have to prove before the others go.
    pub proof: ProofAsked,
    /// How the rate rises from the start.
    pub ramp: Ramp,
}

impl Rollout {
    pub(super) fn resolve(
        args: RolloutArgs,
        level: Option<VerifyLevel>,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let RolloutArgs {
            canary,
            canary_pause,
            canary_verify,
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
        let verify = sources.get_found(&keys::CANARY_VERIFY, canary_verify)?;
        let proves = verify.value != CanaryVerify::NONE;
        if proves && canary.origin == Origin::Default {
            return Err(Error::ProofWithoutCanary {
                verify: verify.origin,
            });
        }
        Ok(Self {
            proof: ProofAsked {
                verify: (verify.origin != Origin::Default).then_some(verify.value),
                level,
            },
            canary: canary.value,
            canary_pause: pause.value,
            ramp: sources.get(&keys::RAMP, ramp)?,
        })
    }
}
