//! What the commands that write into a results database can be allowed.

use clap::Args;

use super::values;

/// What is refused without a word of agreement.
#[derive(Debug, Clone, Default, Args)]
pub struct OwnerArgs {
    /// Allow a results database on a network file system; only if no other machine uses it, because locks may not work there [env:
    /// FLEETPUSH_ALLOW_NETWORK_FILESYSTEM]
    #[arg(hide_short_help = true, long, help_heading = HEADING)]
    pub allow_network_filesystem: bool,
    /// Continue although the write-ahead log of the last push is missing: its last commands may be sent again
    #[arg(hide_short_help = true, long, help_heading = HEADING)]
    pub accept_lost_log: bool,
    /// A note for `fleetpush sessions`: why you start this, for example a change number
    #[arg(hide_short_help = true, long, value_name = "TEXT", help_heading = HEADING, value_parser = values::note)]
    pub note: Option<String>,
}

const HEADING: &str = "Results database";
