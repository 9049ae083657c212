//! Statements over sets do for all tasks what the rules of the journal say for each: what they leave is compared, for any rows.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use sqlx::Row as _;
use tempfile::TempDir;

use super::pushed::staged;
use crate::{
    journal::{
        cancelled::{PendingTask, cancelled},
        throttled::{defer_throttled, is_resting},
    },
    model::{
        Class, Control, ControlAction, History, Outcome, PayloadId, RequestId, TaskId, TaskState,
        Ticket, Timestamp,
    },
    store::{Attempt, Changes, Due, EndedTask, NewRequest, PushTransaction, Run, Store},
};

const NOW: Timestamp = Timestamp(1_000_000);
pub(super) const DEVICES: [&str; 8] = ["DK1", "DK2", "DK3", "DK4", "DK5", "DK6", "DK7", "DK8"];

/// A run of one task for each device, in the order of the devices.
pub(super) struct Site {
    pub(super) store: Store,
    pub(super) run: Run,
    pub(super) tasks: Vec<TaskId>,
    pub(super) payload: PayloadId,
    _folder: TempDir,
}

pub(super) async fn site() -> Site {
    let folder = TempDir::new().unwrap();
    let mut store = Store::open(&folder.path().join("test.db")).await.unwrap();
    let run = staged(
        &mut store,
        "test",
        &DEVICES.map(|device| (device, "fuwu")),
        NOW,
    )
    .await;
    let ids: Vec<(i64, i64)> =
        sqlx::query_as("SELECT id, payload_id FROM task ORDER BY device_key")
            .fetch_all(&mut store.connection)
            .await
            .unwrap();
    Site {
        store,
        run,
        payload: PayloadId(ids[0].1),
        tasks: ids.into_iter().map(|(id, _)| TaskId(id)).collect(),
        _folder: folder,
    }
}

impl Site {
    pub(super) async fn write(&mut self, changes: Changes) {
        let mut rows = self.store.transaction(self.run.id);
        rows.write(changes, NOW).await.unwrap();
        rows.commit().await.unwrap();
    }

    /// Writes request 1, which the ends of tasks can name.
    pub(super) async fn write_request(&mut self) {
        let request = NewRequest {
            request: RequestId(1),
            payload: self.payload,
            bundle: None,
            range: None,
            devices: 1,
        };
        self.write(Changes {
            requests: vec![request],
            ..Changes::default()
        })
        .await;
    }

    fn due(&self, device: usize, not_before: Timestamp) -> Due {
        Due {
            task: self.tasks[device],
            payload: self.payload,
            bundle: None,
            not_before,
            class: None,
            history: History::default(),
        }
    }

    /// When each task of `due` becomes due.
    async fn due_times(&mut self) -> BTreeMap<TaskId, Timestamp> {
        let rows: Vec<(i64, i64)> = sqlx::query_as("SELECT task_id, due_at FROM due")
            .fetch_all(&mut self.store.connection)
            .await
            .unwrap();
        rows.into_iter()
            .map(|(task, at)| (TaskId(task), Timestamp(at)))
            .collect()
    }

    /// How each task has ended.
    pub(super) async fn ended(&mut self) -> Vec<EndedTask> {
        sqlx::query(
            "SELECT task_id, state, class, code, message, CAST(ticket AS TEXT) AS ticket, request_id, attempts FROM outcome ORDER BY task_id",
        )
        .fetch_all(&mut self.store.connection)
        .await
        .unwrap()
        .iter()
        .map(|row| EndedTask {
            task: TaskId(row.get("task_id")),
            state: TaskState::from_number(row.get("state")).unwrap(),
            class: row.get::<Option<i64>, _>("class").and_then(Class::from_number),
            code: row.get("code"),
            message: row.get::<Option<String>, _>("message").map(Into::into),
            ticket: row
                .get::<Option<String>, _>("ticket")
                .and_then(|ticket| Ticket::new(&ticket)),
            request: row.get::<Option<i64>, _>("request_id").map(RequestId),
            sends: row.get("attempts"),
        })
        .collect()
    }
}

fn seconds(offset: i64) -> Timestamp {
    Timestamp(NOW.0 + 1000 * offset)
}

/// Rows of the memory of throttles: since when and until when, in seconds from now.
type Throttle = Option<(i64, i64)>;

