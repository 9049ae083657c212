use std::time::Instant;

use super::{read::DevicePresence, write::Recorded, *};
use crate::model::{
    CommandMessage, Consent, GapCause, MessageGap, MessageKind, PresenceMessage, QueueMessage,
    Timestamp,
};

const QUEUE: &str = "a.1.fleet";

fn message(kind: MessageKind, ticket: &str, device: &str, digest: i64) -> QueueMessage {
    QueueMessage::Command(CommandMessage {
        kind,
        ticket: ticket.to_owned(),
        product_key: "PK".to_owned(),
        device_key: device.to_owned(),
        code: Some("reboot".to_owned()),
        kv: Some(r#"{"delay":"5"}"#.to_owned()),
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

async fn inbox(folder: &tempfile::TempDir) -> Inbox {
    Inbox::open(&folder.path().join("push.db.inbox"), Consent::default())
        .await
        .unwrap()
}

async fn reader(inbox: &Inbox) -> InboxReader {
    InboxReader::open(inbox.path()).await.unwrap()
}

#[tokio::test]
async fn messages_are_found_by_position_ticket_and_device() {
    let folder = tempfile::tempdir().unwrap();
    let mut inbox = inbox(&folder).await;
    let batch = [
        message(MessageKind::Input, "T1", "D1", 1),
        message(MessageKind::ReqackSucc, "T1", "D1", 2),
        message(MessageKind::Output, "T2", "D2", 3),
        message(MessageKind::ReqackFail, "T3", "D1", 4),
    ];
    let recorded = inbox.record(QUEUE, &batch, Timestamp(5000)).await.unwrap();
    assert_eq!(
        recorded,
        Recorded {
            new: 4,
            repeated: 0
        }
    );
    let mut reader = reader(&inbox).await;
    let all = reader.after(0, 100).await.unwrap();
    assert_eq!(all.len(), 4);
    assert_eq!(
        all[0],
        InboxMessage {
            id: all[0].id,
            kind: MessageKind::Input,
            ticket: "T1".to_owned(),
            product_key: "PK".to_owned(),
            device_key: "D1".to_owned(),
            code: Some("reboot".to_owned()),
            kv: Some(r#"{"delay":"5"}"#.to_owned()),
            packet_id: Some(41),
            at: Timestamp(1001),
            recorded_at: Timestamp(5000),
        }
    );
    assert_eq!(reader.after(all[0].id, 2).await.unwrap(), all[1..3]);
    assert_eq!(reader.of_ticket("T1").await.unwrap(), all[..2]);
    let of_device: Vec<_> = reader.of_device("PK", "D1").await.unwrap();
    assert_eq!(of_device, [all[0].clone(), all[1].clone(), all[3].clone()]);
    assert_eq!(reader.of_device("PK2", "D1").await.unwrap(), []);
    assert_eq!(
        reader.listened().await.unwrap(),
        Some((Timestamp(5000), Timestamp(5000)))
    );
    reader.close().await.unwrap();
}

#[tokio::test]
async fn an_inbox_has_a_name_of_its_own_and_tells_the_devices_of_later_messages() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut inbox = inbox(&folder).await;
    let batch = [
        message(MessageKind::Input, "T1", "D1", 1),
        message(MessageKind::Input, "T2", "D2", 2),
        message(MessageKind::ReqackSucc, "T1", "D1", 3),
        message(MessageKind::Input, "T3", "D3", 4),
    ];
    inbox.record(QUEUE, &batch, Timestamp(5000)).await.unwrap();
    let mut read = reader(&inbox).await;
    let place = read.place().await.unwrap().unwrap();
    assert_eq!(place.position, 4);
    let device = |key: &str| (Box::from("PK"), Box::from(key));
    for (after, most, expected) in [
        (4, 10, Some(vec![])),
        (2, 10, Some(vec![device("D1"), device("D3")])),
        (0, 3, Some(vec![device("D1"), device("D2"), device("D3")])),
        (0, 2, None),
    ] {
        let mut found = read.devices_after(after, most).await.unwrap();
        if let Some(found) = &mut found {
            found.sort();
        }
        assert_eq!(found, expected, "after {after}, at most {most}");
    }
    read.close().await.unwrap();
    let second = self::inbox(&other).await;
    let another = reader(&second).await.place().await.unwrap().unwrap();
    assert_eq!(another.position, 0);
    assert_ne!(another.inbox, place.inbox);
}

#[tokio::test]
async fn a_repeat_changes_nothing_in_whichever_batch_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let mut inbox = inbox(&folder).await;
    let once = message(MessageKind::Input, "T1", "D1", 1);
    let again = message(MessageKind::Input, "T1", "D1", 2);
    let first = inbox
        .record(QUEUE, &[once.clone(), once.clone()], Timestamp(1))
        .await
        .unwrap();
    assert_eq!((first.new, first.repeated), (1, 1));
    let second = inbox
        .record(QUEUE, &[once, again], Timestamp(2))
        .await
        .unwrap();
    assert_eq!((second.new, second.repeated), (1, 1));
    let ids: Vec<_> = reader(&inbox)
        .await
        .after(0, 9)
        .await
        .unwrap()
        .iter()
        .map(|message| message.recorded_at.0)
        .collect();
    assert_eq!(ids, [1, 2]);
}

#[tokio::test]
async fn the_last_change_of_a_device_counts_in_whatever_order_they_come() {
    let folder = tempfile::tempdir().unwrap();
    let mut inbox = inbox(&folder).await;
    for batch in [
        vec![presence("D1", true, 30), presence("D2", false, 7)],
        vec![presence("D1", true, 10), presence("D1", false, 20)],
        vec![presence("D1", false, 15)],
    ] {
        inbox.record(QUEUE, &batch, Timestamp(99)).await.unwrap();
    }
    let mut reader = reader(&inbox).await;
    let found = |online: Option<i64>, offline: Option<i64>| {
        Some(DevicePresence {
            online_at: online.map(Timestamp),
            offline_at: offline.map(Timestamp),
        })
    };
    assert_eq!(
        reader.presence("PK", "D1").await.unwrap(),
        found(Some(30), Some(20))
    );
    assert_eq!(
        reader.presence("PK", "D2").await.unwrap(),
        found(None, Some(7))
    );
    assert_eq!(reader.presence("PK", "D3").await.unwrap(), None);
}

#[tokio::test]
async fn other_messages_are_counted_by_type_and_no_number_of_types_fills_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mut inbox = inbox(&folder).await;
    inbox
        .record(
            QUEUE,
            &[other("MATTR"), other("MATTR"), other("(not JSON)")],
            Timestamp(1),
        )
        .await
        .unwrap();
    let many: Vec<_> = (0..300).map(|n| other(&format!("X{n}"))).collect();
    inbox.record(QUEUE, &many, Timestamp(2)).await.unwrap();
    inbox
        .record(QUEUE, &[other("MATTR")], Timestamp(3))
        .await
        .unwrap();
    let counts = reader(&inbox).await.others().await.unwrap();
    let of = |kind: &str| {
        counts
            .iter()
            .find(|count| count.kind == kind)
            .unwrap()
            .messages
    };
    assert_eq!((of("MATTR"), of("(not JSON)")), (3, 1));
    assert_eq!(of("(other types)"), 102);
    assert_eq!(counts.len(), 201);
}

#[tokio::test]
async fn what_is_pruned_is_gone_and_no_position_is_given_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut inbox = inbox(&folder).await;
    let batch = |from: i64, to: i64| -> Vec<_> {
        (from..to)
            .map(|n| message(MessageKind::Input, &format!("T{n}"), "D", n))
            .collect()
    };
    inbox
        .record(QUEUE, &batch(0, 30), Timestamp(100))
        .await
        .unwrap();
    let gap = MessageGap {
        queue: QUEUE.to_owned(),
        from: Timestamp(1),
        to: Timestamp(50),
        cause: GapCause::Away,
    };
    inbox.record_gap(&gap, Timestamp(100)).await.unwrap();
    inbox.record_gap(&gap, Timestamp(101)).await.unwrap();
    let mut reader = reader(&inbox).await;
    assert_eq!(reader.gaps().await.unwrap(), [gap]);
    assert!(!inbox.prune(Timestamp(100)).await.unwrap());
    assert_eq!(reader.after(0, 99).await.unwrap().len(), 30);
    assert!(!inbox.prune(Timestamp(101)).await.unwrap());
    assert_eq!(reader.after(0, 99).await.unwrap(), []);
    assert_eq!(reader.gaps().await.unwrap(), []);
    inbox
        .record(QUEUE, &batch(30, 31), Timestamp(200))
        .await
        .unwrap();
    assert_eq!(reader.after(0, 99).await.unwrap()[0].id, 31);
}

#[tokio::test]
async fn a_gap_that_overlaps_the_last_one_of_its_kind_extends_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut inbox = inbox(&folder).await;
    let gap = |queue: &str, from, to, cause| MessageGap {
        queue: queue.to_owned(),
        from: Timestamp(from),
        to: Timestamp(to),
        cause,
    };
    for (from, to) in [(1, 50), (50, 60), (40, 55), (70, 80), (75, 90)] {
        let gap = gap(QUEUE, from, to, GapCause::Full);
        inbox.record_gap(&gap, Timestamp(to)).await.unwrap();
    }
    let others = [
        gap(QUEUE, 2, 52, GapCause::Away),
        gap("a.1.other", 3, 53, GapCause::Full),
    ];
    for gap in &others {
        inbox.record_gap(gap, Timestamp(100)).await.unwrap();
    }
    let [away, other] = others;
    let mut reader = reader(&inbox).await;
    assert_eq!(
        reader.gaps().await.unwrap(),
        [
            gap(QUEUE, 1, 60, GapCause::Full),
            away,
            other,
            gap(QUEUE, 70, 90, GapCause::Full),
        ]
    );
}

