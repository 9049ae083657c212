//! The arguments of `fleetpush verify`.

use std::time::Duration;

use clap::Args;

use super::{
    keys, one_of, output_args::OUTPUT, owner_args::OwnerArgs, push_args::TargetArgs, values,
    verifying_args::up_to_a_day,
};
use crate::model::{
    DeliveryTolerance, ExpectedAnswer, Rate, RowFormat, Sampling, Tsl, VerifyLevel,
};

/// The heading of the flags that say how fast to ask.
const PACE: &str = "Pace";
/// The heading of the flags about messages.
const MESSAGES: &str = "Messages";

/// `fleetpush verify`
#[derive(Debug, Args)]
#[command(after_help = super::help::MORE, after_long_help = "")]
pub struct VerifyArgs {
    /// The run's name [default: the latest run]
    #[arg(value_parser = values::run_name)]
    pub run: Option<String>,
    /// Show the evidence, and record nothing
    #[arg(long)]
    pub dry_run: bool,
    /// The delivery that every accepted command must reach: sent or answered [default: sent]
    #[arg(long, value_name = "LEVEL", value_parser = one_of(VerifyLevel::ALL, VerifyLevel::name))]
    pub verify_level: Option<VerifyLevel>,
    /// Count every answer without this output of the service as answer_failed, as in result=0
    ///
    /// Repeat the flag for more outputs that an answer must have. Changes the default of --verify-level to answered. Answers that are already
    /// stored are judged again.
    #[arg(long, value_name = "CODE=VALUE")]
    pub expect_answer: Vec<ExpectedAnswer>,
    /// Exit with 0 even if up to this many commands have not reached --verify-level, as in send_failed>1% [default: none]
    ///
    /// You can count send_failed, answer_failed, unconfirmed (unknown, queued or expired) and unanswered. unconfirmed>50 is a number of
    /// commands. Repeat the flag for more conditions, or separate them by semicolons. Without a condition, nothing is tolerated.
    #[arg(long, value_name = "CONDITION")]
    pub tolerate: Vec<DeliveryTolerance>,
    /// How many accepted commands to look up: all, or a number [default: all of up to 3000, else 400]
    ///
    /// Each command takes one request or more. The sample comes from all parts of the run, and is the same each time.
    #[arg(long, allow_negative_numbers = true, value_name = "DEVICES")]
    pub sample: Option<Sampling>,
    /// Use the messages of this queue, as in a.123.fleet [default: those in the inbox, if there is one] [env: FLEETPUSH_QUEUE]
    ///
    /// verify receives them into the inbox beside the database, unless `listen` does.
    #[arg(long, value_name = "QUEUE", help_heading = MESSAGES, value_parser = keys::QUEUE.parse)]
    pub queue: Option<String>,
    /// The message broker, if it is not the one of --region: amqps://HOST:5671/quec-open, without a user name or password
    /// [env: FLEETPUSH_AMQP_URL]
    #[arg(hide_short_help = true, long, value_name = "URL", help_heading = MESSAGES, value_parser = keys::AMQP_URL.parse)]
    pub amqp_url: Option<String>,
    /// How long to wait for messages before reading histories, up to 24h; 0s does not wait [default: 10m]
    ///
    /// The wait ends early when every accepted command has reached --verify-level, or when nothing receives messages.
    #[arg(long, value_name = "DURATION", help_heading = MESSAGES, value_parser = up_to_a_day)]
    pub verify_wait: Option<Duration>,
    /// Maximum difference between the platform's clock and this machine's, including delays within the platform, up to 24h [default: 1m]
    ///
    /// An entry of a history matches a send if its time is at most this long before the start or after the end of the send.
    #[arg(hide_short_help = true, long, value_name = "DURATION", value_parser = up_to_a_day)]
    pub tolerance: Option<Duration>,
    /// A thing model: a JSON file exported from the platform, or `fetch`; repeat for more products
    ///
    /// The model translates the numeric ids in histories to names, so that verify can compare values with what was sent. Without the flag,
    /// verify uses the model in the folder DATABASE.tsl, and fetches the model if there is none. PRODUCT=FILE sets the product. `fetch` always
    /// fetches the model.
    #[arg(hide_short_help = true, long, value_name = "[PRODUCT=]FILE|fetch")]
    pub tsl: Vec<Tsl>,
    /// Format of the rows on stdout [default: table]
    #[arg(long, value_name = "FORMAT", help_heading = OUTPUT, value_parser = one_of(RowFormat::ALL, RowFormat::name))]
    pub format: Option<RowFormat>,
    /// The platform that is asked.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Maximum requests in flight at a time, 1 to 1024 [default: 16] [env: FLEETPUSH_CONCURRENCY]
    #[arg(hide_short_help = true, long, allow_negative_numbers = true, value_name = "REQUESTS", help_heading = PACE, value_parser = keys::CONCURRENCY.key.parse)]
    pub concurrency: Option<u32>,
    /// Maximum requests a second: a number such as 5 or 0.5, or unlimited [default: 5]
    #[arg(long, alias = "rate", allow_negative_numbers = true, value_name = "RATE", help_heading = PACE, value_parser = keys::RATE.key.parse)]
    pub history_rate: Option<Rate>,
    /// Maximum time to wait during an outage of the platform, up to 168h. Then verify stops with exit code 3 [default: 30m]
    /// [env: FLEETPUSH_MAX_OUTAGE]
    #[arg(hide_short_help = true, long, value_name = "DURATION", help_heading = PACE, value_parser = keys::MAX_OUTAGE.key.parse)]
    pub max_outage: Option<Duration>,
    /// What the results database is allowed.
    #[command(flatten)]
    pub owner: OwnerArgs,
}
