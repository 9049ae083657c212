//! What the query commands ask of a run. Questions about one run touch `tally` and the indexes alone, so they cost the same at ten
//! tasks and at ten million.

mod results;

pub use results::{Filter, ResultPages, ResultRow, Standing};

use std::time::Duration;

use super::reader::{ReadError, Reader};
use crate::model::{Class, Counts, RunId, RunState, TaskState, Timestamp};

/// Names that are offered for an unknown one resemble it at least so much (Jaro-Winkler, 0 to 1).
const RESEMBLANCE: f64 = 0.75;

/// How many names are offered.
const OFFERED: usize = 3;

/// How far back the recent pace looks.
const RECENT: Duration = Duration::from_mins(1);

/// Why a run cannot be found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// The database has no run at all.
    #[error("{} has no run yet; push something first (fleetpush run)", .0.display())]
    NoRun(std::path::PathBuf),
    /// No run of this name or number.
    #[error("no run is called '{wanted}'{}; fleetpush runs lists them", did_you_mean(.near))]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// Names of runs that resemble it, the nearest first.
        near: Vec<String>,
    },
    /// The database cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

fn did_you_mean(near: &[String]) -> String {
    if near.is_empty() {
        return String::new();
    }
    let names: Vec<_> = near.iter().map(|name| format!("'{name}'")).collect();
    format!(", did you mean {}", names.join(" or "))
}

/// A run as the view `runs` shows it, and where its tasks are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// The run's number.
    pub id: RunId,
    /// Its unique name.
    pub name: String,
    /// The manifest as it was named.
    pub manifest: String,
    /// What makes two pushes the same.
    pub identity: String,
    /// The target, or the word `simulator`.
    pub base_url: String,
    /// Its state.
    pub state: RunState,
    /// When it was staged.
    pub created_at: Timestamp,
    /// When it was first pushed.
    pub started_at: Option<Timestamp>,
    /// When it became complete or was cancelled.
    pub finished_at: Option<Timestamp>,
    /// How many of its tasks are in which state.
    pub counts: Counts,
    first_task: i64,
    end_task: i64,
}

/// How many tasks ended in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// The state they ended in.
    pub state: TaskState,
    /// The class of the outcome; none for skipped tasks.
    pub class: Option<Class>,
    /// The code that decided, when there was one.
    pub code: Option<i64>,
    /// How many tasks.
    pub tasks: u64,
}

/// When a run's waiting tasks become due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DueTimes {
    /// The first of them.
    pub next: Option<Timestamp>,
    /// The last of them.
    pub latest: Option<Timestamp>,
}

/// How fast a run has been of late.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pace {
    /// Devices answered each second.
    pub devices: f64,
    /// Requests answered each second.
    pub requests: f64,
}

macro_rules! select_run {
    ($rest:literal) => {
        concat!(
            "SELECT r.id, r.name, r.manifest, r.identity, r.base_url, r.state, r.created_at, r.started_at, r.finished_at, r.tasks,
                    r.first_task, r.end_task,
                (SELECT coalesce(sum(n), 0) FROM tally WHERE run_id = r.id AND state = 1) AS accepted,
                (SELECT coalesce(sum(n), 0) FROM tally WHERE run_id = r.id AND state = 2) AS failed,
                (SELECT coalesce(sum(n), 0) FROM tally WHERE run_id = r.id AND state = 3) AS in_doubt,
                (SELECT coalesce(sum(n), 0) FROM tally WHERE run_id = r.id AND state = 4) AS skipped,
                (SELECT count(*) FROM due WHERE run_id = r.id AND due_at IS NOT NULL AND class IN (2, 3)) AS snoozing,
                (SELECT coalesce(sum(devices), 0) FROM request WHERE run_id = r.id AND finished_at IS NULL) AS in_flight
             FROM run AS r WHERE r.state <> 'staging' ",
            $rest
        )
    };
}

