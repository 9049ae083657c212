//! The canary: the devices of a run that go first.
//!
//! Each device of the canary has one row in `due` as long as it has not ended, since of its tasks one is under way at a time: a later
//! one takes the place of an earlier one that has ended. So the canary is over when `due` is empty, and nothing else has to be kept.

mod choose;

use sqlx::{Connection, SqliteConnection};

use super::{
    Journal, Run, Store, StoreError,
    journal::{Ledger, Lookup},
    owner::BEGIN,
};
use crate::model::{Canary, CanaryVerdict, RunId, TaskState, Timestamp};

/// A canary that has not passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenCanary {
    /// Its devices.
    pub devices: u64,
    /// How many of them have not ended.
    pub left: u64,
    /// Whether the push stops for a look when it has ended well.
    pub pause: bool,
}

impl OpenCanary {
    /// How many of its devices have ended.
    pub fn ended(&self) -> u64 {
        self.devices.saturating_sub(self.left)
    }
}

/// What a push knows of its run's canary without asking the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CanaryState {
    /// The run has none.
    None,
    /// It goes first, and nothing else is claimed.
    Open(OpenCanary),
    /// It has passed, when so many tasks had been accepted.
    Passed { accepted: u64 },
}

/// What came of asking for a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Nobody asked for one, or it has passed.
    None,
    /// It has been chosen now.
    Chosen(OpenCanary),
    /// It was chosen at an earlier start, and has not passed.
    Open(OpenCanary),
    /// The fleet has no more devices than were asked for, so that there is nothing to hold back.
    WholeFleet {
        /// Its devices.
        devices: u64,
    },
    /// The run has begun without one.
    TooLate,
}

impl CanaryState {
    pub(super) async fn load(
        connection: &mut SqliteConnection,
        run: RunId,
    ) -> Result<Self, StoreError> {
        let row: Option<(i64, bool, Option<i64>)> =
            sqlx::query_as("SELECT devices, pause, accepted FROM canary WHERE run_id = ?")
                .bind(run.0)
                .fetch_optional(&mut *connection)
                .await?;
        Ok(match row {
            None => Self::None,
            Some((_, _, Some(accepted))) => Self::Passed {
                accepted: accepted.unsigned_abs(),
            },
            Some((devices, pause, None)) => {
                let left: i64 = sqlx::query_scalar(LEFT)
                    .bind(run.0)
                    .fetch_one(connection)
                    .await?;
                Self::Open(OpenCanary {
                    devices: devices.unsigned_abs(),
                    left: left.unsigned_abs(),
                    pause,
                })
            }
        })
    }

    /// Whether nothing but the canary is claimed.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Open(_))
    }

    /// Notes that so many tasks have left `due`.
    pub(super) fn leave_due(&mut self, tasks: usize) {
        if let Self::Open(open) = self {
            open.left = open.left.saturating_sub(tasks as u64);
        }
    }

    /// Notes that so many tasks have come into `due` that follow others of their device.
    pub(super) fn follow(&mut self, tasks: usize) {
        if let Self::Open(open) = self {
            open.left += tasks as u64;
        }
    }
}

/// Tasks of a run that stand in `due`, as long as none is under way but those: each part by an index.
pub(super) const LEFT: &str = "SELECT (SELECT count(*) FROM due WHERE run_id = ?1 AND due_at IS NOT NULL) + \
     (SELECT coalesce(sum(devices), 0) FROM request WHERE run_id = ?1 AND finished_at IS NULL)";

