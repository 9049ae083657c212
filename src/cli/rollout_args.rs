//! The flags of a careful start: a few devices first, and slowly.

use clap::Args;

use super::keys;
use crate::model::{Canary, Ramp};

/// How a push begins.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Rollout")]
pub struct RolloutArgs {
    /// Send to these devices first, chosen at random over all products, and to the others only when none of the --abort-if
    /// conditions is met by what has become of them (with min=1): a number, a share such as 1%, or none. A run's canary is chosen once,
    /// before its first request [default: none] [env: FLEETPUSH_CANARY]
    #[arg(long, value_name = "DEVICES", value_parser = keys::CANARY.key.parse)]
    pub canary: Option<Canary>,
    /// Stop after a good canary for a look, exit code 3; the same push again goes on. Needs --canary [env: FLEETPUSH_CANARY_PAUSE]
    #[arg(long)]
    pub canary_pause: bool,
    /// Begin slowly, after the canary: 1,x2,every=500 begins at 1 request a second and doubles with every 500 devices that have
    /// accepted, up to --rate; or none [default: none] [env: FLEETPUSH_RAMP]
    #[arg(long, value_name = "RATE,xFACTOR,every=DEVICES", value_parser = keys::RAMP.key.parse)]
    pub ramp: Option<Ramp>,
}
