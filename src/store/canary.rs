//! The canary of a run: its row, and its devices.

mod choose;

use std::{collections::BTreeSet, time::Duration};

use futures::TryStreamExt as _;
use sqlx::Connection;

use super::{Run, Store, StoreError, db::DbConnection, owner::BEGIN, row::CanaryRow};
use crate::model::{
    Canary, CanaryProof, CanaryVerdict, ExpectedAnswer, OptionError, RunId, Timestamp, VerifyLevel,
};

/// Tasks of a run that stand in `due`, as long as none is under way but those: each part by an index.
pub(super) const LEFT: &str = "SELECT (SELECT count(*) FROM due WHERE run_id = ?1 AND due_at IS NOT NULL) + \
     (SELECT CAST(coalesce(sum(devices), 0) AS bigint) FROM request WHERE run_id = ?1 AND finished_at IS NULL)";

/// A canary that is chosen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewCanary {
    /// What was asked for; none when devices were named.
    pub(crate) asked: Option<Canary>,
    /// How many devices that are, fewer than the run has.
    pub(crate) devices: u64,
    /// Whether the push stops for a look when it has ended well.
    pub(crate) pause: bool,
    /// The same seed chooses the same devices.
    pub(crate) seed: u64,
}

/// A command that was sent, and what it came to.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct SentCommand {
    pub(crate) line: i64,
    pub(crate) product_key: Option<String>,
    pub(crate) device_key: String,
    pub(crate) state: String,
    pub(crate) class: Option<String>,
    pub(crate) code: Option<i64>,
    pub(crate) message: Option<String>,
    pub(crate) ticket: Option<String>,
    pub(crate) attempts: i64,
    pub(crate) delivery: Option<String>,
}

