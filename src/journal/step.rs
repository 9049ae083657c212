//! One step of a push: what an exchange has decided but not written yet.

use super::task_end::{Cascade, PreviousTask};
use crate::{
    model::{TaskId, Timestamp},
    store::{Changes, PushTransaction, StoreError},
};

/// What an exchange has decided and not written yet.
#[derive(Debug)]
pub(super) struct Step {
    /// The present time.
    pub(super) now: Timestamp,
    pub(super) changes: Changes,
    /// Tasks that have ended, in the order of their ids, as long as it has not been decided what follows for the next of their devices.
    pub(super) ended: Vec<PreviousTask>,
    pub(super) cascade: Cascade,
}

impl Step {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            now,
            changes: Changes::default(),
            ended: Vec::new(),
            cascade: Cascade::default(),
        }
    }

    /// Hands what has been decided to the store, before anything is read that it may concern.
    pub(super) async fn write<T: PushTransaction>(
        &mut self,
        rows: &mut T,
    ) -> Result<(), StoreError> {
        rows.write(std::mem::take(&mut self.changes), self.now)
            .await
    }

    /// Whose next tasks have to be looked up.
    pub(super) fn ended(&self) -> Vec<TaskId> {
        self.ended.iter().map(|ended| ended.task).collect()
    }
}
