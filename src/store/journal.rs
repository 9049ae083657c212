//! The journal of one run while it is pushed: what came back goes in and what is to be sent comes out, in one transaction.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use sqlx::SqliteConnection;

use super::{
    Claim, Record, Run, Store, StoreError,
    bulk::Bulk,
    canary::CanaryState,
    claim::{Ahead, Room},
    end::CASCADE,
    identity::log_path,
    open::BUSY_TIMEOUT,
    payload::PayloadCache,
    presence::FileId,
    record::load_standings,
    refusal::Refusals,
    writes::Writes,
};
use crate::model::{
    AfterFailure, BundleId, Class, Counts, PayloadId, RunId, RunState, Standing, TaskState,
    Timestamp,
};

/// One run being pushed.
#[derive(Debug)]
pub struct Journal<'s> {
    store: &'s mut Store,
    ledger: Ledger,
    /// The log's file, once the push has begun.
    log: Option<FileId>,
}

/// What a push knows of its run without asking the database.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) run: Run,
    pub(super) after_failure: AfterFailure,
    /// First sends have been claimed up to here.
    pub(super) next_task: i64,
    /// What the database knows of that.
    pub(super) saved_next_task: i64,
    /// The next free request id. One process owns the database, so ids are counted here and rows of any number inserted at once.
    pub(super) next_request: i64,
    pub(super) ahead: Ahead,
    pub(super) room: Room,
    /// Whether due tasks get the odd request of the next claim; they and the first sends take turns.
    pub(super) odd_is_due: bool,
    pub(super) payloads: PayloadCache,
    pub(super) refusals: Refusals,
    pub(super) canary: CanaryState,
    /// Ended tasks by state, class and code.
    pub(super) tally: BTreeMap<Tally, u64>,
    /// What the present transaction has added to the tally.
    pub(super) unsaved: BTreeMap<Tally, u64>,
    /// Of the tally, what ended in outages.
    excused: BTreeMap<Tally, u64>,
    /// The payloads of the probes of this outage.
    pub(super) probed: Vec<PayloadId>,
    /// How requests stand that were refused and are kept together.
    pub(super) standings: HashMap<BundleId, Standing>,
    pub(super) snoozing: u64,
    pub(super) in_flight: u64,
    /// What the present transaction may still spend on ending blocked tasks.
    pub(super) cascade: usize,
    pub(super) latest_due: Option<Timestamp>,
    /// Exchanges since the length of the log was last looked at.
    pub(super) exchanges: u32,
    /// When the next waiting task becomes due; unknown when waiting tasks have come or gone since it was looked up.
    pub(super) next_due: Lookup<Option<Timestamp>>,
}

/// Something in the database that is looked up when it has changed, and not each time it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lookup<T> {
    Unknown,
    Known(T),
}

/// What tasks are counted by once they have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tally {
    /// How they ended.
    pub state: TaskState,
    /// The class; skipped tasks have none.
    pub class: Option<Class>,
    /// The code that decided, when there was one.
    pub code: Option<i64>,
}

/// What is wanted of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// The most requests to claim.
    pub requests: usize,
    /// The most devices in one of them, if the run's own limit is not lower.
    pub chunk_size: u32,
    /// Whether it is a request of one device, to see whether the platform is there.
    pub probe: bool,
    /// The present time.
    pub now: Timestamp,
}

/// What an exchange gave. All of it is on the disk.
#[derive(Debug, Default)]
pub struct Exchange {
    /// The requests to send.
    pub claims: Vec<Claim>,
    /// Whether there may be more to claim right now.
    pub more: bool,
    /// Whether what was left has to wait until a request is done, or memory would run out.
    pub full: bool,
    /// When the next waiting task becomes due; it may have passed when there is more to claim.
    pub next_due: Option<Timestamp>,
    /// What was found out about the platform.
    pub findings: Vec<Finding>,
}

/// Something that replies together say of the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Both halves of a refused request passed: the platform takes at most this many devices in one.
    ChunkLimit(u32),
    /// A payload or product is refused as such; its other tasks fail unsent.
    Ended {
        /// The code that the platform gave.
        code: i64,
        /// What is refused, for a person.
        what: String,
    },
}

/// After so many exchanges the length of the log is looked at, which is a trip of its own.
const EXCHANGES: u32 = 16;

static EXCUSE: Bulk = Bulk::insert(
    "INSERT INTO excused (run_id, state, class, code, n)",
    "(?,?,?,?,?)",
    "ON CONFLICT DO UPDATE SET n = n + excluded.n",
);

/// When the next waiting task of a run becomes due.
pub(super) const NEXT_DUE: &str =
    "SELECT min(due_at) FROM due WHERE run_id = ? AND due_at IS NOT NULL";

