//! Commands about which the platform refused information.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use crate::{
    model::{Delivery, Untold},
    ui::number::counted,
};

/// Reasons that are kept apart: a platform may write another one for each device.
const REASONS: usize = 16;

/// Of how many commands the platform refused to tell, and why.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Refusals {
    /// Those of which nothing proves that they failed.
    pub(super) untold: Untold,
    /// All of them.
    count: u64,
    reasons: BTreeMap<String, u64>,
}

impl Refusals {
    /// It refused to tell of one more, of which this much is known.
    fn add(&mut self, known: Delivery, reason: &str) {
        self.untold.add(known);
        self.count += 1;
        if let Some(count) = self.reasons.get_mut(reason) {
            *count += 1;
        } else if self.reasons.len() < REASONS {
            self.reasons.insert(reason.to_owned(), 1);
        }
    }

    /// The most frequent reason, and how often it was given.
    pub(super) fn reason(&self) -> Option<(&str, u64)> {
        let most = self.reasons.iter().max_by_key(|(_, count)| **count);
        most.map(|(reason, count)| (&**reason, *count))
    }

    /// What is said of them, if there are any: of how many of `asked` commands, and why.
    pub(super) fn words(&self) -> Option<String> {
        let (reason, times) = self.reason()?;
        let why = if times == self.count {
            reason.to_owned()
        } else {
            format!("{reason}; for {} of them other reasons", self.count - times)
        };
        let commands = counted(self.count, "accepted command");
        Some(format!(
            "the platform refused information about {commands}: {why}"
        ))
    }
}

/// The same, while commands are asked about.
#[derive(Debug, Default)]
pub(super) struct Refused(Mutex<Refusals>);

impl Refused {
    /// The platform refused to tell of a command of which this much is known.
    pub(super) fn add(&self, known: Delivery, reason: &str) {
        let mut refusals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.add(known, reason);
    }

    /// What it refused since this was asked for last.
    pub(super) fn take(&self) -> Refusals {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_reason_is_told() {
        let refused = Refused::default();
        assert_eq!(refused.take().words(), None);
        refused.add(Delivery::Unknown, "Unauthorized device (code 61005)");
        let words = "the platform refused information about 1 accepted command: Unauthorized device (code 61005)";
        assert_eq!(refused.take().words().as_deref(), Some(words));
        for n in 0..100 {
            refused.add(Delivery::Queued, &format!("no device {n}"));
            refused.add(Delivery::Sent, "Device offline (code 61002)");
        }
        let refusals = refused.take();
        let words = "the platform refused information about 200 accepted commands: Device offline (code 61002); for 100 of them other reasons";
        assert_eq!(refusals.words().as_deref(), Some(words));
        assert_eq!(refusals.reasons.len(), REASONS);
        assert_eq!(refused.take(), Refusals::default());
    }
}
