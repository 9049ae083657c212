//! Finds runs, and counts their tasks.

use std::path::Path;

use crate::{
    model::{Counts, Paused, RunId, RunState, Tags, Timestamp},
    store::{
        reader::{ReadError, Reader},
        run::STREAM,
    },
};

/// Names that are offered for an unknown one resemble it at least so much (Jaro-Winkler, 0 to 1).
const RESEMBLANCE: f64 = 0.75;

/// How many names are offered.
const OFFERED: usize = 3;

/// Why a run cannot be found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FindError {
    /// The database has no run at all.
    #[error("{} has no run yet; push something first (fleetpush run)", .0.display())]
    NoRun(std::path::PathBuf),
    /// No run has the tags of the profile.
    #[error("no run in {} has the tags {tags}; name a run (fleetpush runs lists them), or leave the tags out", .path.display())]
    NoTagged {
        /// The database.
        path: std::path::PathBuf,
        tags: Tags,
    },
    /// No run of this name or number.
    #[error("no run is called '{wanted}'{}", did_you_mean(.near, .latest))]
    Unknown {
        /// The database.
        path: std::path::PathBuf,
        /// What was asked for.
        wanted: String,
        /// Names of runs that resemble it, the nearest first.
        near: Vec<String>,
        /// The names of the latest runs, the latest first.
        latest: Vec<String>,
    },
    /// There was a run of this name or number.
    #[error(
        "run '{name}' has been pruned; fleetpush runs --pruned and fleetpush sessions list what was kept of it"
    )]
    Pruned {
        /// Its number.
        run: i64,
        name: String,
    },
    /// The database cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl FindError {
    /// What to say of a run that is not among the `names`, the latest first, in the database at `path`.
    pub(crate) fn among(path: &Path, names: Vec<String>, wanted: &str) -> Self {
        if names.is_empty() {
            return Self::NoRun(path.into());
        }
        let latest = names.iter().take(OFFERED).cloned().collect();
        let mut near: Vec<(f64, String)> = names
            .into_iter()
            .map(|name| (strsim::jaro_winkler(&name, wanted), name))
            .filter(|(resemblance, _)| *resemblance >= RESEMBLANCE)
            .collect();
        near.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        near.truncate(OFFERED);
        Self::Unknown {
            path: path.into(),
            wanted: wanted.into(),
            near: near.into_iter().map(|(_, name)| name).collect(),
            latest,
        }
    }
}

fn did_you_mean(near: &[String], latest: &[String]) -> String {
    let quoted = |names: &[String]| -> Vec<String> {
        names.iter().map(|name| format!("'{name}'")).collect()
    };
    if near.is_empty() {
        format!("; the latest are {}", quoted(latest).join(", "))
    } else {
        format!(", did you mean {}", quoted(near).join(" or "))
    }
}

/// A run as the view `runs` shows it, and where its tasks are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunRow {
    /// The run's number.
    pub id: RunId,
    /// Its unique name.
    pub name: String,
    /// The manifest as it was named.
    pub manifest: String,
    /// The path of the manifest's file, where it is known.
    pub manifest_path: Option<String>,
    /// Whether the manifest was no file.
    pub is_stream: bool,
    /// What makes two pushes the same.
    pub identity: String,
    /// The target, or the word `simulator`.
    pub base_url: String,
    pub state: RunState,
    /// When it was staged.
    pub created_at: Timestamp,
    /// When it was first pushed.
    pub started_at: Option<Timestamp>,
    /// When it became complete or was cancelled.
    pub finished_at: Option<Timestamp>,
    /// Who paused it, in state paused.
    pub paused: Option<Paused>,
    /// Who cancelled it.
    pub cancelled_by: Option<String>,
    /// Its tags, a JSON object.
    pub tags: String,
    /// How many of its tasks are in which state.
    pub counts: Counts,
    pub(super) first_task: i64,
    pub(super) end_task: i64,
}

impl RunRow {
    /// The ids of its tasks: the first one, and the one behind the last.
    pub(in crate::store) fn task_ids(&self) -> (i64, i64) {
        (self.first_task, self.end_task)
    }
}

