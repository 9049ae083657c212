//! Opening a database as its owner.

use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::{StoreError, lock::Lock};

/// The schema, embedded in the binary. Append-only.
pub(super) static MIGRATOR: Migrator = sqlx::migrate!();

/// How long a statement waits for a reader that holds the database, for example one that copies it.
const BUSY_TIMEOUT: Duration = Duration::from_mins(1);

/// A database that this process owns, until the value is dropped.
#[derive(Debug)]
pub struct Store {
    pub(super) connection: SqliteConnection,
    pub(super) path: PathBuf,
    _lock: Lock,
}

impl Store {
    /// Opens the database at `path` as its one owner; creates it, and its folder, when it does not exist.
    ///
    /// What survives: in WAL mode with `synchronous=FULL` a transaction is on the disk when its commit returns. So neither the end of
    /// the process at any moment nor a loss of power loses a claim that was sent or an outcome that was shown. `NORMAL` would survive
    /// the process but not the power: commands could have been sent of which the database knows nothing. `FULL` costs one flush for
    /// each commit, and since commits are made for groups of requests, no throughput that could be measured.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        create_private(path)?;
        // Whatever link it was reached by, so that no two owners take different locks.
        let path = &path.canonicalize().map_err(|source| StoreError::File {
            action: "open",
            path: path.to_owned(),
            source,
        })?;
        let lock = Lock::take(path)?;
        let opened = |error: &dyn std::fmt::Display| StoreError::Open {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let mut connection = SqliteConnectOptions::new()
            .filename(path)
            // Takes effect in a new database alone. Without it, what `prune` deletes stays in the file.
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            // In KiB. Work is in key order, so that a larger cache buys nothing.
            .pragma("cache_size", "-8192")
            // Large sorts go to files: memory must not grow with the manifest.
            .pragma("temp_store", "FILE")
            .statement_cache_capacity(200)
            .disable_statement_logging()
            .connect()
            .await
            .map_err(|error| opened(&error))?;
        MIGRATOR
            .run(&mut connection)
            .await
            .map_err(|error| match error {
                MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => opened(
                    &"it was made by a newer fleetpush; use that version, or give another database with --db",
                ),
                other => opened(&other),
            })?;
        let mut store = Self {
            connection,
            path: path.to_owned(),
            _lock: lock,
        };
        store.finish_pruning().await?;
        store.discard_staging().await?;
        Ok(store)
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Closes the database in order, which moves the write-ahead log into it.
    pub async fn close(self) -> Result<(), StoreError> {
        Ok(self.connection.close().await?)
    }

    /// Deletes what an interrupted staging left behind.
    pub(super) async fn discard_staging(&mut self) -> Result<(), StoreError> {
        let left: Vec<i64> = sqlx::query_scalar("SELECT id FROM run WHERE state = 'staging'")
            .fetch_all(&mut self.connection)
            .await?;
        if left.is_empty() {
            return Ok(());
        }
        // Checking that no row refers to a deleted one would search whole tables, and nothing can refer to a run that never began.
        sqlx::query("PRAGMA foreign_keys = OFF")
            .execute(&mut self.connection)
            .await?;
        for run in left {
            let mut transaction = self.connection.begin_with("BEGIN IMMEDIATE").await?;
            for statement in [
                "DELETE FROM outcome WHERE task_id >= (SELECT first_task FROM run WHERE id = ?)",
                "DELETE FROM follower WHERE previous_id >= (SELECT first_task FROM run WHERE id = ?)",
                "DELETE FROM task WHERE id >= (SELECT first_task FROM run WHERE id = ?)",
                "DELETE FROM device_task WHERE run_id = ?",
                "DELETE FROM payload WHERE run_id = ?",
                "DELETE FROM tally WHERE run_id = ?",
                "DELETE FROM run WHERE id = ?",
            ] {
                sqlx::query(statement)
                    .bind(run)
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await?;
        }
        sqlx::query("PRAGMA foreign_keys = ON")
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }
}

/// Creates the file for its owner's eyes alone, since payloads may be confidential; SQLite gives its other files the same mode.
fn create_private(path: &Path) -> Result<(), StoreError> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder).map_err(|source| StoreError::File {
            action: "create the folder",
            path: folder.to_owned(),
            source,
        })?;
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(path)
        .map(drop)
        .map_err(|source| StoreError::File {
            action: "open",
            path: path.to_owned(),
            source,
        })
}
