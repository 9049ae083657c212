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
    /// Migrate the database of an older version, optionally with a backup
    ///
    /// First prints how long the migration takes and how much disk space it needs. Commands that write migrate the database themselves if
    /// that takes less than 5 s. Otherwise, they exit with 6 and name this command. Commands that only read never need a migration.
    ///
    /// With --db postgres://…, it creates or migrates the schema fleetpush in an existing PostgreSQL database.
    Migrate(MigrateArgs),
    /// Copy all runs of an SQLite database to a PostgreSQL one, where teams and tools can query them
    ///
    /// Copies each run as a whole, then reads it back and compares every row. Run the command again at any time: it copies the runs that have
    /// changed, and leaves the others as they are. It works during a push, and then reports which run is not finished.
    Copy(CopyArgs),
}

/// `fleetpush db copy`
#[derive(Debug, Args)]
#[command(after_long_help = super::help::COPY_EPILOGUE)]
pub struct CopyArgs {
    /// The SQLite database, which is only read
    #[arg(value_name = "FROM")]
    pub from: PathBuf,
    /// The PostgreSQL database: postgres://USER@HOST/DATABASE, without a password
    #[arg(value_name = "TO")]
    pub to: PathBuf,
    /// Also overwrite runs that somebody has changed in the PostgreSQL database
    #[arg(long)]
    pub replace: bool,
}

/// `fleetpush db migrate`
#[derive(Debug, Args)]
#[command(after_long_help = super::help::MIGRATE_EPILOGUE)]
pub struct MigrateArgs {
    /// First copy the unchanged database to this file, which must not exist
    #[arg(long, value_name = "FILE")]
    pub backup: Option<PathBuf>,
    /// Print what the migration would do, how long it takes and how much space it needs; change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// In the simulator's database.
    #[command(flatten)]
    pub simulate: SimulatedArg,
    /// What the results database is allowed.
    #[command(flatten)]
    pub owner: OwnerArgs,
}
