//! Evidence about commands: what is read and what is recorded is the same in a file and on a server.

use std::fmt::Debug;

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use super::{
    both::texts,
    server::{connect, copied},
};
use crate::{
    journal::delivery::fold,
    model::{Delivery, EvidenceSource, Proof, TaskId, Ticket},
    store::{
        Adoption, InboxPlace, Run, Store, TaskProof,
        sample::{self, at},
    },
};

const RUN: &str = "north-1a2b3c4d";
/// The device of the task in doubt also has tasks in another run to the same platform.
const SHARED: &str = "UPDATE task SET device_key = 'DK04' WHERE id IN (8, 9, 14, 15); \
     UPDATE device_task SET device_key = 'DK04' WHERE task_id IN (8, 9, 14, 15); \
     UPDATE run SET base_url = 'https://iot-api.acceleronix.io' WHERE id = 2; \
     UPDATE payload SET product_key = 'PK0001' WHERE id = 2;";
/// On a server, payloads of two runs may have one number.
const ONE_NUMBER: &str = "UPDATE payload SET id = 1 WHERE run_id = 2; UPDATE task SET payload_id = 1 WHERE payload_id = 2; \
     UPDATE request SET payload_id = 1 WHERE run_id = 2; UPDATE called_service SET payload_id = 1 WHERE run_id = 2";

/// What is recorded of deliveries and tasks.
const RECORDED: [&str; 5] = [
    "SELECT line || ' ' || device_key || ' ' || coalesce(ticket, '-') || ' ' || delivery || ' ' || evidence || ' ' || at || ' ' || recorded_at || ' ' \
     || coalesce(answer, '-') FROM deliveries ORDER BY run, line, coalesce(ticket, '')",
    "SELECT run || ' ' || line || ' ' || state || ' ' || coalesce(message, '-') || ' ' || coalesce(ticket, '-') || ' ' \
     || coalesce(delivery, '-') FROM results ORDER BY run, line",
    "SELECT run_id || ' ' || state || ' ' || class || ' ' || code || ' ' || n FROM tally WHERE n > 0 ORDER BY run_id, state, class, code",
    "SELECT run_id || ' ' || accepted FROM payload ORDER BY run_id",
    "SELECT run_id || ' ' || inbox || ' ' || position FROM settled_inbox",
];

async fn samples() -> (Vec<Store>, TempDir) {
    let folder = TempDir::new().unwrap();
    let path = sample::every_state(folder.path()).await;
    let mut connection = SqliteConnectOptions::new()
        .filename(&path)
        .connect()
        .await
        .unwrap();
    sqlx::raw_sql(AssertSqlSafe(SHARED))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let mut stores = Vec::new();
    if let Some(database) = copied(&path).await {
        let mut server = Store::on_server(connect(&database).await, "a test")
            .await
            .unwrap();
        sqlx::raw_sql(ONE_NUMBER)
            .execute(&mut server.connection)
            .await
            .unwrap();
        stores.push(server);
    }
    stores.push(Store::open(&path).await.unwrap());
    (stores, folder)
}

fn proof(task: i64, attempt: u32, delivery: Delivery, answer: Option<&str>) -> TaskProof {
    TaskProof {
        task: TaskId(task),
        attempt,
        proof: Proof {
            delivery,
            source: EvidenceSource::Output,
            at: Some(at(5000)),
            known_at: at(5000),
            answer: answer.map(Into::into),
        },
    }
}

/// What can be asked about.
async fn asked(store: &mut Store, run: &Run) -> Vec<String> {
    fn shown(answer: impl Debug) -> String {
        format!("{answer:#?}")
    }
    let none = TaskId(0);
    let doubts = store.doubts(run, none, 10).await.unwrap();
    let sends = store.sends_to_device(run, "PK0001", "DK04").await.unwrap();
    let tickets = store.tickets_of_device(run, "PK0001", "DK04").await;
    assert_eq!((doubts.len(), sends.len()), (1, 7));
    vec![
        shown(doubts),
        shown(sends),
        shown(tickets.unwrap()),
        shown(store.products(run).await.unwrap()),
        shown(store.resends_in_doubt(run).await.unwrap()),
        shown(store.accepted_commands(run, none, &[], 10).await.unwrap()),
        shown(
            store
                .accepted_among(&[TaskId(1), TaskId(4)], &[])
                .await
                .unwrap(),
        ),
        shown(store.accepted_tickets(run, none, &[], 10).await.unwrap()),
        shown(store.earlier_tickets(run, (none, 0), 10).await.unwrap()),
        shown(store.offline_failures(run, at(0), none, 10).await.unwrap()),
        shown(store.draw_accepted(run, 2, |_, _| 0).await.unwrap()),
    ]
}

/// Records evidence, and gives what is left to be asked about after each step.
async fn verified(store: &mut Store) -> Vec<String> {
    let run = store.run_by_name(RUN).await.unwrap().unwrap();
    store.hold_run(&run).await.unwrap();
    let mut all = asked(store, &run).await;
    let adoption = Adoption {
        task: TaskId(4),
        ticket: Ticket::new("1335004867605954999").unwrap(),
        message: "adopted".into(),
        proof: Some(proof(4, 2, Delivery::Sent, None).proof),
    };
    for _ in 0..2 {
        let adoptions = std::slice::from_ref(&adoption);
        let adopted = store.adopt(&run, adoptions, at(9000), fold).await.unwrap();
        all.push(format!("{adopted:?}"));
    }
    let proofs = vec![
        proof(1, 1, Delivery::Queued, None),
        proof(1, 1, Delivery::Answered, Some("{}")),
        proof(4, 1, Delivery::SendFailed, None),
    ];
    for _ in 0..2 {
        let settled = store
            .settle_deliveries(&run, proofs.clone(), at(9000), fold)
            .await
            .unwrap();
        all.push(settled.to_string());
    }
    for judged in [Delivery::AnswerFailed, Delivery::Answered] {
        let answers = [(TaskId(1), 1, judged)];
        store.judge_answers(&run, &answers).await.unwrap();
        let kept = store.kept_answers(&run, (TaskId(0), 0), 10).await.unwrap();
        let counts = store.delivery_counts(&run).await.unwrap();
        let among = store.delivery_counts_among(&[TaskId(4)]).await.unwrap();
        all.push(format!("{kept:?} {counts:?} {among:?}"));
    }
    for position in [3, 7] {
        let inbox = "an inbox".to_owned();
        let place = InboxPlace { inbox, position };
        store.note_settled(&run, &place).await.unwrap();
    }
    all.extend(texts(store, &RECORDED).await);
    all
}

#[tokio::test]
async fn evidence_is_the_same_in_a_file_and_on_a_server() {
    let (stores, _folder) = samples().await;
    let mut all = Vec::new();
    for mut store in stores {
        all.push(verified(&mut store).await);
        store.close().await.unwrap();
    }
    for pair in all.windows(2) {
        assert_eq!(pair[0], pair[1]);
    }
}