/// Expected answers as they are kept, a line each; none when there are none.
fn lines(expected: &[ExpectedAnswer]) -> Option<String> {
    let lines: Vec<String> = expected.iter().map(ToString::to_string).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The canary of a run, if it has one.
pub(super) async fn read_canary(
    connection: &mut DbConnection,
    run: RunId,
) -> Result<Option<CanaryRow>, StoreError> {
    type Row = (
        i64,
        bool,
        Option<i64>,
        Option<i64>,
        Option<String>,
        bool,
        Option<String>,
        bool,
        Option<String>,
    );
    let row: Option<Row> = sqlx::query_as(
        "SELECT devices, pause, accepted, verify_ms, verify_level, proved_at IS NOT NULL, check_command, checked_at IS NOT NULL, expected_answers FROM canary WHERE run_id = ?",
    )
    .bind(run.0)
    .fetch_optional(&mut *connection)
    .await?;
    let Some((devices, pause, accepted, verify, level, is_proved, check, is_checked, expected)) =
        row
    else {
        return Ok(None);
    };
    let level = level.map(|word| word.parse()).transpose();
    let expected: Result<Vec<_>, _> = expected
        .iter()
        .flat_map(|text| text.lines())
        .map(str::parse)
        .collect();
    let proof = CanaryProof {
        verify: verify.map(|ms| Duration::from_millis(ms.unsigned_abs())),
        level: level.map_err(|error: OptionError| StoreError::Damaged(error.to_string()))?,
        is_proved,
        check: check.map(String::into_boxed_str),
        is_checked,
        expected: expected.map_err(|error: OptionError| StoreError::Damaged(error.to_string()))?,
    };
    let left: i64 = match accepted {
        Some(_) => 0,
        None => {
            sqlx::query_scalar(LEFT)
                .bind(run.0)
                .fetch_one(connection)
                .await?
        }
    };
    Ok(Some(CanaryRow {
        devices: devices.unsigned_abs(),
        pause,
        passed: accepted.map(i64::unsigned_abs),
        left: left.unsigned_abs(),
        proof,
    }))
}

impl Store {
    /// Whether any task of the run waits in `due`.
    pub(crate) async fn has_due(&mut self, run: &Run) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM due WHERE run_id = ? AND due_at IS NOT NULL)",
        )
        .bind(run.id.0)
        .fetch_one(&mut self.connection)
        .await?)
    }

    /// How many tasks of the run wait for another one of their device. Only they are counted, and not the tasks, which may be ten
    /// millions.
    pub(crate) async fn followers(&mut self, run: &Run) -> Result<u64, StoreError> {
        let followers: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM follower WHERE previous_id >= ? AND previous_id < ?",
        )
        .bind(run.first_task.0)
        .bind(run.end_task.0)
        .fetch_one(&mut self.connection)
        .await?;
        Ok(followers.unsigned_abs())
    }

    /// Makes the push stop for a look when the canary has ended well.
    pub(crate) async fn pause_canary(&mut self, run: &Run) -> Result<(), StoreError> {
        let statement = sqlx::query("UPDATE canary SET pause = 1 WHERE run_id = ?").bind(run.id.0);
        self.execute(statement).await?;
        Ok(())
    }

    /// Notes what the devices of the canary have to prove before the others go.
    pub(crate) async fn set_canary_proof(
        &mut self,
        run: &Run,
        proof: &CanaryProof,
    ) -> Result<(), StoreError> {
        let statement = sqlx::query(
            "UPDATE canary SET verify_ms = ?, verify_level = ?, check_command = ?, checked_at = CASE WHEN ? = 1 THEN checked_at END, \
             expected_answers = ? WHERE run_id = ?",
        )
            .bind(proof.verify.map(|time| time.as_millis() as i64))
            .bind(proof.level.map(VerifyLevel::name))
            .bind(proof.check.as_deref())
            .bind(proof.is_checked)
            .bind(lines(&proof.expected))
            .bind(run.id.0);
        self.execute(statement).await?;
        Ok(())
    }

    /// How many tasks of these devices are first sends of the run: one of each device that is to be sent to.
    pub(crate) async fn first_sends_of(
        &mut self,
        run: &Run,
        devices: &BTreeSet<String>,
    ) -> Result<u64, StoreError> {
        let tasks: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM task WHERE id >= ? AND id < ? AND held = 0 \
             AND device_key IN (SELECT value FROM json_each(?))",
        )
        .bind(run.first_task.0)
        .bind(run.end_task.0)
        .bind(serde_json::json!(devices).to_string())
        .fetch_one(&mut self.connection)
        .await?;
        Ok(tasks.unsigned_abs())
    }

    /// Gives what every sent command of the run came to, one after the other.
    pub(crate) async fn sent_commands(
        &mut self,
        run: &Run,
        mut each: impl FnMut(SentCommand),
    ) -> Result<(), StoreError> {
        let mut rows = sqlx::query_as(
            "SELECT line, product_key, device_key, state, class, code, message, ticket, attempts, delivery FROM results \
             WHERE run = ? AND attempts > 0 ORDER BY line",
        )
        .bind(run.id.0)
        .fetch(&mut self.connection);
        while let Some(row) = rows.try_next().await? {
            each(row);
        }
        Ok(())
    }

    /// Notes that the command of the canary has decided for it.
    pub(crate) async fn canary_is_checked(
        &mut self,
        run: &Run,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let statement =
            sqlx::query("UPDATE canary SET checked_at = ? WHERE run_id = ? AND checked_at IS NULL")
                .bind(now.0)
                .bind(run.id.0);
        self.execute(statement).await?;
        Ok(())
    }

    /// What the devices of the canary of a run have to prove, if it has a canary.
    pub(crate) async fn canary_proof(
        &mut self,
        run: &Run,
    ) -> Result<Option<CanaryProof>, StoreError> {
        let row = read_canary(&mut self.connection, run.id).await?;
        Ok(row.map(|row| row.proof))
    }

    /// Notes that the devices of the canary have proved that they got their commands.
    pub(crate) async fn canary_is_proved(
        &mut self,
        run: &Run,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let statement =
            sqlx::query("UPDATE canary SET proved_at = ? WHERE run_id = ? AND proved_at IS NULL")
                .bind(now.0)
                .bind(run.id.0);
        self.execute(statement).await?;
        Ok(())
    }

    /// Chooses the devices of a canary; their tasks are due now.
    pub(crate) async fn choose_canary(
        &mut self,
        run: &Run,
        canary: NewCanary,
        named: Option<&BTreeSet<String>>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.connection.begin_with(BEGIN).await?;
        match named {
            Some(named) => choose::take(&mut transaction, run, named, now).await?,
            None => {
                choose::choose(&mut transaction, run, canary.devices, canary.seed, now).await?;
            }
        }
        sqlx::query(
            "INSERT INTO canary (run_id, asked, seed, devices, pause, chosen_at) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(run.id.0)
        .bind(canary.asked.map_or_else(|| "named".to_owned(), |asked| asked.to_string()))
        .bind(canary.seed as i64)
        .bind(canary.devices as i64)
        .bind(canary.pause)
        .bind(now.0)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Notes how the canary was judged, and how many tasks had been accepted by then.
    pub(crate) async fn end_canary(
        &mut self,
        run: &Run,
        verdict: CanaryVerdict,
        accepted: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let statement = sqlx::query(
            "UPDATE canary SET passed_at = ?, accepted = ?, verdict = ? WHERE run_id = ? AND passed_at IS NULL",
        )
        .bind(now.0)
        .bind(accepted as i64)
        .bind(verdict.name())
        .bind(run.id.0);
        self.execute(statement).await?;
        Ok(())
    }

    /// How many requests of at most `chunk_size` devices the first commands to this run's canary take.
    pub(crate) async fn canary_requests(
        &mut self,
        run: &Run,
        chunk_size: u32,
    ) -> Result<u64, StoreError> {
        let requests: i64 = sqlx::query_scalar(
            "SELECT CAST(coalesce(sum((n + ?2 - 1) / ?2), 0) AS bigint) FROM (SELECT count(*) AS n FROM due WHERE run_id = ?1 GROUP BY payload_id) AS chunks",
        )
        .bind(run.id.0)
        .bind(chunk_size)
        .fetch_one(&mut self.connection)
        .await?;
        Ok(requests.unsigned_abs())
    }
}
