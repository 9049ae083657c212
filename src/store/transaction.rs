//! What a push needs of a store: rows for its decisions, and the changes to write.

use std::{collections::HashMap, ops::Range, time::Duration};

use super::{
    CommonTask, Gate, StoreError, ToldDoubt,
    changes::Changes,
    part::Whole,
    row::{Blocker, Bundle, DueTask, FirstTask, NextTask, ProbeTask, RefusalKey, RefusalRow},
};
use crate::model::{BundleId, Payload, PayloadId, TaskId, Timestamp};

/// One transaction of the push of one run. What is read sees what has been written before; nothing of it is in the database until it is
/// committed, and then all of it is on the disk.
///
/// `store::conformance` says what each of these must do, for any store.
pub(crate) trait PushTransaction {
    /// Writes changes, in the order of their kinds.
    async fn write(&mut self, changes: Changes, now: Timestamp) -> Result<(), StoreError>;

    /// What a claim has to know of other runs to the platform. Before the first claim: from then on nobody begins to push another run until the
    /// end of the transaction.
    async fn gate(&mut self) -> Result<Gate, StoreError>;

    /// Those of these tasks that are not to be claimed now, since their devices are another run's. A reply takes so long at most.
    async fn common_tasks(
        &mut self,
        tasks: &[TaskId],
        reply_time: Duration,
    ) -> Result<HashMap<TaskId, CommonTask>, StoreError>;

    /// When the next waiting task becomes due.
    async fn next_due(&mut self) -> Result<Option<Timestamp>, StoreError>;

    /// At most `most` tasks that are due, the earliest first, those of one bundle or payload together; those of suspects if asked for.
    async fn due_tasks(
        &mut self,
        now: Timestamp,
        most: usize,
        suspects: bool,
    ) -> Result<Vec<DueTask>, StoreError>;

    /// At most `most` tasks that are due and wait for their end.
    async fn blocked_due(&mut self, now: Timestamp, most: usize)
    -> Result<Vec<TaskId>, StoreError>;

    /// The task that is due and makes the best probe: none of a suspect, of a payload that is not among the `probed`, none that is kept
    /// together with others, the least often sent, the earliest; in this order.
    async fn probe_task(
        &mut self,
        now: Timestamp,
        probed: &[PayloadId],
    ) -> Result<Option<ProbeTask>, StoreError>;

    /// At most `most` first sends with ids from `from` up to but not including `end`, in their order.
    async fn first_tasks(
        &mut self,
        from: TaskId,
        end: TaskId,
        most: usize,
    ) -> Result<Vec<FirstTask>, StoreError>;

    /// The payload of a task, if it has one.
    async fn payload_of(&mut self, task: TaskId) -> Result<Option<PayloadId>, StoreError>;

    async fn payload(&mut self, id: PayloadId) -> Result<Payload, StoreError>;

    /// The next tasks of the devices of these, in the order of their ids: of each the first one that has not ended.
    async fn next_tasks(&mut self, ended: &[TaskId]) -> Result<Vec<NextTask>, StoreError>;

    /// What stands before these tasks of `due`, if it has ended.
    async fn blockers(&mut self, tasks: &[TaskId]) -> Result<Vec<Blocker>, StoreError>;

    /// Those of these tasks of `due` whose last send is in doubt and of whose device an `INPUT` has come since, as far as messages can be
    /// read.
    async fn told_doubts(
        &mut self,
        tasks: &[TaskId],
        now: Timestamp,
    ) -> Result<Vec<TaskId>, StoreError>;

    /// One of those, with what was told of its device.
    async fn told_doubt(
        &mut self,
        task: TaskId,
        now: Timestamp,
    ) -> Result<Option<ToldDoubt>, StoreError>;

    /// Why messages could not be read, once.
    fn take_trouble(&mut self) -> Option<String>;

    /// Until when the devices of these tasks rest, of those that do.
    async fn throttled_until(
        &mut self,
        tasks: &[TaskId],
        now: Timestamp,
    ) -> Result<HashMap<TaskId, Timestamp>, StoreError>;

    /// These bundles and all others that come from the same requests.
    async fn halves(&mut self, bundles: &[BundleId]) -> Result<Vec<Bundle>, StoreError>;

    /// The refusals of these payloads and products, of those that have any.
    async fn refusals(&mut self, keys: &[RefusalKey]) -> Result<Vec<RefusalRow>, StoreError>;

    /// Whether a device has ever accepted this payload, or any payload of this product.
    async fn is_accepted(&mut self, key: &RefusalKey) -> Result<bool, StoreError>;

    /// Numbers for requests that nobody else uses, each higher than that of any request of the run.
    async fn request_numbers(&mut self) -> Result<Range<i64>, StoreError>;

    /// How the run as a whole stands, with what has been written here, when this is the push of a part of it.
    async fn whole(&mut self) -> Result<Option<Whole>, StoreError>;

    /// Commits, with the last thing that was written.
    async fn commit(&mut self) -> Result<(), StoreError>;

    /// Leaves no transaction behind after an error.
    async fn roll_back(self);
}
