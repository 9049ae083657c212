//! Which results are wanted.

use super::results::ResultRow;
use crate::model::{Class, ShownState, TaskState};

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
}

impl From<ShownState> for Standing {
    fn from(state: ShownState) -> Self {
        match state {
            ShownState::Pending => Self::Pending,
            ShownState::InFlight => Self::InFlight,
            ShownState::Accepted => Self::Ended(TaskState::Accepted),
            ShownState::Failed => Self::Ended(TaskState::Failed),
            ShownState::InDoubt => Self::Ended(TaskState::InDoubt),
            ShownState::Skipped => Self::Ended(TaskState::Skipped),
        }
    }
}

/// Which results are wanted. What is empty or `None` does not narrow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Any of these standings.
    pub standings: Vec<Standing>,
    /// Any of these classes.
    pub classes: Vec<Class>,
    /// Any of these codes.
    pub codes: Vec<i64>,
    /// Any of these device keys.
    pub devices: Vec<String>,
    /// At most so many rows.
    pub limit: Option<u64>,
}

impl Filter {
    pub(super) fn wants(&self, standing: Standing) -> bool {
        self.standings.is_empty() || self.standings.contains(&standing)
    }

    /// Whether only tasks with an outcome can pass.
    pub(super) fn needs_outcome(&self) -> bool {
        !self.classes.is_empty() || !self.codes.is_empty()
    }

    pub(super) fn passes_outcome(&self, class: Option<Class>, code: Option<i64>) -> bool {
        (self.classes.is_empty() || class.is_some_and(|class| self.classes.contains(&class)))
            && (self.codes.is_empty() || code.is_some_and(|code| self.codes.contains(&code)))
    }

    pub(super) fn passes(&self, row: &ResultRow) -> bool {
        self.wants(row.standing) && self.passes_outcome(row.class, row.code)
    }
}
