//! What the platform's messages say of commands and devices.

use super::Timestamp;

/// What a message says of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum MessageKind {
    /// `REQACK` with `succ`: the command was sent.
    ReqackSucc,
    /// `REQACK` with `fail`: it could not be sent.
    ReqackFail,
    /// `MSERV` `INPUT`: it was issued.
    Input,
    /// `MSERV` `OUTPUT`: the device has answered.
    Output,
}

impl MessageKind {
    /// Every kind.
    pub(crate) const ALL: [Self; 4] = [
        Self::ReqackSucc,
        Self::ReqackFail,
        Self::Input,
        Self::Output,
    ];

    /// Its name in the inbox.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ReqackSucc => "reqack_succ",
            Self::ReqackFail => "reqack_fail",
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

/// A message about a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommandMessage {
    /// What it says.
    pub(crate) kind: MessageKind,
    /// The ticket, as the platform wrote it.
    pub(crate) ticket: String,
    /// The product of the device.
    pub(crate) product_key: String,
    pub(crate) device_key: String,
    /// The service, of `INPUT` and `OUTPUT`.
    pub(crate) code: Option<String>,
    /// The values by name, as JSON text, of `INPUT` and `OUTPUT`.
    pub(crate) kv: Option<String>,
    /// The number of the packet, which wraps.
    pub(crate) packet_id: Option<i64>,
    /// The platform's time; none when it says none.
    pub(crate) at: Option<Timestamp>,
    /// Tells the message from every other one, and is the same when it is delivered again.
    pub(crate) digest: i64,
}

/// That a device has come online or gone offline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PresenceMessage {
    /// The product of the device.
    pub(crate) product_key: String,
    pub(crate) device_key: String,
    /// Whether it is online now.
    pub(crate) is_online: bool,
    /// The platform's time; none when it says none.
    pub(crate) at: Option<Timestamp>,
}

/// One message of the queue, as far as it is of use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum QueueMessage {
    /// It is about a command.
    Command(CommandMessage),
    /// It is about a device's connection.
    Presence(PresenceMessage),
    /// It is of another type, or cannot be read: counted by this word.
    Other {
        /// The type, or what is wrong in parentheses.
        kind: String,
        /// Whether the message is not as the platform documents it.
        is_odd: bool,
    },
}

/// A time in which messages were lost, or may have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MessageGap {
    pub(crate) queue: String,
    /// The first moment of which messages may be missing.
    pub(crate) from: Timestamp,
    /// The last one.
    pub(crate) to: Timestamp,
    /// Why.
    pub(crate) cause: GapCause,
}

/// Why messages are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GapCause {
    /// Nobody listened for longer than the queue keeps messages.
    Away,
    /// The queue was full.
    Full,
}

impl GapCause {
    /// Its name in the inbox.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Full => "full",
        }
    }
}
