//! What is due, and what is to be sent first.

use super::*;

/// The tasks that are due now, with those of suspects.
async fn due_now<F: Fixture>(store: &mut F) -> Vec<TaskId> {
    let mut rows = store.begin();
    let tasks = rows.due_tasks(NOW, 100, true).await.unwrap();
    rows.roll_back().await;
    tasks.into_iter().map(|task| task.member.task).collect()
}

async fn next_due<F: Fixture>(store: &mut F) -> Option<Timestamp> {
    let mut rows = store.begin();
    let next = rows.next_due().await.unwrap();
    rows.roll_back().await;
    next
}

pub(crate) async fn first_sends_come_in_order_as_far_as_asked_for<F: Fixture>() {
    let rows = [("A", 1), ("B", 1), ("A", 2), ("C", 1), ("D", 1)];
    let mut store = F::with(&rows).await;
    let tasks = store.tasks().await;
    // The second task of A waits for the first one.
    let mut expected = vec![tasks[0], tasks[1], tasks[3], tasks[4]];
    expected.sort_unstable();
    let end = TaskId(tasks.iter().map(|task| task.0).max().unwrap() + 1);
    let mut transaction = store.begin();
    let all = transaction.first_tasks(expected[0], end, 9).await.unwrap();
    let found: Vec<TaskId> = all.iter().map(|first| first.task).collect();
    assert_eq!(found, expected);
    let keys: Vec<&str> = all.iter().map(|first| &*first.device_key).collect();
    assert_eq!(keys.iter().filter(|key| **key == "A").count(), 1);
    let some = transaction.first_tasks(expected[1], end, 2).await.unwrap();
    assert_eq!(some, all[1..3]);
    let before = transaction
        .first_tasks(expected[0], expected[2], 9)
        .await
        .unwrap();
    assert_eq!(before, all[..2]);
    assert!(
        transaction
            .first_tasks(end, end, 9)
            .await
            .unwrap()
            .is_empty()
    );
    transaction.roll_back().await;
}

pub(crate) async fn a_task_that_leaves_the_first_sends_is_due_and_none_of_them<F: Fixture>() {
    let mut store = F::with(&[("A", 1), ("B", 1)]).await;
    let (tasks, payloads) = (store.tasks().await, store.payloads().await);
    let changes = Changes {
        due: vec![Due {
            task: tasks[1],
            payload: payloads[1],
            bundle: None,
            not_before: NOW,
            class: None,
            history: History::default(),
        }],
        held: vec![tasks[1]],
        ..Changes::default()
    };
    written(&mut store, changes).await;
    assert_eq!(due_now(&mut store).await, [tasks[1]]);
    let mut rows = store.begin();
    let (from, end) = (
        tasks[0].min(tasks[1]),
        TaskId(tasks[0].0.max(tasks[1].0) + 1),
    );
    let firsts = rows.first_tasks(from, end, 9).await.unwrap();
    assert_eq!(
        firsts.iter().map(|first| first.task).collect::<Vec<_>>(),
        [tasks[0]]
    );
    rows.roll_back().await;
}

