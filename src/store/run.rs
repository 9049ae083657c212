//! Runs: finding them, naming them, changing their state.

use sqlx::Row;

use super::{Store, StoreError, db::DbRow};
use crate::model::{Control, PartNumber, Paused, RunId, RunState, Sizes, Tags, TaskId, Timestamp};

/// What a run is made of before it has tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewRun {
    /// The unique name.
    pub name: String,
    /// The manifest, as given on the command line.
    pub manifest: String,
    /// The absolute path of the manifest's file; none for a stream, and for runs that were staged before it was kept.
    pub manifest_path: Option<String>,
    /// SHA-256 of the uncompressed manifest, in hex.
    pub manifest_sha256: String,
    /// The flags that change payloads, as canonical JSON.
    pub defaults: String,
    /// The target: a base URL, or the word `simulator`.
    pub base_url: String,
    /// SHA-256 of the three above, in hex: what makes two pushes the same.
    pub identity: String,
}

/// A run in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    /// Its number.
    pub id: RunId,
    /// What it is made of.
    pub about: NewRun,
    pub state: RunState,
    /// When it was staged.
    pub created_at: Timestamp,
    /// When it became complete or was cancelled.
    pub finished_at: Option<Timestamp>,
    /// Who paused it, in state paused.
    pub paused: Option<Paused>,
    /// The id of the last control request that was obeyed.
    pub last_control: Option<String>,
    /// How many tasks it has.
    pub tasks: u64,
    /// Its tasks are the ids from this one …
    pub first_task: TaskId,
    /// … up to but not including this one.
    pub end_task: TaskId,
    /// Whether a device has several tasks that must go out in order.
    pub ordered: bool,
    /// What is known of the sizes of requests that the platform takes.
    pub sizes: Sizes,
    /// A fingerprint of the account that pushes it; none before its first push, and where only a token is known.
    pub account: Option<String>,
    /// The part of it that this is; none: all of it.
    pub part: Option<PartNumber>,
}

impl Run {
    /// Whether a task is one of its tasks.
    pub(crate) fn has(&self, task: TaskId) -> bool {
        (self.first_task..self.end_task).contains(&task)
    }
}

/// What stands in `run.manifest` for a manifest from the standard input.
pub(super) const STREAM: &str = "standard input";

pub(super) const SELECT: &str = "SELECT id, name, manifest, manifest_path, manifest_sha256, defaults, base_url, identity, state, finished_at, tasks, \
     first_task, end_task, ordered, chunk_limit, account, passed_size, limit_hints, created_at, paused_at, paused_by, last_control FROM run";