impl Reader {
    /// Every run, the oldest first.
    pub async fn runs(&mut self) -> Result<Vec<RunRow>, ReadError> {
        let rows: Vec<RawRun> = sqlx::query_as(select_run!("ORDER BY r.id"))
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))?;
        rows.into_iter().map(|row| self.run_row(row)).collect()
    }

    /// The run of this name, else of this number; the latest one when none is asked for.
    pub async fn find_run(&mut self, wanted: Option<&str>) -> Result<RunRow, FindError> {
        let query = match wanted {
            None => sqlx::query_as(select_run!("ORDER BY r.id DESC LIMIT 1")),
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
            (None, None) => Err(FindError::NoRun(self.path().into())),
            (None, Some(wanted)) => Err(self.unknown(wanted).await?),
        }
    }

    async fn unknown(&mut self, wanted: &str) -> Result<FindError, ReadError> {
        let names: Vec<String> =
            sqlx::query_scalar("SELECT name FROM run WHERE state <> 'staging' ORDER BY id DESC")
                .fetch_all(&mut self.connection)
                .await
                .map_err(|error| self.failure(error))?;
        if names.is_empty() {
            return Ok(FindError::NoRun(self.path().into()));
        }
        let mut near: Vec<(f64, String)> = names
            .into_iter()
            .map(|name| (strsim::jaro_winkler(&name, wanted), name))
            .filter(|(resemblance, _)| *resemblance >= RESEMBLANCE)
            .collect();
        near.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        near.truncate(OFFERED);
        Ok(FindError::Unknown {
            wanted: wanted.into(),
            near: near.into_iter().map(|(_, name)| name).collect(),
        })
    }

    /// How the run's tasks have ended, by state, class and code.
    pub async fn breakdown(&mut self, run: RunId) -> Result<Vec<Ending>, ReadError> {
        let rows: Vec<(i64, i64, i64, i64)> = sqlx::query_as(
            "SELECT state, class, code, n FROM tally WHERE run_id = ? AND n > 0 ORDER BY state, n DESC, class, code",
        )
        .bind(run.0)
        .fetch_all(&mut self.connection)
        .await
        .map_err(|error| self.failure(error))?;
        rows.into_iter()
            .map(|(state, class, code, tasks)| {
                Ok(Ending {
                    state: task_state(state)
                        .ok_or_else(|| self.damaged(format!("state {state} in tally")))?,
                    class: optional_class((class != 0).then_some(class))
                        .map_err(|class| self.damaged(format!("class {class} in tally")))?,
                    code: (code != 0).then_some(code),
                    tasks: tasks as u64,
                })
            })
            .collect()
    }

    /// When the run's waiting tasks become due.
    pub async fn due_times(&mut self, run: RunId) -> Result<DueTimes, ReadError> {
        let (next, latest): (Option<i64>, Option<i64>) = sqlx::query_as(
            "SELECT (SELECT min(due_at) FROM due WHERE run_id = ?1 AND due_at IS NOT NULL),
                    (SELECT max(due_at) FROM due WHERE run_id = ?1 AND due_at IS NOT NULL)",
        )
        .bind(run.0)
        .fetch_one(&mut self.connection)
        .await
        .map_err(|error| self.failure(error))?;
        Ok(DueTimes {
            next: next.map(Timestamp),
            latest: latest.map(Timestamp),
        })
    }

    /// How many sends of the run ended in doubt and were, or are to be, sent again: that many devices may get a command twice.
    pub async fn resends_in_doubt(&mut self, run: &RunRow) -> Result<u64, ReadError> {
        let sends: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM attempt WHERE class = 6 AND task_id >= ? AND task_id < ?",
        )
        .bind(run.first_task)
        .bind(run.end_task)
        .fetch_one(&mut self.connection)
        .await
        .map_err(|error| self.failure(error))?;
        Ok(sends as u64)
    }

    /// The run's pace over the minute before `now`; zero when nothing was answered in it.
    pub async fn recent_pace(&mut self, run: RunId, now: Timestamp) -> Result<Pace, ReadError> {
        // The latest requests have the highest ids; the inner limit keeps this cheap when they are another run's.
        let (requests, devices): (i64, i64) = sqlx::query_as(
            "SELECT count(*), coalesce(sum(devices), 0)
             FROM (SELECT run_id, devices, finished_at, released FROM request ORDER BY id DESC LIMIT 20000)
             WHERE run_id = ? AND released = 0 AND finished_at > ?",
        )
        .bind(run.0)
        .bind(now.0 - RECENT.as_millis() as i64)
        .fetch_one(&mut self.connection)
        .await
        .map_err(|error| self.failure(error))?;
        let seconds = RECENT.as_secs_f64();
        Ok(Pace {
            devices: devices as f64 / seconds,
            requests: requests as f64 / seconds,
        })
    }

    fn run_row(&self, raw: RawRun) -> Result<RunRow, ReadError> {
        let state = RunState::from_name(&raw.state)
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
            manifest: raw.manifest,
            identity: raw.identity,
            base_url: raw.base_url,
            state,
            created_at: Timestamp(raw.created_at),
            started_at: raw.started_at.map(Timestamp),
            finished_at: raw.finished_at.map(Timestamp),
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
}

