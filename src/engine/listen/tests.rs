use super::*;
use crate::{
    model::{CommandMessage, Consent, GapCause, MessageKind},
    store::InboxReader,
};

const HOUR: i64 = 3_600_000;

/// A listener with an inbox of its own, and what it tells.
async fn with_listener(test: impl AsyncFnOnce(Listener<'_>, mpsc::Receiver<ListenEvent>)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("push.db.inbox");
    let mut inbox = Inbox::open(&path, Consent::default()).await.unwrap();
    let options = ListenOptions {
        queue: "a.1.fleet".to_owned(),
        keep: Duration::from_hours(1),
    };
    let (events, told) = mpsc::channel(100);
    let (_asked, stop) = watch::channel(false);
    let listener = Listener {
        inbox: &mut inbox,
        options: &options,
        clock: &Clock::start(),
        stop,
        events,
        totals: ListenTotals::default(),
        named: BTreeSet::new(),
        is_shared_told: false,
        full_since: None,
        is_full_told: false,
        is_prune_due: false,
    };
    test(listener, told).await;
}

fn warnings(told: &mut mpsc::Receiver<ListenEvent>) -> Vec<String> {
    std::iter::from_fn(|| told.try_recv().ok())
        .filter_map(|event| match event {
            ListenEvent::Warning(words) => Some(words),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn a_piece_is_deleted_at_each_beat_until_nothing_old_is_left() {
    with_listener(async |mut listener, _told| {
        let message = |n: i64| {
            QueueMessage::Command(CommandMessage {
                kind: MessageKind::Input,
                ticket: format!("T{n}"),
                product_key: "PK".to_owned(),
                device_key: "D".to_owned(),
                code: None,
                kv: None,
                packet_id: None,
                at: None,
                digest: n,
            })
        };
        let old: Vec<_> = (0..45_000).map(message).collect();
        let inbox = &mut *listener.inbox;
        inbox.record("Q", &old, Timestamp(HOUR)).await.unwrap();
        let new = [message(45_000)];
        inbox.record("Q", &new, Timestamp(3 * HOUR)).await.unwrap();
        let mut reader = InboxReader::open(inbox.path()).await.unwrap();
        let mut left = Vec::new();
        for beat in [0, 1, 2, 3, 4] {
            let now = Timestamp(3 * HOUR);
            listener.prune(beat, now).await.unwrap();
            left.push(reader.after(0, 50_000).await.unwrap().len());
        }
        assert_eq!(left, [45_001, 25_001, 5_001, 1, 1]);
        // Then it rests until it is time to look again.
        let now = Timestamp(5 * HOUR);
        listener.prune(5, now).await.unwrap();
        assert_eq!(reader.after(0, 10).await.unwrap().len(), 1);
        listener.prune(PRUNE_EVERY + 1, now).await.unwrap();
        assert_eq!(reader.after(0, 10).await.unwrap().len(), 0);
        reader.close().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_queue_that_stays_full_is_told_once_and_is_one_gap() {
    with_listener(async |mut listener, mut told| {
        let queue = listener.options.queue.clone();
        let mut reader = InboxReader::open(listener.inbox.path()).await.unwrap();
        let gap = |from, to| MessageGap {
            queue: queue.clone(),
            from: Timestamp(from),
            to: Timestamp(to),
            cause: GapCause::Full,
        };
        listener
            .inbox
            .listened(&queue, Timestamp(HOUR))
            .await
            .unwrap();
        // Connected and lost again and again; in between somebody has listened for a while.
        for now in [2 * HOUR, 3 * HOUR, 4 * HOUR] {
            listener.note_gap(Timestamp(now), true).await.unwrap();
            let until = Timestamp(now + HOUR / 2);
            listener.inbox.listened(&queue, until).await.unwrap();
        }
        assert_eq!(reader.gaps().await.unwrap(), [gap(HOUR, 4 * HOUR)]);
        let words = warnings(&mut told);
        assert_eq!(words.len(), 1, "{words:?}");
        assert!(words[0].contains("the queue is full"), "{words:?}");
        // It was not full any more, and is again: another gap.
        listener.note_gap(Timestamp(5 * HOUR), false).await.unwrap();
        listener
            .inbox
            .listened(&queue, Timestamp(6 * HOUR))
            .await
            .unwrap();
        listener.note_gap(Timestamp(7 * HOUR), true).await.unwrap();
        let gaps = [gap(HOUR, 4 * HOUR), gap(6 * HOUR, 7 * HOUR)];
        assert_eq!(reader.gaps().await.unwrap(), gaps);
        assert!(warnings(&mut told).is_empty());
        // What was lost because nobody listened is told each time.
        listener
            .note_gap(Timestamp(20 * HOUR), false)
            .await
            .unwrap();
        assert_eq!(warnings(&mut told).len(), 1);
        reader.close().await.unwrap();
    })
    .await;
}
