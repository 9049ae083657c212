//! What has ended, and what a push finds when it begins.

use super::*;

pub(crate) async fn the_next_task_of_a_device_is_the_first_that_has_not_ended<F: Fixture>() {
    let names = [("A", 1), ("B", 1), ("A", 2), ("A", 3), ("C", 1)];
    let (mut store, tasks, payloads) = with_requests::<F>(&names).await;
    let attempt = |number| Attempt {
        task: tasks[3],
        number,
        request: RequestId(i64::from(number)),
        outcome: Outcome {
            class: Class::Transient,
            code: None,
            message: None,
            ticket: None,
        },
    };
    let changes = Changes {
        ended: vec![
            ended(tasks[0], TaskState::Failed, Class::Rejected),
            // Opened and ended again by a retry, while those before and after it stayed.
            ended(tasks[2], TaskState::Failed, Class::Blocked),
        ],
        attempts: vec![attempt(1), attempt(2)],
        ..Changes::default()
    };
    written(&mut store, changes).await;
    let mut rows = store.begin();
    let next = rows.next_tasks(&[tasks[0], tasks[1]]).await.unwrap();
    assert_eq!(next.len(), 1, "B and C have one task each");
    assert_eq!((next[0].previous, next[0].task), (tasks[0], tasks[3]));
    assert_eq!((next[0].payload, next[0].sends), (payloads[3], 2));
    assert_eq!(next[0].line, 2, "the line of the one that has ended");
    let next = rows.next_tasks(&[tasks[2]]).await.unwrap();
    assert_eq!((next[0].previous, next[0].line), (tasks[2], 4));
    assert!(rows.next_tasks(&[tasks[3]]).await.unwrap().is_empty());
    rows.roll_back().await;
}

pub(crate) async fn what_stands_in_the_way_is_told_with_its_line<F: Fixture>() {
    let names = [("A", 1), ("A", 2), ("B", 1), ("B", 2)];
    let (mut store, tasks, payloads) = with_requests::<F>(&names).await;
    let blocked = |n: usize, sends| Due {
        class: Some(Class::Blocked),
        history: History {
            sends,
            ..History::default()
        },
        ..due(tasks[n], payloads[n], NOW)
    };
    let changes = Changes {
        ended: vec![
            ended(tasks[0], TaskState::Failed, Class::Rejected),
            ended(tasks[2], TaskState::InDoubt, Class::InDoubt),
        ],
        due: vec![blocked(1, 0), blocked(3, 2)],
        ..Changes::default()
    };
    written(&mut store, changes).await;
    let mut rows = store.begin();
    let mut found = rows.blockers(&[tasks[1], tasks[3]]).await.unwrap();
    rows.roll_back().await;
    found.sort_unstable_by_key(|blocker| blocker.line);
    let found: Vec<_> = found
        .iter()
        .map(|blocker| (blocker.task, blocker.sends, blocker.line, blocker.state))
        .collect();
    let expected = [
        (tasks[1], 0, 2, TaskState::Failed),
        (tasks[3], 2, 4, TaskState::InDoubt),
    ];
    assert_eq!(found, expected);
}

pub(crate) async fn nothing_is_there_until_it_is_committed<F: Fixture>() {
    let (mut store, tasks, payloads) = with_requests::<F>(&[("A", 1)]).await;
    let changes = || Changes {
        due: vec![due(tasks[0], payloads[0], NOW)],
        ..Changes::default()
    };
    let mut rows = store.begin();
    rows.write(changes(), NOW).await.unwrap();
    rows.roll_back().await;
    let mut rows = store.begin();
    assert_eq!(rows.next_due().await.unwrap(), None);
    rows.write(changes(), NOW).await.unwrap();
    rows.commit().await.unwrap();
    drop(rows);
    let mut rows = store.begin();
    assert_eq!(rows.next_due().await.unwrap(), Some(NOW));
    rows.roll_back().await;
}

pub(crate) async fn what_is_written_is_seen_in_the_same_transaction<F: Fixture>() {
    let (mut store, tasks, payloads) = with_requests::<F>(&[("A", 1), ("A", 2)]).await;
    let mut rows = store.begin();
    let changes = Changes {
        ended: vec![ended(tasks[0], TaskState::Failed, Class::Rejected)],
        ..Changes::default()
    };
    rows.write(changes, NOW).await.unwrap();
    let next = rows.next_tasks(&[tasks[0]]).await.unwrap();
    assert_eq!(next[0].task, tasks[1]);
    let changes = Changes {
        due: vec![due(tasks[1], payloads[1], NOW)],
        ..Changes::default()
    };
    rows.write(changes, NOW).await.unwrap();
    assert_eq!(rows.due_tasks(NOW, 9, true).await.unwrap().len(), 1);
    rows.roll_back().await;
}

pub(crate) async fn a_push_begins_with_what_the_last_one_left<F: Fixture>() {
    let names = [("A", 1), ("B", 1), ("C", 1), ("D", 1)];
    let (mut store, tasks, payloads) = with_requests::<F>(&names).await;
    let key = |state, class, code| Tally {
        state,
        class: Some(class),
        code,
    };
    let accepted = key(TaskState::Accepted, Class::Accepted, Some(200));
    let failed = key(TaskState::Failed, Class::Rejected, None);
    let snoozing = |n: usize, class, when| Due {
        class: Some(class),
        ..due(tasks[n], payloads[n], when)
    };
    let finished = |id: i64| FinishedRequest {
        request: RequestId(id),
        sent_at: Some(NOW),
        finished_at: NOW,
        latency: Some(Duration::from_millis(5)),
        http_status: Some(200),
        code: Some(200),
        message: None,
        error: None,
        released: false,
    };
    let changes = Changes {
        finished: (1..=8).map(finished).collect(),
        tally: vec![(accepted, 2), (failed, 1)],
        ..Changes::default()
    };
    written(&mut store, changes).await;
    let range = (tasks[0].min(tasks[1]), tasks[0].max(tasks[1]));
    let more = Changes {
        bundles: vec![bundle(3, 2, true)],
        due: vec![
            snoozing(2, Class::Quota, NOW),
            snoozing(3, Class::Transient, later(7)),
        ],
        requests: vec![NewRequest {
            range: Some(range),
            ..request(11, payloads[0], 2)
        }],
        next_task: Some(TaskId(range.1.0 + 1)),
        tally: vec![(accepted, 3)],
        ..Changes::default()
    };
    written(&mut store, more).await;
    let rows = store.push_rows().await;
    assert_eq!(rows.next_task, TaskId(range.1.0 + 1));
    assert_eq!(rows.next_bundle, BundleId(4));
    // These requests have taken theirs without asking, which only a push that is alone may do.
    assert!(!store.begin().request_numbers().await.unwrap().is_empty());
    // The two requests that have no end, and the new one.
    assert_eq!((rows.in_flight, rows.snoozing), (4, 1));
    assert_eq!(rows.latest_due, Some(later(7)));
    let mut tally = rows.tally;
    tally.sort_unstable();
    assert_eq!(tally, [(accepted, 5), (failed, 1)]);
    let suspect = BundleStatus {
        suspect: true,
        ..BundleStatus::default()
    };
    assert_eq!(rows.bundle_statuses, [(BundleId(3), suspect)]);
    assert!(rows.refusals.is_empty() && rows.canary.is_none() && rows.excused.is_empty());
}