fn task_state(number: i64) -> Option<TaskState> {
    TaskState::ALL
        .into_iter()
        .find(|state| *state as i64 == number)
}

/// The class of a number, or the number when there is no such class.
fn optional_class(number: Option<i64>) -> Result<Option<Class>, i64> {
    number
        .map(|number| {
            Class::ALL
                .into_iter()
                .find(|class| *class as i64 == number)
                .ok_or(number)
        })
        .transpose()
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
        let view: Vec<(i64, String, String, String, String, String, String, Option<String>, Option<String>)> = sqlx::query_as(
            "SELECT run, name, manifest, identity, base_url, state, created_at, started_at, finished_at FROM runs ORDER BY run",
        )
        .fetch_all(&mut reader.connection)
        .await
        .unwrap();
        let text = |time: Option<Timestamp>| time.map(|time| time.to_string());
        let told: Vec<_> = runs
            .iter()
            .map(|run| {
                (
                    run.id.0,
                    run.name.clone(),
                    run.manifest.clone(),
                    run.identity.clone(),
                    run.base_url.clone(),
                    run.state.name().to_owned(),
                    run.created_at.to_string(),
                    text(run.started_at),
                    text(run.finished_at),
                )
            })
            .collect();
        assert_eq!(told, view);
        let counts: Vec<(i64, i64, i64, i64, i64, i64, i64, i64)> = sqlx::query_as(
            "SELECT tasks, accepted, failed, in_doubt, skipped, pending, snoozing, in_flight FROM runs ORDER BY run",
        )
        .fetch_all(&mut reader.connection)
        .await
        .unwrap();
        let told: Vec<_> = runs
            .iter()
            .map(|run| {
                let c = run.counts;
                (
                    c.tasks,
                    c.accepted,
                    c.failed,
                    c.in_doubt,
                    c.skipped,
                    c.pending,
                    c.snoozing,
                    c.in_flight,
                )
            })
            .map(|(a, b, c, d, e, f, g, h)| {
                (
                    a as i64, b as i64, c as i64, d as i64, e as i64, f as i64, g as i64, h as i64,
                )
            })
            .collect();
        assert_eq!(told, counts);
        assert_eq!(counts[0], (13, 1, 4, 1, 1, 6, 1, 2));
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
        no run is called 'norht-1a2b3c4d', did you mean 'north-1a2b3c4d'; fleetpush runs lists them
        no run is called 'xyz'; fleetpush runs lists them
        no run is called '3'; fleetpush runs lists them
        no run is called 'staged'; fleetpush runs lists them
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

    #[tokio::test]
    async fn the_breakdown_adds_up_to_what_has_ended() {
        let (_folder, mut reader) = reader().await;
        let run = reader.find_run(Some("north-1a2b3c4d")).await.unwrap();
        let endings = reader.breakdown(run.id).await.unwrap();
        assert_eq!(
            endings.iter().map(|ending| ending.tasks).sum::<u64>(),
            run.counts.ended()
        );
        assert!(endings.contains(&Ending {
            state: TaskState::Failed,
            class: Some(Class::Offline),
            code: Some(61002),
            tasks: 1
        }));
        assert!(endings.contains(&Ending {
            state: TaskState::Skipped,
            class: None,
            code: None,
            tasks: 1
        }));
    }

    #[tokio::test]
    async fn due_times_resends_and_pace_are_those_of_the_run() {
        let (_folder, mut reader) = reader().await;
        let run = reader.find_run(Some("north-1a2b3c4d")).await.unwrap();
        let due = reader.due_times(run.id).await.unwrap();
        assert_eq!(
            due,
            DueTimes {
                next: Some(sample::at(20_000)),
                latest: Some(sample::at(45_000))
            }
        );
        assert_eq!(reader.resends_in_doubt(&run).await.unwrap(), 2);
        let pace = reader
            .recent_pace(run.id, sample::at(30_000))
            .await
            .unwrap();
        assert_eq!((pace.requests * 60.0, pace.devices * 60.0), (2.0, 9.0));
        assert_eq!(
            reader
                .recent_pace(run.id, sample::at(90_000))
                .await
                .unwrap(),
            Pace::default()
        );

        let other = reader.find_run(Some("2")).await.unwrap();
        assert_eq!(
            reader.due_times(other.id).await.unwrap(),
            DueTimes::default()
        );
        assert_eq!(reader.resends_in_doubt(&other).await.unwrap(), 0);
    }
}
