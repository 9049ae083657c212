//! What one reply, or its absence, says of one task.

use super::Ticket;

/// The class of an outcome; the first ten can come of a send, the last three are given without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Class {
    /// The platform took the command.
    Accepted = 1,
    /// The device's message frequency is limited (61007).
    Frequency = 2,
    /// The device's message quota is used up (61006).
    Quota = 3,
    /// The platform failed in passing; surely not acted on.
    Transient = 4,
    /// The platform as a whole is out of reach or overloaded; surely not acted on.
    Outage = 5,
    /// Sent, and whether it was acted on is not known.
    InDoubt = 6,
    /// The device is offline.
    Offline = 7,
    /// The token was refused; surely not acted on.
    Auth = 8,
    /// Permission, endpoint or certificate: nothing can be sent until somebody changes something.
    Refused = 9,
    /// The platform refused this device or payload.
    Rejected = 10,
    /// Not sent, because an earlier task of the device did not succeed.
    Blocked = 11,
    /// Not sent, because the manifest row is wrong.
    Invalid = 12,
    /// Not sent, because the device has accepted the same last.
    Unchanged = 13,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 13] = [
        Self::Accepted,
        Self::Frequency,
        Self::Quota,
        Self::Transient,
        Self::Outage,
        Self::InDoubt,
        Self::Offline,
        Self::Auth,
        Self::Refused,
        Self::Rejected,
        Self::Blocked,
        Self::Invalid,
        Self::Unchanged,
    ];

    /// The name in the views and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Frequency => "frequency",
            Self::Quota => "quota",
            Self::Transient => "transient",
            Self::Outage => "outage",
            Self::InDoubt => "in_doubt",
            Self::Offline => "offline",
            Self::Auth => "auth",
            Self::Refused => "refused",
            Self::Rejected => "rejected",
            Self::Blocked => "blocked",
            Self::Invalid => "invalid",
            Self::Unchanged => "unchanged",
        }
    }

    /// The class that this number stands for in the database.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|class| *class as i64 == number)
    }

    /// The class of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

/// What one send came to for one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The class, which decides what follows.
    pub(crate) class: Class,
    /// The code that decided, when there was one.
    pub(crate) code: Option<i64>,
    /// The platform's words, or ours when it gave none.
    pub(crate) message: Option<Box<str>>,
    /// The ticket of an accepted command.
    pub(crate) ticket: Option<Ticket>,
}
