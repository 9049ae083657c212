//! What became of one HTTP request, before anybody judges it.

use std::time::Duration;

use super::Ticket;

/// What became of one request. The question that matters most is whether the platform may have acted on it.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// The request surely never reached the platform.
    Unsent(Unsent),
    /// A whole reply came back, readable or not.
    Answered(Answer),
    /// The request went out, wholly or in part, and no whole reply came back: a time-out, a reset, a cut body.
    Lost {
        /// The status, when the reply's head arrived.
        http_status: Option<u16>,
        /// What went wrong.
        error: String,
    },
}

/// Why a request was not sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Unsent {
    /// DNS or connect failed, or the login timed out or got a 5xx or 429.
    Unreachable {
        /// What went wrong.
        error: String,
        /// How long the platform asked to wait.
        retry_after: Option<Duration>,
    },
    /// The platform's certificate is not trusted.
    Certificate {
        /// What went wrong.
        error: String,
    },
    /// No token can be had: the login was refused, new tokens are refused, or a ready token was.
    Credentials {
        /// What went wrong and what to do.
        error: String,
    },
    /// The login was answered in a way that waiting does not change: a redirect, or HTTP 403, 404 or 405.
    Refused {
        /// What went wrong and what to do.
        error: String,
    },
    /// The time from which on it must not be sent had come.
    Late,
}

/// A reply that arrived whole.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// The HTTP status.
    pub http_status: u16,
    /// Whether the body was a JSON object.
    pub readable: bool,
    /// The top-level `code`.
    pub code: Option<i64>,
    /// The top-level `msg` (or `message`), as text.
    pub message: Option<Box<str>>,
    /// One place for each device of the request, in its order; `None` where the reply is silent about a device.
    pub elements: Vec<Option<Element>>,
    /// `Retry-After`, as a duration from the arrival of the reply.
    pub retry_after: Option<Duration>,
}

/// What a reply says of one device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Element {
    /// The element's own `code`, when it has one.
    pub code: Option<i64>,
    /// The element's `message` (or `msg`), as text.
    pub message: Option<Box<str>>,
    /// The element's `ticket`.
    pub ticket: Option<Ticket>,
}

impl Unsent {
    /// What went wrong.
    pub fn error(&self) -> &str {
        match self {
            Self::Unreachable { error, .. }
            | Self::Certificate { error }
            | Self::Credentials { error }
            | Self::Refused { error } => error,
            Self::Late => "its time was over before it could be sent",
        }
    }
}
