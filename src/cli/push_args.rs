//! The flags of the commands that send.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{
    keys, one_of, rollout_args::RolloutArgs, schedule_args::ScheduleArgs,
    simulate_args::SimulateArg,
};
use crate::model::{
    AbortIf, AfterFailure, DeviceRate, InDoubt, Language, ProgressMode, Rate, Region,
    SummaryFormat, Tolerate,
};

/// Everything that `run`, `resume` and `retry` share.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// Where the push goes.
    #[command(flatten)]
    pub target: TargetArgs,
    /// How fast it goes.
    #[command(flatten)]
    pub pace: PaceArgs,
    /// How it begins.
    #[command(flatten)]
    pub rollout: RolloutArgs,
    /// What follows when something fails.
    #[command(flatten)]
    pub recovery: RecoveryArgs,
    /// When it may send.
    #[command(flatten)]
    pub schedule: ScheduleArgs,
    /// Send also what is older than what a device has accepted since from another run, without asking
    #[arg(hide_short_help = true, long)]
    pub allow_stale: bool,
    /// The form of the summary [default: text]
    ///
    /// text goes to stderr, where a person reads it; json is one line on stdout.
    #[arg(hide_short_help = true, long, value_name = "FORMAT", help_heading = "Output", value_parser = one_of(SummaryFormat::ALL, SummaryFormat::name))]
    pub format: Option<SummaryFormat>,
    /// How progress is shown on stderr; auto is a bar on a terminal and lines elsewhere [default: auto] [env: FLEETPUSH_PROGRESS]
    #[arg(hide_short_help = true, long, value_name = "MODE", help_heading = "Output", value_parser = one_of(ProgressMode::ALL, ProgressMode::name))]
    pub progress: Option<ProgressMode>,
    /// Write metrics of the push to this file in the Prometheus text format, for the textfile collector of node_exporter: every
    /// 15 seconds and at the end, each time as a whole [env: FLEETPUSH_METRICS_FILE]
    #[arg(hide_short_help = true, long, value_name = "PATH", help_heading = "Output", value_parser = keys::METRICS_FILE.parse)]
    pub metrics_file: Option<PathBuf>,
    /// Write an HTML page about the run to this file at the end, as `report` does; {run} in it stands for the run's name
    /// [env: FLEETPUSH_REPORT]
    #[arg(hide_short_help = true, long, value_name = "FILE", help_heading = "Output", value_parser = keys::REPORT.parse)]
    pub report: Option<PathBuf>,
}

/// Where a push goes and how it is reached.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Target")]
pub struct TargetArgs {
    /// The platform's data centre, when no --base-url is given
    ///
    /// [env: FLEETPUSH_REGION]
    #[arg(long, value_name = "REGION", conflicts_with = "base_url", value_parser = one_of(Region::ALL, Region::name))]
    pub region: Option<Region>,
    /// The platform's base URL, in place of --region
    ///
    /// Scheme and host. This or --region is required.
    ///
    /// [env: FLEETPUSH_BASE_URL]
    #[arg(long, value_name = "URL", value_parser = keys::BASE_URL.parse)]
    pub base_url: Option<String>,
    /// Against a simulator inside the process.
    #[command(flatten)]
    pub simulate: SimulateArg,
    /// Take a plain http:// URL for a host other than this machine: credentials and commands can then be read on the way
    /// [env: FLEETPUSH_INSECURE_HTTP]
    #[arg(hide_short_help = true, long)]
    pub insecure_http: bool,
    /// The language of the platform's messages [default: EN] [env: FLEETPUSH_LANGUAGE]
    #[arg(hide_short_help = true, long, value_name = "LANGUAGE", value_parser = one_of(Language::ALL, Language::name))]
    pub language: Option<Language>,
    /// How long a connection may take to be made, 1ms to 1h [default: 10s] [env: FLEETPUSH_CONNECT_TIMEOUT]
    #[arg(hide_short_help = true, long, value_name = "DURATION", value_parser = keys::CONNECT_TIMEOUT.key.parse)]
    pub connect_timeout: Option<Duration>,
    /// How long a request may take, from its beginning to the end of its reply, 1ms to 1h [default: 30s]
    /// [env: FLEETPUSH_REQUEST_TIMEOUT]
    #[arg(hide_short_help = true, long, value_name = "DURATION", value_parser = keys::REQUEST_TIMEOUT.key.parse)]
    pub request_timeout: Option<Duration>,
    /// Continue a run with another AccessKey than the one that it was begun with, for example after the key was rotated
    #[arg(hide_short_help = true, long)]
    pub accept_account: bool,
}

