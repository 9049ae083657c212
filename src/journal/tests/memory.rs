//! A store in memory: what a push does to it can be looked at after each exchange. It is held to the same suite as the one on the disk, and
//! panics at what no push may do.

use std::collections::{BTreeMap, HashMap};

use crate::{
    model::{
        BundleId, BundleStatus, Class, PayloadId, RequestId, Sizes, Tally, TaskId, TaskState,
        Timestamp,
    },
    store::{
        Attempt, Changes, CommonTask, Due, DueTask, EndedTask, Gate, LEFT, Member, NewBundle,
        NewRequest, PushRows, RefusalRow, TaskProof, ToldDoubt,
        conformance::{Fixture, ManifestRow, conformance_tests},
    },
};

mod transaction;

/// A task as it was staged.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) line: i64,
    pub(super) device_key: String,
    pub(super) payload: PayloadId,
    /// Whether it is no first send.
    held: bool,
    /// The task of its device before it.
    pub(super) previous: Option<TaskId>,
}

/// A row of `due`; while it is in flight it names its request.
#[derive(Debug, Clone)]
struct Waiting {
    due: Due,
    request: Option<RequestId>,
}

/// The rows of one run.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    pub(super) tasks: BTreeMap<TaskId, Task>,
    payloads: BTreeMap<PayloadId, (String, bool)>,
    /// Requests, and whether they have ended.
    pub(super) requests: BTreeMap<RequestId, (NewRequest, bool)>,
    due: BTreeMap<TaskId, Waiting>,
    attempts: BTreeMap<(TaskId, u32), Attempt>,
    pub(super) ended: BTreeMap<TaskId, (TaskState, Option<Class>)>,
    throttles: BTreeMap<(String, String), (Timestamp, Timestamp)>,
    bundles: BTreeMap<BundleId, (NewBundle, Option<bool>)>,
    refusals: Vec<RefusalRow>,
    tally: BTreeMap<Tally, u64>,
    pub(super) sizes: Sizes,
    next_task: Option<TaskId>,
    /// What messages tell of sends in doubt.
    pub(super) told: BTreeMap<TaskId, ToldDoubt>,
    pub(super) proofs: Vec<TaskProof>,
    /// What there is to know of other runs.
    pub(super) gate: Gate,
    pub(super) common: BTreeMap<TaskId, CommonTask>,
}

/// A transaction: a copy, which takes the place of the rows when it is committed.
pub(super) struct Copy<'m> {
    memory: &'m mut Memory,
    rows: Memory,
}

const PRODUCT: &str = "PK";

impl Memory {
    /// A run of these rows, laid out by payload.
    pub(super) fn of(rows: &[(&str, u8)]) -> Self {
        let mut memory = Self::default();
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|row| rows[*row].1);
        let mut ids: BTreeMap<usize, TaskId> = BTreeMap::new();
        for (row, id) in order.into_iter().zip(1..) {
            ids.insert(row, TaskId(id));
        }
        let mut last: HashMap<&str, TaskId> = HashMap::new();
        for (row, (device, number)) in rows.iter().enumerate() {
            let payload = PayloadId(i64::from(*number));
            let data = format!(r#"[{{"fuwu":[{{"n":"{number}"}}]}}]"#);
            memory.payloads.insert(payload, (data, false));
            let previous = last.insert(device, ids[&row]);
            let task = Task {
                line: row as i64 + 2,
                device_key: (*device).to_owned(),
                payload,
                held: previous.is_some(),
                previous,
            };
            memory.tasks.insert(ids[&row], task);
        }
        memory
    }

