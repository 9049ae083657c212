//! The flags of `doctor`.

use clap::Args;

use super::{keys, listen_args::MESSAGES, one_of, output_args::OUTPUT, push_args::TargetArgs};
use crate::model::SummaryFormat;

/// `fleetpush doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Which platform.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Also test this queue of the platform's messages; give its full name, as in a.123.fleet [env: FLEETPUSH_QUEUE]
    #[arg(long, value_name = "QUEUE", help_heading = MESSAGES, value_parser = keys::QUEUE.parse)]
    pub queue: Option<String>,
    /// The message broker, if it is not the one of --region: amqps://HOST:5671/quec-open, without a user name or password
    /// [env: FLEETPUSH_AMQP_URL]
    #[arg(hide_short_help = true, long, value_name = "URL", help_heading = MESSAGES, value_parser = keys::AMQP_URL.parse)]
    pub amqp_url: Option<String>,
    /// Allow a results database on a network file system [env: FLEETPUSH_ALLOW_NETWORK_FILESYSTEM]
    #[arg(hide_short_help = true, long, help_heading = "Results database")]
    pub allow_network_filesystem: bool,
    /// Format of the report [default: text]
    #[arg(long, value_name = "FORMAT", help_heading = OUTPUT, value_parser = one_of(SummaryFormat::ALL, SummaryFormat::name))]
    pub format: Option<SummaryFormat>,
}
