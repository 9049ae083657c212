//! The flags of a careful start: a few devices first, and slowly.

use std::path::PathBuf;

use clap::Args;

use super::keys;
use crate::model::{Canary, CanaryCheck, CanaryVerify, Ramp};

/// How a push begins.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Rollout")]
pub struct RolloutArgs {
    /// Send to this many devices first: 50, or 1% [default: none]
    ///
    /// fleetpush chooses the devices at random from all products, once, before the first request of the run. It sends to the others only if
    /// the canary meets none of the --abort-if conditions (with min=1).
    ///
    /// [env: FLEETPUSH_CANARY]
    #[arg(long, value_name = "DEVICES", value_parser = keys::CANARY.key.parse)]
    pub canary: Option<Canary>,
    /// Stop after a good canary, with exit code 3
    ///
    /// You can then check the devices. The same command continues with the others. Needs a canary.
    ///
    /// [env: FLEETPUSH_CANARY_PAUSE]
    #[arg(long)]
    pub canary_pause: bool,
    /// Send to the others only when there is evidence that the canary's commands were sent; wait for at most this time, for example 10m [default: none]
    ///
    /// Reads the messages in the inbox and the devices' histories, as `verify` does. The conditions are those of --abort-if on send_failed,
    /// unconfirmed, unanswered and answer_failed, 10% each by default. If fleetpush can read neither messages nor histories, the run stops with
    /// exit code 3. Needs a canary.
    ///
    /// [env: FLEETPUSH_CANARY_VERIFY]
    #[arg(hide_short_help = true, long, value_name = "DURATION", value_parser = keys::CANARY_VERIFY.key.parse)]
    pub canary_verify: Option<CanaryVerify>,
    /// Send to the devices in this file first, instead of random ones: one device key per line, or CSV or JSON with device_key
    ///
    /// A device that is not in the manifest is an error. Cannot be used with --canary.
    #[arg(
        hide_short_help = true,
        long,
        value_name = "FILE",
        conflicts_with = "canary"
    )]
    pub canary_devices: Option<PathBuf>,
    /// After a good canary, send to the others only if this shell command exits with 0 [default: none]
    ///
    /// The command gets the canary's commands as CSV on standard input: line, product_key, device_key, state, class, code, message, ticket, attempts,
    /// delivery. Its output goes to standard error. It runs after --canary-verify, and does not run again when it has passed. Needs a canary.
    #[arg(hide_short_help = true, long, value_name = "COMMAND")]
    pub canary_check: Option<CanaryCheck>,
    /// Begin slowly: 1,x2,every=500 begins at 1 request a second and doubles the rate after every 500 accepted commands, up to --rate.
    /// Commands of the canary do not count [default: none] [env: FLEETPUSH_RAMP]
    #[arg(hide_short_help = true, long, value_name = "RATE,xFACTOR,every=DEVICES", value_parser = keys::RAMP.key.parse)]
    pub ramp: Option<Ramp>,
}
