//! The flags of the commands that send.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{
    keys, messages_args::MessagesArgs, one_of, rollout_args::RolloutArgs,
    schedule_args::ScheduleArgs, simulate_args::SimulateArg, verifying_args::VerifyingArgs,
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
    /// What is received meanwhile.
    #[command(flatten)]
    pub messages: MessagesArgs,
    /// What follows it.
    #[command(flatten)]
    pub verifying: VerifyingArgs,
    /// Send a command even if its device has accepted a newer one from another run; do not ask
    #[arg(hide_short_help = true, long)]
    pub allow_stale: bool,
    /// Format of the summary [default: text]
    ///
    /// text is printed on stderr; json is one line on stdout.
    #[arg(hide_short_help = true, long, value_name = "FORMAT", help_heading = "Output", value_parser = one_of(SummaryFormat::ALL, SummaryFormat::name))]
    pub format: Option<SummaryFormat>,
    /// How to show progress on stderr; auto is a bar on a terminal and lines elsewhere [default: auto] [env: FLEETPUSH_PROGRESS]
    #[arg(hide_short_help = true, long, value_name = "MODE", help_heading = "Output", value_parser = one_of(ProgressMode::ALL, ProgressMode::name))]
    pub progress: Option<ProgressMode>,
    /// Write metrics of the push to this file in the Prometheus text format, for node_exporter's textfile collector. The file is
    /// replaced every 15 seconds and at the end [env: FLEETPUSH_METRICS_FILE]
    #[arg(hide_short_help = true, long, value_name = "PATH", help_heading = "Output", value_parser = keys::METRICS_FILE.parse)]
    pub metrics_file: Option<PathBuf>,
    /// At the end, write an HTML page about the run to this file, as `report` does; {run} stands for the run's name [env:
    /// FLEETPUSH_REPORT]
    #[arg(hide_short_help = true, long, value_name = "FILE", help_heading = "Output", value_parser = keys::REPORT.parse)]
    pub report: Option<PathBuf>,
}

/// Where a push goes and how it is reached.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Target")]
pub struct TargetArgs {
    /// The platform's data centre, instead of --base-url
    ///
    /// [env: FLEETPUSH_REGION]
    #[arg(long, value_name = "REGION", conflicts_with = "base_url", value_parser = one_of(Region::ALL, Region::name))]
    pub region: Option<Region>,
    /// The platform's base URL, instead of --region
    ///
    /// Give the scheme and the host. This or --region is required.
    ///
    /// [env: FLEETPUSH_BASE_URL]
    #[arg(long, value_name = "URL", value_parser = keys::BASE_URL.parse)]
    pub base_url: Option<String>,
    /// Against a simulator inside the process.
    #[command(flatten)]
    pub simulate: SimulateArg,
    /// Allow a plain http:// URL for a host other than this machine: others on the network can then read credentials and commands [env:
    /// FLEETPUSH_INSECURE_HTTP]
    #[arg(hide_short_help = true, long)]
    pub insecure_http: bool,
    /// The language of the platform's messages [default: EN] [env: FLEETPUSH_LANGUAGE]
    #[arg(hide_short_help = true, long, value_name = "LANGUAGE", value_parser = one_of(Language::ALL, Language::name))]
    pub language: Option<Language>,
    /// Time limit for opening a connection, 1ms to 1h [default: 10s] [env: FLEETPUSH_CONNECT_TIMEOUT]
    #[arg(hide_short_help = true, long, value_name = "DURATION", value_parser = keys::CONNECT_TIMEOUT.key.parse)]
    pub connect_timeout: Option<Duration>,
    /// Time limit for a request, from its start to the end of its reply, 1ms to 1h [default: 30s] [env: FLEETPUSH_REQUEST_TIMEOUT]
    #[arg(hide_short_help = true, long, value_name = "DURATION", value_parser = keys::REQUEST_TIMEOUT.key.parse)]
    pub request_timeout: Option<Duration>,
    /// Continue a run that began with another AccessKey of the same account
    #[arg(hide_short_help = true, long)]
    pub accept_account: bool,
}

/// How fast a push goes.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Pace")]
pub struct PaceArgs {
    /// Maximum devices in one request, 1 to 10000 [default: 100] [env: FLEETPUSH_CHUNK_SIZE]
    #[arg(hide_short_help = true, long, allow_negative_numbers = true, value_name = "DEVICES", value_parser = keys::CHUNK_SIZE.key.parse)]
    pub chunk_size: Option<u32>,
    /// Maximum requests in flight at a time, 1 to 1024 [default: 16] [env: FLEETPUSH_CONCURRENCY]
    #[arg(hide_short_help = true, long, allow_negative_numbers = true, value_name = "REQUESTS", value_parser = keys::CONCURRENCY.key.parse)]
    pub concurrency: Option<u32>,
    /// Maximum requests a second [default: 25]
    ///
    /// A number such as 25 or 0.5, or unlimited. fleetpush sends fewer when the platform accepts fewer.
    ///
    /// [env: FLEETPUSH_RATE]
    #[arg(long, allow_negative_numbers = true, value_name = "RATE", value_parser = keys::RATE.key.parse)]
    pub rate: Option<Rate>,
    /// Maximum devices a second, over all requests: a number such as 500 or 0.5, or unlimited [default: unlimited] [env:
    /// FLEETPUSH_DEVICE_RATE]
    #[arg(hide_short_help = true, long, allow_negative_numbers = true, value_name = "RATE", value_parser = keys::DEVICE_RATE.key.parse)]
    pub device_rate: Option<DeviceRate>,
}

