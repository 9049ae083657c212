//! Opens a results database only for reading: it never creates or migrates it and never takes the owner's lock. So it can be used at any
//! time, also during a push.

use std::{
    borrow::Cow,
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};

use super::{
    MIGRATOR, Owner, Presence,
    db::DbConnection,
    identity::{has_lost_log, log_path},
    older,
    postgres::{ServerError, ServerStore},
    views,
};
use crate::model::{ServerAddress, Tags};

/// How long a query waits for a lock; writers hold one for milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// SQLite's result code `SQLITE_NOTADB`.
const NOT_A_DATABASE: &str = "26";

/// SQLite's result code `SQLITE_READONLY_ROLLBACK`: a rollback journal is left that only a writer may play back. Ours log ahead of
/// writing, so only a process that ended in the moment of making the database leaves one.
const HALF_MADE: &str = "776";

/// SQLite's result code `SQLITE_READONLY_DIRECTORY`: beside the database there is no file of the write-ahead log, and its folder does
/// not let the reader make one.
const READ_ONLY_FOLDER: &str = "1544";

/// Why a results database cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// There is nothing at the path, or a file without content.
    #[error("no results database at {}; push something first (fleetpush run), or name another with --db", .0.display())]
    Missing(PathBuf),
    /// The path is not that of a readable file.
    #[error("cannot open the results database {}", .path.display())]
    Open {
        /// The database.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{} is not a results database of fleetpush; name another with --db", .0.display())]
    NotOurs(PathBuf),
    /// A later fleetpush wrote it.
    #[error("{} has schema {found}, and this fleetpush knows schemas up to {known}; use a newer fleetpush", .path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// The schema of the database.
        found: i64,
        /// The last schema that this program knows.
        known: i64,
    },
    /// An earlier fleetpush broke off while it brought it up to date, and only an owner may go on.
    #[error("{} has the old schema {found}, this fleetpush needs {known}; run or resume a push with it once to update it", .path.display())]
    Older {
        /// The database.
        path: PathBuf,
        /// The schema of the database; 0 when an update broke off before the first.
        found: i64,
        /// The last schema that this program knows.
        known: i64,
    },
    /// The server, or what it has, is not as it has to be.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// SQLite failed.
    #[error("cannot read the results database {}", .path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// The database holds something that no fleetpush writes.
    #[error("the results database {place} is damaged: {what}")]
    Damaged {
        /// The database.
        place: String,
        /// What was found, and where.
        what: String,
    },
}

/// Where the database of a reader is.
#[derive(Debug, Clone)]
enum Place {
    File(PathBuf),
    Server(ServerAddress),
}

/// A results database, open for reading.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(super) connection: DbConnection,
    place: Place,
    /// The tags of the run that is meant when none is named.
    pub(super) scope: Tags,
}

impl Reader {
    /// Opens the database at `path`.
    pub(crate) async fn open(path: &Path) -> Result<Self, ReadError> {
        match std::fs::metadata(path) {
            Ok(file) if file.is_file() => {}
            Ok(_) => return Err(ReadError::NotOurs(path.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ReadError::Missing(path.into()));
            }
            Err(source) => {
                return Err(ReadError::Open {
                    path: path.into(),
                    source,
                });
            }
        }
        match Self::connect(path, false).await {
            Err(ReadError::Sqlite { source, .. })
                if code(&source).as_deref() == Some(READ_ONLY_FOLDER) =>
            {
                // Nobody pushes, or the log would be there: the file alone is whole.
                Self::connect(path, true).await
            }
            other => other,
        }
    }

    async fn connect(path: &Path, immutable: bool) -> Result<Self, ReadError> {
        let connection = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .immutable(immutable)
            .busy_timeout(BUSY_TIMEOUT)
            .disable_statement_logging()
            .connect()
            .await
            .map_err(|error| failure(path, error))?;
        let mut reader = Self {
            connection: connection.into(),
            place: Place::File(path.into()),
            scope: Tags::default(),
        };
        reader.check_schema(path).await?;
        Ok(reader)
    }

