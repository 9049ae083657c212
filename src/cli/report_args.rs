//! The flags of `report`.

use std::path::PathBuf;

use clap::Args;

use super::{output_args::OUTPUT, simulate_args::SimulatedArg, values};

/// `fleetpush report`
#[derive(Debug, Args)]
#[command(after_long_help = super::help::REPORT_EPILOGUE)]
pub struct ReportArgs {
    /// The run's name [default: the latest run]
    #[arg(value_parser = values::run_name)]
    pub run: Option<String>,
    /// Write to this file; - is stdout
    ///
    /// The file is there, or replaced, when the page is complete.
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub out: PathBuf,
    /// In the simulator's database.
    #[command(flatten)]
    pub simulate: SimulatedArg,
}
