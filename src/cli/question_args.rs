//! The flags of the commands that answer questions across runs and devices.

use std::path::PathBuf;

use clap::Args;

use super::{
    filter_args::{FILTERS, FilterArgs},
    one_of,
    output_args::{OUTPUT, OutputArgs},
    push_args::TargetArgs,
    simulate_args::SimulatedArg,
    values,
};
use crate::model::{Change, RowFormat, SummaryFormat, TaskStatus, Tsl};

/// `fleetpush diff`
#[derive(Debug, Args)]
#[command(after_help = super::help::MORE, after_long_help = super::help::DIFF_EPILOGUE)]
pub struct DiffArgs {
    /// Two runs, the earlier one first. One run is compared with the previous run of its manifest
    ///
    /// [default: the last two runs of the latest run's manifest, by its path]
    #[arg(value_name = "RUN", num_args = 0..=2, value_parser = values::run_name)]
    pub run: Vec<String>,
    /// Show the devices that failed in each of the last N runs of the manifest, 2 to 50
    #[arg(long, value_name = "N", value_parser = last)]
    pub last: Option<u32>,
    /// Count by these: code, class, state, product, payload, or a label, as in label.site [default: code]
    ///
    /// Separate them by commas, or repeat the flag. The values are those of the device's task in the later run. For devices that recovered,
    /// have not ended or are gone, they are those of the task in the earlier run.
    #[arg(long, value_name = "BY", value_delimiter = ',', help_heading = OUTPUT, value_parser = values::not_empty)]
    pub by: Vec<String>,
    /// List the devices, one on each row, instead of counts
    #[arg(long, help_heading = OUTPUT)]
    pub list: bool,
    /// Only these changes; separate by commas or repeat
    ///
    /// newly_failing, still_failing, recovered (failed before, accepted now), not_ended (failed before, and has not ended or is skipped now),
    /// new and gone (only one of the runs has the device).
    #[arg(long, value_name = "CHANGE", value_delimiter = ',', hide_possible_values = true, help_heading = FILTERS, value_parser = one_of(Change::ALL, Change::name))]
    pub only: Vec<Change>,
    /// Only tasks in these states; separate by commas or repeat
    #[arg(long, value_name = "STATE", value_delimiter = ',', help_heading = FILTERS, value_parser = one_of(&TaskStatus::ALL, TaskStatus::name))]
    pub state: Vec<TaskStatus>,
    /// Which of them.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Maximum devices to list [default: all]
    #[arg(long, value_name = "N", help_heading = FILTERS, value_parser = values::number::<u64>)]
    pub limit: Option<u64>,
    /// The form of the rows, and the file for them.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Write the tasks that fail in the later run as a manifest for `run`; with --only, all selected tasks
    #[arg(long, help_heading = OUTPUT, conflicts_with_all = ["list", "by"])]
    pub as_manifest: bool,
    /// In the simulator's database.
    #[command(flatten)]
    pub simulate: SimulatedArg,
}

/// `fleetpush revert`
#[derive(Debug, Args)]
#[command(after_help = super::help::MORE, after_long_help = super::help::REVERT_EPILOGUE)]
pub struct RevertArgs {
    /// The run to undo
    #[arg(value_parser = values::run_name)]
    pub run: String,
    /// The services to restore; separate by commas or repeat
    ///
    /// Leave out services that are actions, such as a restart: revert would repeat them.
    #[arg(long, required = true, value_name = "SERVICE", value_delimiter = ',', value_parser = values::not_empty)]
    pub service: Vec<String>,
    /// Only tasks in these states; separate by commas or repeat
    #[arg(long, value_name = "STATE", value_delimiter = ',', help_heading = FILTERS, value_parser = one_of(&TaskStatus::ALL, TaskStatus::name))]
    pub state: Vec<TaskStatus>,
    /// Which tasks of the run are taken back.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Format of the manifest: jsonl or csv [default: jsonl]
    #[arg(long, value_name = "FORMAT", help_heading = OUTPUT, hide_possible_values = true, value_parser = one_of(RowFormat::ALL, RowFormat::name))]
    pub format: Option<RowFormat>,
    /// Write the manifest to this file instead of stdout
    ///
    /// The file is created or replaced only when the manifest is complete. - is stdout.
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub out: Option<PathBuf>,
    /// Write the devices that are left out, with the reasons, to this CSV file
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub left_out: Option<PathBuf>,
    /// In the simulator's database.
    #[command(flatten)]
    pub simulate: SimulatedArg,
}

fn last(text: &str) -> Result<u32, String> {
    values::whole(text, 2, 50)
}

/// `fleetpush explain`
#[derive(Debug, Args)]
#[command(after_help = super::help::MORE, after_long_help = super::help::EXPLAIN_EPILOGUE)]
pub struct ExplainArgs {
    /// The device's key; '8601*' means all keys that begin with 8601. You can omit it with --label or --devices-from
    #[arg(value_name = "DEVICE", value_parser = values::not_empty)]
    pub key: Option<String>,
    /// Only tasks in these states; separate by commas or repeat
    #[arg(long, value_name = "STATE", value_delimiter = ',', help_heading = FILTERS, value_parser = one_of(&TaskStatus::ALL, TaskStatus::name))]
    pub state: Vec<TaskStatus>,
    /// Which of them.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Also read the history of the device from the platform
    #[arg(long, help_heading = OUTPUT)]
    pub live: bool,
    /// With --live: a thing model, a JSON file exported from the platform; repeat for more products
    ///
    /// The model translates the numeric ids in histories to names. Without the flag, explain uses the model that --tsl fetch has stored in the
    /// folder DATABASE.tsl. PRODUCT=FILE sets the product.
    #[arg(hide_short_help = true, long, value_name = "[PRODUCT=]FILE", help_heading = OUTPUT, requires = "live")]
    pub tsl: Vec<Tsl>,
    /// Format of the output: text, or one JSON object for each device [default: text]
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
