//! Ends a run by hand: for `cancel`, for a request to do so, and for `--supersede`.

use std::time::Duration;

use crate::{
    clock, engine,
    journal::Journal,
    model::{AfterFailure, Control, InDoubt},
    store::{Run, Store, StoreError},
};

/// Ends an unfinished run; gives how many of its tasks were pending.
pub(super) async fn end(store: &mut Store, run: Run, control: &Control) -> Result<u64, StoreError> {
    let now = clock::wall_now();
    let mut journal = Journal::open(store, run, AfterFailure::Block).await?;
    // What may have been sent is not skipped: it ends in doubt.
    engine::recover(&mut journal, InDoubt::Hold, Duration::ZERO, now).await?;
    journal.cancel(control, now).await
}
