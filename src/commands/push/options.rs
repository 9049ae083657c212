//! What the settings of a push come to for the engine.

use std::time::Duration;

use crate::{
    engine::{Options, RolloutOptions},
    policy::Rules,
    settings::Push,
    throttle::Ceilings,
};

/// `time_left` is how long the push may send, when that is known.
pub(super) fn options(settings: &Push, time_left: Option<Duration>) -> Options {
    let recovery = &settings.recovery;
    Options {
        request_timeout: settings.timeouts.request,
        chunk_size: settings.pace.chunk_size,
        concurrency: settings.pace.concurrency as usize,
        ceilings: Ceilings {
            requests: settings.pace.rate.per_second(),
            devices: settings.pace.device_rate.per_second(),
        },
        rollout: RolloutOptions {
            canary: settings.rollout.canary,
            canary_pause: settings.rollout.canary_pause,
            devices: None,
            proof: settings.rollout.proof.clone(),
            after_proof: false,
            ramp: settings.rollout.ramp,
            then_divide: false,
        },
        rules: Rules {
            max_attempts: recovery.max_attempts,
            max_snooze: recovery.max_snooze,
            in_doubt: recovery.in_doubt,
            retry_offline: recovery.retry_offline,
            offline_delay: recovery.offline_delay,
        },
        // Who has said how long the push may take has said how long it may wait.
        max_outage: match time_left {
            Some(left) if !recovery.max_outage_is_set => left,
            _ => recovery.max_outage,
        },
        drain_timeout: recovery.drain_timeout,
        abort_if: recovery.abort_if.clone(),
        override_abort: recovery.override_abort,
    }
}