#[tokio::test]
async fn one_listener_at_a_time_and_its_end_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let first = inbox(&folder).await;
    let path = first.path().to_owned();
    let error = Inbox::open(&path, Consent::default()).await.unwrap_err();
    let own = format!("another process (pid {}", std::process::id());
    assert!(error.to_string().starts_with(&own), "{error}");
    first.close().await.unwrap();
    inbox(&folder).await.close().await.unwrap();
}

#[tokio::test]
async fn what_is_no_inbox_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("push.db.inbox");
    let missing = InboxReader::open(&path).await.unwrap_err();
    assert!(matches!(missing, InboxError::Missing(_)), "{missing}");
    for content in [&b"device_key\nD1\n"[..], &[b'x'; 5000]] {
        std::fs::write(&path, content).unwrap();
        let error = Inbox::open(&path, Consent::default()).await.unwrap_err();
        assert!(
            error.to_string().contains("no inbox of fleetpush"),
            "{error}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), content);
    }
    std::fs::remove_file(&path).unwrap();
    // A results database is no inbox.
    let store = crate::store::Store::open(&path).await.unwrap();
    store.close().await.unwrap();
    let error = Inbox::open(&path, Consent::default()).await.unwrap_err();
    assert!(
        error.to_string().contains("no inbox of fleetpush"),
        "{error}"
    );
}

