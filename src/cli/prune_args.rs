//! The flags of `prune`.

use std::path::PathBuf;

use clap::Args;

use super::{owner_args::OwnerArgs, simulate_args::SimulatedArg, values};
use crate::model::Age;

/// `fleetpush prune`
#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true).args(["older_than", "keep"]))]
pub struct PruneArgs {
    /// Only runs that ended longer ago than this, for example 90d, 12w or 36h; this or --keep is required
    #[arg(long, value_name = "AGE")]
    pub older_than: Option<Age>,
    /// Keep the latest N ended runs of each manifest, however old they are; this or --older-than is required
    ///
    /// A manifest is identified by the path of its file, or by the run's name if it came from stdin.
    #[arg(long, value_name = "N", value_parser = values::number::<u64>)]
    pub keep: Option<u64>,
    /// First write each run and its attempts to CSV files in this folder
    ///
    /// NAME-NUMBER-TIME-results.csv has the columns of the view `results`, and NAME-NUMBER-TIME-attempts.csv those of `attempts`. A run is
    /// deleted only when its files are on the disk.
    #[arg(long, value_name = "DIR")]
    pub archive: Option<PathBuf>,
    /// Print which runs would be deleted, and delete nothing
    #[arg(long)]
    pub dry_run: bool,
    /// In the simulator's database.
    #[command(flatten)]
    pub simulate: SimulatedArg,
    /// What the results database is allowed.
    #[command(flatten)]
    pub owner: OwnerArgs,
}