macro_rules! select_run {
    ($rest:literal) => {
        concat!(
            "SELECT r.id, r.name, r.manifest, r.manifest_path, r.identity, r.base_url, r.state, r.created_at, r.started_at, r.finished_at, r.tasks,
                    r.first_task, r.end_task, r.paused_at, r.paused_by, r.cancelled_by, r.tags,
                (SELECT CAST(coalesce(sum(n), 0) AS bigint) FROM tally WHERE run_id = r.id AND state = 1) AS accepted,
                (SELECT CAST(coalesce(sum(n), 0) AS bigint) FROM tally WHERE run_id = r.id AND state = 2) AS failed,
                (SELECT CAST(coalesce(sum(n), 0) AS bigint) FROM tally WHERE run_id = r.id AND state = 3) AS in_doubt,
                (SELECT CAST(coalesce(sum(n), 0) AS bigint) FROM tally WHERE run_id = r.id AND state = 4) AS skipped,
                (SELECT count(*) FROM due WHERE run_id = r.id AND due_at IS NOT NULL AND class IN (2, 3)) AS snoozing,
                (SELECT CAST(coalesce(sum(devices), 0) AS bigint) FROM request WHERE run_id = r.id AND finished_at IS NULL) AS in_flight
             FROM run AS r WHERE r.state <> 'staging' ",
            $rest
        )
    };
}

impl Reader {
    /// Every run, the oldest first.
    pub(crate) async fn runs(&mut self) -> Result<Vec<RunRow>, ReadError> {
        let rows: Vec<RawRun> = sqlx::query_as(select_run!("ORDER BY r.id"))
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))?;
        rows.into_iter().map(|row| self.run_row(row)).collect()
    }

    /// The run of this name, else of this number; the latest one when none is asked for.
    pub(crate) async fn find_run(&mut self, wanted: Option<&str>) -> Result<RunRow, FindError> {
        let query = match wanted {
            None => sqlx::query_as(select_run!(
                "AND NOT EXISTS (SELECT 1 FROM json_each(?1) AS wanted WHERE NOT EXISTS (\
                     SELECT 1 FROM json_each(r.tags) AS tag WHERE tag.key = wanted.key AND tag.value = wanted.value\
                 )) ORDER BY r.id DESC LIMIT 1"
            ))
                .bind(self.scope.json()),
            Some(wanted) => sqlx::query_as(select_run!(
                "AND (r.name = ?1 OR r.id = ?2) ORDER BY r.name = ?1 DESC LIMIT 1"
            ))
            .bind(wanted)
            .bind(wanted.parse::<i64>().ok()),
        };
        let row: Option<RawRun> = query
            .fetch_optional(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))?;
        match (row, wanted) {
            (Some(row), _) => Ok(self.run_row(row)?),
            (None, None) if self.scope.is_empty() => Err(FindError::NoRun(self.name().into())),
            (None, None) => Err(FindError::NoTagged {
                path: self.name().into(),
                tags: self.scope.clone(),
            }),
            (None, Some(wanted)) => Err(self.unknown_run(wanted).await?),
        }
    }

    async fn unknown_run(&mut self, wanted: &str) -> Result<FindError, ReadError> {
        let pruned: Option<(i64, String)> = sqlx::query_as(
            "SELECT id, name FROM pruned_run WHERE name = ?1 OR id = ?2 ORDER BY name = ?1 DESC, id DESC LIMIT 1",
        )
        .bind(wanted)
        .bind(wanted.parse::<i64>().ok())
        .fetch_optional(&mut self.connection)
        .await
        .map_err(|error| self.failure(error))?;
        if let Some((id, name)) = pruned {
            return Ok(FindError::Pruned { run: id, name });
        }
        let names: Vec<String> =
            sqlx::query_scalar("SELECT name FROM run WHERE state <> 'staging' ORDER BY id DESC")
                .fetch_all(&mut self.connection)
                .await
                .map_err(|error| self.failure(error))?;
        Ok(FindError::among(self.name().as_ref(), names, wanted))
    }

    fn run_row(&self, raw: RawRun) -> Result<RunRow, ReadError> {
        let paused = raw
            .paused_at
            .filter(|_| raw.state == RunState::Stopped.name())
            .map(|at| Paused {
                by: raw.paused_by.unwrap_or_default(),
                at: Timestamp(at),
            });
        let state = RunState::from_name(&raw.state)
            .map(|state| paused.as_ref().map_or(state, |_| RunState::Paused))
            .ok_or_else(|| self.damaged(format!("run {} is in state '{}'", raw.id, raw.state)))?;
        let ended = raw.accepted + raw.failed + raw.in_doubt + raw.skipped;
        if ended > raw.tasks {
            return Err(self.damaged(format!(
                "run {} has {} tasks and {ended} ends of them",
                raw.id, raw.tasks
            )));
        }
        Ok(RunRow {
            id: RunId(raw.id),
            name: raw.name,
            is_stream: raw.manifest_path.is_none() && raw.manifest == STREAM,
            manifest: raw.manifest,
            manifest_path: raw.manifest_path,
            identity: raw.identity,
            base_url: raw.base_url,
            state,
            created_at: Timestamp(raw.created_at),
            started_at: raw.started_at.map(Timestamp),
            finished_at: raw.finished_at.map(Timestamp),
            paused,
            cancelled_by: raw.cancelled_by,
            tags: raw.tags,
            counts: Counts {
                tasks: raw.tasks as u64,
                accepted: raw.accepted as u64,
                failed: raw.failed as u64,
                in_doubt: raw.in_doubt as u64,
                skipped: raw.skipped as u64,
                pending: (raw.tasks - ended) as u64,
                snoozing: raw.snoozing as u64,
                in_flight: raw.in_flight as u64,
            },
            first_task: raw.first_task,
            end_task: raw.end_task,
        })
    }
}