#[tokio::test]
async fn an_inbox_of_a_newer_version_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let mut inbox = inbox(&folder).await;
    let path = inbox.path().to_owned();
    inbox.set_version_for_test(SCHEMAS.len() + 1).await;
    inbox.close().await.unwrap();
    for error in [
        Inbox::open(&path, Consent::default()).await.err(),
        InboxReader::open(&path).await.err(),
    ] {
        let error = error.unwrap().to_string();
        assert!(
            error.ends_with("made by a newer fleetpush; use that version"),
            "{error}"
        );
    }
}

/// Prints how many messages a second the inbox takes in batches of 1,000; no time is asserted.
#[tokio::test]
async fn a_hundred_thousand_messages_are_recorded_in_batches() {
    let folder = tempfile::tempdir().unwrap();
    let mut inbox = inbox(&folder).await;
    let began = Instant::now();
    let mut sent = 0;
    for batch in 0..100_i64 {
        let messages: Vec<_> = (0..1000)
            .map(|n| {
                let number = batch * 1000 + n;
                let kind = MessageKind::ALL[(number % 4) as usize];
                let ticket = format!("{}", 1_380_000_000_000_000_000 + number / 3);
                message(kind, &ticket, &format!("D{:06}", number / 3), number)
            })
            .collect();
        sent += inbox
            .record(QUEUE, &messages, Timestamp(batch))
            .await
            .unwrap()
            .new;
    }
    assert_eq!(sent, 100_000);
    println!(
        "{:.0} messages a second",
        f64::from(100_000) / began.elapsed().as_secs_f64()
    );
}

#[tokio::test]
async fn a_push_finds_the_inputs_of_devices_since_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut inbox = inbox(&folder).await;
    let batch = [
        message(MessageKind::Input, "T1", "D1", 1),
        message(MessageKind::ReqackSucc, "T2", "D2", 9),
        message(MessageKind::Input, "T3", "D3", 9),
        message(MessageKind::ReqackSucc, "T3", "D3", 10),
    ];
    inbox.record(QUEUE, &batch, Timestamp(5)).await.unwrap();
    let path = inbox_path(&folder.path().join("push.db"));
    let mut reader = InboxReader::open(&path).await.unwrap();
    let since = |device_key, from| Since {
        product_key: "PK",
        device_key,
        from: Timestamp(from),
    };
    let of_others = Since {
        product_key: "PK2",
        ..since("D3", 0)
    };
    // Of D2 there is no input.
    let devices = [since("D1", 1000), since("D2", 0), of_others];
    assert_eq!(reader.have_inputs(&devices).await.unwrap(), [0]);
    let devices = [since("D1", 1002), since("D3", 1009)];
    assert_eq!(reader.have_inputs(&devices).await.unwrap(), [1]);
    let found = reader.of_device_since(&since("D3", 1009)).await.unwrap();
    assert_eq!(found.len(), 2);
    let found = reader.of_device_since(&since("D3", 1010)).await.unwrap();
    assert_eq!(found.len(), 1);
}

#[tokio::test]
async fn an_inbox_that_fails_is_told_of_once_and_left_alone_for_a_minute() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("push.db");
    let mut beside = InboxBeside::of(&path);
    assert!(!beside.is_there(Timestamp(0)).await);
    assert_eq!(
        beside.take_trouble(),
        None,
        "that there is none is no trouble"
    );
    std::fs::write(inbox_path(&path), [7; 4096]).unwrap();
    assert!(!beside.is_there(Timestamp(1)).await);
    assert!(beside.take_trouble().is_some());
    // It is whole again: it is used when the minute is over.
    std::fs::remove_file(inbox_path(&path)).unwrap();
    drop(inbox(&folder).await);
    assert!(!beside.is_there(Timestamp(60_000)).await);
    assert!(beside.is_there(Timestamp(60_001)).await);
    // A second failure is not told.
    let error = Err::<(), _>(InboxError::Sql(sqlx::Error::PoolClosed));
    assert!(beside.known(error, Timestamp(60_002)).unwrap().is_none());
    assert_eq!(beside.take_trouble(), None);
}
