//! The flags that say when a push may send.

use clap::Args;

use super::keys;
use crate::model::{SendWindow, Until};

/// When a push may send.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Schedule")]
pub struct ScheduleArgs {
    /// Send until this time: a time of day such as 05:00 or '05:00 Europe/Oslo', a date and time, or a duration such as 6h. Then the run
    /// waits for requests in flight and stops with exit code 3. The next start continues [default: never] [env: FLEETPUSH_UNTIL]
    #[arg(hide_short_help = true, long, value_name = "TIME|DURATION", value_parser = keys::UNTIL.key.parse)]
    pub until: Option<Until>,
    /// Send only in these hours: '22:00-05:00 Europe/Oslo'
    ///
    /// Without a zone, the hours are in the system's time zone. When they end, the run stops as with --until. Outside them, fleetpush
    /// stages and sends nothing, and exits with 3.
    ///
    /// [default: always] [env: FLEETPUSH_WINDOW]
    #[arg(long, value_name = "FROM-TO [ZONE]", value_parser = keys::WINDOW.key.parse)]
    pub window: Option<SendWindow>,
}
