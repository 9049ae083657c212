//! `--simulate`, of the commands that push and of those that only look into a database.

use clap::Args;

/// `--simulate`
#[derive(Debug, Clone, Copy, Args)]
pub struct SimulateArg {
    /// Use a simulator instead of the platform; its database is simulated.db
    #[arg(long, conflicts_with_all = ["region", "base_url"])]
    pub simulate: bool,
}

/// `--simulate` of a command that only looks into a database
#[derive(Debug, Clone, Copy, Args)]
pub struct SimulatedArg {
    /// Use the database of simulated runs, simulated.db
    #[arg(long)]
    pub simulate: bool,
}
