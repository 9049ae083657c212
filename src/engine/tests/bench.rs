//! What the engine's tests share: a staged run, and the invariants that hold after every push.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use rand::{SeedableRng, rngs::SmallRng};
use sqlx::{Connection, Row as _, SqliteConnection};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

use super::platform::{Platform, Script};
use crate::{
    clock::Clock,
    engine::{Context, Event, Options, Pushed, RolloutOptions, RolloutPhase, Stop, push},
    journal::Journal,
    model::{
        AbortIf, AfterFailure, Control, ControlAction, Deadline, InDoubt, Payload, Row, Timestamp,
    },
    policy::Rules,
    store::{NewRun, Run, Store, sample},
    throttle::Ceilings,
};

/// A request of anna's.
pub(super) fn by_anna(action: ControlAction) -> Control {
    Control {
        action,
        by: "anna".into(),
        at: Timestamp(1_795_374_000_000),
        id: action.name().into(),
        asker: None,
    }
}

/// A staged run on a database of its own, and a platform.
pub(super) struct Bench {
    folder: TempDir,
    pub(super) platform: Arc<Platform>,
    pub(super) options: Options,
    pub(super) after_failure: AfterFailure,
    /// Events that may wait; nobody takes one before the push is over.
    pub(super) places_for_events: usize,
    stop: watch::Sender<bool>,
    leave: watch::Sender<bool>,
    pub(super) control: watch::Sender<Option<Control>>,
    pub(super) deadline: Option<Deadline>,
    /// The phase in which the last push ended.
    phase: Mutex<RolloutPhase>,
}

impl Bench {
    /// A run of these rows, each a device and its data.
    pub(super) async fn new(rows: &[(&str, &str)], script: Script) -> Self {
        let bench = Self {
            folder: tempfile::tempdir().unwrap(),
            platform: Arc::new(Platform::new(script)),
            options: Options {
                request_timeout: Duration::from_secs(30),
                chunk_size: 10,
                concurrency: 4,
                ceilings: Ceilings::default(),
                rollout: RolloutOptions::default(),
                rules: Rules {
                    max_attempts: 5,
                    max_snooze: Duration::from_hours(1),
                    in_doubt: InDoubt::Resend,
                    retry_offline: 0,
                    offline_delay: Duration::from_mins(30),
                },
                max_outage: Duration::from_mins(30),
                drain_timeout: Duration::from_secs(30),
                abort_if: AbortIf::NEVER,
                override_abort: false,
            },
            after_failure: AfterFailure::Block,
            places_for_events: 10_000,
            stop: watch::channel(false).0,
            leave: watch::channel(false).0,
            control: watch::channel(None).0,
            deadline: None,
            phase: Mutex::new(RolloutPhase::Rest),
        };
        let mut store = bench.store().await;
        let about = NewRun {
            name: "test".into(),
            manifest: "test.csv".into(),
            manifest_path: None,
            manifest_sha256: "0".repeat(64),
            defaults: "{}".into(),
            base_url: "http://127.0.0.1:1".into(),
            identity: "1".repeat(64),
        };
        let mut stager = store
            .stage(&about, bench.options.chunk_size, Timestamp(1))
            .await
            .unwrap();
        let rows = (2..)
            .zip(rows)
            .map(|(line, (device, data))| Row {
                line,
                device_key: (*device).into(),
                payload: Payload::plain("PK", *data).into(),
                labels: None,
            })
            .collect();
        stager.rows(rows).await.unwrap();
        stager.finish(Timestamp(1)).await.unwrap();
        store.close().await.unwrap();
        bench
    }

