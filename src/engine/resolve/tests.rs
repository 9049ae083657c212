use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};
use tempfile::TempDir;

use tokio::sync::watch;

use super::*;
use crate::{
    engine::HistoryOptions,
    gateway::{HistoryPage, HistoryQuery, HistoryReply},
    model::{Answer, Direction, HistoryEntry, SendResult, Ticket, TimeRange, Timestamp, Unsent},
    store::sample::{self, at},
};

/// What the platform says to the n-th question, from 0: of which device, which time and which page.
type Script = Box<dyn Fn(usize, &str, TimeRange, u32) -> HistoryReply + Send + Sync>;

struct Scripted {
    script: Script,
    /// The device and the page of each question.
    asked: Mutex<Vec<(String, u32)>>,
}

impl HistoryClient for Scripted {
    async fn page(&self, query: HistoryQuery<'_>) -> HistoryReply {
        let n = {
            let mut asked = self.asked.lock().unwrap();
            asked.push((query.device_key.to_owned(), query.page));
            asked.len() - 1
        };
        // Others get a chance to run, so that questions do overlap.
        tokio::task::yield_now().await;
        (self.script)(n, query.device_key, query.window, query.page)
    }
}

const DATA: &str = r#"[{"fuwu":[{"raw1":"AA"}]}]"#;

fn entry(ticket: &str, sent_at: Timestamp) -> HistoryEntry {
    HistoryEntry {
        ticket: Ticket::new(ticket),
        sent_at: Some(sent_at),
        direction: Some(Direction::Down),
        status: Some(1),
        named: serde_json::from_str(DATA).ok(),
        ..HistoryEntry::default()
    }
}

fn page(entries: Vec<HistoryEntry>) -> HistoryReply {
    HistoryReply::Page(HistoryPage {
        entries,
        more: false,
        total: None,
    })
}

fn answer(http_status: u16, code: Option<i64>) -> HistoryReply {
    HistoryReply::NoPage(SendResult::Answered(Answer {
        http_status,
        readable: code.is_some(),
        code,
        elements: Vec::new(),
        ..Answer::default()
    }))
}

/// A run whose tasks of DK04, DK06 and DK07 ended in doubt, in this order.
struct Bench {
    _folder: TempDir,
    store: Store,
    run: Run,
    history_client: Arc<Scripted>,
    options: HistoryOptions,
    dry_run: bool,
    stop: watch::Sender<bool>,
}

impl Bench {
    async fn new(
        script: impl Fn(usize, &str, TimeRange, u32) -> HistoryReply + Send + Sync + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = sample::every_state(folder.path()).await;
        let mut connection = SqliteConnectOptions::new()
            .filename(&path)
            .connect()
            .await
            .unwrap();
        sqlx::raw_sql(
            "DELETE FROM due WHERE task_id IN (6, 7); \
             INSERT INTO outcome (task_id, state, class, code, message, request_id, attempts, finished_at) VALUES \
                 (6, 3, 6, 502, 'Bad Gateway', 4, 2, 0), (7, 3, 6, NULL, 'lost', 4, 3, 0); \
             INSERT INTO tally (run_id, state, class, code, n) VALUES (1, 3, 6, 502, 1); \
             UPDATE tally SET n = 2 WHERE run_id = 1 AND state = 3 AND code = 0;",
        )
        .execute(&mut connection)
        .await
        .unwrap();
        connection.close().await.unwrap();
        let mut store = Store::open(&path).await.unwrap();
        let run = store.run_by_name("north-1a2b3c4d").await.unwrap().unwrap();
        Self {
            _folder: folder,
            store,
            run,
            history_client: Arc::new(Scripted {
                script: Box::new(script),
                asked: Mutex::default(),
            }),
            options: HistoryOptions {
                concurrency: 1,
                rate: None,
                tolerance: Duration::from_secs(1),
                max_outage: Duration::ZERO,
            },
            dry_run: false,
            stop: watch::Sender::new(false),
        }
    }

    /// Resolves to the end: how many were asked about and adopted, and why it ended.
    async fn resolve(&mut self) -> (usize, u64, Stop) {
        let asker = HistoryAsker::new(
            Arc::clone(&self.history_client),
            self.options,
            self.stop.subscribe(),
        );
        let (mut questions, mut adopted, mut after) = (0, 0, TaskId(0));
        loop {
            let doubts = next_doubts(&mut self.store, &self.run, after)
                .await
                .unwrap();
            let Some(last) = doubts.last() else {
                return (questions, adopted, Stop::Complete);
            };
            after = last.task;
            let (resolved, stop) = ask_about_doubts(&asker, doubts, || at(0)).await;
            questions += resolved.len();
            adopted += if self.dry_run {
                resolved.iter().filter_map(adoption).count() as u64
            } else {
                let adopted = adopt(&mut self.store, &self.run, &resolved, at(0)).await;
                adopted.unwrap().accepted
            };
            if let Some(stop) = stop {
                return (questions, adopted, stop);
            }
        }
    }