#[derive(sqlx::FromRow)]
struct RawRun {
    id: i64,
    name: String,
    manifest: String,
    manifest_path: Option<String>,
    identity: String,
    base_url: String,
    state: String,
    created_at: i64,
    started_at: Option<i64>,
    finished_at: Option<i64>,
    tasks: i64,
    first_task: i64,
    end_task: i64,
    accepted: i64,
    failed: i64,
    in_doubt: i64,
    skipped: i64,
    snoozing: i64,
    in_flight: i64,
    paused_at: Option<i64>,
    paused_by: Option<String>,
    cancelled_by: Option<String>,
    tags: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sample;

    async fn reader() -> (tempfile::TempDir, Reader) {
        let folder = tempfile::tempdir().unwrap();
        let path = sample::every_state(folder.path()).await;
        let reader = Reader::open(&path).await.unwrap();
        (folder, reader)
    }

    #[tokio::test]
    async fn runs_are_told_as_the_view_tells_them() {
        let (_folder, mut reader) = reader().await;
        let runs = reader.runs().await.unwrap();
        let view: Vec<String> = sqlx::query_scalar(
            "SELECT json_array(run, name, manifest, identity, base_url, state, created_at, started_at, finished_at, tasks, accepted,
                               failed, in_doubt, pending, snoozing, in_flight, skipped, paused_by, paused_at, cancelled_by, tags)
             FROM runs ORDER BY run",
        )
        .fetch_all(&mut reader.connection)
        .await
        .unwrap();
        let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
        let told: Vec<String> = runs
            .iter()
            .map(|run| {
                let c = run.counts;
                serde_json::json!([
                    run.id,
                    run.name,
                    run.manifest,
                    run.identity,
                    run.base_url,
                    run.state.name(),
                    run.created_at.to_string(),
                    text(run.started_at),
                    text(run.finished_at),
                    c.tasks,
                    c.accepted,
                    c.failed,
                    c.in_doubt,
                    c.pending,
                    c.snoozing,
                    c.in_flight,
                    c.skipped,
                    run.paused.as_ref().map(|paused| &paused.by),
                    text(run.paused.as_ref().map(|paused| paused.at)),
                    run.cancelled_by,
                    run.tags,
                ])
                .to_string()
            })
            .collect();
        assert_eq!(told, view);
        assert_eq!(runs.len(), 2);
    }

    #[tokio::test]
    async fn a_run_is_found_by_name_then_number_then_recency() {
        let (_folder, mut reader) = reader().await;
        assert_eq!(
            reader.find_run(Some("north-1a2b3c4d")).await.unwrap().id,
            RunId(1)
        );
        assert_eq!(
            reader.find_run(Some("1")).await.unwrap().id,
            RunId(2),
            "a run is called 1, and a name goes before a number"
        );
        assert_eq!(reader.find_run(Some("2")).await.unwrap().id, RunId(2));
        assert_eq!(
            reader.find_run(None).await.unwrap().id,
            RunId(2),
            "the run being staged is not one yet"
        );
    }

    #[tokio::test]
    async fn an_unknown_run_is_answered_with_names_that_resemble_it() {
        let (_folder, mut reader) = reader().await;
        let mut said = Vec::new();
        for wanted in ["norht-1a2b3c4d", "xyz", "3", "staged"] {
            said.push(reader.find_run(Some(wanted)).await.unwrap_err().to_string());
        }
        insta::assert_snapshot!(said.join("\n"), @r"
        no run is called 'norht-1a2b3c4d', did you mean 'north-1a2b3c4d'
        no run is called 'xyz'; the latest are '1', 'north-1a2b3c4d'
        no run is called '3'; the latest are '1', 'north-1a2b3c4d'
        no run is called 'staged'; the latest are '1', 'north-1a2b3c4d'
        ");
    }

    #[tokio::test]
    async fn an_empty_database_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = sample::empty(folder.path()).await;
        let mut reader = Reader::open(&path).await.unwrap();
        for wanted in [None, Some("x")] {
            assert!(matches!(
                reader.find_run(wanted).await,
                Err(FindError::NoRun(_))
            ));
        }
        assert_eq!(reader.runs().await.unwrap(), []);
    }
}
