//! The flags of `report`.

use std::path::PathBuf;

use clap::Args;

use super::{
    FilterArgs, filter_args::FILTERS, one_of, output_args::OUTPUT, simulate_args::SimulatedArg,
    values,
};
use crate::model::TaskStatus;

/// `fleetpush report`
#[derive(Debug, Args)]
#[command(after_long_help = super::help::REPORT_EPILOGUE)]
pub struct ReportArgs {
    /// The run's name [default: the latest run]
    #[arg(value_parser = values::run_name)]
    pub run: Option<String>,
    /// Only tasks in these states; separate by commas or repeat
    #[arg(long, value_name = "STATE", value_delimiter = ',', help_heading = FILTERS, value_parser = one_of(&TaskStatus::ALL, TaskStatus::name))]
    pub state: Vec<TaskStatus>,
    /// Which of them.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Write to this file; - is stdout
    ///
    /// The file is created or replaced only when the page is complete.
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub out: PathBuf,
    /// In the simulator's database.
    #[command(flatten)]
    pub simulate: SimulatedArg,
}
