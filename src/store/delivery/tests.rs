use sqlx::{AssertSqlSafe, ConnectOptions as _, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use super::*;
use crate::{
    journal::{delivery::fold, verification::pick},
    store::sample::{self, at},
};

async fn open(changes: &str) -> (TempDir, Store, Run) {
    let folder = tempfile::tempdir().unwrap();
    let path = sample::every_state(folder.path()).await;
    let mut connection = SqliteConnectOptions::new()
        .filename(&path)
        .connect()
        .await
        .unwrap();
    sqlx::raw_sql(AssertSqlSafe(changes.to_owned()))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let mut store = Store::open(&path).await.unwrap();
    let run = store.run_by_name("north-1a2b3c4d").await.unwrap().unwrap();
    (folder, store, run)
}

async fn rows(store: &mut Store, sql: &'static str) -> Vec<String> {
    sqlx::query_scalar(sql)
        .fetch_all(&mut store.connection)
        .await
        .unwrap()
}

fn one(task: TaskId, attempt: u32, delivery: Delivery, answer: Option<&str>) -> TaskProof {
    TaskProof {
        task,
        attempt,
        proof: Proof {
            delivery,
            source: EvidenceSource::History,
            at: Some(at(5000)),
            known_at: at(9000),
            answer: answer.map(Into::into),
        },
    }
}

#[tokio::test]
async fn evidence_is_kept_shown_counted_and_folded() {
    let (_folder, mut store, run) = open("").await;
    let commands = store
        .accepted_commands(&run, TaskId(0), &[], 100)
        .await
        .unwrap();
    assert!(!commands.is_empty());
    assert!(commands.iter().all(|one| one.known == Delivery::Unknown));
    let accepted = commands.len() as u64;
    assert_eq!(
        store.delivery_counts(&run).await.unwrap(),
        [(Delivery::Unknown, accepted)]
    );
    assert_eq!(
        rows(&mut store, "SELECT DISTINCT coalesce(delivery, '-') || ' ' || state FROM results WHERE run = 1 AND \
             (state = 'accepted') = (delivery IS NOT NULL) ORDER BY 1").await.first().map(String::as_str),
        Some("- failed")
    );

    let first = &commands[0];
    let queued = one(first.task, first.attempt, Delivery::Queued, None);
    let sent = one(first.task, first.attempt, Delivery::Sent, None);
    let answered = one(
        first.task,
        first.attempt,
        Delivery::Answered,
        Some(r#"[{"id":1}]"#),
    );
    for (proofs, changed, expected) in [
        (vec![queued.clone()], 1, "queued"),
        (vec![sent.clone(), queued.clone()], 1, "sent"),
        (vec![queued.clone()], 0, "sent"),
        (vec![answered], 1, "answered"),
        (vec![sent, queued], 0, "answered"),
    ] {
        let settled = store
            .settle_deliveries(&run, proofs, at(9000), fold)
            .await
            .unwrap();
        assert_eq!(settled, changed, "{expected}");
        assert_eq!(
            rows(
                &mut store,
                "SELECT delivery FROM results WHERE delivery <> 'unknown'"
            )
            .await,
            [expected]
        );
    }
    let told = rows(
        &mut store,
        "SELECT device_key || ' ' || ticket || ' ' || delivery || ' ' || evidence || ' ' || at || ' ' || recorded_at || ' ' || answer \
         FROM deliveries",
    )
    .await;
    let expected = format!(
        r#"{} {} answered history {} {} [{{"id":1}}]"#,
        first.device_key,
        first.ticket.as_str(),
        at(5000),
        at(9000)
    );
    assert_eq!(told, [expected]);
    let left = store
        .accepted_commands(&run, TaskId(0), &[Delivery::Answered], 100)
        .await
        .unwrap();
    assert_eq!(left.len() as u64, accepted - 1);
    let among = store.accepted_among(&[first.task], &[]).await.unwrap();
    assert_eq!((among.len(), among[0].known), (1, Delivery::Answered));
    assert_eq!(
        store.delivery_counts_among(&[first.task]).await.unwrap(),
        [(Delivery::Answered, 1)]
    );
}

#[tokio::test]
async fn what_is_known_of_an_earlier_send_is_not_the_delivery_of_the_task() {
    let (_folder, mut store, run) = open("").await;
    let commands = store
        .accepted_commands(&run, TaskId(0), &[], 100)
        .await
        .unwrap();
    let first = &commands[0];
    // Task 4 of the sample was sent twice; its first send is none that was accepted last.
    let proofs = vec![
        one(TaskId(4), 1, Delivery::Sent, None),
        one(first.task, first.attempt, Delivery::SendFailed, None),
    ];
    store
        .settle_deliveries(&run, proofs, at(9000), fold)
        .await
        .unwrap();
    let counts = store.delivery_counts(&run).await.unwrap();
    let known: Vec<_> = counts
        .into_iter()
        .filter(|(delivery, _)| *delivery != Delivery::Unknown)
        .collect();
    assert_eq!(known, [(Delivery::SendFailed, 1)]);
    assert_eq!(
        rows(
            &mut store,
            "SELECT delivery FROM deliveries ORDER BY line DESC"
        )
        .await
        .len(),
        2
    );
}

/// A run of `tasks` tasks, accepted in ranges of 100 with tickets of 19 digits.
async fn accepted(tasks: i64) -> (TempDir, Store, Run) {
    let folder = tempfile::tempdir().unwrap();
    let path = sample::alternating(folder.path(), tasks).await;
    let mut connection = SqliteConnectOptions::new()
        .filename(&path)
        .connect()
        .await
        .unwrap();
    sqlx::raw_sql(
        "DELETE FROM outcome; DELETE FROM tally; \
         INSERT INTO request (id, run_id, payload_id, first_task, end_task, devices, claimed_at, sent_at, finished_at, latency_ms, http_status) \
         SELECT id, 1, 1, id, id + 100, 100, 0, 0, 1, 1, 200 FROM task WHERE id % 100 = 1; \
         INSERT INTO accepted_span (first_task, end_task, request_id, finished_at, code, message, ticket_bytes, tickets) \
         SELECT q.id, q.end_task, q.id, 1, 200, NULL, 19, \
             (SELECT CAST(group_concat(1380000000000000000 + t.id, '') AS BLOB) FROM task AS t WHERE t.id >= q.first_task AND t.id < q.end_task) \
         FROM request AS q; \
         INSERT INTO tally (run_id, state, class, code, n) SELECT 1, 1, 1, 200, count(*) FROM task;",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    let mut store = Store::open(&path).await.unwrap();
    let run = store.run_by_name("alternating").await.unwrap().unwrap();
    (folder, store, run)
}

#[tokio::test]
async fn a_sample_is_drawn_from_all_parts_and_again_the_same() {
    let (_folder, mut store, run) = accepted(5000).await;
    let draw = async |store: &mut Store, seed| {
        let pick = move |part, size| pick(seed, part, size);
        store.draw_accepted(&run, 50, pick).await.unwrap()
    };
    let first = draw(&mut store, 1).await;
    assert_eq!(first.len(), 50);
    for (place, task) in first.iter().enumerate() {
        let part = (task.0 - 1) / 100;
        assert_eq!(part, place as i64, "one of each part");
    }
    assert_eq!(draw(&mut store, 1).await, first);
    assert_ne!(draw(&mut store, 2).await, first);
    // Where most tasks are not accepted, the parts become smaller until there are enough.
    sqlx::query("DELETE FROM accepted_span WHERE first_task > 200")
        .execute(&mut store.connection)
        .await
        .unwrap();
    let few = draw(&mut store, 1).await;
    assert_eq!(few.len(), 50);
    assert!(few.iter().all(|task| task.0 <= 200));
}

#[tokio::test]
async fn a_delivery_needs_at_most_forty_bytes() {
    const TASKS: i64 = 20_000;
    let (_folder, mut store, run) = accepted(TASKS).await;
    let proofs = (1..=TASKS)
        .map(|task| one(TaskId(task), 1, Delivery::Sent, None))
        .collect();
    store
        .settle_deliveries(&run, proofs, at(9000), fold)
        .await
        .unwrap();
    let pages = rows(
        &mut store,
        "SELECT CAST(sum(pgsize) AS TEXT) FROM dbstat WHERE name = 'delivery'",
    );
    let bytes: i64 = match pages.await.first() {
        Some(text) => text.parse().unwrap(),
        None => 0,
    };
    assert!(bytes > 0 && bytes / TASKS <= 40, "{bytes}");
    assert_eq!(
        store.delivery_counts(&run).await.unwrap(),
        [(Delivery::Sent, TASKS as u64)]
    );
}