impl Store {
    /// Begins to push a run.
    pub async fn journal(
        &mut self,
        run: Run,
        after_failure: AfterFailure,
    ) -> Result<Journal<'_>, StoreError> {
        let connection = &mut self.connection;
        let next_task: i64 = sqlx::query_scalar("SELECT next_task FROM run WHERE id = ?")
            .bind(run.id.0)
            .fetch_one(&mut *connection)
            .await?;
        let next_request: i64 = sqlx::query_scalar(
            "SELECT max(coalesce((SELECT max(id) FROM request), 0), coalesce((SELECT max(last_request) FROM pruned_run), 0)) + 1",
        )
        .fetch_one(&mut *connection)
        .await?;
        let (snoozing, in_flight, latest_due): (i64, i64, Option<i64>) = sqlx::query_as(
            "SELECT \
             (SELECT count(*) FROM due WHERE run_id = ?1 AND due_at IS NOT NULL AND class IN (2, 3)), \
             (SELECT coalesce(sum(devices), 0) FROM request WHERE run_id = ?1 AND finished_at IS NULL), \
             (SELECT max(due_at) FROM due WHERE run_id = ?1 AND due_at IS NOT NULL)",
        )
        .bind(run.id.0)
        .fetch_one(&mut *connection)
        .await?;
        let tally = load_tally(
            connection,
            run.id,
            "SELECT state, class, code, n FROM tally WHERE run_id = ?",
        )
        .await?;
        let excused = load_tally(
            connection,
            run.id,
            "SELECT state, class, code, n FROM excused WHERE run_id = ?",
        )
        .await?;
        let refusals = Refusals::load(connection, run.id).await?;
        let standings = load_standings(connection, run.id).await?;
        let canary = CanaryState::load(connection, run.id).await?;
        Ok(Journal {
            store: self,
            log: None,
            ledger: Ledger {
                after_failure,
                next_task,
                saved_next_task: next_task,
                next_request,
                ahead: Ahead::from(next_task),
                room: Room::default(),
                odd_is_due: true,
                payloads: PayloadCache::default(),
                refusals,
                canary,
                tally,
                unsaved: BTreeMap::new(),
                excused,
                probed: Vec::new(),
                standings,
                snoozing: snoozing.unsigned_abs(),
                in_flight: in_flight.unsigned_abs(),
                cascade: CASCADE,
                latest_due: latest_due.map(Timestamp),
                exchanges: 0,
                next_due: Lookup::Unknown,
                run,
            },
        })
    }
}

/// Reads counts of ended tasks.
async fn load_tally(
    connection: &mut SqliteConnection,
    run: RunId,
    select: &'static str,
) -> Result<BTreeMap<Tally, u64>, StoreError> {
    sqlx::query_as::<_, (u8, u8, i64, i64)>(select)
        .bind(run.0)
        .fetch_all(connection)
        .await?
        .into_iter()
        .map(|(state, class, code, n)| {
            let key = Tally::from_columns(state, class, code)
                .ok_or_else(|| StoreError::Damaged(format!("a tally has the state {state}")))?;
            Ok((key, n.unsigned_abs()))
        })
        .collect()
}

