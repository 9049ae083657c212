//! The side that is read: an SQLite database, as it is at one moment.

use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use sqlx::AssertSqlSafe;

use super::{
    Content, Holdings, Part, RunMark, SessionMark,
    content::{Lines, TableContent},
    line,
    tables::{self, Table},
};
use crate::{
    model::RunState,
    store::{
        MIGRATOR,
        reader::{ReadError, Reader},
    },
};

/// Lines are handed on when there are so many bytes of them.
const PIECE: usize = 128 * 1024;

/// Why runs cannot be read for a copy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// The database cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// There is nothing at the path.
    #[error("no results database at {}; name the SQLite file of a push as FROM", .0.display())]
    Missing(PathBuf),
    /// The file is something else.
    #[error("{} is not a results database of fleetpush; name the SQLite file of a push as FROM", .0.display())]
    NotOurs(PathBuf),
    /// Its schema is an earlier version's.
    #[error("{} has the schema of an earlier fleetpush: run fleetpush db migrate --db '{}' first", .0.display(), .0.display())]
    Older(PathBuf),
    /// Its log is missing.
    #[error(
        "the write-ahead log {} of the database is missing, and the last results are only in it: put it back beside the database, or restore \
         both from a backup",
        .0.display()
    )]
    LostLog(PathBuf),
}

/// A run that is read.
#[derive(Debug, Clone)]
pub(crate) struct SourceRun {
    /// What makes it the same run on both sides.
    pub mark: RunMark,
    /// Its state.
    pub state: RunState,
    /// How many tasks it has.
    pub tasks: i64,
    first_task: i64,
    end_task: i64,
}

impl SourceRun {
    /// Its rows.
    pub(crate) fn part(&self) -> Part {
        Part::Run {
            id: self.mark.id,
            first_task: self.first_task,
            end_task: self.end_task,
        }
    }
}

/// An SQLite database that is read for a copy.
#[derive(Debug)]
pub(crate) struct CopySource {
    reader: Reader,
}

impl CopySource {
    /// Opens the database. From now on it is read as it is at this moment.
    pub(crate) async fn open(path: &Path) -> Result<Self, SourceError> {
        let mut reader = Reader::open(path).await.map_err(|error| match error {
            ReadError::Missing(path) => SourceError::Missing(path),
            ReadError::NotOurs(path) => SourceError::NotOurs(path),
            error => error.into(),
        })?;
        if let Some(log) = reader.lost_log().await? {
            return Err(SourceError::LostLog(log));
        }
        reader.freeze().await?;
        let mut source = Self { reader };
        let schema: i64 = source
            .one("SELECT max(version) FROM _sqlx_migrations WHERE success")
            .await?;
        let newest = MIGRATOR.iter().map(|migration| migration.version).max();
        if Some(schema) != newest {
            return Err(SourceError::Older(path.to_owned()));
        }
        Ok(source)
    }

    /// Closes the database.
    pub(crate) async fn close(self) -> Result<(), SourceError> {
        Ok(self.reader.close().await?)
    }

    /// What the database has.
    pub(crate) async fn holdings(&mut self) -> Result<Holdings, SourceError> {
        Ok(Holdings {
            runs: self
                .all("SELECT id, name, identity, created_at FROM run WHERE state <> 'staging' ORDER BY id")
                .await?,
            pruned: self
                .all("SELECT id, identity FROM pruned_run ORDER BY id")
                .await?,
            last_session: self
                .all("SELECT id, began_at, host, pid FROM session ORDER BY id DESC LIMIT 1")
                .await?
                .pop(),
        })
    }

    /// The session of this number.
    pub(crate) async fn session(&mut self, id: i64) -> Result<Option<SessionMark>, SourceError> {
        let found = sqlx::query_as("SELECT id, began_at, host, pid FROM session WHERE id = ?")
            .bind(id)
            .fetch_optional(&mut self.reader.connection)
            .await;
        found.map_err(|error| self.reader.failure(error).into())
    }

    /// The runs, in the order of their numbers.
    pub(crate) async fn runs(&mut self) -> Result<Vec<SourceRun>, SourceError> {
        type Row = (i64, String, String, i64, String, i64, i64, i64);
        let rows: Vec<Row> = self
            .all(
                "SELECT r.id, r.name, r.identity, r.created_at, v.state, r.tasks, r.first_task, r.end_task \
                 FROM run AS r JOIN runs AS v ON v.run = r.id ORDER BY r.id",
            )
            .await?;
        rows.into_iter()
            .map(
                |(id, name, identity, created_at, state, tasks, first_task, end_task)| {
                    let state = RunState::from_name(&state).ok_or_else(|| {
                        self.reader
                            .damaged(format!("run {id} has the state '{state}'"))
                    })?;
                    Ok(SourceRun {
                        mark: RunMark {
                            id,
                            name,
                            identity,
                            created_at,
                        },
                        state,
                        tasks,
                        first_task,
                        end_task,
                    })
                },
            )
            .collect()
    }

    /// The run on which the process works that owned the database at this moment, if one did.
    pub(crate) async fn worked_on(&mut self) -> Result<Option<i64>, SourceError> {
        Ok(self
            .all::<(i64,)>(
                "SELECT run_id FROM session \
                 WHERE ended_at IS NULL AND owner = (SELECT mark FROM owner) AND run_id IS NOT NULL ORDER BY id DESC LIMIT 1",
            )
            .await?
            .pop()
            .map(|(run,)| run))
    }

    /// What the rows of a part come to.
    pub(crate) async fn content(&mut self, part: &Part) -> Result<Content, SourceError> {
        let mut content = Content::default();
        for table in tables::of(part) {
            content.push(
                self.read(table, part, async |_| Ok::<(), SourceError>(()))
                    .await?,
            );
        }
        Ok(content)
    }

    /// Hands on the lines of a table, some at a time.
    pub(super) async fn read<E: From<SourceError>>(
        &mut self,
        table: &Table,
        part: &Part,
        mut take: impl AsyncFnMut(&[u8]) -> Result<(), E>,
    ) -> Result<TableContent, E> {
        let mut lines = Lines::default();
        let mut piece = Vec::with_capacity(PIECE + 4096);
        let mut count = 0;
        let mut rows = sqlx::query(AssertSqlSafe(table.select_in_sqlite(part)))
            .fetch(&mut self.reader.connection);
        let mut failed = None;
        while let Some(row) = rows.next().await {
            let appended = row.and_then(|row| line::append(&mut piece, &row));
            if let Err(error) = appended {
                failed = Some(error);
                break;
            }
            count += 1;
            if piece.len() >= PIECE {
                lines.add(&piece, std::mem::take(&mut count));
                take(&piece).await?;
                piece.clear();
            }
        }
        drop(rows);
        if let Some(error) = failed {
            return Err(SourceError::from(self.reader.failure(error)).into());
        }
        lines.add(&piece, count);
        take(&piece).await?;
        Ok(lines.finish(table.name))
    }

    async fn all<T>(&mut self, sql: &'static str) -> Result<Vec<T>, SourceError>
    where
        T: for<'r> sqlx::FromRow<'r, crate::store::db::DbRow> + Send + Unpin,
    {
        let found = sqlx::query_as(sql)
            .fetch_all(&mut self.reader.connection)
            .await;
        found.map_err(|error| self.reader.failure(error).into())
    }

    async fn one(&mut self, sql: &'static str) -> Result<i64, SourceError> {
        let found = sqlx::query_scalar(sql)
            .fetch_one(&mut self.reader.connection)
            .await;
        found.map_err(|error| self.reader.failure(error).into())
    }
}
