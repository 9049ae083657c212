//! What each store must do for a push, as tests against its interface.
//!
//! [`Fixture`] and [`conformance_tests!`] apply them to a store: to SQLite in `store::tests`, and to the store in memory that the journal's
//! tests use.

use std::time::Duration;

use super::{
    Attempt, Changes, DeviceThrottle, Due, EndedTask, FinishedRequest, NewBundle, NewRequest,
    PushRows, PushTransaction, RefusalKey, RefusalRow,
};
use crate::model::{
    BundleId, BundleStatus, Class, History, Outcome, Payload, PayloadId, RequestId, Tally, TaskId,
    TaskState, Timestamp,
};

mod devices;
mod ends;
mod requests;
mod waiting;

pub(crate) use devices::*;
pub(crate) use ends::*;
pub(crate) use requests::*;
pub(crate) use waiting::*;

/// The present time of the tests.
const NOW: Timestamp = Timestamp(1_000_000);

fn later(seconds: u64) -> Timestamp {
    NOW.after(Duration::from_secs(seconds))
}

/// A row of a manifest: its device, and the number of its payload. The product is PK.
pub(crate) type ManifestRow = (&'static str, u8);

/// A store that is tested. It has one run.
pub(crate) trait Fixture {
    type Rows<'s>: PushTransaction
    where
        Self: 's;

    /// A store with a run of these rows. A device's later rows wait for its earlier ones.
    async fn with(rows: &[ManifestRow]) -> Self;

    /// The tasks of the rows, in the order of the rows.
    async fn tasks(&mut self) -> Vec<TaskId>;

    /// The payloads of the rows, in the order of the rows.
    async fn payloads(&mut self) -> Vec<PayloadId>;

    /// Begins a transaction of the run.
    fn begin(&mut self) -> Self::Rows<'_>;

    /// What a push of the run begins with.
    async fn push_rows(&mut self) -> PushRows;
}

/// Tests of a store: one for each thing that it must do.
///
/// With `as NAME` they are a function of that name, for a store that takes long to get ready, or may not be there.
macro_rules! conformance_tests {
    ($fixture:ty) => {
        crate::store::conformance::conformance_tests!(@cases each $fixture);
    };
    ($fixture:ty as $test:ident) => {
        crate::store::conformance::conformance_tests!(@cases ($test) $fixture);
    };
    (@each $fixture:ty: $($name:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $name() {
                crate::store::conformance::$name::<$fixture>().await;
            }
        )*
    };
    (@($test:ident) $fixture:ty: $($name:ident),* $(,)?) => {
        async fn $test() {
            $(
                eprintln!("{}", stringify!($name));
                crate::store::conformance::$name::<$fixture>().await;
            )*
        }
    };
    (@cases $how:tt $fixture:ty) => {
        crate::store::conformance::conformance_tests!(
            @$how $fixture:
            first_sends_come_in_order_as_far_as_asked_for,
            a_task_that_leaves_the_first_sends_is_due_and_none_of_them,
            a_payload_is_what_was_staged,
            what_is_due_comes_by_time_and_stays_together,
            what_waits_is_written_over_whatever_it_was,
            what_is_in_flight_waits_no_longer,
            suspects_are_left_out_unless_asked_for,
            what_waits_for_its_end_is_found_by_itself,
            a_probe_is_the_least_suspicious_task,
            the_next_task_of_a_device_is_the_first_that_has_not_ended,
            what_stands_in_the_way_is_told_with_its_line,
            a_device_rests_as_long_as_it_was_told,
            both_halves_of_a_request_are_told,
            refusals_are_kept_for_payloads_and_products,
            a_product_is_accepted_when_one_of_its_payloads_is,
            nothing_is_there_until_it_is_committed,
            what_is_written_is_seen_in_the_same_transaction,
            a_push_begins_with_what_the_last_one_left,
        );
    };
}
pub(crate) use conformance_tests;

/// Writes these changes and commits.
async fn written<F: Fixture>(store: &mut F, changes: Changes) {
    let mut rows = store.begin();
    rows.write(changes, NOW).await.unwrap();
    rows.commit().await.unwrap();
}

/// A claimed request of so many devices that are not first sends.
fn request(id: i64, payload: PayloadId, devices: usize) -> NewRequest {
    NewRequest {
        request: RequestId(id),
        payload,
        bundle: None,
        range: None,
        devices,
    }
}

/// A store with these rows and ten requests of the first row's payload, which changes may name.
async fn with_requests<F: Fixture>(rows: &[ManifestRow]) -> (F, Vec<TaskId>, Vec<PayloadId>) {
    let mut store = F::with(rows).await;
    let tasks = store.tasks().await;
    let payloads = store.payloads().await;
    let requests = (1..=10).map(|id| request(id, payloads[0], 1)).collect();
    let changes = Changes {
        requests,
        ..Changes::default()
    };
    written(&mut store, changes).await;
    (store, tasks, payloads)
}

/// A row of `due`.
fn due(task: TaskId, payload: PayloadId, not_before: Timestamp) -> Due {
    Due {
        task,
        payload,
        bundle: None,
        not_before,
        class: None,
        history: History::default(),
    }
}

/// A task that ended in this state by the first request, or unsent when it is blocked.
fn ended(task: TaskId, state: TaskState, class: Class) -> EndedTask {
    EndedTask {
        task,
        state,
        class: Some(class),
        code: None,
        message: None,
        ticket: None,
        request: (class != Class::Blocked).then_some(RequestId(1)),
        sends: u32::from(class != Class::Blocked),
    }
}

/// A bundle of the first request.
fn bundle(id: i64, devices: usize, suspect: bool) -> NewBundle {
    NewBundle {
        bundle: BundleId(id),
        parent: RequestId(1),
        devices,
        bundle_status: BundleStatus {
            suspect,
            ..BundleStatus::default()
        },
        of_size: true,
    }
}