impl Store {
    pub(crate) async fn run_by_name(&mut self, name: &str) -> Result<Option<Run>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{SELECT} WHERE name = ? AND state <> 'staging'"
        )))
        .bind(name)
        .fetch_optional(&mut self.connection)
        .await?;
        row.map(|row| read(&row)).transpose()
    }

    /// The run of this number.
    pub(crate) async fn run_by_id(&mut self, id: RunId) -> Result<Option<Run>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{SELECT} WHERE id = ? AND state <> 'staging'"
        )))
        .bind(id.0)
        .fetch_optional(&mut self.connection)
        .await?;
        row.map(|row| read(&row)).transpose()
    }

    /// The latest run of this identity.
    pub(crate) async fn run_by_identity(
        &mut self,
        identity: &str,
    ) -> Result<Option<Run>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{SELECT} WHERE identity = ? AND state <> 'staging' ORDER BY id DESC LIMIT 1"
        )))
        .bind(identity)
        .fetch_optional(&mut self.connection)
        .await?;
        row.map(|row| read(&row)).transpose()
    }

    /// Every run, in the order in which they were made.
    pub(crate) async fn all_runs(&mut self) -> Result<Vec<Run>, StoreError> {
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "{SELECT} WHERE state <> 'staging' ORDER BY id"
        )))
        .fetch_all(&mut self.connection)
        .await?
        .iter()
        .map(read)
        .collect()
    }

    /// The runs among which the one is that is meant when none is named, in the order in which they were made.
    pub(crate) async fn scoped_runs(&mut self) -> Result<Vec<Run>, StoreError> {
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "{SELECT} WHERE state <> 'staging' AND NOT EXISTS (SELECT 1 FROM json_each(?) AS wanted WHERE NOT EXISTS ( \
                 SELECT 1 FROM json_each(run.tags) AS tag WHERE tag.key = wanted.key AND tag.value = wanted.value \
             )) ORDER BY run.id"
        )))
        .bind(self.scope.json())
        .fetch_all(&mut self.connection)
        .await?
        .iter()
        .map(read)
        .collect()
    }

    /// Notes the tags of a run.
    pub(crate) async fn set_tags(&mut self, run: RunId, tags: &Tags) -> Result<(), StoreError> {
        let statement = sqlx::query("UPDATE run SET tags = ?2 WHERE id = ?1 AND tags <> ?2")
            .bind(run.0)
            .bind(tags.json());
        self.execute(statement).await?;
        Ok(())
    }

    /// `name`, or when that is taken, the first free one of `name-2`, `name-3`, …
    pub(crate) async fn free_name(&mut self, name: &str) -> Result<String, StoreError> {
        let mut candidate = name.to_owned();
        for n in 2.. {
            if self.run_by_name(&candidate).await?.is_none() && !self.was_pruned(&candidate).await?
            {
                break;
            }
            candidate = format!("{name}-{n}");
        }
        Ok(candidate)
    }

    /// Notes that a run is paused.
    pub(crate) async fn pause(&mut self, run: RunId, control: &Control) -> Result<(), StoreError> {
        debug_assert!(self.holds(run));
        let statement = sqlx::query(
            "UPDATE run SET state = 'stopped', paused_at = ?2, paused_by = ?3, last_control = ?4 WHERE id = ?1 AND finished_at IS NULL",
        )
        .bind(run.0)
        .bind(control.at.0)
        .bind(&control.by)
        .bind(&control.id);
        self.execute(statement).await?;
        Ok(())
    }

    /// Notes that a run is being pushed, which ends a pause.
    pub(crate) async fn set_running(
        &mut self,
        run: RunId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let statement = sqlx::query(
            "UPDATE run SET state = 'running', started_at = coalesce(started_at, ?2), pushed_at = ?2, finished_at = NULL, \
             paused_at = NULL, paused_by = NULL, cancelled_by = NULL WHERE id = ?1",
        )
        .bind(run.0)
        .bind(now.0);
        self.execute(statement).await?;
        Ok(())
    }

    /// Notes which account pushes a run.
    pub(crate) async fn set_account(
        &mut self,
        run: RunId,
        account: &str,
    ) -> Result<(), StoreError> {
        let statement = sqlx::query("UPDATE run SET account = ?2 WHERE id = ?1")
            .bind(run.0)
            .bind(account);
        self.execute(statement).await?;
        Ok(())
    }

    /// Notes how a push ended.
    pub(crate) async fn set_state(
        &mut self,
        run: RunId,
        state: RunState,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let finished = (!state.is_unfinished()).then_some(now.0);
        let statement = sqlx::query("UPDATE run SET state = ?2, finished_at = ?3 WHERE id = ?1")
            .bind(run.0)
            .bind(state.name())
            .bind(finished);
        self.execute(statement).await?;
        Ok(())
    }
}

pub(super) fn read(row: &DbRow) -> Result<Run, StoreError> {
    let state: String = row.try_get("state")?;
    let paused = row
        .try_get::<Option<i64>, _>("paused_at")?
        .map(|at| {
            Ok::<_, sqlx::Error>(Paused {
                by: row
                    .try_get::<Option<String>, _>("paused_by")?
                    .unwrap_or_default(),
                at: Timestamp(at),
            })
        })
        .transpose()?
        .filter(|_| state == RunState::Stopped.name());
    Ok(Run {
        id: RunId(row.try_get("id")?),
        about: NewRun {
            name: row.try_get("name")?,
            manifest: row.try_get("manifest")?,
            manifest_path: row.try_get("manifest_path")?,
            manifest_sha256: row.try_get("manifest_sha256")?,
            defaults: row.try_get("defaults")?,
            base_url: row.try_get("base_url")?,
            identity: row.try_get("identity")?,
        },
        state: match &paused {
            Some(_) => RunState::Paused,
            None => RunState::from_name(&state)
                .ok_or_else(|| StoreError::Damaged(format!("a run has the state '{state}'")))?,
        },
        created_at: Timestamp(row.try_get("created_at")?),
        paused,
        last_control: row.try_get("last_control")?,
        finished_at: row.try_get::<Option<i64>, _>("finished_at")?.map(Timestamp),
        tasks: row.try_get::<i64, _>("tasks")?.unsigned_abs(),
        first_task: TaskId(row.try_get("first_task")?),
        end_task: TaskId(row.try_get("end_task")?),
        ordered: row.try_get("ordered")?,
        sizes: Sizes {
            passed: row.try_get("passed_size")?,
            limit: row.try_get("chunk_limit")?,
            hints: row.try_get("limit_hints")?,
        },
        account: row.try_get("account")?,
        part: None,
    })
}
