//! What can go wrong with one call, by name.

use std::fmt;

use serde::{Deserialize, Serialize};
use strum::VariantArray;

/// What a call can meet instead of a plain reply. Which of them leave the platform changed decides whether sending again does harm, so
/// those that a client cannot tell apart come in two kinds, one that has acted and one that has not.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, VariantArray,
)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The connection is reset after the request has been read; not acted on.
    ResetBefore,
    /// The connection is reset when the head of the request has been read, and nothing of its body; not acted on.
    ResetUnread,
    /// HTTP 413 when the head of the request has been read, and nothing of its body, and then a reset; not acted on.
    TooLargeUnread,
    /// The connection is reset; acted on.
    ResetAfter,
    /// The reply ends in the middle, in its head or in its body, and the connection is closed; acted on.
    Cut,
    /// No reply ever comes; not acted on.
    Hang,
    /// No reply ever comes; acted on.
    HangActed,
    /// HTTP 408; not acted on.
    RequestTimeout,
    /// HTTP 429; not acted on.
    TooManyRequests,
    /// HTTP 500 and a page of HTML; not acted on.
    InternalError,
    /// HTTP 500 and a page of HTML; acted on.
    InternalErrorActed,
    /// HTTP 502 and a page of HTML; not acted on.
    BadGateway,
    /// HTTP 502 and a page of HTML; acted on.
    BadGatewayActed,
    /// HTTP 503; not acted on.
    Unavailable,
    /// HTTP 200 and a page of HTML, as a portal or a maintenance page in front of the platform gives it; not acted on.
    Page,
    /// HTTP 504 and a page of HTML; not acted on.
    GatewayTimeout,
    /// HTTP 504 and a page of HTML; acted on.
    GatewayTimeoutActed,
    /// Code 50000 for the whole request; not acted on.
    ServiceException,
    /// Code 70000 for the whole request; not acted on.
    HubUnavailable,
    /// The reply comes in small pieces; acted on.
    Trickle,
    /// The reply is padded with blanks to an absurd size, and no length is announced; acted on.
    Oversized,
    /// The reply calls itself HTML; acted on.
    WrongType,
    /// The first half of the reply poses as the whole of it; acted on.
    NotJson,
    /// The reply is whole, and then the connection closes without a word, so that it dies in the client's pool; acted on.
    DeadInPool,
}

impl Fault {
    /// Whether the platform acts on the call that meets it.
    pub(in crate::simulator) fn acts(self) -> bool {
        match self {
            Self::ResetAfter
            | Self::Cut
            | Self::HangActed
            | Self::InternalErrorActed
            | Self::BadGatewayActed
            | Self::GatewayTimeoutActed
            | Self::Trickle
            | Self::Oversized
            | Self::WrongType
            | Self::NotJson
            | Self::DeadInPool => true,
            Self::ResetBefore
            | Self::ResetUnread
            | Self::TooLargeUnread
            | Self::Hang
            | Self::RequestTimeout
            | Self::TooManyRequests
            | Self::InternalError
            | Self::BadGateway
            | Self::Unavailable
            | Self::Page
            | Self::GatewayTimeout
            | Self::ServiceException
            | Self::HubUnavailable => false,
        }
    }

    /// Whether it comes before the body of the call is read.
    pub(in crate::simulator) fn leaves_unread(self) -> bool {
        matches!(self, Self::ResetUnread | Self::TooLargeUnread)
    }
}

/// How the reply to a `sendServiceData` that was acted on can differ from the specification's example.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, VariantArray,
)]
#[serde(rename_all = "snake_case")]
pub enum Quirk {
    /// Some devices, at least one, have no element.
    LeftOut,
    /// Some devices, at least one, have two elements.
    Doubled,
    /// There is an element for a device that was not asked about.
    Stray,
    /// The elements come in another order.
    Reordered,
    /// `data` is null.
    DataNull,
    /// There is no `data`.
    DataMissing,
    /// `data` of a request with one device is the element itself, not an array.
    DataObject,
    /// Codes are text.
    CodeText,
    /// Tickets are numbers.
    TicketNumber,
    /// Tickets are null.
    TicketNull,
    /// `msg` is null.
    MsgNull,
    /// `msg` is an object.
    MsgObject,
    /// Device keys come back in lower case.
    KeyLower,
    /// Device keys come back with blanks around them.
    KeyPadded,
    /// Device keys come back as other keys.
    KeyForeign,
    /// The codes of elements are `true`.
    CodeUnreadable,
}

impl fmt::Display for Fault {
    /// The name in a scenario.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

impl fmt::Display for Quirk {
    /// The name in a scenario.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}
