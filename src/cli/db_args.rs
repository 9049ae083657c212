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
    /// Migrate the database of an older version, with a backup if you want one
    ///
    /// First prints how long the migration takes and how much disk space it needs. Commands that write migrate a database themselves if
    /// that takes less than 5 s. Otherwise they exit with 6 and name this command. Commands that only read never need it.
    Migrate(MigrateArgs),
}

/// `fleetpush db migrate`
#[derive(Debug, Args)]
#[command(after_long_help = super::help::MIGRATE_EPILOGUE)]
pub struct MigrateArgs {
    /// First copy the unchanged database to this file, which must not exist
    #[arg(long, value_name = "FILE")]
    pub backup: Option<PathBuf>,
    /// Print what would be done, how long it takes and how much space it needs; change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// In the simulator's database.
    #[command(flatten)]
    pub simulate: SimulatedArg,
    /// What the results database is allowed.
    #[command(flatten)]
    pub owner: OwnerArgs,
}
