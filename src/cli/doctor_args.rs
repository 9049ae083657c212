//! The flags of `doctor`.

use clap::Args;

use super::{one_of, output_args::OUTPUT, push_args::TargetArgs};
use crate::model::SummaryFormat;

/// `fleetpush doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Which platform.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Use a results database on a network file system [env: FLEETPUSH_ALLOW_NETWORK_FILESYSTEM]
    #[arg(hide_short_help = true, long, help_heading = "Results database")]
    pub allow_network_filesystem: bool,
    /// Format of the report [default: text]
    #[arg(long, value_name = "FORMAT", help_heading = OUTPUT, value_parser = one_of(SummaryFormat::ALL, SummaryFormat::name))]
    pub format: Option<SummaryFormat>,
}
