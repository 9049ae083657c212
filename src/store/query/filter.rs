//! Which results are wanted.

use super::results::ResultRow;
use crate::model::{Class, TaskState};

/// Where a task stands: the state of the view `results`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Waiting, snoozing or due again.
    Pending,
    /// A member of a request that has no end yet.
    InFlight,
    /// Ended.
    Ended(TaskState),
}

impl Standing {
    /// Every standing.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::InFlight,
        Self::Ended(TaskState::Accepted),
        Self::Ended(TaskState::Failed),
        Self::Ended(TaskState::InDoubt),
        Self::Ended(TaskState::Skipped),
    ];

    /// The name in the view and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InFlight => "in_flight",
            Self::Ended(state) => state.name(),
        }
    }

    /// The standing of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|standing| standing.name() == name)
    }
}

/// Which results are wanted. What is empty or `None` does not narrow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Any of these standings.
    pub standings: Vec<Standing>,
    /// Any of these classes.
    pub classes: Vec<Class>,
    /// This code.
    pub code: Option<i64>,
    /// This device key.
    pub device: Option<String>,
    /// At most so many rows.
    pub limit: Option<u64>,
}

impl Filter {
    pub(super) fn wants(&self, standing: Standing) -> bool {
        self.standings.is_empty() || self.standings.contains(&standing)
    }

    /// Whether only tasks with an outcome can pass.
    pub(super) fn needs_outcome(&self) -> bool {
        !self.classes.is_empty() || self.code.is_some()
    }

    pub(super) fn passes_outcome(&self, class: Option<Class>, code: Option<i64>) -> bool {
        (self.classes.is_empty() || class.is_some_and(|class| self.classes.contains(&class)))
            && (self.code.is_none() || self.code == code)
    }

    pub(super) fn passes(&self, row: &ResultRow) -> bool {
        self.wants(row.standing) && self.passes_outcome(row.class, row.code)
    }
}
