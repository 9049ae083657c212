//! The command line as it is typed: commands, flags and their help. What they come to, together with the environment and the config
//! file, is decided in `settings`.
//!
//! No flag that a variable or the config file can give as well has a default here: clap could not tell a default from a flag, and the
//! default would hide what the file says.

#![expect(
    clippy::doc_markdown,
    reason = "the comment of a flag is its help, where code marks would be shown as they are"
)]

mod completing;
mod config_args;
mod control_args;
mod db_args;
mod doctor_args;
mod filter_args;
mod generate;
mod help;
mod inventory_args;
pub(crate) mod keys;
mod listen_args;
mod manifest_args;
mod messages_args;
mod output_args;
mod owner_args;
mod prune_args;
mod push_args;
mod query_args;
mod question_args;
mod report_args;
mod rollout_args;
mod schedule_args;
mod simulate_args;
mod simulator_args;
mod template_args;
mod values;
mod verify_args;
mod verifying_args;
mod worker_args;

use std::path::PathBuf;

use crate::model::LogFormat;
use clap::{
    ArgAction, Args, Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};

pub(crate) use self::{
    completing::{Candidate, Candidates, complete, on_the_line},
    config_args::{ConfigArgs, ConfigCommand, ConfigShowArgs, GivenSettings},
    control_args::ControlArgs,
    db_args::{CopyArgs, DbArgs, DbCommand, MigrateArgs},
    doctor_args::DoctorArgs,
    filter_args::FilterArgs,
    generate::{CompletionsArgs, ManArgs, completions, manual, manuals},
    inventory_args::InventoryArgs,
    listen_args::ListenArgs,
    manifest_args::{BeforeArgs, CheckArgs, ManifestArgs, RunArgs},
    messages_args::MessagesArgs,
    output_args::OutputArgs,
    owner_args::OwnerArgs,
    prune_args::PruneArgs,
    push_args::{PaceArgs, PushArgs, RecoveryArgs, TargetArgs},
    query_args::{
        CodesArgs, ResultsArgs, ResumeArgs, RetryArgs, RunsArgs, SessionsArgs, StatusArgs,
    },
    question_args::{DiffArgs, ExplainArgs, RevertArgs, SqlArgs},
    report_args::ReportArgs,
    rollout_args::RolloutArgs,
    schedule_args::ScheduleArgs,
    simulator_args::SimulatorArgs,
    template_args::TemplateArgs,
    verify_args::VerifyArgs,
    verifying_args::VerifyingArgs,
    worker_args::WorkerArgs,
};