impl Journal<'_> {
    /// The run, with what has been found out about the platform so far.
    pub fn run(&self) -> &Run {
        &self.ledger.run
    }

    /// How many tasks are in which state, as of the last commit.
    pub fn counts(&self) -> Counts {
        self.ledger.counts()
    }

    /// How many tasks have ended how, as of the last commit.
    pub fn tally(&self) -> impl Iterator<Item = (Tally, u64)> {
        self.ledger.tally.iter().map(|(key, n)| (*key, *n))
    }

    /// How many of them ended in outages, as far as earlier pushes found out.
    pub(crate) fn excused(&self) -> &BTreeMap<Tally, u64> {
        &self.ledger.excused
    }

    /// Notes that so many more of them ended in an outage.
    pub(crate) async fn excuse(&mut self, more: &BTreeMap<Tally, u64>) -> Result<(), StoreError> {
        let run = self.ledger.run.id;
        let mut writes = Writes::begin(&mut self.store.connection);
        let written = writes
            .bulk(&EXCUSE, more, |values, (key, n)| {
                values
                    .bind(run.0)
                    .bind(key.state as u8)
                    .bind(key.class.map_or(0, |class| class as u8))
                    .bind(key.code.unwrap_or(0))
                    .bind(*n as i64)
            })
            .await;
        if let Err(error) = written {
            writes.roll_back().await;
            return Err(error.into());
        }
        writes.commit().await?;
        Ok(())
    }

    /// The latest time at which a waiting task becomes due.
    pub fn latest_due(&self) -> Option<Timestamp> {
        self.ledger.latest_due
    }

    /// Records what became of requests, and claims others, in one transaction. After an error nothing of it has happened in the
    /// database, and the journal must not be used again.
    pub async fn exchange(
        &mut self,
        records: Vec<Record>,
        wish: Wish,
    ) -> Result<Exchange, StoreError> {
        let mut writes = Writes::begin(&mut self.store.connection);
        let exchange = self.ledger.exchange(&mut writes, records, wish).await;
        if exchange.is_err() {
            writes.roll_back().await;
            return exchange;
        }
        self.ledger.exchanges += 1;
        if self.ledger.exchanges >= EXCHANGES {
            self.ledger.exchanges = 0;
            self.store.seal_when_long().await?;
        }
        exchange
    }

    /// Notes that the run is being pushed. From now on a log that is lost will be noticed.
    pub async fn begin(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.store.seal_alone(true).await?;
        self.store.seal().await?;
        self.log = FileId::at(&log_path(&self.store.path)).ok().flatten();
        self.store.set_running(self.ledger.run.id, now).await
    }

    /// Brings forward what is due later than `latest`; gives how many tasks that concerns.
    pub async fn clamp_due(&mut self, latest: Timestamp) -> Result<u64, StoreError> {
        let ledger = &mut self.ledger;
        let clamped = sqlx::query("UPDATE due SET due_at = ?2 WHERE run_id = ?1 AND due_at > ?2")
            .bind(ledger.run.id.0)
            .bind(latest.0)
            .execute(&mut self.store.connection)
            .await?
            .rows_affected();
        ledger.latest_due = ledger.latest_due.map(|due| due.min(latest));
        ledger.next_due = Lookup::Unknown;
        Ok(clamped)
    }

    /// Notes how the push ended.
    pub async fn end(&mut self, state: RunState, now: Timestamp) -> Result<(), StoreError> {
        self.store.seal_alone(false).await?;
        self.store.set_state(self.ledger.run.id, state, now).await
    }

    /// How long a statement waits for another process that holds a write transaction.
    pub async fn wait_for_others(&mut self, patience: Duration) -> Result<(), StoreError> {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
            "PRAGMA busy_timeout = {}",
            patience.as_millis().min(i32::MAX as u128)
        )))
        .execute(&mut self.store.connection)
        .await?;
        Ok(())
    }

    /// The same as when the database was opened.
    pub async fn wait_as_usual(&mut self) -> Result<(), StoreError> {
        self.wait_for_others(BUSY_TIMEOUT).await
    }

    pub(super) fn store(&self) -> &Store {
        self.store
    }

    pub(super) fn log(&self) -> Option<FileId> {
        self.log
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(super) fn parts(&mut self) -> (&mut Store, &mut Ledger) {
        (self.store, &mut self.ledger)
    }
}

impl Ledger {
    async fn exchange(
        &mut self,
        writes: &mut Writes<'_>,
        records: Vec<Record>,
        wish: Wish,
    ) -> Result<Exchange, StoreError> {
        let mut exchange = Exchange::default();
        self.cascade = CASCADE;
        self.record(writes, records, wish.now, &mut exchange.findings)
            .await?;
        (exchange.claims, exchange.more) = self.claim(writes, wish).await?;
        exchange.full = self.room.is_full();
        self.save_tally(writes).await?;
        exchange.next_due = self.next_due(writes).await?;
        writes.commit().await?;
        Ok(exchange)
    }

    /// When the next waiting task becomes due.
    pub(super) async fn next_due(
        &mut self,
        writes: &mut Writes<'_>,
    ) -> Result<Option<Timestamp>, StoreError> {
        if let Lookup::Known(next_due) = self.next_due {
            return Ok(next_due);
        }
        let next_due: Option<i64> = sqlx::query_scalar(NEXT_DUE)
            .bind(self.run.id.0)
            .fetch_one(writes.connection().await?)
            .await?;
        let next_due = next_due.map(Timestamp);
        self.next_due = Lookup::Known(next_due);
        Ok(next_due)
    }

    fn counts(&self) -> Counts {
        let of = |state| {
            self.tally
                .iter()
                .filter(|(key, _)| key.state == state)
                .map(|(_, n)| n)
                .sum()
        };
        let mut counts = Counts {
            tasks: self.run.tasks,
            accepted: of(TaskState::Accepted),
            failed: of(TaskState::Failed),
            in_doubt: of(TaskState::InDoubt),
            skipped: of(TaskState::Skipped),
            pending: 0,
            snoozing: self.snoozing,
            in_flight: self.in_flight,
        };
        counts.pending = counts.tasks - counts.ended();
        counts
    }
}

impl Tally {
    pub(super) fn from_columns(state: u8, class: u8, code: i64) -> Option<Self> {
        Some(Self {
            state: TaskState::from_number(state.into())?,
            class: Class::from_number(class.into()),
            code: (code != 0).then_some(code),
        })
    }
}