/// How fast a push goes.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Pace")]
pub struct PaceArgs {
    /// The most devices in one request, 1 to 10000 [default: 100] [env: FLEETPUSH_CHUNK_SIZE]
    #[arg(hide_short_help = true, long, allow_negative_numbers = true, value_name = "DEVICES", value_parser = keys::CHUNK_SIZE.key.parse)]
    pub chunk_size: Option<u32>,
    /// The most requests in flight at a time, 1 to 1024 [default: 16] [env: FLEETPUSH_CONCURRENCY]
    #[arg(hide_short_help = true, long, allow_negative_numbers = true, value_name = "REQUESTS", value_parser = keys::CONCURRENCY.key.parse)]
    pub concurrency: Option<u32>,
    /// The most requests a second [default: 25]
    ///
    /// A number such as 25 or 0.5, or unlimited. fleetpush stays below it when the platform takes less.
    ///
    /// [env: FLEETPUSH_RATE]
    #[arg(long, allow_negative_numbers = true, value_name = "RATE", value_parser = keys::RATE.key.parse)]
    pub rate: Option<Rate>,
    /// The most devices a second, in however many requests: a number such as 500 or 0.5, or unlimited [default: unlimited]
    /// [env: FLEETPUSH_DEVICE_RATE]
    #[arg(hide_short_help = true, long, allow_negative_numbers = true, value_name = "RATE", value_parser = keys::DEVICE_RATE.key.parse)]
    pub device_rate: Option<DeviceRate>,
}

/// What follows when something fails.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Failures")]
pub struct RecoveryArgs {
    /// The most attempts for each device, the first included, 1 to 1000; pauses for throttling and outages use up none
    /// [default: 5] [env: FLEETPUSH_MAX_ATTEMPTS]
    #[arg(hide_short_help = true, long, value_name = "ATTEMPTS", value_parser = keys::MAX_ATTEMPTS.key.parse)]
    pub max_attempts: Option<u32>,
    /// The longest that a throttled device is put off, all its pauses together, up to 168h [default: 1h]
    /// [env: FLEETPUSH_MAX_SNOOZE]
    #[arg(hide_short_help = true, long, value_name = "DURATION", value_parser = keys::MAX_SNOOZE.key.parse)]
    pub max_snooze: Option<Duration>,
    /// The longest outage of the platform that is waited for, up to 168h; then the run stops, exit code 3; with --until or --window as
    /// long as these leave, unless it is set [default: 30m]
    /// [env: FLEETPUSH_MAX_OUTAGE]
    #[arg(hide_short_help = true, long, value_name = "DURATION", value_parser = keys::MAX_OUTAGE.key.parse)]
    pub max_outage: Option<Duration>,
    /// How long a stop waits for requests in flight, up to 1h [default: 30s] [env: FLEETPUSH_DRAIN_TIMEOUT]
    #[arg(hide_short_help = true, long, value_name = "DURATION", value_parser = keys::DRAIN_TIMEOUT.key.parse)]
    pub drain_timeout: Option<Duration>,
    /// What to do when a reply is lost [default: resend]
    ///
    /// resend sends it again, so that the device gets it at least once; hold keeps it until `retry`, so that the device gets it at
    /// most once.
    ///
    /// [env: FLEETPUSH_IN_DOUBT]
    #[arg(long, value_name = "CHOICE", value_parser = one_of(InDoubt::ALL, InDoubt::name))]
    pub in_doubt: Option<InDoubt>,
    /// What becomes of a device's later commands when one has failed: fail unsent, or go out all the same [default: block]
    /// [env: FLEETPUSH_AFTER_FAILURE]
    #[arg(hide_short_help = true, long, value_name = "CHOICE", value_parser = one_of(AfterFailure::ALL, AfterFailure::name))]
    pub after_failure: Option<AfterFailure>,
    /// Abort when too much fails [default: failed>10%,min=500]
    ///
    /// Aborts when more than this share of the tasks that have ended failed, offline and blocked ones left out, once `min` tasks have
    /// ended (500 when left out). A class in place of `failed` counts that class: offline>30%,min=1000. A number in place of the share
    /// needs no `min`: rejected>50. Repeat the flag for more conditions, or separate them by semicolons; one that is met is enough.
    /// never switches this off.
    ///
    /// [env: FLEETPUSH_ABORT_IF]
    #[arg(long, value_name = "CONDITION", value_parser = keys::ABORT_IF.key.parse)]
    pub abort_if: Vec<AbortIf>,
    /// Continue a run that --abort-if has aborted
    #[arg(long)]
    pub override_abort: bool,
    /// Exit with 0 when failures stay below this, as in offline<5% [default: nothing]
    ///
    /// Makes a complete run a success although some of it failed or is in doubt. The words are those of --abort-if; in_doubt<3 is a
    /// number of tasks. Repeat the flag for more limits, or separate them by semicolons. Every limit must be kept, and failures
    /// without a limit are not tolerated.
    ///
    /// [env: FLEETPUSH_TOLERATE]
    #[arg(hide_short_help = true, long, value_name = "LIMIT", value_parser = keys::TOLERATE.key.parse)]
    pub tolerate: Vec<Tolerate>,
    /// How often an offline device is tried again, up to 1000 [default: 0] [env: FLEETPUSH_RETRY_OFFLINE]
    #[arg(hide_short_help = true, long, value_name = "TIMES", value_parser = keys::RETRY_OFFLINE.key.parse)]
    pub retry_offline: Option<u32>,
    /// How long to wait before an offline device is tried again, 1s to 168h [default: 30m] [env: FLEETPUSH_OFFLINE_DELAY]
    #[arg(hide_short_help = true, long, value_name = "DURATION", value_parser = keys::OFFLINE_DELAY.key.parse)]
    pub offline_delay: Option<Duration>,
}
