//! The flags of the commands that work on runs in the results database.

use clap::Args;

use super::{one_of, push_args::PushArgs, values};
use crate::model::{Class, RowFormat, RunState, ShownState, TaskState};

/// `--simulate`
#[derive(Debug, Clone, Copy, Args)]
pub struct SimulateArg {
    /// Use the simulator inside the process instead of a platform, with the database simulated.db of its own
    #[arg(long)]
    pub simulate: bool,
}

/// `--simulate` of a command that only looks into a database
#[derive(Debug, Clone, Copy, Args)]
pub struct SimulatedArg {
    /// Look into the database of simulated runs, simulated.db
    #[arg(long)]
    pub simulate: bool,
}

/// `fleetpush resume`
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The run's name; may be left out when exactly one is unfinished
    #[arg(value_parser = values::run_name)]
    pub run: Option<String>,
    /// How to push.
    #[command(flatten)]
    pub push: PushArgs,
}

/// `fleetpush retry`
#[derive(Debug, Args)]
pub struct RetryArgs {
    /// The run's name
    #[arg(value_parser = values::run_name)]
    pub run: String,
    /// Only tasks in these states; separate by commas or repeat [default: failed, and in_doubt when --class names it]
    #[arg(long, value_name = "STATE", value_delimiter = ',', help_heading = FILTERS, value_parser = one_of(&[TaskState::Failed, TaskState::InDoubt], TaskState::name))]
    pub state: Vec<TaskState>,
    /// Only tasks of these classes; separate by commas or repeat [default: without any filter: offline, frequency, quota, transient]
    #[arg(long, value_name = "CLASS", value_delimiter = ',', help_heading = FILTERS, value_parser = one_of(&Class::ALL, Class::name))]
    pub class: Vec<Class>,
    /// Only tasks that ended with these codes of the platform; separate by commas or repeat
    #[arg(long, value_name = "CODE", value_delimiter = ',', help_heading = FILTERS, value_parser = values::number::<i64>)]
    pub code: Vec<i64>,
    /// Only tasks of these device keys; repeat for more
    #[arg(long, value_name = "KEY", help_heading = FILTERS, value_parser = values::not_empty)]
    pub device: Vec<String>,
    /// Say how many tasks would be sent again, and send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask when more than 1,000 devices are concerned
    #[arg(long)]
    pub yes: bool,
    /// How to push.
    #[command(flatten)]
    pub push: PushArgs,
}

/// `fleetpush cancel`
#[derive(Debug, Args)]
pub struct CancelArgs {
    /// The run's name
    #[arg(value_parser = values::run_name)]
    pub run: String,
    /// In the simulator's database.
    #[command(flatten)]
    pub simulate: SimulatedArg,
}

/// `fleetpush runs`
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// Only runs in these states; separate by commas or repeat
    #[arg(long, value_name = "STATE", value_delimiter = ',', help_heading = FILTERS, value_parser = one_of(&RunState::ALL, RunState::name))]
    pub state: Vec<RunState>,
    /// The most runs to show, the latest first [default: all]
    #[arg(long, value_name = "N", help_heading = FILTERS, value_parser = values::number::<u64>)]
    pub limit: Option<u64>,
    /// The form of the rows on stdout [default: table]
    #[arg(long, value_name = "FORMAT", help_heading = OUTPUT, value_parser = one_of(RowFormat::ALL, RowFormat::name))]
    pub format: Option<RowFormat>,
    /// In the simulator's database.
    #[command(flatten)]
    pub simulate: SimulatedArg,
}

/// `fleetpush status`
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The run's name [default: the latest run]
    #[arg(value_parser = values::run_name)]
    pub run: Option<String>,
    /// The form of the rows on stdout [default: table]
    #[arg(long, value_name = "FORMAT", help_heading = OUTPUT, value_parser = one_of(RowFormat::ALL, RowFormat::name))]
    pub format: Option<RowFormat>,
    /// In the simulator's database.
    #[command(flatten)]
    pub simulate: SimulatedArg,
}

/// `fleetpush results`
#[derive(Debug, Args)]
pub struct ResultsArgs {
    /// The run's name [default: the latest run]
    #[arg(value_parser = values::run_name)]
    pub run: Option<String>,
    /// Only tasks in these states; separate by commas or repeat
    #[arg(long, value_name = "STATE", value_delimiter = ',', help_heading = FILTERS, value_parser = one_of(ShownState::ALL, ShownState::name))]
    pub state: Vec<ShownState>,
    /// Only tasks of these classes; separate by commas or repeat
    #[arg(long, value_name = "CLASS", value_delimiter = ',', help_heading = FILTERS, value_parser = one_of(&Class::ALL, Class::name))]
    pub class: Vec<Class>,
    /// Only tasks with these codes of the platform; separate by commas or repeat
    #[arg(long, value_name = "CODE", value_delimiter = ',', help_heading = FILTERS, value_parser = values::number::<i64>)]
    pub code: Vec<i64>,
    /// Only tasks of these device keys; repeat for more
    #[arg(long, value_name = "KEY", help_heading = FILTERS, value_parser = values::not_empty)]
    pub device: Vec<String>,
    /// The most rows to show [default: all]
    #[arg(long, value_name = "N", help_heading = FILTERS, value_parser = values::number::<u64>)]
    pub limit: Option<u64>,
    /// The form of the rows on stdout [default: table]
    #[arg(long, value_name = "FORMAT", help_heading = OUTPUT, value_parser = one_of(RowFormat::ALL, RowFormat::name))]
    pub format: Option<RowFormat>,
    /// In the simulator's database.
    #[command(flatten)]
    pub simulate: SimulatedArg,
}

/// `fleetpush codes`
#[derive(Debug, Clone, Copy, Args)]
pub struct CodesArgs {
    /// The code to explain [default: all of them]
    #[arg(value_parser = values::number::<i64>)]
    pub code: Option<i64>,
    /// The form of the rows on stdout [default: table]
    #[arg(long, value_name = "FORMAT", help_heading = OUTPUT, value_parser = one_of(RowFormat::ALL, RowFormat::name))]
    pub format: Option<RowFormat>,
}

const FILTERS: &str = "Filters";
const OUTPUT: &str = "Output";
