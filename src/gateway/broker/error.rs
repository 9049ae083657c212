//! Why listening to a queue fails, and what to do.

use super::BrokerAddress;

/// Why a queue cannot be listened to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokerError {
    /// Nobody answers there, or not in time.
    #[error("the message broker {address} cannot be reached: {reason}")]
    Unreachable {
        address: BrokerAddress,
        /// Why not.
        reason: String,
    },
    /// Its certificate is not trusted.
    #[error(
        "the certificate of the message broker {address} is not trusted ({reason}): put its issuer into the system's trust store, or check \
         --region and --amqp-url"
    )]
    Certificate {
        address: BrokerAddress,
        /// What is wrong with it.
        reason: String,
    },
    /// Whoever answers is no broker of this kind.
    #[error("{address} does not speak AMQP 0.9.1 ({reason}): check --region and --amqp-url")]
    Foreign {
        address: BrokerAddress,
        /// What it said.
        reason: String,
    },
    /// The broker ends every connection that has logged in.
    #[error(
        "the message broker {address} refuses the login: check FLEETPUSH_ACCESS_KEY and FLEETPUSH_ACCESS_SECRET, that they belong to this \
         platform, and this machine's clock, which may be at most 10 minutes off"
    )]
    Login { address: BrokerAddress },
    /// The login is good, and the broker refuses what is asked for.
    #[error(
        "the message broker {address} refuses access ({reason}): check the path of --amqp-url, and that the queue belongs to this account"
    )]
    Denied {
        address: BrokerAddress,
        /// What it said.
        reason: String,
    },
    /// There is no such queue.
    #[error(
        "the message broker {address} has no queue '{queue}' ({reason}): give --queue the full name, as in a.123.fleet; docs/delivery.md \
         says how to make one"
    )]
    NoQueue {
        address: BrokerAddress,
        queue: String,
        /// What it said.
        reason: String,
    },
}

impl BrokerError {
    /// Whether the same again would come to the same, until somebody changes something.
    pub(crate) fn is_refusal(&self) -> bool {
        !matches!(self, Self::Unreachable { .. })
    }
}
