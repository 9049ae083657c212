//! The flags of the commands that work on runs in the results database.

use clap::Args;

use super::{
    filter_args::{FILTERS, FilterArgs},
    keys, one_of,
    output_args::{OUTPUT, OutputArgs},
    owner_args::OwnerArgs,
    push_args::PushArgs,
    simulate_args::SimulatedArg,
    values,
};
use crate::model::{Age, Dimension, RowFormat, RunState, Tags, TaskState, TaskStatus};

/// `fleetpush resume`
#[derive(Debug, Args)]
#[command(after_help = super::help::MORE, after_long_help = "")]
pub struct ResumeArgs {
    /// The run's name; you can omit it when exactly one run is unfinished
    #[arg(value_parser = values::run_name)]
    pub run: Option<String>,
    /// How to push.
    #[command(flatten)]
    pub push: PushArgs,
    /// What the results database is allowed.
    #[command(flatten)]
    pub owner: OwnerArgs,
}

/// `fleetpush retry`
#[derive(Debug, Args)]
#[command(after_help = super::help::MORE, after_long_help = "")]
pub struct RetryArgs {
    /// The run's name [default: the latest run]
    #[arg(value_parser = values::run_name)]
    pub run: Option<String>,
    /// Only these states [default: failed]
    ///
    /// Separate them by commas, or repeat the flag. --class in_doubt also selects tasks in doubt. --delivery send_failed,expired selects
    /// accepted tasks instead.
    #[arg(long, value_name = "STATE", value_delimiter = ',', help_heading = FILTERS, conflicts_with = "delivery", value_parser = one_of(&[TaskState::Failed, TaskState::InDoubt], TaskState::name))]
    pub state: Vec<TaskState>,
    /// Which of them [default: --class offline,frequency,quota,transient, when no other filter is given]
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Send the tasks that failed offline, if the device has come online since
    ///
    /// Start this from a timer. Without a run, it selects tasks of all complete runs, but only of the newest run of each manifest. It uses the
    /// ONLINE messages in the inbox, and asks the platform about the other devices. The exit code is 0 if there is nothing to send.
    #[arg(long, conflicts_with_all = ["state", "class", "code", "device", "devices_from", "product", "label", "delivery", "attempts", "ended_after", "ended_before"])]
    pub when_online: bool,
    /// With --when-online: how long ago a task may have failed [default: 7d]
    #[arg(
        hide_short_help = true,
        long,
        value_name = "AGE",
        requires = "when_online"
    )]
    pub offline_for: Option<Age>,
    /// Print how many tasks would be sent again, and send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask for confirmation before sending to more than 1,000 devices
    #[arg(long)]
    pub yes: bool,
    /// How to push.
    #[command(flatten)]
    pub push: PushArgs,
    /// What the results database is allowed.
    #[command(flatten)]
    pub owner: OwnerArgs,
}

/// `fleetpush runs`
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// Only runs in these states; separate by commas or repeat
    #[arg(long, value_name = "STATE", value_delimiter = ',', help_heading = FILTERS, value_parser = one_of(&RunState::ALL, RunState::name))]
    pub state: Vec<RunState>,
    /// List the totals of runs that have been pruned
    #[arg(long, help_heading = FILTERS, conflicts_with = "state")]
    pub pruned: bool,
    /// Only runs with this tag, as in team=network; repeat for more tags, which must all match
    #[arg(long, value_name = "KEY=VALUE", help_heading = FILTERS, value_parser = keys::TAG.parse)]
    pub tag: Vec<Tags>,
    /// Maximum runs to show, the latest first [default: all]
    #[arg(long, value_name = "N", help_heading = FILTERS, value_parser = values::number::<u64>)]
    pub limit: Option<u64>,
    /// Format of the rows on stdout [default: table]
    #[arg(long, value_name = "FORMAT", help_heading = OUTPUT, value_parser = one_of(RowFormat::ALL, RowFormat::name))]
    pub format: Option<RowFormat>,
    /// In the simulator's database.
    #[command(flatten)]
    pub simulate: SimulatedArg,
}

/// `fleetpush sessions`
#[derive(Debug, Args)]
pub struct SessionsArgs {
    /// Only sessions of this run, even if it has been pruned [default: all]
    #[arg(value_parser = values::run_name)]
    pub run: Option<String>,
    /// Maximum sessions to show, the latest first [default: all]
    #[arg(long, value_name = "N", help_heading = FILTERS, value_parser = values::number::<u64>)]
    pub limit: Option<u64>,
    /// Format of the rows on stdout [default: table]
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
    /// Break the tasks down: by product, code, payload, hour, or label.KEY for a label of the manifest
    ///
    /// Separate them by commas, or repeat the flag. Each one is a separate table. hour is the hour in UTC in which a task ended.
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub by: Vec<Dimension>,
    /// Update the output every second until no process is working on the run
    ///
    /// On a terminal this redraws the output. Elsewhere it prints the first line whenever that changes, or one object a second with
    /// --format jsonl.
    #[arg(long)]
    pub watch: bool,
    /// Format of the rows on stdout [default: table]
    #[arg(long, value_name = "FORMAT", help_heading = OUTPUT, value_parser = one_of(RowFormat::ALL, RowFormat::name))]
    pub format: Option<RowFormat>,
    /// In the simulator's database.
    #[command(flatten)]
    pub simulate: SimulatedArg,
}

/// `fleetpush results`
#[derive(Debug, Args)]
#[command(after_help = super::help::MORE, after_long_help = super::help::RESULTS_EPILOGUE)]
pub struct ResultsArgs {
    /// The run's name [default: the latest run]
    #[arg(value_parser = values::run_name)]
    pub run: Option<String>,
    /// Only tasks in these states; separate by commas or repeat
    #[arg(long, value_name = "STATE", value_delimiter = ',', help_heading = FILTERS, value_parser = one_of(&TaskStatus::ALL, TaskStatus::name))]
    pub state: Vec<TaskStatus>,
    /// Which of them.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Maximum rows to show [default: all]
    #[arg(long, value_name = "N", help_heading = FILTERS, value_parser = values::number::<u64>)]
    pub limit: Option<u64>,
    /// Only these columns, in this order: columns of the view, and labels as in label.site
    ///
    /// Separate them by commas, or repeat the flag: run, name, line, product_key, device_key, state, class, code, message, ticket,
    /// attempts, request_id, due_at, finished_at, data, labels, qos, is_cache, cache_time, is_cover, extend_para, delivery, delivery_at.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', help_heading = OUTPUT, value_parser = values::not_empty)]
    pub columns: Vec<String>,
    /// Sort by these columns, or labels as in label.site; -finished_at puts the largest first
    ///
    /// Separate them by commas, or repeat the flag. Missing values come last. Text is sorted by character codes.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', allow_hyphen_values = true, help_heading = OUTPUT, value_parser = values::not_empty)]
    pub sort: Vec<String>,
    /// The form of the rows, and the file for them.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Write the tasks with their payloads and labels as a manifest for `run`: JSONL, or CSV with --format csv
    #[arg(long, help_heading = OUTPUT, conflicts_with_all = ["columns", "sort"])]
    pub as_manifest: bool,
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
    /// Format of the rows on stdout [default: table]
    #[arg(long, value_name = "FORMAT", help_heading = OUTPUT, value_parser = one_of(RowFormat::ALL, RowFormat::name))]
    pub format: Option<RowFormat>,
}
