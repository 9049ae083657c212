//! The queries of the commands about a run. A query about one run reads only `tally` and the indexes, so it costs the same for ten tasks
//! and for ten million.

mod breakdown;
mod canary;
mod course;
mod device;
mod diff;
mod ordered;
mod pruned;
mod results;
mod revert;
mod rights;
mod runs;
mod sessions;
mod sql;
mod timing;

pub(crate) use breakdown::{BreakdownError, Group, GroupCounts};
pub(crate) use device::{LastThrottle, PastAcceptance, Send};
pub(crate) use diff::{Changed, Comparison, Grouping};
pub(crate) use ordered::MOST_KEYS;
pub(crate) use ordered::{Direction, OrderedPages};
pub(crate) use pruned::PrunedRow;
#[cfg(test)]
pub(super) use results::ROWS;
pub(crate) use results::{ResultPages, ResultRow};
pub(crate) use revert::{Acceptance, PayloadId, StoredPayload};
pub(crate) use runs::{FindError, RunRow};
pub(crate) use sessions::SessionRow;
pub(super) use sql::cells;
pub(crate) use sql::{Answer, Cell, SqlError, UnknownName};
pub(crate) use timing::OpenPause;

use std::time::Duration;

use super::{
    db::DbConnection,
    postgres::ServerError,
    reader::{ReadError, Reader},
    tally::endings,
};
use crate::model::{Class, RunId, Tally, Timestamp};

/// How far back the recent pace looks.
const RECENT: Duration = Duration::from_mins(1);

/// Over less than this no pace is told: a moment after its begin a push has none.
const LEAST: Duration = Duration::from_secs(1);

/// When a run's waiting tasks become due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct DueTimes {
    /// The first of them.
    pub next: Option<Timestamp>,
    /// The last of them.
    pub latest: Option<Timestamp>,
}

/// How fast a run has been of late.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct RecentThroughput {
    /// The time that was looked at.
    pub over: Duration,
    /// Devices answered each second.
    pub devices: f64,
    /// Requests answered each second.
    pub requests: f64,
}

impl Reader {
    /// Lets a user who is set to only read have tables that nobody else sees. Nothing else is written.
    pub(super) async fn allow_temporary(&mut self) -> Result<(), sqlx::Error> {
        if matches!(self.connection, DbConnection::Postgres(..)) {
            sqlx::raw_sql("SET default_transaction_read_only = off")
                .execute(&mut self.connection)
                .await?;
        }
        Ok(())
    }

    /// Makes tables for this connection alone.
    async fn make_temporary(&mut self, tables: &'static str) -> Result<(), ReadError> {
        self.allow_temporary()
            .await
            .map_err(|error| self.failure(error))?;
        match sqlx::raw_sql(tables).execute(&mut self.connection).await {
            Ok(_) => Ok(()),
            Err(error) => Err(match self.failure(error) {
                ReadError::Server(ServerError::Forbidden { address, source }) => {
                    ServerError::NoTemporaryTables { address, source }.into()
                }
                other => other,
            }),
        }
    }

    /// How the run's tasks have ended, by state, class and code.
    pub(crate) async fn breakdown(&mut self, run: RunId) -> Result<Vec<(Tally, u64)>, ReadError> {
        endings(&mut self.connection, run)
            .await
            .map_err(|error| self.failure(error))
    }

