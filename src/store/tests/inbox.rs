//! The inbox of a database on a server: it keeps what a file keeps, and has one listener.

use tempfile::TempDir;

use super::server::{connect, server_database};
use crate::{
    model::{
        CommandMessage, Consent, GapCause, MessageGap, MessageKind, PresenceMessage, QueueMessage,
        Timestamp,
    },
    store::{
        Inbox, InboxError, InboxMessage, InboxReader, Presence, Store, TicketMessage, inbox::Since,
    },
};

const QUEUE: &str = "a.1.fleet";

fn message(kind: MessageKind, ticket: &str, device: &str, digest: i64) -> QueueMessage {
    QueueMessage::Command(CommandMessage {
        kind,
        ticket: ticket.to_owned(),
        product_key: "PK".to_owned(),
        device_key: device.to_owned(),
        code: Some("reboot".to_owned()),
        kv: (kind == MessageKind::Output).then(|| r#"{"delay":"5"}"#.to_owned()),
        packet_id: Some(41),
        at: Some(Timestamp(1000 + digest)),
        digest,
    })
}

fn presence(device: &str, is_online: bool, at: i64) -> QueueMessage {
    QueueMessage::Presence(PresenceMessage {
        product_key: "PK".to_owned(),
        device_key: device.to_owned(),
        is_online,
        at: Some(Timestamp(at)),
    })
}

fn other(kind: &str) -> QueueMessage {
    QueueMessage::Other {
        kind: kind.to_owned(),
        is_odd: false,
    }
}

fn gap(from: i64, to: i64) -> MessageGap {
    MessageGap {
        queue: QUEUE.to_owned(),
        from: Timestamp(from),
        to: Timestamp(to),
        cause: GapCause::Away,
    }
}

/// Batches with messages that are repeated, and devices that come and go within one.
async fn fill(inbox: &mut Inbox) -> Vec<(u64, u64)> {
    let batches = [
        vec![
            message(MessageKind::Input, "T1", "D1", 1),
            message(MessageKind::ReqackSucc, "T1", "D1", 2),
            message(MessageKind::Input, "T1", "D1", 1),
            presence("D1", true, 50),
            presence("D1", false, 60),
            presence("D1", true, 40),
            other("MATTR"),
            other("MATTR"),
        ],
        vec![
            message(MessageKind::ReqackSucc, "T1", "D1", 2),
            message(MessageKind::Output, "T2", "D2", 3),
            presence("D1", false, 30),
            presence("D2", true, 70),
            other("MATTR"),
            other("LOCATION"),
        ],
    ];
    let mut recorded = Vec::new();
    for (at, batch) in (1..).zip(batches) {
        let new = inbox.record(QUEUE, &batch, Timestamp(at)).await.unwrap();
        recorded.push((new.new, new.repeated));
    }
    inbox.listened(QUEUE, Timestamp(9)).await.unwrap();
    for (from, to) in [(10, 20), (15, 30), (100, 110)] {
        inbox
            .record_gap(&gap(from, to), Timestamp(200))
            .await
            .unwrap();
    }
    recorded
}

/// All that a reader finds, but for positions: a repeated message takes one on a server.
async fn found(reader: &mut InboxReader) -> String {
    let placeless = |messages: Vec<InboxMessage>| -> Vec<InboxMessage> {
        let placeless = |message| InboxMessage { id: 0, ..message };
        messages.into_iter().map(placeless).collect()
    };
    let since = |device_key, from| Since {
        product_key: "PK",
        device_key,
        from: Timestamp(from),
    };
    let mut of_tickets = reader.of_tickets(&["T1", "T2", "T3"]).await.unwrap();
    of_tickets.sort_by_key(|message: &TicketMessage| message.at);
    let devices = [since("D2", 0), since("D1", 1000), since("D1", 1002)];
    let mut later = reader.devices_after(0, 10).await.unwrap().unwrap();
    later.sort();
    let messages = (
        placeless(reader.after(0, 100).await.unwrap()),
        placeless(reader.latest(1).await.unwrap()),
        placeless(reader.of_ticket("T1").await.unwrap()),
        placeless(reader.of_device("PK", "D1").await.unwrap()),
        placeless(reader.of_device_since(&since("D1", 1002)).await.unwrap()),
        of_tickets,
        later,
    );
    let others = (
        reader.devices_after(0, 1).await.unwrap(),
        reader.have_inputs(&devices).await.unwrap(),
        reader.presence("PK", "D1").await.unwrap(),
        reader.presence("PK", "D2").await.unwrap(),
        reader.others().await.unwrap(),
        reader.gaps().await.unwrap(),
        reader.listened().await.unwrap(),
    );
    format!("{messages:#?}\n{others:#?}")
}

#[tokio::test]
async fn the_inbox_of_a_server_keeps_what_a_file_keeps() {
    let Some(database) = server_database().await else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("push.db.inbox");
    let mut here = Inbox::open(&path, Consent::default()).await.unwrap();
    let mut there = Inbox::on_server(connect(&database).await, "a test")
        .await
        .unwrap();
    assert_eq!(fill(&mut here).await, [(2, 1), (1, 1)]);
    assert_eq!(fill(&mut there).await, [(2, 1), (1, 1)]);
    let mut in_file = InboxReader::open(&path).await.unwrap();
    let mut on_server = InboxReader::on_server(connect(&database).await)
        .await
        .unwrap();
    assert_eq!(found(&mut on_server).await, found(&mut in_file).await);

    let place = on_server.place().await.unwrap().unwrap();
    assert_eq!(place.inbox.len(), 16);
    let batch = [message(MessageKind::Output, "T9", "D9", 9)];
    there.record(QUEUE, &batch, Timestamp(5)).await.unwrap();
    let later = on_server.devices_after(place.position, 10).await.unwrap();
    let expected = (Box::from("PK"), Box::from("D9"));
    assert_eq!(later.unwrap(), vec![expected]);
    here.record(QUEUE, &batch, Timestamp(5)).await.unwrap();

    // What was recorded before goes, and gaps that were over.
    assert!(!here.prune(Timestamp(2)).await.unwrap());
    assert!(!there.prune(Timestamp(2)).await.unwrap());
    assert_eq!(found(&mut on_server).await, found(&mut in_file).await);
    there.close().await.unwrap();
    here.close().await.unwrap();
}

#[tokio::test]
async fn the_inbox_of_a_server_has_one_listener_beside_the_push() {
    let Some(database) = server_database().await else {
        return;
    };
    let missing = InboxReader::on_server(connect(&database).await).await;
    assert!(
        matches!(missing, Err(InboxError::Missing(_))),
        "{missing:?}"
    );
    let push = Store::on_server(connect(&database).await, "a push")
        .await
        .unwrap();
    let first = Inbox::on_server(connect(&database).await, "first")
        .await
        .unwrap();
    let presence = async || {
        InboxReader::presence_on(connect(&database).await)
            .await
            .unwrap()
    };
    assert!(matches!(presence().await, Presence::Owned { owner } if owner.to_string() == "first"));
    let second = Inbox::on_server(connect(&database).await, "second").await;
    let error = second.expect_err("the first one listens").to_string();
    assert!(
        error.starts_with("another process (first) already listens"),
        "{error}"
    );
    first.close().await.unwrap();
    assert_eq!(presence().await, Presence::Nobody);
    let second = Inbox::on_server(connect(&database).await, "second")
        .await
        .unwrap();
    second.close().await.unwrap();
    push.close().await.unwrap();
}

#[tokio::test]
async fn a_listener_that_has_lost_the_lease_records_nothing() {
    let Some(database) = server_database().await else {
        return;
    };
    let mut inbox = Inbox::on_server(connect(&database).await, "first")
        .await
        .unwrap();
    let mut other = connect(&database).await;
    sqlx::raw_sql("UPDATE fleetpush.lease SET ends_at = clock_timestamp() - interval '1 second' WHERE name = 'inbox'")
        .execute(&mut other.connection)
        .await
        .unwrap();
    let batch = [message(MessageKind::Input, "T1", "D1", 1)];
    for error in [
        inbox.record(QUEUE, &batch, Timestamp(1)).await.map(drop),
        inbox.listened(QUEUE, Timestamp(1)).await,
        inbox.record_gap(&gap(1, 2), Timestamp(3)).await,
        inbox.prune(Timestamp(1)).await.map(drop),
    ] {
        assert!(matches!(error, Err(InboxError::Fenced)), "{error:?}");
    }
    let mut reader = InboxReader::on_server(other).await.unwrap();
    assert!(reader.after(0, 10).await.unwrap().is_empty());
    assert_eq!(reader.listened().await.unwrap(), None);
}
