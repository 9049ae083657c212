//! The flags of the commands that answer questions across runs and devices.

use clap::Args;

use super::{output_args::OutputArgs, simulate_args::SimulatedArg, values};

/// `fleetpush sql`
#[derive(Debug, Args)]
#[command(after_long_help = super::help::SQL_EPILOGUE)]
pub struct SqlArgs {
    /// The statement, as in 'SELECT * FROM runs'; - reads it from stdin
    #[arg(value_name = "STATEMENT", allow_hyphen_values = true, value_parser = values::not_empty)]
    pub statement: String,
    /// The form of the rows, and the file for them.
    #[command(flatten)]
    pub output: OutputArgs,
    /// In the simulator's database.
    #[command(flatten)]
    pub simulate: SimulatedArg,
}