async fn deferring_agrees(due: Vec<Option<i64>>, throttles: Vec<Throttle>, first_sends: bool) {
    let mut site = site().await;
    let rows: Vec<Due> = due
        .iter()
        .enumerate()
        .filter_map(|(device, at)| Some(site.due(device, seconds((*at)?))))
        .collect();
    let held: Vec<TaskId> = rows.iter().map(|due| due.task).collect();
    site.write(Changes {
        due: rows,
        ..Changes::default()
    })
    .await;
    for task in held {
        sqlx::query("UPDATE task SET held = 1 WHERE id = ?")
            .bind(task.0)
            .execute(&mut site.store.connection)
            .await
            .unwrap();
    }
    for (device, throttle) in DEVICES.iter().zip(&throttles) {
        let Some((at, until)) = throttle else {
            continue;
        };
        sqlx::query("INSERT INTO device_throttle VALUES (?, 'PK', 2, ?, ?)")
            .bind(device)
            .bind(seconds(*at).0)
            .bind(seconds(*until).0)
            .execute(&mut site.store.connection)
            .await
            .unwrap();
    }
    let mut before = site.due_times().await;
    let from = first_sends.then_some(site.run.first_task);
    let deferred = site
        .store
        .defer_throttled(&site.run, from, NOW)
        .await
        .unwrap();
    // What the rule says: of devices that rest, each waiting task is deferred; and a first send waits when it would go out at once.
    let rests: HashMap<TaskId, Timestamp> = site
        .tasks
        .iter()
        .zip(&throttles)
        .filter_map(|(task, throttle)| {
            let (at, until) = throttle.map(|(at, until)| (seconds(at), seconds(until)))?;
            is_resting(at, until, NOW).then_some((*task, until))
        })
        .collect();
    {
        let mut rows = site.store.transaction(site.run.id);
        let found = rows.throttled_until(&site.tasks, NOW).await.unwrap();
        assert_eq!(found, rests);
        rows.roll_back().await;
    }
    let mut expected: Vec<Due> = (0..DEVICES.len())
        .filter_map(|device| {
            let task = site.tasks[device];
            let is_deferred_first = first_sends && rests.contains_key(&task);
            let at = before
                .remove(&task)
                .or_else(|| is_deferred_first.then_some(NOW))?;
            Some(site.due(device, at))
        })
        .collect();
    let was_due = due.iter().flatten().count();
    let times = |due: &[Due]| -> Vec<i64> { due.iter().map(|due| due.not_before.0).collect() };
    let undeferred = times(&expected);
    defer_throttled(&mut expected, |task| rests.get(&task).copied());
    let after = site.due_times().await;
    let by_rule = expected.iter().map(|due| (due.task, due.not_before));
    assert_eq!(after, by_rule.collect());
    let moved = undeferred
        .iter()
        .zip(times(&expected))
        .filter(|(before, after)| *before != after)
        .count() as u64;
    assert_eq!(deferred.first, (expected.len() - was_due) as u64);
    assert_eq!(deferred.first + deferred.due, moved);
    assert_eq!(
        deferred.latest_due,
        expected.iter().map(|due| due.not_before).max()
    );
}

async fn cancelling_agrees(sends: Vec<Vec<bool>>, ended: Vec<bool>) {
    let mut site = site().await;
    site.write_request().await;
    let mut changes = Changes::default();
    let mut expected = Vec::new();
    for (device, (sends, ended)) in sends.iter().zip(ended).enumerate() {
        let task = site.tasks[device];
        if ended {
            let ended = EndedTask {
                task,
                state: TaskState::Failed,
                class: Some(Class::Rejected),
                code: Some(70091),
                message: None,
                ticket: None,
                request: Some(RequestId(1)),
                sends: 1,
            };
            expected.push(ended.clone());
            changes.ended.push(ended);
            continue;
        }
        let class = |in_doubt| {
            if in_doubt {
                Class::InDoubt
            } else {
                Class::Transient
            }
        };
        let sends: Vec<Attempt> = (1..)
            .zip(sends)
            .map(|(number, in_doubt)| Attempt {
                task,
                number,
                request: RequestId(1),
                outcome: Outcome {
                    class: class(*in_doubt),
                    code: (!in_doubt).then_some(50000),
                    message: Some(format!("send {number}").into()),
                    ticket: None,
                },
            })
            .collect();
        let waits_after = sends.last().map(|last| last.outcome.class);
        if waits_after.is_some() {
            let mut due = site.due(device, NOW);
            due.class = waits_after;
            due.history.sends = sends.len() as u32;
            changes.due.push(due);
        }
        changes.attempts.extend(sends.iter().cloned());
        expected.push(cancelled(&PendingTask {
            task,
            sends,
            waits_after,
        }));
    }
    site.write(changes).await;
    let control = Control {
        action: ControlAction::Cancel,
        by: "anna".into(),
        at: NOW,
        id: String::new(),
        asker: None,
    };
    site.store.cancel(&site.run, &control, NOW).await.unwrap();
    expected.sort_by_key(|task| task.task);
    assert_eq!(site.ended().await, expected);
    assert!(site.due_times().await.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn deferring_a_set_is_deferring_each_of_its_tasks(
        due in prop::collection::vec(prop::option::of(-3_i64..6), DEVICES.len()),
        throttles in prop::collection::vec(prop::option::of((-3_i64..3, -3_i64..6)), DEVICES.len()),
        first_sends: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(deferring_agrees(due, throttles, first_sends));
    }

    #[test]
    fn cancelling_a_run_is_cancelling_each_of_its_tasks(
        sends in prop::collection::vec(prop::collection::vec(any::<bool>(), 0..4), DEVICES.len()),
        ended in prop::collection::vec(any::<bool>(), DEVICES.len()),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(cancelling_agrees(sends, ended));
    }
}
