//! Whose tasks are deferred, and for how long.

use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::{
    journal::{
        Claim, ClaimLimits, Journal, Next, Record, RequestEnd, Settlement, staleness::Leave,
    },
    model::{AfterFailure, Class, TaskFilter, TaskState},
    store::{
        FinishedRequest, PushTransaction, Store,
        tests::pushed::{accepted, push, staged},
    },
};

const NOW: Timestamp = Timestamp(1_000_000);

fn later(seconds: u64) -> Timestamp {
    NOW.after(Duration::from_secs(seconds))
}

const DEVICES: [(&str, &str); 5] = [
    ("DK1", "fuwu"),
    ("DK2", "fuwu"),
    ("DK3", "fuwu"),
    ("DK4", "fuwu"),
    ("DK5", "fuwu"),
];

async fn store() -> (TempDir, Store) {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&folder.path().join("test.db")).await.unwrap();
    (folder, store)
}

/// The memory, a line for each device.
async fn memory(store: &mut Store) -> Vec<(String, String, i64, i64, i64)> {
    sqlx::query_as(
        "SELECT device_key, product_key, class, throttled_at, until FROM device_throttle ORDER BY device_key",
    )
    .fetch_all(&mut store.connection)
    .await
    .unwrap()
}

/// DK2 is throttled for 30 seconds, DK3 beyond what its task may wait; the others accept.
fn two_throttled(device: &str) -> (Class, Next) {
    match device {
        "DK2" => (
            Class::Quota,
            Next::Again {
                due_at: later(30),
                keep_bundle: false,
            },
        ),
        "DK3" => (Class::Frequency, Next::End(TaskState::Failed)),
        other => accepted(other),
    }
}

#[tokio::test]
async fn a_throttled_reply_is_remembered_with_the_pause_that_was_planned() {
    let (_folder, mut store) = store().await;
    let run = staged(&mut store, "first", &DEVICES, NOW).await;
    push(&mut store, &run, 1, NOW, |device| match device {
        // Said of a whole request, which is split to find out of whom it is true.
        "DK4" => (Class::Quota, Next::Split { second_half: false }),
        other => two_throttled(other),
    })
    .await;
    let expected = |device: &str, class, until: Timestamp| {
        (device.to_owned(), "PK".to_owned(), class, NOW.0, until.0)
    };
    // The history of the helper plans no pause for the one that fails.
    assert_eq!(
        memory(&mut store).await,
        [expected("DK2", 3, later(30)), expected("DK3", 2, NOW)]
    );
}

#[tokio::test]
async fn the_next_run_leaves_a_throttled_device_alone_until_its_pause_ends() {
    let (_folder, mut store) = store().await;
    let first = staged(&mut store, "first", &DEVICES, NOW).await;
    push(&mut store, &first, 1, NOW, two_throttled).await;
    let second = staged(&mut store, "second", &DEVICES, later(1)).await;
    let sent = push(&mut store, &second, 5, later(1), accepted).await;
    assert_eq!(sent, ["DK1", "DK3", "DK4", "DK5"]);
    let shown: (String, String, i64, i64, String) = sqlx::query_as(
        "SELECT r.state, r.class, r.attempts, u.snoozing, r.due_at FROM results AS r JOIN runs AS u ON u.run = r.run \
         WHERE r.name = 'second' AND r.device_key = 'DK2'",
    )
    .fetch_one(&mut store.connection)
    .await
    .unwrap();
    assert_eq!(
        shown,
        (
            "pending".to_owned(),
            "quota".to_owned(),
            0,
            1,
            later(30).to_string()
        )
    );
    let second = store.run_by_name("second").await.unwrap().unwrap();
    let none: Vec<String> = Vec::new();
    assert_eq!(
        push(&mut store, &second, 5, later(29), accepted).await,
        none
    );
    assert_eq!(
        push(&mut store, &second, 5, later(30), accepted).await,
        ["DK2"]
    );
    let run = store.run_by_name("second").await.unwrap().unwrap();
    assert_eq!(run.state.name(), "complete");
}

#[tokio::test]
async fn only_what_is_true_of_the_device_now_holds_it_back() {
    let (_folder, mut store) = store().await;
    let run = staged(&mut store, "first", &DEVICES, NOW).await;
    for (device, product, throttled_at, until) in [
        ("DK1", "OTHER", NOW, later(30)),
        ("DK2", "PK", Timestamp(0), NOW),
        ("DK3", "PK", later(3600), later(3630)),
        ("DK4", "PK", NOW, later(30)),
        ("DK9", "PK", NOW, later(30)),
    ] {
        sqlx::query("INSERT INTO device_throttle VALUES (?, ?, 2, ?, ?)")
            .bind(device)
            .bind(product)
            .bind(throttled_at.0)
            .bind(until.0)
            .execute(&mut store.connection)
            .await
            .unwrap();
    }
    let mut journal = Journal::open(&mut store, run.clone(), AfterFailure::Block)
        .await
        .unwrap();
    assert_eq!(journal.defer_throttled(NOW).await.unwrap(), 1);
    assert_eq!(
        journal.defer_throttled(NOW).await.unwrap(),
        0,
        "once is enough"
    );
    assert_eq!(journal.counts().snoozing, 1);
    assert_eq!(journal.latest_due(), Some(later(30)));
    let sent = push(&mut store, &run, 5, NOW, accepted).await;
    assert_eq!(sent, ["DK1", "DK2", "DK3", "DK5"]);
}

