//! What is known of an accepted command after its reply.

use super::{Timestamp, options::words};

/// What became of a command after the platform accepted it, as far as evidence says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Delivery {
    /// There is no evidence.
    Unknown,
    /// The platform has it and has not sent it to the device.
    Queued,
    /// The platform has sent it to the device.
    Sent,
    /// The platform could not send it to the device.
    SendFailed,
    /// It was not sent, and its time in the platform's cache is over.
    Expired,
    /// The device has answered it.
    Answered,
    /// The device has answered it otherwise than expected.
    AnswerFailed,
}

impl Delivery {
    /// Every value, in the order in which they are shown.
    pub(crate) const ALL: [Self; 7] = [
        Self::Unknown,
        Self::Queued,
        Self::Sent,
        Self::SendFailed,
        Self::Expired,
        Self::Answered,
        Self::AnswerFailed,
    ];

    /// The name in views and on the screen.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::SendFailed => "send_failed",
            Self::Expired => "expired",
            Self::Answered => "answered",
            Self::AnswerFailed => "answer_failed",
        }
    }

    /// Whether it is one of those that `unconfirmed` stands for.
    pub(crate) fn is_unconfirmed(self) -> bool {
        matches!(self, Self::Unknown | Self::Queued | Self::Expired)
    }
}

words!(
    /// A word of `--delivery`.
    DeliveryWord {
        /// There is no evidence.
        Unknown = "unknown",
        /// The platform has it and has not sent it.
        Queued = "queued",
        /// The platform has sent it.
        Sent = "sent",
        /// The platform could not send it.
        SendFailed = "send_failed",
        /// Its time in the cache is over.
        Expired = "expired",
        /// The device has answered.
        Answered = "answered",
        /// The device has answered otherwise than expected.
        AnswerFailed = "answer_failed",
        /// Unknown, queued or expired.
        Unconfirmed = "unconfirmed",
    }
);

impl DeliveryWord {
    /// What it stands for.
    pub(crate) fn deliveries(self) -> Vec<Delivery> {
        let means = |delivery: &Delivery| match self {
            Self::Unconfirmed => delivery.is_unconfirmed(),
            word => word.name() == delivery.name(),
        };
        Delivery::ALL.into_iter().filter(means).collect()
    }
}

/// Where evidence comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum EvidenceSource {
    /// The device's history: the status of the command, or an entry of the device with the command's ticket.
    History,
    /// A `REQACK` message.
    RequestAck,
    /// A `MSERV` message with subtype `INPUT`.
    Input,
    /// A `MSERV` message with subtype `OUTPUT`.
    Output,
    /// A message that only fits by device and time.
    Device,
}

impl EvidenceSource {
    /// Every value.
    pub(crate) const ALL: [Self; 5] = [
        Self::History,
        Self::RequestAck,
        Self::Input,
        Self::Output,
        Self::Device,
    ];
}

/// A piece of evidence about one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proof {
    /// What it says.
    pub(crate) delivery: Delivery,
    /// Where it comes from.
    pub(crate) source: EvidenceSource,
    /// The platform's time of what it says.
    pub(crate) at: Option<Timestamp>,
    /// As of when it holds: when the history was asked, or when the message was made.
    pub(crate) known_at: Timestamp,
    /// What the device answered, as JSON.
    pub(crate) answer: Option<Box<str>>,
}
