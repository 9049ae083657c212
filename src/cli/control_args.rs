//! The flags of `pause` and `cancel`.

use clap::Args;

use super::{owner_args::OwnerArgs, simulate_args::SimulatedArg, values};

/// `fleetpush pause` and `fleetpush cancel`
#[derive(Debug, Args)]
pub struct ControlArgs {
    /// The run's name; you can omit it when exactly one run is unfinished
    #[arg(value_parser = values::run_name)]
    pub run: Option<String>,
    /// In the simulator's database.
    #[command(flatten)]
    pub simulate: SimulatedArg,
    /// What the results database is allowed.
    #[command(flatten)]
    pub owner: OwnerArgs,
}
