//! The flags by which a push verifies what became of its commands.

use std::time::Duration;

use clap::Args;

use super::{keys, one_of, values};
use crate::model::{ExpectedAnswer, Rate, Sampling, VerifyLevel};

/// What follows a push that has ended.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Verification")]
pub struct VerifyingArgs {
    /// After the push, look for evidence of what happened to its commands, as `verify` does
    ///
    /// The exit code is that of `verify`, unless the run itself ends with 1, 3 or 4. --tolerate 'send_failed<1%;unconfirmed<5%' limits
    /// commands that have not reached --verify-level.
    #[arg(hide_short_help = true, long)]
    pub verify: bool,
    /// With --verify or --canary-verify: the delivery that every accepted command must reach: sent or answered [default: sent]
    #[arg(hide_short_help = true, long, value_name = "LEVEL", value_parser = one_of(VerifyLevel::ALL, VerifyLevel::name))]
    pub verify_level: Option<VerifyLevel>,
    /// With --verify or --canary-verify: count every answer without this output of the service as answer_failed, as in result=0
    ///
    /// Repeat the flag for more outputs that an answer must have. Changes the default of --verify-level to answered.
    #[arg(hide_short_help = true, long, value_name = "CODE=VALUE")]
    pub expect_answer: Vec<ExpectedAnswer>,
    /// With --verify: how long to wait for messages before reading histories, up to 24h [default: 10m]
    #[arg(hide_short_help = true, long, value_name = "DURATION", requires = "verify", value_parser = up_to_a_day)]
    pub verify_wait: Option<Duration>,
    /// With --verify: how many accepted commands to look up in histories: all, or a number [default: all of up to 3000, else 400]
    #[arg(
        hide_short_help = true,
        long,
        allow_negative_numbers = true,
        value_name = "DEVICES",
        requires = "verify"
    )]
    pub sample: Option<Sampling>,
    /// With --verify or --canary-verify: maximum history requests a second [default: 5]
    #[arg(hide_short_help = true, long, allow_negative_numbers = true, value_name = "RATE", value_parser = keys::RATE.key.parse)]
    pub history_rate: Option<Rate>,
}

pub(super) fn up_to_a_day(text: &str) -> Result<Duration, String> {
    values::duration(text, Duration::ZERO, Duration::from_hours(24))
}