    /// When the run's waiting tasks become due.
    pub(crate) async fn due_times(&mut self, run: RunId) -> Result<DueTimes, ReadError> {
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
    pub(crate) async fn resends_in_doubt(&mut self, run: &RunRow) -> Result<u64, ReadError> {
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

    /// How many sends of the run came to something that is sent again, by class; those in doubt are counted by [`Self::resends_in_doubt`].
    pub(crate) async fn sends_again(
        &mut self,
        run: &RunRow,
    ) -> Result<Vec<(Class, u64)>, ReadError> {
        let rows: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT class, count(*) FROM attempt WHERE class <> 6 AND task_id >= ? AND task_id < ? GROUP BY class",
        )
        .bind(run.first_task)
        .bind(run.end_task)
        .fetch_all(&mut self.connection)
        .await
        .map_err(|error| self.failure(error))?;
        rows.into_iter()
            .map(|(number, sends)| {
                Class::from_number(number)
                    .map(|class| (class, sends as u64))
                    .ok_or_else(|| self.damaged(format!("class {number} in attempt")))
            })
            .collect()
    }

    /// The run's pace of late, up to `now`; zero when nothing was answered. At most the last minute counts, and nothing from before
    /// the present push of the run began.
    pub(crate) async fn recent_throughput(
        &mut self,
        run: RunId,
        now: Timestamp,
    ) -> Result<RecentThroughput, ReadError> {
        let began: Option<i64> =
            sqlx::query_scalar("SELECT coalesce(pushed_at, started_at) FROM run WHERE id = ?")
                .bind(run.0)
                .fetch_one(&mut self.connection)
                .await
                .map_err(|error| self.failure(error))?;
        let over = began.map_or(RECENT, |began| {
            Timestamp(began).until(now).clamp(LEAST, RECENT)
        });
        // The latest requests have the highest ids; the inner limit keeps this cheap when they are another run's.
        let (requests, devices): (i64, i64) = sqlx::query_as(
            "SELECT count(*), CAST(coalesce(sum(devices), 0) AS bigint)
             FROM (SELECT run_id, devices, finished_at, released FROM request ORDER BY id DESC LIMIT 20000) AS latest
             WHERE run_id = ? AND released = 0 AND finished_at > ?",
        )
        .bind(run.0)
        .bind(now.0 - over.as_millis() as i64)
        .fetch_one(&mut self.connection)
        .await
        .map_err(|error| self.failure(error))?;
        let seconds = over.as_secs_f64();
        Ok(RecentThroughput {
            over,
            devices: devices as f64 / seconds,
            requests: requests as f64 / seconds,
        })
    }
}

/// The class of a number, or the number when there is no such class.
fn optional_class(number: Option<i64>) -> Result<Option<Class>, i64> {
    number
        .map(|number| Class::from_number(number).ok_or(number))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TaskState;
    use crate::store::{Store, sample};

    async fn reader() -> (tempfile::TempDir, Reader) {
        let folder = tempfile::tempdir().unwrap();
        let path = sample::every_state(folder.path()).await;
        let reader = Reader::open(&path).await.unwrap();
        (folder, reader)
    }

    #[tokio::test]
    async fn the_breakdown_adds_up_to_what_has_ended() {
        let (_folder, mut reader) = reader().await;
        let run = reader.find_run(Some("north-1a2b3c4d")).await.unwrap();
        let endings = reader.breakdown(run.id).await.unwrap();
        assert_eq!(
            endings.iter().map(|(_, tasks)| tasks).sum::<u64>(),
            run.counts.ended()
        );
        let offline = Tally {
            state: TaskState::Failed,
            class: Some(Class::Offline),
            code: Some(61002),
        };
        let skipped = Tally {
            state: TaskState::Skipped,
            class: None,
            code: None,
        };
        assert!(endings.contains(&(offline, 1)));
        assert!(endings.contains(&(skipped, 1)));
    }

    #[tokio::test]
    async fn what_was_sent_before_the_present_push_is_no_pace_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = sample::every_state(folder.path()).await;
        let mut store = Store::open(&path).await.unwrap();
        store
            .set_running(RunId(1), sample::at(10_000))
            .await
            .unwrap();
        store.close().await.unwrap();
        let mut reader = Reader::open(&path).await.unwrap();
        let pace = reader.recent_throughput(RunId(1), sample::at(20_000)).await;
        // One request of two devices has ended since.
        let expected = RecentThroughput {
            over: Duration::from_secs(10),
            devices: 0.2,
            requests: 0.1,
        };
        assert_eq!(pace.unwrap(), expected);
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
        assert_eq!(
            reader.sends_again(&run).await.unwrap(),
            [(Class::Frequency, 2), (Class::Transient, 1)]
        );
        let pace = reader
            .recent_throughput(run.id, sample::at(30_000))
            .await
            .unwrap();
        // It began 29 s ago, and there is no more to divide by.
        assert_eq!(pace.over, Duration::from_secs(29));
        assert_eq!((pace.requests * 29.0, pace.devices * 29.0), (2.0, 9.0));
        let none = RecentThroughput {
            over: RECENT,
            ..RecentThroughput::default()
        };
        let later = reader.recent_throughput(run.id, sample::at(90_000)).await;
        assert_eq!(later.unwrap(), none);

        let other = reader.find_run(Some("2")).await.unwrap();
        assert_eq!(
            reader.due_times(other.id).await.unwrap(),
            DueTimes::default()
        );
        assert_eq!(reader.resends_in_doubt(&other).await.unwrap(), 0);
    }
}
