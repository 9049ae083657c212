//! The flags of a careful start: a few devices first, and slowly.

use clap::Args;

use super::keys;
use crate::model::{Canary, Ramp};

/// How a push begins.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Rollout")]
pub struct RolloutArgs {
    /// Send to so many devices first: 50, or 1% [default: none]
    ///
    /// The devices are chosen at random over all products. The others follow only when the canary meets none of the --abort-if
    /// conditions (with min=1). A run's canary is chosen once, before its first request.
    ///
    /// [env: FLEETPUSH_CANARY]
    #[arg(long, value_name = "DEVICES", value_parser = keys::CANARY.key.parse)]
    pub canary: Option<Canary>,
    /// Stop after a good canary, exit code 3
    ///
    /// You can look at its devices; the same command continues with the others. Needs --canary.
    ///
    /// [env: FLEETPUSH_CANARY_PAUSE]
    #[arg(long)]
    pub canary_pause: bool,
    /// Begin slowly, after the canary: 1,x2,every=500 begins at 1 request a second and doubles with every 500 devices that have
    /// accepted, up to --rate; or none [default: none] [env: FLEETPUSH_RAMP]
    #[arg(hide_short_help = true, long, value_name = "RATE,xFACTOR,every=DEVICES", value_parser = keys::RAMP.key.parse)]
    pub ramp: Option<Ramp>,
}
