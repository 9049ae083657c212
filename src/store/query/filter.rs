//! Which results are wanted.

use crate::model::{Class, TaskStatus};

/// Which results are wanted. What is empty or `None` does not narrow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Any of these statuses.
    pub statuses: Vec<TaskStatus>,
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
    pub(super) fn wants(&self, status: TaskStatus) -> bool {
        self.statuses.is_empty() || self.statuses.contains(&status)
    }

    /// Whether only tasks with an outcome can pass.
    pub(super) fn needs_outcome(&self) -> bool {
        !self.classes.is_empty() || !self.codes.is_empty()
    }

    pub(super) fn passes_outcome(&self, class: Option<Class>, code: Option<i64>) -> bool {
        (self.classes.is_empty() || class.is_some_and(|class| self.classes.contains(&class)))
            && (self.codes.is_empty() || code.is_some_and(|code| self.codes.contains(&code)))
    }
}