/// What follows when something fails.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Failures")]
pub struct RecoveryArgs {
    /// Maximum attempts for each task, the first included, 1 to 1000. Throttling and outages use no attempt [default: 5] [env:
    /// FLEETPUSH_MAX_ATTEMPTS]
    #[arg(hide_short_help = true, long, value_name = "ATTEMPTS", value_parser = keys::MAX_ATTEMPTS.key.parse)]
    pub max_attempts: Option<u32>,
    /// Maximum total pause of a throttled task, up to 168h; then the task fails [default: 1h] [env: FLEETPUSH_MAX_SNOOZE]
    #[arg(hide_short_help = true, long, value_name = "DURATION", value_parser = keys::MAX_SNOOZE.key.parse)]
    pub max_snooze: Option<Duration>,
    /// Maximum time to wait during an outage of the platform, up to 168h. Then the run stops with exit code 3. With --until or --window,
    /// the default is to wait until their end [default: 30m] [env: FLEETPUSH_MAX_OUTAGE]
    #[arg(hide_short_help = true, long, value_name = "DURATION", value_parser = keys::MAX_OUTAGE.key.parse)]
    pub max_outage: Option<Duration>,
    /// Maximum time to wait for requests in flight when stopping, up to 1h [default: 30s] [env: FLEETPUSH_DRAIN_TIMEOUT]
    #[arg(hide_short_help = true, long, value_name = "DURATION", value_parser = keys::DRAIN_TIMEOUT.key.parse)]
    pub drain_timeout: Option<Duration>,
    /// What to do when a reply is lost [default: resend]
    ///
    /// resend sends the command again: the device gets it at least once. hold keeps the command until `retry`: the device gets it at most
    /// once.
    ///
    /// [env: FLEETPUSH_IN_DOUBT]
    #[arg(long, value_name = "CHOICE", value_parser = one_of(InDoubt::ALL, InDoubt::name))]
    pub in_doubt: Option<InDoubt>,
    /// What to do with a device's later commands after one has failed: fail them unsent, or send them anyway [default: block] [env:
    /// FLEETPUSH_AFTER_FAILURE]
    #[arg(hide_short_help = true, long, value_name = "CHOICE", value_parser = one_of(AfterFailure::ALL, AfterFailure::name))]
    pub after_failure: Option<AfterFailure>,
    /// Abort when too many tasks fail [default: failed>10%,min=500]
    ///
    /// For example, failed>10%,min=500 aborts when at least 500 tasks have ended and more than 10% of them have failed. Offline and blocked
    /// tasks do not count. Without `min`, the minimum is 500. Use a class instead of `failed` to count that class: offline>30%,min=1000. A
    /// number instead of a share needs no `min`: rejected>50. Repeat the flag for more conditions, or separate them by semicolons. The run
    /// is aborted when one of them is met. With --canary-verify, send_failed, unconfirmed, unanswered and answer_failed apply to the canary's
    /// commands, without a minimum. `never` switches all conditions off.
    ///
    /// [env: FLEETPUSH_ABORT_IF]
    #[arg(long, value_name = "CONDITION", value_parser = keys::ABORT_IF.key.parse)]
    pub abort_if: Vec<AbortIf>,
    /// Continue a run that --abort-if has aborted
    #[arg(long)]
    pub override_abort: bool,
    /// Exit with 0 if failures stay below this, as in offline<5% [default: nothing]
    ///
    /// A complete run then counts as a success although some tasks failed or are in doubt. The classes are those of --abort-if. in_doubt<3
    /// limits the number of tasks. With --verify, send_failed, answer_failed, unconfirmed and unanswered limit accepted commands. Repeat the flag
    /// for more limits, or separate them by semicolons. All limits must hold, and failures without a limit are not tolerated.
    ///
    /// [env: FLEETPUSH_TOLERATE]
    #[arg(hide_short_help = true, long, value_name = "LIMIT", value_parser = keys::TOLERATE.key.parse)]
    pub tolerate: Vec<Tolerate>,
    /// How many times to send to an offline device again, up to 1000 [default: 0] [env: FLEETPUSH_RETRY_OFFLINE]
    #[arg(hide_short_help = true, long, value_name = "TIMES", value_parser = keys::RETRY_OFFLINE.key.parse)]
    pub retry_offline: Option<u32>,
    /// How long to wait before sending to an offline device again, 1s to 168h [default: 30m] [env: FLEETPUSH_OFFLINE_DELAY]
    #[arg(hide_short_help = true, long, value_name = "DURATION", value_parser = keys::OFFLINE_DELAY.key.parse)]
    pub offline_delay: Option<Duration>,
}
