//! The flags by which a push receives messages.

use clap::Args;

use super::keys;

/// The queue and its broker.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Messages")]
pub struct MessagesArgs {
    /// The queue whose messages are received while the push lasts, as in a.123.fleet, if no `listen` receives them [env: FLEETPUSH_QUEUE]
    ///
    /// The messages say what became of commands: --verify uses them, and a send in doubt is looked for in them before it is sent again.
    #[arg(hide_short_help = true, long, value_name = "QUEUE", value_parser = keys::QUEUE.parse)]
    pub queue: Option<String>,
    /// The message broker, when it is not that of --region: amqps://HOST:5671/quec-open, without a user name or password
    /// [env: FLEETPUSH_AMQP_URL]
    #[arg(hide_short_help = true, long, value_name = "URL", value_parser = keys::AMQP_URL.parse)]
    pub amqp_url: Option<String>,
}