    async fn devices_in_doubt(&mut self) -> Vec<String> {
        let doubts = self.store.doubts(&self.run, TaskId(0), 100).await.unwrap();
        doubts
            .into_iter()
            .map(|doubt| doubt.device_key.into())
            .collect()
    }

    fn asked(&self) -> Vec<(String, u32)> {
        self.history_client.asked.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn what_the_history_proves_is_recorded() {
    let mut bench = Bench::new(|_, device, window, _| match device {
        "DK06" if window.contains(at(6000)) => page(vec![entry("77", at(6000))]),
        "DK07" => page(vec![entry("78", at(6000)), entry("79", at(7000))]),
        _ => page(Vec::new()),
    })
    .await;
    bench.options.concurrency = 16;
    assert_eq!(bench.resolve().await, (3, 1, Stop::Complete));
    assert_eq!(bench.devices_in_doubt().await, ["DK04", "DK07"]);
    // The two sends of DK04 lie apart, and each is asked about.
    assert_eq!(bench.asked().len(), 4);
    assert_eq!(bench.resolve().await, (2, 0, Stop::Complete));
}

#[tokio::test]
async fn a_dry_run_records_nothing() {
    let mut bench = Bench::new(|_, _, _, _| page(vec![entry("77", at(6000))])).await;
    bench.dry_run = true;
    assert_eq!(bench.resolve().await, (3, 3, Stop::Complete));
    assert_eq!(bench.devices_in_doubt().await.len(), 3);
}

#[tokio::test]
async fn an_outage_stops_it_and_keeps_what_was_adopted() {
    let mut bench = Bench::new(|_, device, _, _| match device {
        "DK07" => answer(503, None),
        _ => page(vec![entry("77", at(6000))]),
    })
    .await;
    let (asked, adopted, stop) = bench.resolve().await;
    assert_eq!((asked, adopted), (2, 2));
    assert!(
        matches!(&stop, Stop::Outage { reason } if reason.contains("503")),
        "{stop:?}"
    );
    assert_eq!(bench.devices_in_doubt().await, ["DK07"]);
}

#[tokio::test]
async fn whoever_may_not_ask_stops_at_once() {
    for (told, words) in [
        (answer(403, None), "403"),
        (answer(200, Some(91005)), "91005"),
        (
            HistoryReply::NoPage(SendResult::Unsent(Unsent::Credentials {
                error: "no token".to_owned(),
            })),
            "no token",
        ),
    ] {
        let mut bench = Bench::new(move |_, _, _, _| told.clone()).await;
        let (asked, _, stop) = bench.resolve().await;
        assert_eq!(asked, 0);
        assert!(
            matches!(&stop, Stop::Refused { reason } if reason.contains(words)),
            "{stop:?}"
        );
        assert_eq!(bench.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_refused_token_costs_a_question_and_no_pause() {
    let mut bench = Bench::new(|n, _, _, _| match n {
        0 => answer(200, Some(91004)),
        1 => answer(401, None),
        _ => page(Vec::new()),
    })
    .await;
    // With a patience of nothing, any pause would have ended it.
    assert_eq!(bench.resolve().await, (3, 0, Stop::Complete));
}

#[tokio::test]
async fn a_device_that_the_platform_does_not_tell_of_stays_in_doubt_alone() {
    let mut bench = Bench::new(|_, device, _, _| match device {
        "DK04" => answer(200, Some(61005)),
        _ => page(vec![entry("77", at(6000))]),
    })
    .await;
    assert_eq!(bench.resolve().await, (3, 2, Stop::Complete));
    assert_eq!(bench.devices_in_doubt().await, ["DK04"]);
}

#[tokio::test]
async fn pages_are_followed_but_not_for_ever() {
    let mut bench = Bench::new(|_, device, window, number| {
        let report = |n: u32| HistoryEntry {
            direction: Some(Direction::Up),
            ..entry(&format!("up{n}"), window.from)
        };
        let page = |entry, more| HistoryPage {
            entries: vec![entry],
            more,
            total: None,
        };
        HistoryReply::Page(match (device, number) {
            ("DK06", 3) => page(entry("77", at(6000)), false),
            ("DK07", 1) => page(entry("78", window.from), true),
            ("DK06" | "DK07", n) => page(report(n), true),
            _ => HistoryPage::default(),
        })
    })
    .await;
    assert_eq!(bench.resolve().await, (3, 1, Stop::Complete));
    assert_eq!(bench.devices_in_doubt().await, ["DK04", "DK07"]);
    let pages_of = |device| {
        let asked = bench.asked();
        asked.iter().filter(|(key, _)| key == device).count()
    };
    assert_eq!((pages_of("DK06"), pages_of("DK07")), (3, 20));
}

#[tokio::test]
async fn a_signal_ends_it() {
    let mut bench = Bench::new(|_, _, _, _| page(Vec::new())).await;
    bench.stop.send_replace(true);
    assert_eq!(bench.resolve().await, (0, 0, Stop::Signal));
    assert!(bench.asked().is_empty());
}
