//! The flags of `listen`.

use std::path::PathBuf;

use clap::Args;

use super::{keys, owner_args::OwnerArgs, push_args::TargetArgs};
use crate::model::Age;

pub(super) const MESSAGES: &str = "Messages";

/// `fleetpush listen`
#[derive(Debug, Args)]
#[command(after_help = super::help::MORE)]
pub struct ListenArgs {
    /// The full name of the queue, as in a.123.fleet [env: FLEETPUSH_QUEUE]
    #[arg(long, value_name = "QUEUE", help_heading = MESSAGES, value_parser = keys::QUEUE.parse)]
    pub queue: Option<String>,
    /// The message broker, if it is not the one of --region: amqps://HOST:5671/quec-open, without a user name or password
    /// [env: FLEETPUSH_AMQP_URL]
    #[arg(long, value_name = "URL", help_heading = MESSAGES, value_parser = keys::AMQP_URL.parse)]
    pub amqp_url: Option<String>,
    /// How long to keep messages, 1h to 90d [default: 7d] [env: FLEETPUSH_INBOX_KEEP]
    #[arg(long, value_name = "DURATION", help_heading = MESSAGES, value_parser = keys::INBOX_KEEP.key.parse)]
    pub inbox_keep: Option<Age>,
    /// Write metrics of the listener to this file in the Prometheus text format, every 15 seconds and at the end
    /// [env: FLEETPUSH_METRICS_FILE]
    #[arg(long, value_name = "PATH", help_heading = MESSAGES, value_parser = keys::METRICS_FILE.parse)]
    pub metrics_file: Option<PathBuf>,
    /// The platform that the queue belongs to.
    #[command(flatten)]
    pub target: TargetArgs,
    /// What is agreed to.
    #[command(flatten)]
    pub owner: OwnerArgs,
}