    /// A run of `n` devices with one payload.
    pub(super) async fn of(n: usize, script: Script) -> Self {
        let keys: Vec<String> = (0..n).map(|i| format!("DK{i:05}")).collect();
        let rows: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "[1]")).collect();
        Self::new(&rows, script).await
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("test.db")
    }

    pub(super) async fn store(&self) -> Store {
        sample::opened(&self.path()).await
    }

    pub(super) async fn run(&self, store: &mut Store) -> Run {
        store.run_by_name("test").await.unwrap().unwrap()
    }

    /// Asks the push to stop once the platform has seen so many requests.
    pub(super) async fn stop_at(&self, requests: usize) {
        while self.requests() < requests {
            tokio::task::yield_now().await;
        }
        self.stop.send_replace(true);
    }

    /// Pushes until something stops it; gives that and the events, and checks the invariants.
    pub(super) async fn push(&self) -> (Stop, Vec<Event>) {
        self.stop.send_replace(false);
        let mut store = self.store().await;
        let run = self.run(&mut store).await;
        let (events, mut heard) = mpsc::channel(self.places_for_events);
        let mut journal = Journal::open(&mut store, run, self.after_failure)
            .await
            .unwrap();
        let context = Context {
            gateway: Arc::clone(&self.platform),
            clock: Clock::start(),
            random: SmallRng::seed_from_u64(7),
            events,
            stop: self.stop.subscribe(),
            leave: self.leave.subscribe(),
            control: self.control.subscribe(),
            deadline: self.deadline.clone(),
        };
        let Pushed { stop, phase, .. } = push(&mut journal, &self.options, context).await.unwrap();
        *self.phase.lock().unwrap() = phase;
        let live = journal.counts();
        let canary = journal.canary();
        store.close().await.unwrap();
        let mut events = Vec::new();
        while let Ok(event) = heard.try_recv() {
            events.push(event);
        }
        let counted: (i64, i64, i64, i64, i64, i64, i64) = {
            let mut connection = self.connection().await;
            let row = sqlx::query(
                "SELECT tasks, accepted, failed, in_doubt, skipped, pending, snoozing FROM runs",
            )
            .fetch_one(&mut connection)
            .await
            .unwrap();
            (
                row.get(0),
                row.get(1),
                row.get(2),
                row.get(3),
                row.get(4),
                row.get(5),
                row.get(6),
            )
        };
        let of_live = (
            live.tasks as i64,
            live.accepted as i64,
            live.failed as i64,
            live.in_doubt as i64,
            live.skipped as i64,
            live.pending as i64,
            live.snoozing as i64,
        );
        // A cancelled run's tasks are ended by the store alone, and the journal is not used again.
        if !matches!(stop, Stop::Cancelled { .. }) {
            assert_eq!(
                of_live, counted,
                "the counts in memory are those of the database"
            );
        }
        if let Some(canary) = canary {
            let due = self.query("SELECT count(*) FROM due").await;
            assert_eq!(due, [canary.left.to_string()], "what is left of the canary");
        }
        self.check().await;
        (stop, events)
    }

    /// Pushes until `crash` is over, and then drops everything as a process does that is killed. Gives why the push ended, if it did.
    pub(super) async fn push_until(&self, crash: impl Future<Output = ()>) -> Option<Stop> {
        let ended = tokio::select! {
            (stop, _) = self.push() => Some(stop),
            () = crash => None,
        };
        // The last connection to close takes the log with it; until then a commit may still be on its way.
        let log = self.folder.path().join("test.db-wal");
        while ended.is_none() && log.exists() {
            tokio::task::yield_now().await;
        }
        ended
    }

    /// Changes the database behind everybody's back.
    pub(super) async fn tamper(&self, sql: &'static str) {
        let mut connection = self.connection().await;
        sqlx::query(sql).execute(&mut connection).await.unwrap();
    }

    pub(super) async fn connection(&self) -> SqliteConnection {
        SqliteConnection::connect(&format!("sqlite:{}", self.path().display()))
            .await
            .unwrap()
    }

    /// The rows of a query, as text with `|` between the columns.
    pub(super) async fn query(&self, sql: &'static str) -> Vec<String> {
        let mut connection = self.connection().await;
        let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
        rows.iter()
            .map(|row| {
                (0..row.len())
                    .map(|i| {
                        row.try_get::<Option<String>, _>(i)
                            .or_else(|_| {
                                row.try_get::<Option<i64>, _>(i)
                                    .map(|n| n.map(|n| n.to_string()))
                            })
                            .unwrap()
                            .unwrap_or_default()
                    })
                    .collect::<Vec<_>>()
                    .join("|")
            })
            .collect()
    }

    /// How many tasks are in each state, by the view.
    pub(super) async fn states(&self) -> Vec<String> {
        self.query(
            "SELECT state, coalesce(class, ''), count(*) FROM results GROUP BY 1, 2 ORDER BY 1, 2",
        )
        .await
    }

    /// The phase in which the last push ended.
    pub(super) fn phase(&self) -> RolloutPhase {
        *self.phase.lock().unwrap()
    }

    /// Requests that the platform has seen.
    pub(super) fn requests(&self) -> usize {
        self.platform.requests()
    }

    /// How many devices each request had, in order.
    pub(super) fn sizes(&self) -> Vec<usize> {
        self.platform.sizes()
    }

    /// Devices and data in the order in which they were sent.
    pub(super) fn sent(&self) -> Vec<(String, String)> {
        self.platform.sent()
    }

    /// What holds after every push, whatever happened: the database agrees with itself and with the platform.
    pub(super) async fn check(&self) {
        for (what, sql) in [
            (
                "a task in no or several states",
                "SELECT line FROM results GROUP BY run, line HAVING count(*) <> 1",
            ),
            (
                "the tally is not the count of the outcomes",
                "SELECT * FROM (SELECT state, coalesce(class, 0) AS class, coalesce(code, 0) AS code, count(*) AS n FROM outcome GROUP BY 1, 2, 3 \
              UNION ALL SELECT 1, 1, code, sum(end_task - first_task) FROM accepted_span GROUP BY code \
              UNION ALL SELECT state, class, code, -n FROM tally) GROUP BY state, class, code HAVING sum(n) <> 0",
            ),
            (
                "an ended task that is due",
                "SELECT task_id FROM due JOIN outcome USING (task_id)",
            ),
            (
                "a task in a span that is due, held, in another span, or ended by itself",
                "SELECT t.id FROM accepted_span AS g JOIN task AS t ON t.id >= g.first_task AND t.id < g.end_task \
                 WHERE t.held = 1 OR t.id IN (SELECT task_id FROM due UNION ALL SELECT task_id FROM outcome) \
                 OR EXISTS (SELECT 1 FROM accepted_span AS o WHERE o.first_task > g.first_task AND o.first_task <= t.id AND o.end_task > t.id)",
            ),
            (
                "a first send before the canary had passed",
                "SELECT q.id FROM request AS q JOIN canary AS c ON c.run_id = q.run_id \
                 WHERE q.first_task IS NOT NULL AND (c.passed_at IS NULL OR q.claimed_at < c.passed_at)",
            ),
            (
                "a request without an end",
                "SELECT id FROM request WHERE finished_at IS NULL",
            ),
            (
                "attempts have a gap",
                "SELECT line FROM attempts GROUP BY line HAVING count(*) <> max(attempt) OR min(attempt) <> 1",
            ),
            (
                "results count other attempts than there are",
                "SELECT r.line FROM results AS r WHERE r.attempts <> (SELECT count(*) FROM attempts AS a WHERE a.line = r.line)",
            ),
            (
                "a request with other members than it says",
                "SELECT q.request_id FROM requests AS q WHERE q.devices <> (SELECT count(*) FROM attempts AS a WHERE a.request_id = q.request_id)",
            ),
        ] {
            let mut connection = self.connection().await;
            let wrong = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
            assert!(wrong.is_empty(), "{what}: {} rows", wrong.len());
        }
        let broken = self.query("PRAGMA foreign_key_check").await;
        assert!(broken.is_empty(), "foreign keys are broken");
        // Every ticket that the database has was given; every one that was given is there, or its request had no end.
        let recorded: HashSet<String> = self
            .query("SELECT device_key || '|' || ticket FROM attempts WHERE ticket IS NOT NULL")
            .await
            .into_iter()
            .collect();
        let given = self.platform.given();
        let invented: Vec<_> = recorded.difference(&given).collect();
        assert!(invented.is_empty(), "tickets never given: {invented:?}");
        let mut lost: HashMap<&str, usize> = HashMap::new();
        for ticket in given.difference(&recorded) {
            let device = ticket.split('|').next().unwrap();
            *lost.entry(device).or_default() += 1;
        }
        let in_doubt = self
            .query("SELECT device_key FROM attempts WHERE outcome = 'in_doubt' AND message LIKE 'no reply was recorded%'")
            .await;
        for (device, tickets) in lost {
            let doubts = in_doubt.iter().filter(|key| *key == device).count();
            assert!(
                tickets <= doubts,
                "{tickets} tickets of {device} are lost, and {doubts} sends in doubt"
            );
        }
    }
}