pub(crate) async fn a_payload_is_what_was_staged<F: Fixture>() {
    let mut store = F::with(&[("A", 1), ("B", 2)]).await;
    let (tasks, payloads) = (store.tasks().await, store.payloads().await);
    let mut rows = store.begin();
    for (task, payload) in tasks.iter().zip(&payloads) {
        assert_eq!(rows.payload_of(*task).await.unwrap(), Some(*payload));
    }
    assert_ne!(payloads[0], payloads[1]);
    let Payload {
        product_key, data, ..
    } = rows.payload(payloads[1]).await.unwrap();
    assert_eq!((&*product_key, &*data), ("PK", r#"[{"fuwu":[{"n":"2"}]}]"#));
    assert_eq!(rows.payload_of(TaskId(1_000_000)).await.unwrap(), None);
    rows.roll_back().await;
}

pub(crate) async fn what_is_due_comes_by_time_and_stays_together<F: Fixture>() {
    let names = [("A", 1), ("B", 2), ("C", 1), ("D", 1), ("E", 2), ("F", 1)];
    let (mut store, tasks, payloads) = with_requests::<F>(&names).await;
    let at = |n: usize, when| due(tasks[n], payloads[n], when);
    let mut together = at(3, NOW);
    together.bundle = Some(BundleId(1));
    let changes = Changes {
        bundles: vec![bundle(1, 1, false)],
        due: vec![
            at(0, NOW),
            at(1, NOW),
            at(2, NOW),
            together,
            at(4, Timestamp(NOW.0 - 1)),
            at(5, later(1)),
        ],
        ..Changes::default()
    };
    written(&mut store, changes).await;
    let found = due_now(&mut store).await;
    assert_eq!(found.len(), 5, "what is due later is not due");
    assert_eq!(found[0], tasks[4], "the earliest first");
    assert_eq!(found[4], tasks[3], "what has no bundle before what has");
    // Those of one payload stand side by side.
    let place = |n: usize| found.iter().position(|task| *task == tasks[n]).unwrap();
    assert_eq!(place(0).abs_diff(place(2)), 1);
    assert_eq!(next_due(&mut store).await, Some(Timestamp(NOW.0 - 1)));
    let mut rows = store.begin();
    let few = rows.due_tasks(NOW, 2, true).await.unwrap();
    let few: Vec<TaskId> = few.into_iter().map(|task| task.member.task).collect();
    assert_eq!(few, found[..2]);
    rows.roll_back().await;
}

pub(crate) async fn what_waits_is_written_over_whatever_it_was<F: Fixture>() {
    let (mut store, tasks, payloads) = with_requests::<F>(&[("A", 1)]).await;
    let in_flight = Changes {
        due: vec![due(tasks[0], payloads[0], NOW)],
        in_flight: vec![(tasks[0], RequestId(1))],
        ..Changes::default()
    };
    written(&mut store, in_flight).await;
    let row = Due {
        class: Some(Class::Quota),
        bundle: Some(BundleId(1)),
        history: History {
            sends: 3,
            attempts: 1,
            throttles: 2,
            snoozed: Duration::from_millis(30_500),
            offline_retries: 1,
        },
        ..due(tasks[0], payloads[0], NOW)
    };
    let changes = Changes {
        bundles: vec![bundle(1, 1, false)],
        due: vec![row.clone()],
        ..Changes::default()
    };
    written(&mut store, changes).await;
    let mut rows = store.begin();
    let found = rows.due_tasks(NOW, 9, true).await.unwrap();
    rows.roll_back().await;
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].payload, found[0].bundle),
        (row.payload, row.bundle)
    );
    let member = &found[0].member;
    assert_eq!((member.history, member.class), (row.history, row.class));
    assert!(member.was_due && &*member.device_key == "A");
}

pub(crate) async fn what_is_in_flight_waits_no_longer<F: Fixture>() {
    let (mut store, tasks, payloads) = with_requests::<F>(&[("A", 1), ("B", 1)]).await;
    let changes = Changes {
        due: vec![
            due(tasks[0], payloads[0], NOW),
            due(tasks[1], payloads[1], later(5)),
        ],
        ..Changes::default()
    };
    written(&mut store, changes).await;
    let changes = Changes {
        in_flight: vec![(tasks[0], RequestId(2))],
        ..Changes::default()
    };
    written(&mut store, changes).await;
    assert!(due_now(&mut store).await.is_empty());
    assert_eq!(next_due(&mut store).await, Some(later(5)));
    let changes = Changes {
        no_longer_due: vec![tasks[1]],
        ..Changes::default()
    };
    written(&mut store, changes).await;
    assert_eq!(next_due(&mut store).await, None);
}

pub(crate) async fn suspects_are_left_out_unless_asked_for<F: Fixture>() {
    let names = [("A", 1), ("B", 1), ("C", 1)];
    let (mut store, tasks, payloads) = with_requests::<F>(&names).await;
    let of = |n: usize, id| Due {
        bundle: id,
        ..due(tasks[n], payloads[n], NOW)
    };
    let changes = Changes {
        bundles: vec![bundle(1, 1, true), bundle(2, 1, false)],
        due: vec![
            of(0, Some(BundleId(1))),
            of(1, Some(BundleId(2))),
            of(2, None),
        ],
        ..Changes::default()
    };
    written(&mut store, changes).await;
    let mut rows = store.begin();
    for (suspects, expected) in [(true, 3), (false, 2)] {
        let found = rows.due_tasks(NOW, 9, suspects).await.unwrap();
        assert_eq!(found.len(), expected);
        let suspect = found.iter().any(|task| task.member.task == tasks[0]);
        assert_eq!(suspect, suspects);
    }
    rows.roll_back().await;
    let bundle_status = |suspect| BundleStatus {
        refusals: 1,
        suspect,
        ..BundleStatus::default()
    };
    let changes = Changes {
        bundle_statuses: vec![
            (BundleId(1), bundle_status(false)),
            (BundleId(2), bundle_status(true)),
        ],
        ..Changes::default()
    };
    written(&mut store, changes).await;
    let mut rows = store.begin();
    let found = rows.due_tasks(NOW, 9, false).await.unwrap();
    assert!(found.iter().all(|task| task.member.task != tasks[1]));
    rows.roll_back().await;
}