/// Push thing-model service commands to a whole IoT fleet, and record what happened to every device
#[derive(Debug, Parser)]
#[command(
    name = "fleetpush",
    version = env!("VERSION_OF_FLEETPUSH"),
    max_term_width = 100,
    after_help = help::SHORT_EPILOGUE,
    after_long_help = help::LONG_EPILOGUE,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: GlobalArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Push a manifest; running it again continues the push, or reports that it is complete
    ///
    /// Stages every row of the manifest in the results database, then pushes. The same manifest, payload flags and target are the same
    /// push. Run it again to continue where it stopped. When the push is complete, running it again sends nothing.
    Run(Box<RunArgs>),
    /// Continue an unfinished run without its manifest
    Resume(Box<ResumeArgs>),
    /// Send failed tasks of a run again, with new attempts
    ///
    /// Without a filter, it sends failed tasks of the classes offline, frequency, quota and transient.
    Retry(Box<RetryArgs>),
    /// Push parts of runs that `run --parts` has divided, on any number of machines
    ///
    /// Takes parts that no other process pushes, one after the other, until none is left. When another worker has died, its part is taken over
    /// after its lease has ended, 30 seconds at most. On a signal, the worker waits for requests in flight and exits with 3; what is left of its
    /// part goes to the next worker. All workers of one account share --rate, --device-rate and --concurrency in equal parts. Needs a PostgreSQL
    /// server. A canary and its flags are for `run`.
    Worker(Box<WorkerArgs>),
    /// Look for evidence of what happened to a run's commands; sends nothing
    ///
    /// Reads the histories of devices, one device at a time. It starts with the tasks that ended in doubt. A task becomes accepted, with the
    /// entry's ticket, if exactly one entry matches by time and values, and that entry cannot come from another command. If there are several
    /// matches or none, the task stays in doubt. Entries can appear late, so run verify again later, or resend the commands with `retry --state
    /// in_doubt`. If a task in doubt has blocked later commands of its device, these stay failed when the task becomes accepted; `retry --class
    /// blocked` sends them. verify does not look up tasks that are still to be sent again.
    ///
    /// Then it looks up the tickets of accepted commands, and records their delivery: queued, sent, send_failed, expired or answered. If
    /// there are more than 3000, it looks up a sample of 400. A command without evidence stays unknown; the device may still have it. You
    /// can stop verify at any time and start it again, even while a push uses the database.
    ///
    /// The exit code is 0 if every accepted command has reached --verify-level or the others are within --tolerate, and otherwise 1. It is 3 if
    /// the platform does not respond, or if it refuses information about all commands that have not reached the level, and 5 if it refuses the
    /// credentials. If the run itself ends with 1, 3 or 4, that is the exit code.
    #[command(alias = "resolve")]
    Verify(Box<VerifyArgs>),
    /// Stop a push until you resume it; works from another terminal
    ///
    /// The push stops within a second, waits for requests in flight, and exits with 3. Until you `resume` the run, `run` sends none of its
    /// tasks and prints who paused it. You can also pause a run while no push is running. If the push is killed before it stops, the pause
    /// applies at its next start.
    Pause(ControlArgs),
    /// End a run: its pending tasks become skipped; works from another terminal
    ///
    /// A running push stops within a second, waits for requests in flight, and exits with 1. You cannot undo this. `run --again` pushes the
    /// manifest again, and `retry` sends failed tasks again.
    Cancel(ControlArgs),
    /// Validate a manifest and show what a push would send; sends nothing
    Check(Box<CheckArgs>),
    /// Write the header of a manifest for one service, and a row that fits the thing model
    Template(Box<TemplateArgs>),
    /// Write the platform's device list as a manifest; sends nothing
    ///
    /// Each device of the products becomes a row, with the labels device_name, sn, online and last_online. If the list changes while it is
    /// being read, it is read again, up to 5 times. The exit code is 1 if devices may still be missing.
    Inventory(Box<InventoryArgs>),
    /// Receive the platform's messages about commands and devices; runs as a service
    ///
    /// The messages of a queue report which commands were sent, what devices answered, and which devices came online. listen writes them to
    /// the inbox, a file beside the results database, until a signal stops it. It acknowledges a message when the message is on the disk. It
    /// never creates or clears the queue. Create one in the platform's console or with its API, and do not let anything else read it.
    Listen(Box<ListenArgs>),
    /// Delete old runs that have ended, and free their disk space
    ///
    /// Deletes runs that are complete or cancelled, with their tasks, requests and results. With --older-than and --keep, it deletes only runs
    /// that meet both conditions. It never deletes an unfinished run. It keeps the last two commands that each device accepted for each service,
    /// because `revert`, the view `devices` and the check for overtaken runs need them. The push of a deleted run stays ended: running it again
    /// sends nothing, unless you give `--again`.
    Prune(PruneArgs),
    /// List the runs
    Runs(RunsArgs),
    /// List each start of a command that writes: who, when and why, and what it sent
    Sessions(SessionsArgs),
    /// Show the progress or the outcome of a run, by state and code
    Status(StatusArgs),
    /// List what happened to each device of a run
    Results(Box<ResultsArgs>),
    /// Show what happened to one device in all runs, and why
    Explain(Box<ExplainArgs>),
    /// Show what changed from one run to the next, or what fails every time
    Diff(Box<DiffArgs>),
    /// Write an HTML page about a run, to view, mail or print
    Report(Box<ReportArgs>),
    /// Write a manifest that restores what devices had before a run; sends nothing
    Revert(Box<RevertArgs>),
    /// Query the results database in SQL; read-only
    Sql(SqlArgs),
    /// Maintain the results database
    Db(DbArgs),
    /// Explain the platform's codes and how fleetpush handles them
    Codes(CodesArgs),
    /// Serve the platform's API on this machine, with faults on demand
    Simulator(Box<SimulatorArgs>),
    /// Test what a push needs: login, clock, proxy, certificate, database, disk; sends nothing
    ///
    /// Each line reports one test, and what to do if it failed. The exit code is 0 if no test failed. Otherwise, it is the exit code of a push
    /// that meets the first failure.
    Doctor(Box<DoctorArgs>),
    /// Show the settings and where they come from
    Config(ConfigArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Print the manual page
    Man(ManArgs),
}

