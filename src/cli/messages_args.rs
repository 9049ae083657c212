//! The flags by which a push receives messages.

use clap::Args;

use super::keys;

/// The queue and its broker.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Messages")]
pub struct MessagesArgs {
    /// Receive the messages of this queue during the push, as in a.123.fleet, unless `listen` does [env: FLEETPUSH_QUEUE]
    ///
    /// The messages report what happened to commands. --verify uses them, and the push searches them before it resends a command in doubt.
    #[arg(hide_short_help = true, long, value_name = "QUEUE", value_parser = keys::QUEUE.parse)]
    pub queue: Option<String>,
    /// The message broker, if it is not the one of --region: amqps://HOST:5671/quec-open, without a user name or password
    /// [env: FLEETPUSH_AMQP_URL]
    #[arg(hide_short_help = true, long, value_name = "URL", value_parser = keys::AMQP_URL.parse)]
    pub amqp_url: Option<String>,
}