    /// Reads the database of a server.
    pub(crate) async fn on_server(mut server: ServerStore) -> Result<Self, ReadError> {
        server.must_be_current().await?;
        let (connection, access) = server.into_parts();
        let mut reader = Self {
            connection: connection.into(),
            place: Place::Server(access.address),
            scope: Tags::default(),
        };
        // A transaction sees one moment, as those of SQLite do.
        sqlx::raw_sql("SET default_transaction_isolation = 'repeatable read'")
            .execute(&mut reader.connection)
            .await
            .map_err(|error| reader.failure(error))?;
        Ok(reader)
    }

    /// Whether somebody holds a lease on a server; not known where nobody has pushed: its runs are copies.
    pub(crate) async fn presence(&mut self) -> Result<Presence, ReadError> {
        let held: Option<(bool, String)> = sqlx::query_as(
            "SELECT ends_at > clock_timestamp() AS lives, holder FROM lease WHERE name <> 'inbox' ORDER BY lives DESC, ends_at DESC LIMIT 1",
        )
        .fetch_optional(&mut self.connection)
        .await
        .map_err(|error| self.failure(error))?;
        Ok(match held {
            Some((true, holder)) => Presence::Owned {
                owner: Owner(holder),
            },
            Some((false, _)) => Presence::Nobody,
            None => Presence::Unknown,
        })
    }

    /// The log that the database says belongs to it, when it is missing: what the last push recorded in the end is not shown then.
    pub(crate) async fn lost_log(&mut self) -> Result<Option<PathBuf>, ReadError> {
        let (DbConnection::Sqlite(connection), Place::File(path)) =
            (&mut self.connection, &self.place)
        else {
            return Ok(None);
        };
        let is_lost = has_lost_log(connection, path)
            .await
            .map_err(|error| self.failure(error))?;
        Ok(is_lost.then(|| log_path(path)))
    }

    /// Has the latest run be the latest with these tags.
    #[must_use]
    pub(crate) fn scoped(mut self, tags: &Tags) -> Self {
        self.scope = tags.clone();
        self
    }

    /// The path of the database, if it is a file.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => Some(path),
            Place::Server(_) => None,
        }
    }

    /// How people name the database.
    pub(crate) fn name(&self) -> String {
        self.place.to_string()
    }

    /// Closes the database, so that SQLite can tidy up behind the last reader.
    pub(crate) async fn close(self) -> Result<(), ReadError> {
        let place = self.place;
        self.connection
            .close()
            .await
            .map_err(|error| place.failure(error))
    }

    async fn check_schema(&mut self, path: &Path) -> Result<(), ReadError> {
        let (ours, migrated, all): (i64, i64, i64) = sqlx::query_as(
            "SELECT coalesce(sum(name = 'run'), 0), coalesce(sum(name = '_sqlx_migrations'), 0), count(*)
             FROM sqlite_schema WHERE type = 'table'",
        )
        .fetch_one(&mut self.connection)
        .await
        .map_err(|error| self.failure(error))?;
        if all == migrated {
            // The process that made the file ended before it made the tables.
            return Err(ReadError::Missing(path.into()));
        }
        if (ours, migrated) != (1, 1) {
            return Err(ReadError::NotOurs(path.into()));
        }
        let found: i64 = sqlx::query_scalar(
            "SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success",
        )
        .fetch_one(&mut self.connection)
        .await
        .map_err(|error| self.failure(error))?;
        let known = MIGRATOR
            .iter()
            .map(|migration| migration.version)
            .max()
            .unwrap_or(0);
        match found.cmp(&known) {
            std::cmp::Ordering::Equal => self
                .renew_views()
                .await
                .map_err(|error| self.failure(error)),
            std::cmp::Ordering::Greater => Err(ReadError::Newer {
                path: path.into(),
                found,
                known,
            }),
            // An update that broke off before its first step has left nothing that could be read.
            std::cmp::Ordering::Less if found == 0 => Err(ReadError::Older {
                path: path.into(),
                found,
                known,
            }),
            std::cmp::Ordering::Less => self
                .complete_schema()
                .await
                .map_err(|error| self.failure(error)),
        }
    }

    /// Reads through the views of this program when its last owner was one that had others.
    async fn renew_views(&mut self) -> Result<(), sqlx::Error> {
        let connection = self.connection.sqlite()?;
        if views::are_current(connection).await? {
            return Ok(());
        }
        views::make_temporary(connection).await
    }

    /// Has what the schema of an earlier fleetpush lacks.
    async fn complete_schema(&mut self) -> Result<(), sqlx::Error> {
        older::complete(self.connection.sqlite()?).await
    }

    pub(super) fn failure(&self, error: sqlx::Error) -> ReadError {
        self.place.failure(error)
    }

    pub(super) fn damaged(&self, what: String) -> ReadError {
        ReadError::Damaged {
            place: self.place.to_string(),
            what,
        }
    }
}

