//! What the platform refused to tell.

use std::sync::{Mutex, PoisonError};

/// The commands of which the platform refused to tell anything, and what it said last.
#[derive(Debug, Default)]
pub(super) struct Untold(Mutex<(u64, Option<String>)>);

impl Untold {
    /// It refused once more.
    pub(super) fn add(&self, refusal: &str) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.0 += 1;
        told.1 = Some(refusal.to_owned());
    }

    /// How often since this was asked for last, and what it said.
    pub(super) fn take(&self) -> (u64, Option<String>) {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