pub(crate) async fn what_waits_for_its_end_is_found_by_itself<F: Fixture>() {
    let names = [("A", 1), ("B", 1), ("C", 1)];
    let (mut store, tasks, payloads) = with_requests::<F>(&names).await;
    let blocked = |n: usize, when| Due {
        class: Some(Class::Blocked),
        ..due(tasks[n], payloads[n], when)
    };
    let changes = Changes {
        due: vec![
            blocked(0, NOW),
            due(tasks[1], payloads[1], NOW),
            blocked(2, later(1)),
        ],
        ..Changes::default()
    };
    written(&mut store, changes).await;
    let mut rows = store.begin();
    assert_eq!(rows.blocked_due(NOW, 9).await.unwrap(), [tasks[0]]);
    assert_eq!(rows.blocked_due(later(1), 1).await.unwrap().len(), 1);
    assert_eq!(rows.blocked_due(later(1), 9).await.unwrap().len(), 2);
    rows.roll_back().await;
}

pub(crate) async fn a_probe_is_the_least_suspicious_task<F: Fixture>() {
    let names = [
        ("A", 1),
        ("B", 2),
        ("C", 3),
        ("D", 4),
        ("E", 5),
        ("F", 6),
        ("G", 7),
    ];
    let (mut store, tasks, payloads) = with_requests::<F>(&names).await;
    let of = |n: usize, id: Option<i64>, sends, when, class| Due {
        bundle: id.map(BundleId),
        class,
        history: History {
            sends,
            ..History::default()
        },
        ..due(tasks[n], payloads[n], when)
    };
    let earlier = Timestamp(NOW.0 - 1);
    let changes = Changes {
        bundles: vec![bundle(1, 1, true), bundle(2, 1, false)],
        due: vec![
            of(0, None, 1, NOW, None),
            of(1, None, 1, earlier, None),
            of(2, None, 0, NOW, None),
            of(3, Some(2), 0, earlier, None),
            of(4, Some(1), 0, earlier, None),
            of(5, None, 0, earlier, Some(Class::Blocked)),
            of(6, None, 0, later(1), None),
        ],
        ..Changes::default()
    };
    written(&mut store, changes).await;
    // From the best to the worst; the probed ones come after the others, and before the suspect.
    let order = [2, 1, 0, 3];
    let mut probed: Vec<PayloadId> = Vec::new();
    for best in order {
        let mut rows = store.begin();
        let found = rows.probe_task(NOW, &probed).await.unwrap().unwrap();
        rows.roll_back().await;
        assert_eq!(found.due.member.task, tasks[best]);
        assert_eq!((found.probed, found.due.bundle), (false, None));
        probed.push(payloads[best]);
    }
    let mut rows = store.begin();
    let again = rows.probe_task(NOW, &probed).await.unwrap().unwrap();
    assert_eq!((again.due.member.task, again.probed), (tasks[2], true));
    rows.roll_back().await;
    let changes = Changes {
        no_longer_due: order.map(|n| tasks[n]).into(),
        ..Changes::default()
    };
    written(&mut store, changes).await;
    let mut rows = store.begin();
    let suspect = rows.probe_task(NOW, &probed).await.unwrap().unwrap();
    assert_eq!(suspect.due.member.task, tasks[4]);
    assert_eq!(
        suspect.due.bundle,
        Some(BundleId(1)),
        "what is a suspect stays one"
    );
    rows.roll_back().await;
    let changes = Changes {
        no_longer_due: vec![tasks[4]],
        ..Changes::default()
    };
    written(&mut store, changes).await;
    let mut rows = store.begin();
    assert_eq!(rows.probe_task(NOW, &probed).await.unwrap(), None);
    rows.roll_back().await;
}
