//! Statements over sets choose what the conditions of the journal say of each row: compared for any rows.

use std::{collections::BTreeMap, future::Future};

use proptest::prelude::*;
use sqlx::Row as _;
use tempfile::TempDir;

use super::{
    pushed::{accepted, push, staged},
    sets::{DEVICES, site},
};
use crate::{
    journal::{
        Next,
        pruning::{Accepted, kept},
        retriable::is_retriable,
        retry,
        staleness::{Command, Leave, is_overtaken_by},
    },
    model::{Class, RequestId, RunId, Tally, TaskFilter, TaskId, TaskState, Timestamp},
    store::{Changes, EndedTask, Run, Store},
};

const NOW: Timestamp = Timestamp(1_000_000);
const KEYS: [&str; 3] = ["DK1", "DK2", "DK3"];
const SERVICES: [&str; 2] = ["boot", "fuwu"];

/// How a task may have ended.
const ENDS: [(TaskState, Option<Class>); 6] = [
    (TaskState::Accepted, Some(Class::Accepted)),
    (TaskState::Skipped, None),
    (TaskState::Failed, Some(Class::Rejected)),
    (TaskState::Failed, Some(Class::Blocked)),
    (TaskState::Failed, Some(Class::Invalid)),
    (TaskState::InDoubt, Some(Class::InDoubt)),
];

fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

async fn retrying_agrees(ends: Vec<Option<usize>>) {
    let mut site = site().await;
    site.write_request().await;
    let mut changes = Changes::default();
    let mut stays = Vec::new();
    let mut goes = 0;
    let mut tally: BTreeMap<Tally, u64> = BTreeMap::new();
    for (task, end) in site.tasks.iter().zip(ends) {
        let Some((state, class)) = end.map(|end| ENDS[end]) else {
            continue;
        };
        let was_sent = !matches!(class, None | Some(Class::Blocked | Class::Invalid));
        changes.ended.push(EndedTask {
            task: *task,
            state,
            class,
            code: None,
            message: None,
            ticket: None,
            request: was_sent.then_some(RequestId(1)),
            sends: u32::from(was_sent),
        });
        let counted = Tally {
            state,
            class,
            code: None,
        };
        *tally.entry(counted).or_default() += 1;
        if is_retriable(state, class) {
            goes += 1;
        } else {
            stays.push(*task);
        }
    }
    changes.tally = tally.into_iter().collect();
    site.write(changes).await;
    let filter = TaskFilter::default();
    let plan = retry::reopen(&mut site.store, &site.run, &filter, Leave::STALE, NOW)
        .await
        .unwrap();
    assert_eq!((plan.chosen, plan.blocked), (goes, 0));
    let mut left: Vec<TaskId> = site.ended().await.iter().map(|ended| ended.task).collect();
    left.sort_unstable();
    stays.sort_unstable();
    assert_eq!(left, stays);
}

/// A run of a test: the service that each device is to call, if it is in it, and whether the device accepts.
#[derive(Debug, Clone)]
struct Pushed {
    devices: Vec<Option<(usize, bool)>>,
    ends: bool,
    elsewhere: bool,
}

fn pushed() -> impl Strategy<Value = Pushed> {
    let device = prop::option::weighted(0.8, (0..SERVICES.len(), any::<bool>()));
    (
        prop::collection::vec(device, KEYS.len()),
        any::<bool>(),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(devices, ends, elsewhere)| Pushed {
            devices,
            ends,
            elsewhere,
        })
}

impl Pushed {
    fn rows(&self) -> Vec<(&'static str, &'static str, bool)> {
        KEYS.iter()
            .zip(&self.devices)
            .filter_map(|(key, device)| {
                device.map(|(service, accepts)| (*key, SERVICES[service], accepts))
            })
            .collect()
    }

    fn base_url(&self) -> &'static str {
        if self.elsewhere {
            "https://elsewhere.test"
        } else {
            "simulator"
        }
    }

    fn commands(&self, run: RunId) -> impl Iterator<Item = (Command<'static>, bool)> {
        let base_url = self.base_url();
        self.rows()
            .into_iter()
            .map(move |(device_key, service, accepts)| {
                let command = Command {
                    run,
                    base_url,
                    product_key: "PK",
                    device_key,
                    service: Some(service),
                };
                (command, accepts)
            })
    }
}

/// Stages the run, and pushes it when it is to be.
async fn make(store: &mut Store, name: &str, of: &Pushed, now: Timestamp) -> Option<Run> {
    let rows = of.rows();
    if rows.is_empty() {
        return None;
    }
    let devices: Vec<_> = rows
        .iter()
        .map(|(key, service, _)| (*key, *service))
        .collect();
    let run = staged(store, name, &devices, now).await;
    sqlx::query("UPDATE run SET base_url = ? WHERE id = ?")
        .bind(of.base_url())
        .bind(run.id.0)
        .execute(&mut store.connection)
        .await
        .unwrap();
    // A request carries the devices of one service.
    if of.ends {
        push(store, &run, SERVICES.len(), now, |device| {
            if rows
                .iter()
                .any(|(key, _, accepts)| *key == device && *accepts)
            {
                accepted(device)
            } else {
                (Class::Rejected, Next::End(TaskState::Failed))
            }
        })
        .await;
    }
    store.run_by_name(name).await.unwrap()
}

