//! How a push begins.

use std::path::PathBuf;

use super::{
    Error,
    source::{Origin, Sources},
};
use crate::{
    cli::{RolloutArgs, VerifyingArgs, keys},
    model::{Canary, CanaryVerify, ProofAsked, Ramp},
};

/// How a push begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rollout {
    /// How many devices go first.
    pub canary: Canary,
    /// Which, when a file names them.
    pub canary_devices: Option<PathBuf>,
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
        verifying: &VerifyingArgs,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let RolloutArgs {
            canary,
            canary_pause,
            canary_verify,
            canary_devices,
            canary_check,
            ramp,
        } = args;
        let canary = sources.get_found(&keys::CANARY, canary)?;
        let pause = sources.get_found(&keys::CANARY_PAUSE, canary_pause.then_some(true))?;
        // Who wants to look before the others go must not see the whole fleet go. A `canary = "none"` that somebody has written is a choice.
        let has_none = canary.origin == Origin::Default && canary_devices.is_none();
        if pause.value && has_none {
            return Err(Error::PauseWithoutCanary {
                pause: pause.origin,
            });
        }
        let verify = sources.get_found(&keys::CANARY_VERIFY, canary_verify)?;
        let proves = verify.value != CanaryVerify::NONE;
        let checks = canary_check
            .as_ref()
            .is_some_and(|check| check.command().is_some());
        let asked = [
            (proves, "--canary-verify", &verify.origin),
            (checks, "--canary-check", &Origin::Flag),
        ];
        if let Some((_, flag, origin)) = asked.into_iter().find(|(is_asked, ..)| *is_asked)
            && has_none
        {
            return Err(Error::ProofWithoutCanary {
                flag,
                given: origin.clone(),
            });
        }
        Ok(Self {
            proof: ProofAsked {
                verify: (verify.origin != Origin::Default).then_some(verify.value),
                level: verifying.verify_level,
                expected: verifying.expect_answer.clone(),
                check: canary_check,
            },
            // Who names devices wants those.
            canary: match canary_devices {
                Some(_) => Canary::None,
                None => canary.value,
            },
            canary_devices,
            canary_pause: pause.value,
            ramp: sources.get(&keys::RAMP, ramp)?,
        })
    }
}