#[tokio::test]
async fn a_request_that_a_crash_left_open_has_the_members_it_was_sent_with() {
    let (_folder, mut store) = store().await;
    let first = staged(&mut store, "first", &DEVICES, NOW).await;
    push(&mut store, &first, 1, NOW, two_throttled).await;
    let second = staged(&mut store, "second", &DEVICES, later(1)).await;
    let mut journal = Journal::open(&mut store, second, AfterFailure::Block)
        .await
        .unwrap();
    journal.defer_throttled(later(1)).await.unwrap();
    let limits = ClaimLimits {
        probe: false,
        requests: 1,
        chunk_size: 10,
        now: later(1),
    };
    let claims = journal.exchange(vec![], limits).await.unwrap().claims;
    // What is put off afterwards is nothing that may be on its way.
    assert_eq!(journal.defer_throttled(later(2)).await.unwrap(), 0);
    let again = journal.reopen(claims[0].request).await.unwrap();
    let members =
        |claim: &Claim| -> Vec<TaskId> { claim.members.iter().map(|member| member.task).collect() };
    assert_eq!(members(&again), members(&claims[0]));
    assert_eq!(again.members.len(), 4);
}

#[tokio::test]
async fn a_retry_leaves_a_throttled_device_alone_too() {
    let (_folder, mut store) = store().await;
    let first = staged(&mut store, "first", &DEVICES, NOW).await;
    push(&mut store, &first, 1, NOW, |device| match device {
        "DK2" => (Class::Rejected, Next::End(TaskState::Failed)),
        other => accepted(other),
    })
    .await;
    let second = staged(&mut store, "second", &DEVICES, NOW).await;
    push(&mut store, &second, 1, NOW, two_throttled).await;
    let filter = TaskFilter::ended(&[TaskState::Failed]);
    crate::journal::retry::reopen(&mut store, &first, &filter, Leave::STALE, later(1))
        .await
        .unwrap();
    let none: Vec<String> = Vec::new();
    assert_eq!(push(&mut store, &first, 5, later(1), accepted).await, none);
    assert_eq!(
        push(&mut store, &first, 5, later(30), accepted).await,
        ["DK2"]
    );
}

#[tokio::test]
async fn a_later_command_of_a_device_waits_for_the_pause_that_an_earlier_one_did_not_survive() {
    let (_folder, mut store) = store().await;
    let twice = [("DK1", "fuwu"), ("DK1", "other")];
    let run = staged(&mut store, "first", &twice, NOW).await;
    sqlx::query("INSERT INTO device_throttle VALUES ('DK1', 'PK', 2, 0, 0)")
        .execute(&mut store.connection)
        .await
        .unwrap();
    let mut journal = Journal::open(&mut store, run, AfterFailure::Continue)
        .await
        .unwrap();
    let mut limits = ClaimLimits {
        probe: false,
        requests: 5,
        chunk_size: 10,
        now: NOW,
    };
    let mut claims = journal.exchange(vec![], limits).await.unwrap().claims;
    let claim = claims.remove(0);
    let outcome = crate::model::Outcome {
        class: Class::Quota,
        code: Some(61006),
        message: None,
        ticket: None,
    };
    let history = crate::model::History {
        sends: 1,
        throttles: 1,
        snoozed: Duration::from_secs(30),
        ..Default::default()
    };
    let finished = FinishedRequest::answered(claim.request, Some(200), NOW);
    let record = Record {
        claim,
        end: RequestEnd::Sent {
            finished,
            passed: None,
            together: None,
            refused: None,
            tasks: vec![Settlement {
                outcome,
                history,
                next: Next::End(TaskState::Failed),
                next_task_at: None,
            }],
        },
    };
    let exchange = journal.exchange(vec![record], limits).await.unwrap();
    assert!(exchange.claims.is_empty());
    assert_eq!(exchange.next_due, Some(later(30)));
    limits.now = later(30);
    let claims = journal.exchange(vec![], limits).await.unwrap().claims;
    assert_eq!(claims.len(), 1);
}

#[tokio::test]
async fn a_throttle_of_the_future_puts_off_no_later_task() {
    let (_folder, mut store) = store().await;
    let run = staged(&mut store, "first", &DEVICES, NOW).await;
    let task: i64 = sqlx::query_scalar("SELECT id FROM task WHERE device_key = 'DK1'")
        .fetch_one(&mut store.connection)
        .await
        .unwrap();
    let task = TaskId(task);
    // Of now, and of a clock that was an hour ahead.
    for (throttled_at, expected) in [(NOW, Some(&later(30))), (later(3_600), None)] {
        sqlx::query(
            "INSERT OR REPLACE INTO device_throttle (device_key, product_key, class, throttled_at, until) VALUES ('DK1', 'PK', 2, ?, ?)",
        )
        .bind(throttled_at.0)
        .bind(throttled_at.after(Duration::from_secs(30)).0)
        .execute(&mut store.connection)
        .await
        .unwrap();
        let mut rows = store.transaction(run.id);
        let until = rows.throttled_until(&[task], NOW).await.unwrap();
        assert_eq!(until.get(&task), expected);
        rows.roll_back().await;
    }
}
