//! The flags of `db`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{owner_args::OwnerArgs, simulate_args::SimulatedArg};

/// `fleetpush db`
#[derive(Debug, Args)]
pub struct DbArgs {
    /// What to do with the results database.
    #[command(subcommand)]
    pub command: DbCommand,
}

/// The commands of `fleetpush db`.
#[derive(Debug, Subcommand)]
pub enum DbCommand {
    /// Bring the database of an older version up to date, with a backup if you like
    ///
    /// First says how long that takes, and how much room on the disk. Commands that write update a database themselves where that takes
    /// less than 5 s; otherwise they end with exit code 6, and name this command. Commands that only read never need it.
    Migrate(MigrateArgs),
}

/// `fleetpush db migrate`
#[derive(Debug, Args)]
#[command(after_long_help = super::help::MIGRATE_EPILOGUE)]
pub struct MigrateArgs {
    /// First copy the database as it is to this file, which must not exist
    #[arg(long, value_name = "FILE")]
    pub backup: Option<PathBuf>,
    /// Say what is to be done, how long it takes and how much room it needs, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// In the simulator's database.
    #[command(flatten)]
    pub simulate: SimulatedArg,
    /// What the results database is allowed.
    #[command(flatten)]
    pub owner: OwnerArgs,
}