/// Flags that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// The results database, an SQLite file or the address of a PostgreSQL server
    ///
    /// [default: fleetpush.db in $STATE_DIRECTORY, else in the user's state folder]
    ///
    /// [env: FLEETPUSH_DB]
    #[arg(long, global = true, value_name = "PATH", value_parser = keys::DB.parse)]
    pub db: Option<PathBuf>,
    /// The config file [default: fleetpush/config.toml in the user's config folder, when it exists] [env: FLEETPUSH_CONFIG]
    #[arg(hide_short_help = true, long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The profile of the config file to use
    ///
    /// [env: FLEETPUSH_PROFILE]
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// Log only errors, and show no progress
    ///
    /// If you also give --progress, progress is shown.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Log more: -v events, -vv decisions, -vvv everything
    ///
    /// The variable FLEETPUSH_LOG sets a log filter, for example fleetpush=debug.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Format of log lines on stderr [default: text] [env: FLEETPUSH_LOG_FORMAT]
    #[arg(hide_short_help = true, long, global = true, value_name = "FORMAT", value_parser = one_of(LogFormat::ALL, LogFormat::name))]
    pub log_format: Option<LogFormat>,
}

/// Whether some command has a flag of this name, which is given without dashes.
pub fn is_flag(name: &str) -> bool {
    fn has(command: &clap::Command, name: &str) -> bool {
        let mut flags = command.get_arguments().filter_map(clap::Arg::get_long);
        flags.any(|flag| flag == name)
            || command.get_subcommands().any(|command| has(command, name))
    }
    let mut cli = <Cli as clap::CommandFactory>::command();
    cli.build();
    has(&cli, name)
}

/// A parser for a closed set of words, which help and suggestions can then list.
fn one_of<T: Copy + Send + Sync + 'static>(
    all: &'static [T],
    name: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(all.iter().map(|choice| name(*choice))).try_map(move |text| {
        all.iter()
            .copied()
            .find(|choice| name(*choice) == text)
            .ok_or("not one of the possible values")
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn cargo_hands_on_nothing_that_looks_like_a_setting() {
        let build = include_str!("../build.rs");
        assert!(build.contains("rustc-env="));
        assert!(!build.contains("rustc-env=FLEETPUSH_"));
    }

    #[test]
    fn no_default_of_clap_hides_a_setting() {
        let mut cli = Cli::command();
        cli.build();
        for command in std::iter::once(&cli).chain(cli.get_subcommands()) {
            for arg in command.get_arguments() {
                if arg
                    .get_long()
                    .is_some_and(|long| keys::NAMES.contains(&long))
                    && arg.get_action().takes_values()
                {
                    assert_eq!(
                        arg.get_default_values(),
                        [] as [&std::ffi::OsStr; 0],
                        "{} {}",
                        command.get_name(),
                        arg.get_id()
                    );
                }
            }
        }
    }

    #[test]
    fn check_takes_every_flag_that_run_takes() {
        let mut cli = Cli::command();
        cli.build();
        let flags = |name: &str| -> Vec<String> {
            let command = cli.find_subcommand(name).unwrap();
            let mut flags: Vec<String> = command
                .get_arguments()
                .map(|arg| {
                    format!(
                        "{} {:?} {:?} {:?}",
                        arg.get_id(),
                        arg.get_short(),
                        arg.get_long(),
                        arg.get_num_args()
                    )
                })
                .collect();
            flags.sort();
            flags
        };
        assert_eq!(flags("check"), flags("run"));
        assert!(flags("run").iter().any(|flag| flag.contains("dry-run")));
    }

    fn whole_help(arg: &clap::Arg) -> String {
        arg.get_long_help()
            .or_else(|| arg.get_help())
            .unwrap()
            .to_string()
    }

    #[test]
    fn help_tells_every_default_and_variable() {
        let mut cli = Cli::command();
        cli.build();
        // A setting that a push does not take is another command's.
        let find = |name: &str| {
            let run = cli.find_subcommand("run").unwrap();
            std::iter::once(run)
                .chain(cli.get_subcommands())
                .flat_map(clap::Command::get_arguments)
                .find(|arg| arg.get_long() == Some(name))
        };
        for name in keys::NAMES {
            let arg = find(name).unwrap_or_else(|| panic!("no command has --{name}"));
            let help = whole_help(arg);
            let variable = format!("[env: {}]", keys::variable(name));
            assert!(
                help.contains(&variable),
                "--{name} does not tell {variable}: {help}"
            );
        }
        for (name, default) in keys::DEFAULTS {
            let arg = find(name);
            let help = whole_help(arg.unwrap());
            let told = format!("[default: {default}]");
            assert!(
                help.contains(&told) || *default == "false",
                "--{name} does not tell {told}: {help}"
            );
        }
    }
}
