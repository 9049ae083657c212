//! The flags of the commands that answer questions across runs and devices.

use clap::Args;

use super::{
    filter_args::{FILTERS, FilterArgs},
    one_of,
    output_args::{OUTPUT, OutputArgs},
    push_args::TargetArgs,
    simulate_args::SimulatedArg,
    values,
};
use crate::model::{SummaryFormat, TaskStatus};

/// `fleetpush explain`
#[derive(Debug, Args)]
#[command(after_help = super::help::MORE, after_long_help = super::help::EXPLAIN_EPILOGUE)]
pub struct ExplainArgs {
    /// The device's key, or with '8601*' how keys begin; you can leave it out with --label or --devices-from
    #[arg(value_name = "DEVICE", value_parser = values::not_empty)]
    pub key: Option<String>,
    /// Only tasks in these states; separate by commas or repeat
    #[arg(long, value_name = "STATE", value_delimiter = ',', help_heading = FILTERS, value_parser = one_of(&TaskStatus::ALL, TaskStatus::name))]
    pub state: Vec<TaskStatus>,
    /// Which of them.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Ask the platform for the history of the device as well
    #[arg(long, help_heading = OUTPUT)]
    pub live: bool,
    /// The form of the answer: text, or one JSON object for each device [default: text]
    #[arg(long, value_name = "FORMAT", help_heading = OUTPUT, value_parser = one_of(SummaryFormat::ALL, SummaryFormat::name))]
    pub format: Option<SummaryFormat>,
    /// The platform that is asked.
    #[command(flatten)]
    pub target: TargetArgs,
}

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