impl Place {
    fn failure(&self, error: sqlx::Error) -> ReadError {
        match self {
            Self::File(path) => failure(path, error),
            Self::Server(address) => ServerError::of(address, error).into(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server(address) => address.fmt(f),
        }
    }
}

fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
}

fn failure(path: &Path, error: sqlx::Error) -> ReadError {
    match code(&error).as_deref() {
        Some(NOT_A_DATABASE) => ReadError::NotOurs(path.into()),
        Some(HALF_MADE) => ReadError::Missing(path.into()),
        _ => ReadError::Sqlite {
            path: path.into(),
            source: error,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sample;

    async fn refusal(path: &Path) -> String {
        Reader::open(path)
            .await
            .unwrap_err()
            .to_string()
            .replace(&path.display().to_string(), "DB")
    }

    async fn execute(path: &Path, sql: &'static str) {
        let mut writer = SqliteConnectOptions::new()
            .filename(path)
            .connect()
            .await
            .unwrap();
        sqlx::raw_sql(sql).execute(&mut writer).await.unwrap();
        writer.close().await.unwrap();
    }

    #[tokio::test]
    async fn a_missing_file_is_named_and_not_created() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none.db");
        insta::assert_snapshot!(refusal(&path).await, @"no results database at DB; push something first (fleetpush run), or name another with --db");
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_is_not_a_results_database_is_said_to_be_none() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("notes.db");
        std::fs::write(
            &text,
            "these are notes, and more of them than SQLite's header has bytes: ".repeat(20),
        )
        .unwrap();
        let foreign = folder.path().join("foreign.db");
        std::fs::write(&foreign, "").unwrap();
        execute(&foreign, "CREATE TABLE run (id INTEGER)").await;
        for path in [text.as_path(), &foreign, folder.path()] {
            assert!(
                matches!(Reader::open(path).await, Err(ReadError::NotOurs(_))),
                "{}",
                path.display()
            );
        }
        insta::assert_snapshot!(refusal(&text).await, @"DB is not a results database of fleetpush; name another with --db");
    }

    #[tokio::test]
    async fn a_file_without_tables_is_no_database_yet() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.db");
        std::fs::write(&path, "").unwrap();
        assert!(matches!(
            Reader::open(&path).await,
            Err(ReadError::Missing(_))
        ));
        execute(&path, "CREATE TABLE _sqlx_migrations (version INTEGER)").await;
        assert!(matches!(
            Reader::open(&path).await,
            Err(ReadError::Missing(_))
        ));
    }

    #[tokio::test]
    async fn another_schema_is_refused_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = sample::empty(folder.path()).await;
        Reader::open(&path).await.unwrap().close().await.unwrap();
        let newest = MIGRATOR.iter().map(|migration| migration.version).max();
        let [up_to, needs] = ["up to", "needs"].map(|words| format!("{words} {}", newest.unwrap()));
        let refusal = async || {
            let told = refusal(&path).await;
            told.replace(&up_to, "up to N").replace(&needs, "needs N")
        };
        execute(
            &path,
            "UPDATE _sqlx_migrations SET version = 9999 WHERE version = (SELECT max(version) FROM _sqlx_migrations)",
        )
        .await;
        insta::assert_snapshot!(refusal().await, @"DB has schema 9999, and this fleetpush knows schemas up to N; use a newer fleetpush");
        execute(&path, "UPDATE _sqlx_migrations SET success = 0").await;
        insta::assert_snapshot!(refusal().await, @"DB has the old schema 0, this fleetpush needs N; run or resume a push with it once to update it");
    }

    #[tokio::test]
    async fn a_reader_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = sample::empty(folder.path()).await;
        let mut reader = Reader::open(&path).await.unwrap();
        let error = sqlx::query("DELETE FROM run")
            .execute(&mut reader.connection)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("readonly"), "{error}");
    }
}