async fn staleness_agrees(pushes: Vec<Pushed>) {
    let folder = TempDir::new().unwrap();
    let mut store = Store::open(&folder.path().join("test.db")).await.unwrap();
    let mut runs = Vec::new();
    for (number, of) in pushes.iter().enumerate() {
        if let Some(run) = make(&mut store, &format!("run {number}"), of, NOW).await {
            runs.push((run, of));
        }
    }
    let accepted: Vec<Command<'_>> = runs
        .iter()
        .filter(|(_, of)| of.ends)
        .flat_map(|(run, of)| of.commands(run.id))
        .filter_map(|(command, accepts)| accepts.then_some(command))
        .collect();
    for (run, of) in &runs {
        let pending = of.commands(run.id).filter(|_| !of.ends);
        let expected = pending
            .filter(|(command, _)| {
                accepted
                    .iter()
                    .any(|accepted| is_overtaken_by(command, accepted))
            })
            .count() as u64;
        let found = store.stale(run).await.unwrap();
        assert_eq!(
            found.map_or(0, |stale| stale.devices),
            expected,
            "{}",
            run.about.name
        );
    }
}

async fn pruning_agrees(pushes: Vec<(Pushed, i64)>, order: Vec<usize>) {
    let folder = TempDir::new().unwrap();
    let mut store = Store::open(&folder.path().join("test.db")).await.unwrap();
    let mut runs = Vec::new();
    for (number, (of, at)) in pushes.iter().enumerate() {
        let of = Pushed {
            ends: true,
            ..of.clone()
        };
        let at = Timestamp(NOW.0 + at);
        if let Some(run) = make(&mut store, &format!("run {number}"), &of, at).await {
            runs.push((run.id, of));
        }
    }
    let mut expected: BTreeMap<(String, String), Vec<Accepted>> = BTreeMap::new();
    for (run, of) in &runs {
        for ((key, service, accepts), line) in of.rows().into_iter().zip(2..) {
            if accepts {
                let request = sqlx::query_scalar(
                    "SELECT o.request_id FROM device_task AS d CROSS JOIN task_end AS o ON o.id = d.task_id \
                     WHERE d.run_id = ? AND d.device_key = ?",
                )
                .bind(run.0)
                .bind(key)
                .fetch_one(&mut store.connection)
                .await
                .unwrap();
                let of_device = expected.entry((key.into(), service.into())).or_default();
                of_device.push((RequestId(request), *run, line));
            }
        }
    }
    for at in order {
        if let Some((run, ..)) = runs.get(at) {
            store.prune(*run, Timestamp(9_000_000)).await.unwrap();
        }
    }
    for (table, is_last) in [("device_past", true), ("device_past_before", false)] {
        let found: BTreeMap<(String, String), Accepted> = sqlx::query(sqlx::AssertSqlSafe(
            format!("SELECT device_key, service, request_id, run_id, line FROM {table}"),
        ))
        .fetch_all(&mut store.connection)
        .await
        .unwrap()
        .iter()
        .map(|row| {
            let accepted = (
                RequestId(row.get("request_id")),
                RunId(row.get("run_id")),
                row.get("line"),
            );
            ((row.get("device_key"), row.get("service")), accepted)
        })
        .collect();
        let by_rule = expected.iter().filter_map(|(of_device, accepted)| {
            let (last, before) = kept(accepted.clone());
            let one = if is_last { last } else { before };
            one.map(|one| (of_device.clone(), one))
        });
        assert_eq!(found, by_rule.collect(), "{table}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn a_retry_opens_what_may_be_sent_again(
        ends in prop::collection::vec(prop::option::of(0..ENDS.len()), DEVICES.len()),
    ) {
        block_on(retrying_agrees(ends));
    }

    #[test]
    fn a_run_is_stale_where_a_younger_one_has_overtaken_it(
        pushes in prop::collection::vec(pushed(), 2..5),
    ) {
        block_on(staleness_agrees(pushes));
    }

    /// In whatever order runs are pruned, and whatever the clock showed.
    #[test]
    fn the_last_two_acceptances_outlive_their_runs(
        pushes in prop::collection::vec((pushed(), -2_i64..3), 4),
        order in Just(vec![0, 1, 2, 3]).prop_shuffle(),
    ) {
        block_on(pruning_agrees(pushes, order));
    }
}
