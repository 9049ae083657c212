//! The requests that have been claimed and not recorded.

use std::collections::HashMap;

use crate::{journal::Claim, model::RequestId};

/// Claims without a record.
#[derive(Debug, Default)]
pub(super) struct Outstanding {
    /// Those of which nothing can have reached the platform.
    unsent: HashMap<RequestId, Claim>,
    /// Those that may have reached it, and have not been reported back.
    under_way: HashMap<RequestId, Claim>,
}

impl Outstanding {
    /// A request has been claimed.
    pub(super) fn add(&mut self, claim: Claim) {
        self.unsent.insert(claim.request, claim);
    }

    /// A request may have reached the platform from now on.
    pub(super) fn started(&mut self, request: RequestId) {
        if let Some(claim) = self.unsent.remove(&request) {
            self.under_way.insert(request, claim);
        }
    }

    /// A request has come back.
    pub(super) fn take(&mut self, request: RequestId) -> Option<Claim> {
        // What was not handed over has not started.
        self.under_way
            .remove(&request)
            .or_else(|| self.unsent.remove(&request))
    }

    /// All of which nothing can have reached the platform.
    pub(super) fn take_unsent(&mut self) -> impl Iterator<Item = Claim> {
        self.unsent.drain().map(|(_, claim)| claim)
    }

    pub(super) fn unsent(&self) -> usize {
        self.unsent.len()
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    pub(super) fn count(&self) -> usize {
        self.unsent.len() + self.under_way.len()
    }

    /// How many were claimed after this one.
    pub(super) fn after(&self, request: RequestId) -> usize {
        let all = self.unsent.keys().chain(self.under_way.keys());
        all.filter(|other| **other > request).count()
    }
}
