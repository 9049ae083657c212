//! The flags of a worker.

use clap::Args;

use super::{owner_args::OwnerArgs, push_args::PushArgs, values};

/// `fleetpush worker`
#[derive(Debug, Args)]
#[command(after_help = super::help::MORE, after_long_help = "")]
pub struct WorkerArgs {
    /// Only parts of this run
    #[arg(value_parser = values::run_name)]
    pub run: Option<String>,
    /// Wait for new parts when none is left, until a signal comes
    #[arg(long)]
    pub stay: bool,
    /// How to push.
    #[command(flatten)]
    pub push: PushArgs,
    /// What the results database is allowed.
    #[command(flatten)]
    pub owner: OwnerArgs,
}