impl Journal<'_> {
    /// The run's canary, when it goes first now.
    pub fn canary(&self) -> Option<OpenCanary> {
        match self.ledger().canary {
            CanaryState::Open(open) => Some(open),
            CanaryState::None | CanaryState::Passed { .. } => None,
        }
    }

    /// Tasks accepted since the canary passed, or since the run began when it has none.
    pub fn accepted_after_canary(&self) -> u64 {
        match self.ledger().canary {
            CanaryState::None => self.counts().accepted,
            CanaryState::Open(_) => 0,
            CanaryState::Passed { accepted } => self.counts().accepted.saturating_sub(accepted),
        }
    }

    /// Chooses a canary of this size, when the run has none and nothing of it has been claimed. The same seed chooses the same devices.
    pub async fn choose_canary(
        &mut self,
        size: Canary,
        pause: bool,
        seed: u64,
        now: Timestamp,
    ) -> Result<Choice, StoreError> {
        let (store, ledger) = self.parts();
        match &mut ledger.canary {
            CanaryState::Passed { .. } => return Ok(Choice::None),
            CanaryState::Open(open) => {
                if pause && !open.pause {
                    open.pause = true;
                    sqlx::query("UPDATE canary SET pause = 1 WHERE run_id = ?")
                        .bind(ledger.run.id.0)
                        .execute(&mut store.connection)
                        .await?;
                }
                return Ok(Choice::Open(*open));
            }
            CanaryState::None => {}
        }
        if size == Canary::None {
            return Ok(Choice::None);
        }
        let connection = &mut store.connection;
        if has_begun(connection, ledger).await? {
            return Ok(Choice::TooLate);
        }
        let devices = devices(connection, ledger).await?;
        let wanted = size.of(devices);
        if wanted >= devices {
            return Ok(Choice::WholeFleet { devices });
        }
        let mut transaction = connection.begin_with(BEGIN).await?;
        choose::choose(&mut transaction, &ledger.run, wanted, seed, now).await?;
        sqlx::query(
            "INSERT INTO canary (run_id, asked, seed, devices, pause, chosen_at) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(ledger.run.id.0)
        .bind(size.to_string())
        .bind(seed as i64)
        .bind(wanted as i64)
        .bind(pause)
        .bind(now.0)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        let open = OpenCanary {
            devices: wanted,
            left: wanted,
            pause,
        };
        ledger.canary = CanaryState::Open(open);
        ledger.next_due = Lookup::Unknown;
        Ok(Choice::Chosen(open))
    }

    /// Notes how the canary was judged: from now on the other devices go.
    pub async fn end_canary(
        &mut self,
        verdict: CanaryVerdict,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let accepted = self.counts().accepted;
        let (store, ledger) = self.parts();
        sqlx::query(
            "UPDATE canary SET passed_at = ?, accepted = ?, verdict = ? WHERE run_id = ? AND passed_at IS NULL",
        )
        .bind(now.0)
        .bind(accepted as i64)
        .bind(verdict.name())
        .bind(ledger.run.id.0)
        .execute(&mut store.connection)
        .await?;
        ledger.canary = CanaryState::Passed { accepted };
        Ok(())
    }
}

impl Store {
    /// How many requests of at most `chunk_size` devices the first commands to this run's canary take.
    pub async fn canary_requests(&mut self, run: &Run, chunk_size: u32) -> Result<u64, StoreError> {
        let requests: i64 = sqlx::query_scalar(
            "SELECT coalesce(sum((n + ?2 - 1) / ?2), 0) FROM (SELECT count(*) AS n FROM due WHERE run_id = ?1 GROUP BY payload_id)",
        )
        .bind(run.id.0)
        .bind(chunk_size)
        .fetch_one(&mut self.connection)
        .await?;
        Ok(requests.unsigned_abs())
    }
}

/// Whether anything of the run has ever been claimed, or opened again after its end.
async fn has_begun(connection: &mut SqliteConnection, ledger: &Ledger) -> Result<bool, StoreError> {
    let run = &ledger.run;
    let any_due: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM due WHERE run_id = ? AND due_at IS NOT NULL)",
    )
    .bind(run.id.0)
    .fetch_one(connection)
    .await?;
    Ok(any_due || ledger.next_task > run.first_task.0)
}

/// Devices of a run of which nothing has been claimed. Each has one task that waits for no other; what has ended was never to be sent.
async fn devices(connection: &mut SqliteConnection, ledger: &Ledger) -> Result<u64, StoreError> {
    let run = &ledger.run;
    let never_sent: u64 = ledger
        .tally
        .iter()
        .filter(|(key, _)| matches!(key.state, TaskState::Failed | TaskState::Skipped))
        .map(|(_, n)| n)
        .sum();
    // Only the followers are counted, and not the tasks, which may be ten millions.
    let followers: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM follower WHERE previous_id >= ? AND previous_id < ?",
    )
    .bind(run.first_task.0)
    .bind(run.end_task.0)
    .fetch_one(connection)
    .await?;
    Ok(run
        .tasks
        .saturating_sub(never_sent + followers.unsigned_abs()))
}
