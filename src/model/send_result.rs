//! What became of one HTTP request, before anybody judges it.

use std::{fmt, time::Duration};

use super::Ticket;

/// What became of one request. The question that matters most is whether the platform may have acted on it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SendResult {
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
pub(crate) enum Unsent {
    /// DNS or connect failed, or the login timed out or got a 5xx or 429.
    Unreachable {
        /// What went wrong.
        error: String,
        /// How long the platform asked to wait.
        retry_after: Option<Duration>,
    },
    /// This machine has run out of something: files, ports, memory.
    Exhausted {
        /// Of what, and what to do.
        error: String,
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
    /// Whether there is a top-level code that cannot be read: no number, or none that fits.
    pub has_unreadable_code: bool,
    /// Elements that belong to no device of the request.
    pub strays: Vec<Stray>,
}

/// An element of a reply that belongs to no device of the request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stray {
    /// Its device key, as the platform wrote it; empty when it has none.
    pub device_key: Box<str>,
    /// Its product key, when that is another than the request's.
    pub product_key: Option<Box<str>>,
    /// What it says.
    pub element: Element,
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "device {:?}", self.device_key)?;
        if let Some(product_key) = &self.product_key {
            write!(f, " of product {product_key:?}")?;
        }
        if let Some(ticket) = &self.element.ticket {
            write!(f, ", ticket {ticket}")?;
        }
        if let Some(remark) = &self.element.remark {
            write!(f, ", {remark}")?;
        }
        Ok(())
    }
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
    /// Whether it has a code that cannot be read: no number, or none that fits.
    pub has_unreadable_code: bool,
    /// What else has to be known of it: further tickets, and what was read and cannot be kept.
    pub remark: Option<Box<str>>,
}

impl Element {
    /// Adds to what else has to be known.
    pub fn remark(&mut self, remark: &str) {
        self.remark = Some(joined(self.remark.take().as_deref(), remark));
    }

    /// The message with everything that has no column: remarks, and the ticket of what was not accepted.
    pub fn words(&self, is_accepted: bool) -> Option<Box<str>> {
        let ticket = self
            .ticket
            .as_ref()
            .filter(|_| !is_accepted)
            .map(|ticket| format!("ticket {ticket}"));
        [
            self.message.as_deref(),
            ticket.as_deref(),
            self.remark.as_deref(),
        ]
        .into_iter()
        .flatten()
        .fold(None, |words: Option<Box<str>>, more| {
            Some(joined(words.as_deref(), more))
        })
    }
}

fn joined(before: Option<&str>, more: &str) -> Box<str> {
    match before {
        Some(before) => format!("{before}; {more}").into(),
        None => more.into(),
    }
}

impl Unsent {
    /// What went wrong.
    pub(crate) fn error(&self) -> &str {
        match self {
            Self::Unreachable { error, .. }
            | Self::Exhausted { error }
            | Self::Certificate { error }
            | Self::Credentials { error }
            | Self::Refused { error } => error,
            Self::Late => "its time was over before it could be sent",
        }
    }
}
