//! What is sent again, in a file and on a server.

use super::{
    both::{TASKS, both, texts},
    pushed::{accepted, push, staged},
};
use crate::{
    journal::{
        Next,
        retry::{RetryPlan, plan, reopen},
        staleness::Leave,
    },
    model::{AfterFailure, Class, Delivery, TaskFilter, TaskState, Timestamp},
    store::{Run, Store},
};

const NOW: Timestamp = Timestamp(1_000_000);
const RULE: Leave = Leave {
    stale: false,
    after_failure: AfterFailure::Block,
};

const DEVICES: [(&str, &str); 12] = [
    ("DK01", "fuwu"),
    ("DK02", "fuwu"),
    ("DK03", "fuwu"),
    ("DK04", "fuwu"),
    ("DK05", "fuwu"),
    ("DK06", "fuwu"),
    ("DK01", "boot"),
    ("DK02", "boot"),
    ("DK05", "boot"),
    ("DK07", "fuwu"),
    ("DK08", "fuwu"),
    ("DK01", "fuwu"),
];

/// Some devices are offline, one refuses, one is in doubt, and the others accept.
fn mixed(device: &str) -> (Class, Next) {
    match device {
        "DK01" | "DK04" => (Class::Offline, Next::End(TaskState::Failed)),
        "DK05" => (Class::Rejected, Next::End(TaskState::Failed)),
        "DK06" => (Class::InDoubt, Next::End(TaskState::InDoubt)),
        _ => accepted(device),
    }
}

/// A run that has ended in a mixed way.
async fn pushed(store: &mut Store) -> Run {
    let run = staged(store, "old", &DEVICES, NOW).await;
    for _ in 0..4 {
        push(store, &run, 9, NOW, mixed).await;
    }
    run
}

#[tokio::test]
async fn a_retry_does_the_same_in_a_file_and_on_a_server() {
    let (stores, _folder) = both().await;
    let mut left = Vec::new();
    for mut store in stores {
        let run = pushed(&mut store).await;
        let young = staged(&mut store, "young", &[("DK04", "fuwu")], NOW).await;
        push(&mut store, &young, 1, NOW, accepted).await;
        let filter = TaskFilter {
            classes: vec![Class::Offline],
            ..TaskFilter::ended(&[TaskState::Failed])
        };
        // DK04 has accepted the same from the younger run, and what DK01 blocks goes along.
        let expected = RetryPlan {
            chosen: 1,
            blocked: 2,
            stale: 1,
            example: Some("DK04".to_owned()),
            waiting: 0,
        };
        let before = texts(&mut store, &TASKS).await;
        for _ in 0..2 {
            let planned = plan(&mut store, &run, &filter, RULE).await.unwrap();
            assert_eq!(planned, expected);
        }
        assert_eq!(texts(&mut store, &TASKS).await, before);
        let done = reopen(&mut store, &run, &filter, RULE, NOW).await.unwrap();
        assert_eq!(done, expected);
        let mut all = texts(&mut store, &TASKS).await;
        for _ in 0..3 {
            assert_eq!(push(&mut store, &run, 9, NOW, accepted).await, ["DK01"]);
        }
        let of_code = TaskFilter {
            codes: vec![1..=99_999],
            ..TaskFilter::ended(&[TaskState::Failed, TaskState::InDoubt])
        };
        let none = plan(&mut store, &run, &of_code, RULE).await.unwrap();
        assert_eq!(none.chosen, 0);
        // Whoever insists sends what is stale, too.
        let insists = Leave {
            stale: true,
            ..RULE
        };
        let rest = TaskFilter::ended(&[TaskState::Failed, TaskState::InDoubt]);
        let done = reopen(&mut store, &run, &rest, insists, NOW).await.unwrap();
        assert_eq!((done.chosen, done.blocked, done.stale), (4, 0, 1));
        all.extend(texts(&mut store, &TASKS).await);
        left.push(all);
        store.close().await.unwrap();
    }
    assert!(left.iter().all(|one| *one == left[0]), "{left:#?}");
}

/// Has the first two neighbours that accepted stand in a range, with the tickets 12 and 44; the second one was not delivered.
const RANGE: [&str; 5] = [
    "UPDATE outcome SET code = 200 WHERE state = 1",
    "UPDATE tally SET code = 200 WHERE state = 1",
    "INSERT INTO accepted_span (first_task, end_task, request_id, code, ticket_bytes, tickets, finished_at) \
     SELECT o.task_id, o.task_id + 2, o.request_id, 200, 2, unhex('31323434'), o.finished_at FROM outcome AS o \
     WHERE o.state = 1 AND EXISTS (SELECT 1 FROM outcome AS n WHERE n.task_id = o.task_id + 1 AND n.state = 1) ORDER BY o.task_id LIMIT 1",
    "DELETE FROM outcome WHERE task_id IN (SELECT t.id FROM accepted_span AS g JOIN task AS t ON t.id >= g.first_task AND t.id < g.end_task)",
    "INSERT INTO delivery (task_id, attempt, delivery, evidence, recorded_at) SELECT first_task + 1, 1, 3, 1, 7 FROM accepted_span",
];

#[tokio::test]
async fn what_was_not_delivered_is_sent_again_from_its_range_in_a_file_and_on_a_server() {
    let (stores, _folder) = both().await;
    let mut left = Vec::new();
    for mut store in stores {
        let run = pushed(&mut store).await;
        for statement in RANGE {
            sqlx::query(statement)
                .execute(&mut store.connection)
                .await
                .unwrap();
        }
        let filter = TaskFilter {
            deliveries: vec![Delivery::SendFailed],
            ..TaskFilter::ended(&[TaskState::Accepted])
        };
        let done = reopen(&mut store, &run, &filter, RULE, NOW).await.unwrap();
        assert_eq!((done.chosen, done.blocked), (1, 0));
        let all = texts(&mut store, &TASKS).await;
        let (ticket, again) = (" 1 1 12 - 1 -", "attempt ");
        assert!(all.iter().any(|row| row.ends_with(ticket)), "{all:#?}");
        let is_again = |row: &&String| row.starts_with(again) && row.ends_with(" 44");
        assert_eq!(all.iter().filter(is_again).count(), 1, "{all:#?}");
        left.push(all);
        store.close().await.unwrap();
    }
    assert!(left.iter().all(|one| *one == left[0]), "{left:#?}");
}