    pub(super) fn transaction(&mut self) -> Copy<'_> {
        Copy {
            rows: self.clone(),
            memory: self,
        }
    }

    pub(super) fn rows(&self) -> PushRows {
        let next = |last: Option<i64>| last.unwrap_or(0) + 1;
        let waiting = || self.due.values().filter(|row| row.request.is_none());
        PushRows {
            next_task: self.next_task.unwrap_or(TaskId(1)),
            next_bundle: BundleId(next(self.bundles.keys().last().map(|id| id.0))),
            snoozing: waiting()
                .filter(|row| matches!(row.due.class, Some(Class::Frequency | Class::Quota)))
                .count() as u64,
            in_flight: self
                .requests
                .values()
                .filter(|(_, ended)| !ended)
                .map(|(request, _)| request.devices as u64)
                .sum(),
            latest_due: waiting()
                .map(|row| row.due.not_before)
                .filter(|due| *due < LEFT)
                .max(),
            tally: self.tally.iter().map(|(key, n)| (*key, *n)).collect(),
            excused: Vec::new(),
            whole: None,
            refusals: self
                .refusals
                .iter()
                .filter(|refusal| refusal.ended)
                .cloned()
                .collect(),
            bundle_statuses: self
                .bundles
                .iter()
                .map(|(id, (bundle, _))| (*id, bundle.bundle_status))
                .filter(|(_, bundle_status)| bundle_status.refusals > 0 || bundle_status.suspect)
                .collect(),
            canary: None,
        }
    }

    /// When the next waiting task becomes due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let due = self.waiting_by(Timestamp(i64::MAX), |due| due.not_before);
        due.first().map(|due| due.not_before)
    }

    fn is_suspect(&self, bundle: Option<BundleId>) -> bool {
        bundle.is_some_and(|bundle| self.bundles[&bundle].0.bundle_status.suspect)
    }

    /// What waits and is due, by what `key` tells.
    fn waiting_by<K: Ord>(&self, now: Timestamp, key: impl Fn(&Due) -> K) -> Vec<&Due> {
        let waiting = self.due.values().filter(|row| row.request.is_none());
        let mut due: Vec<&Due> = waiting
            .map(|row| &row.due)
            .filter(|due| due.not_before <= now)
            .collect();
        due.sort_by_key(|due| key(due));
        due
    }

    fn due_task(&self, due: &Due, bundle: Option<BundleId>) -> DueTask {
        DueTask {
            payload: due.payload,
            bundle,
            member: Member {
                task: due.task,
                device_key: self.tasks[&due.task].device_key.as_str().into(),
                history: due.history,
                class: due.class,
                was_due: true,
            },
        }
    }

    fn follower(&self, task: TaskId) -> Option<TaskId> {
        let mut tasks = self.tasks.iter();
        tasks
            .find(|(_, next)| next.previous == Some(task))
            .map(|(id, _)| *id)
    }

    fn end(&mut self, task: TaskId, state: TaskState, class: Option<Class>) {
        let before = self.ended.insert(task, (state, class));
        assert_eq!(before, None, "a task ends once");
    }

    fn apply(&mut self, changes: Changes, now: Timestamp) {
        for request in changes.finished {
            let (_, ended) = self.requests.get_mut(&request.request).unwrap();
            assert!(!*ended, "a request ends once");
            *ended = true;
        }
        for payload in changes.accepted_payloads {
            self.payloads.get_mut(&payload).unwrap().1 = true;
        }
        self.sizes = changes.sizes.unwrap_or(self.sizes);
        for bundle in changes.bundles {
            assert!(self.requests.contains_key(&bundle.parent));
            let before = self.bundles.insert(bundle.bundle, (bundle, None));
            assert!(before.is_none());
        }
        for (bundle, passed) in changes.answered_bundles {
            self.bundles.get_mut(&bundle).unwrap().1 = Some(passed);
        }
        for (bundle, bundle_status) in changes.bundle_statuses {
            self.bundles.get_mut(&bundle).unwrap().0.bundle_status = BundleStatus {
                open: None,
                after_probe: 0,
                ..bundle_status
            };
        }
        for refusal in changes.refusals {
            self.refusals.retain(|before| before.key != refusal.key);
            self.refusals.push(refusal);
        }
        for attempt in changes.attempts {
            let before = self
                .attempts
                .insert((attempt.task, attempt.number), attempt);
            assert!(before.is_none(), "a send comes to something once");
        }
        for throttle in changes.throttles {
            let device = throttle.device_key.to_string();
            let key = (device, throttle.payload.product_key.to_string());
            self.throttles.insert(key, (now, throttle.until));
        }
        for due in changes.due {
            assert!(
                !self.ended.contains_key(&due.task),
                "nothing follows an end"
            );
            self.due.insert(due.task, Waiting { due, request: None });
        }
        for task in changes.held {
            let held = std::mem::replace(&mut self.tasks.get_mut(&task).unwrap().held, true);
            assert!(!held && self.due.contains_key(&task));
        }
        for range in changes.accepted_ranges {
            let tasks = range.end_task.0 - range.first_task.0;
            assert_eq!(range.tickets.len(), tasks as usize * range.ticket_bytes);
            for task in range.first_task.0..range.end_task.0 {
                self.end(TaskId(task), TaskState::Accepted, Some(Class::Accepted));
            }
        }
        for EndedTask {
            task, state, class, ..
        } in changes.ended
        {
            self.end(task, state, class);
        }
        for (task, number) in changes.now_last {
            let last = self.attempts.remove(&(task, number));
            assert!(last.is_some(), "a send stands once");
            assert!(self.ended.contains_key(&task));
        }
        self.proofs.extend(changes.proofs);
        for task in changes.no_longer_due {
            assert!(self.due.remove(&task).is_some());
        }
        for request in changes.requests {
            let before = self.requests.insert(request.request, (request, false));
            assert!(before.is_none());
        }
        for (task, request) in changes.in_flight {
            let row = self.due.get_mut(&task).unwrap();
            assert_eq!(row.request, None, "a task is in flight once");
            assert!(self.requests.contains_key(&request));
            row.request = Some(request);
        }
        self.next_task = changes.next_task.or(self.next_task);
        for (key, n) in changes.tally {
            *self.tally.entry(key).or_default() += n;
        }
    }
}

impl Fixture for Memory {
    type Rows<'s> = Copy<'s>;

    async fn with(rows: &[ManifestRow]) -> Self {
        Self::of(rows)
    }

    async fn tasks(&mut self) -> Vec<TaskId> {
        let mut tasks: Vec<_> = self.tasks.iter().collect();
        tasks.sort_by_key(|(_, task)| task.line);
        tasks.into_iter().map(|(id, _)| *id).collect()
    }

    async fn payloads(&mut self) -> Vec<PayloadId> {
        let mut tasks: Vec<_> = self.tasks.values().collect();
        tasks.sort_by_key(|task| task.line);
        tasks.into_iter().map(|task| task.payload).collect()
    }

    fn begin(&mut self) -> Copy<'_> {
        self.transaction()
    }

    async fn push_rows(&mut self) -> PushRows {
        self.rows()
    }
}

conformance_tests!(Memory);
