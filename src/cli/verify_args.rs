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
    /// How far every accepted command has to have come: sent or answered [default: sent]
    #[arg(long, value_name = "LEVEL", value_parser = one_of(VerifyLevel::ALL, VerifyLevel::name))]
    pub verify_level: Option<VerifyLevel>,
    /// Count every answer without this output of the service as answer_failed, as in result=0
    ///
    /// Repeat it for more outputs that an answer must have. Also makes `answered` the default of --verify-level. Answers that are kept from
    /// before are judged anew.
    #[arg(long, value_name = "CODE=VALUE")]
    pub expect_answer: Vec<ExpectedAnswer>,
    /// Exit with 0 although so many commands have not come as far, as in send_failed>1% [default: none]
    ///
    /// You can count send_failed, answer_failed, unconfirmed (unknown, queued or expired) and unanswered. unconfirmed>50 is a number of
    /// commands. Repeat the flag for more conditions, or separate them by semicolons. What has no condition is not tolerated.
    #[arg(long, value_name = "CONDITION")]
    pub tolerate: Vec<DeliveryTolerance>,
    /// How many accepted commands to ask about: all, or a number [default: all of up to 3000, else 400]
    ///
    /// One device is one question. The sample is drawn as a canary is, from all parts of the run, and the same again each time.
    #[arg(long, allow_negative_numbers = true, value_name = "DEVICES")]
    pub sample: Option<Sampling>,
    /// The queue whose messages are used, as in a.123.fleet [default: those in the inbox, if there is one] [env: FLEETPUSH_QUEUE]
    ///
    /// They are received into the inbox beside the database meanwhile, unless fleetpush listen does that.
    #[arg(long, value_name = "QUEUE", help_heading = MESSAGES, value_parser = keys::QUEUE.parse)]
    pub queue: Option<String>,
    /// The message broker, when it is not that of --region: amqps://HOST:5671/quec-open, without a user name or password
    /// [env: FLEETPUSH_AMQP_URL]
    #[arg(hide_short_help = true, long, value_name = "URL", help_heading = MESSAGES, value_parser = keys::AMQP_URL.parse)]
    pub amqp_url: Option<String>,
    /// How long to wait for messages before the history is asked, up to 24h; 0s does not wait [default: 10m]
    ///
    /// The wait ends when every accepted command has come as far as --verify-level, and when nobody receives messages.
    #[arg(long, value_name = "DURATION", help_heading = MESSAGES, value_parser = up_to_a_day)]
    pub verify_wait: Option<Duration>,
    /// How far the platform's clock may be from this machine's, with the time that a command waits within the platform: entries of a
    /// device's history match a send from so long before it until so long after its end, up to 24h [default: 1m]
    #[arg(hide_short_help = true, long, value_name = "DURATION", value_parser = up_to_a_day)]
    pub tolerance: Option<Duration>,
    /// A thing model: the platform's export, a JSON file, or fetch; repeat for more products
    ///
    /// It gives names to entries that have numeric ids, so that their values can be compared with what was sent. Without it, the model in
    /// the folder DATABASE.tsl is used, and where there is none, the platform is asked for it. PRODUCT=FILE says for which product a file
    /// is. fetch asks the platform in any case.
    #[arg(hide_short_help = true, long, value_name = "[PRODUCT=]FILE|fetch")]
    pub tsl: Vec<Tsl>,
    /// The form of the rows on stdout [default: table]
    #[arg(long, value_name = "FORMAT", help_heading = OUTPUT, value_parser = one_of(RowFormat::ALL, RowFormat::name))]
    pub format: Option<RowFormat>,
    /// The platform that is asked.
    #[command(flatten)]
    pub target: TargetArgs,
    /// The most questions in flight at a time, 1 to 1024 [default: 16] [env: FLEETPUSH_CONCURRENCY]
    #[arg(hide_short_help = true, long, allow_negative_numbers = true, value_name = "REQUESTS", help_heading = PACE, value_parser = keys::CONCURRENCY.key.parse)]
    pub concurrency: Option<u32>,
    /// The most questions a second: a number such as 5 or 0.5, or unlimited [default: 5]
    #[arg(long, alias = "rate", allow_negative_numbers = true, value_name = "RATE", help_heading = PACE, value_parser = keys::RATE.key.parse)]
    pub history_rate: Option<Rate>,
    /// The longest outage of the platform that is waited for, up to 168h; then the command stops, exit code 3 [default: 30m]
    /// [env: FLEETPUSH_MAX_OUTAGE]
    #[arg(hide_short_help = true, long, value_name = "DURATION", help_heading = PACE, value_parser = keys::MAX_OUTAGE.key.parse)]
    pub max_outage: Option<Duration>,
    /// What the results database is allowed.
    #[command(flatten)]
    pub owner: OwnerArgs,
}
