//! A database that this process owns, and the connection to it.

use std::{
    cmp::Ordering,
    fs::{File, OpenOptions},
    path::Path,
    sync::Arc,
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, SqliteConnection,
    query::Query,
    sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::{
    StoreError,
    db::{Affected, Arguments, Db, DbConnection},
    home::{Canceller, Home},
    inbox::InboxBeside,
    lock::Inode,
    owner::BEGIN,
    place,
    reader::{ReadError, Reader},
    session::Present,
    temporary,
};
use crate::{
    budget::Budget,
    clock::Permission,
    model::{Consent, Tags},
};

/// Steps of SQLite's virtual machine between two looks at whether to stop: about a millisecond.
const STEPS: i32 = 20_000;

/// How long a statement waits for a reader that holds the database, for example one that copies it.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_mins(1);

/// A database that this process owns, until the value is dropped.
#[derive(Debug)]
pub(crate) struct Store {
    pub(super) connection: DbConnection,
    pub(super) home: Home,
    pub(super) session: Present,
    /// The tags of the run that is meant when none is named.
    pub(super) scope: Tags,
    /// The platform's messages, beside the database.
    pub(super) messages: InboxBeside,
    /// What the memory of a push is taken from.
    pub(super) budget: Budget,
}

impl Store {
    /// Has the latest run be the latest with these tags.
    #[must_use]
    pub(crate) fn scoped(mut self, tags: &Tags) -> Self {
        self.scope = tags.clone();
        self
    }

    /// The tags of the run that is meant when none is named.
    pub(crate) fn scope(&self) -> &Tags {
        &self.scope
    }

    /// Whether the database was made by opening it.
    pub(crate) fn is_new(&self) -> bool {
        self.home.file().is_some_and(|file| file.is_new)
    }

    /// Whether the log of the last owner was missing, and somebody has agreed to go on without it.
    pub(crate) fn has_lost_log(&self) -> bool {
        self.home.file().is_some_and(|file| file.lost_log)
    }

    /// What the memory of a push with this database is taken from.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The database file, if it is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.home.path()
    }

    /// Whether it is on a server.
    pub(crate) fn is_on_server(&self) -> bool {
        self.home.file().is_none()
    }

    /// The database, for people.
    pub(crate) fn shown(&self) -> String {
        match &self.home {
            Home::File(file) => file.path.display().to_string(),
            Home::Server(server) => server.access.address.to_string(),
        }
    }

    /// Another connection to it, which only reads.
    pub(crate) async fn reader(&self) -> Result<Reader, ReadError> {
        match &self.home {
            Home::File(file) => Reader::open(&file.path).await,
            Home::Server(server) => Reader::on_server(server.access.connect().await?).await,
        }
    }

    /// How long ago the process that owned it before could last rely on that: of a file its end, which has been, is the end of its requests.
    pub(crate) fn free_for(&self) -> Option<Duration> {
        match &self.home {
            Home::File(_) => None,
            Home::Server(server) => Some(server.lease.free_for()),
        }
    }

    /// Whether a request may leave that is claimed here: always for a file, whose lock ends with the process.
    pub(crate) fn permission(&self) -> Permission {
        match &self.home {
            Home::File(_) => Permission::unlimited(),
            Home::Server(server) => server.lease.permission().clone(),
        }
    }

    /// How long an answer of it is waited for before the connection counts as lost; a file answers when whoever locks it has ended.
    pub(crate) fn patience(&self) -> Option<Duration> {
        match &self.home {
            Home::File(_) => None,
            Home::Server(server) => Some(server.lease.patience()),
        }
    }

    /// Has every statement fail as soon as `asked` says so, until [`let_finish`](Self::let_finish): one may work for a minute.
    pub(super) async fn interrupt_when(
        &mut self,
        asked: impl Fn() -> bool + Send + 'static,
    ) -> Result<(), StoreError> {
        match &mut self.home {
            Home::File(_) => {
                let mut handle = self.connection.sqlite()?.lock_handle().await?;
                handle.set_progress_handler(STEPS, move || !asked());
            }
            Home::Server(server) => {
                let backend = sqlx::query_scalar("SELECT pg_backend_pid()::bigint")
                    .fetch_one(&mut self.connection)
                    .await?;
                let access = server.access.clone();
                server.canceller = Some(Canceller::watch(access, backend, asked));
            }
        }
        Ok(())
    }

    /// Lets statements finish, whatever is asked.
    pub(super) async fn let_finish(&mut self) -> Result<(), StoreError> {
        match &mut self.home {
            Home::File(_) => self
                .connection
                .sqlite()?
                .lock_handle()
                .await?
                .remove_progress_handler(),
            Home::Server(server) => server.canceller = None,
        }
        Ok(())
    }

    /// Closes the database in order: the write-ahead log of a file is moved into it, a lease is given back.
    pub(crate) async fn close(self) -> Result<(), StoreError> {
        self.home.leave(self.connection).await
    }

    /// Executes one statement that changes something, in a transaction of its own.
    pub(super) async fn execute(
        &mut self,
        statement: Query<'_, Db, Arguments>,
    ) -> Result<Affected, StoreError> {
        let mut transaction = self.connection.begin_with(BEGIN).await?;
        let done = statement.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(done)
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
        self.check_foreign_keys(false).await?;
        for run in left {
            let mut transaction = self.connection.begin_with(BEGIN).await?;
            for statement in [
                "DELETE FROM outcome WHERE task_id >= (SELECT first_task FROM run WHERE id = ?)",
                "DELETE FROM follower WHERE previous_id >= (SELECT first_task FROM run WHERE id = ?)",
                "DELETE FROM task WHERE id >= (SELECT first_task FROM run WHERE id = ?)",
                "DELETE FROM device_task WHERE run_id = ?",
                "DELETE FROM called_service WHERE payload_id IN (SELECT id FROM payload WHERE run_id = ?)",
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
        self.check_foreign_keys(true).await
    }

    /// Has a file look at each row that refers to another one, or no longer. On a server none refers.
    pub(super) async fn check_foreign_keys(&mut self, check: bool) -> Result<(), StoreError> {
        if let DbConnection::Sqlite(connection) = &mut self.connection {
            let check = if check { "ON" } else { "OFF" };
            sqlx::raw_sql(AssertSqlSafe(format!("PRAGMA foreign_keys = {check}")))
                .execute(connection)
                .await?;
        }
        Ok(())
    }
}

/// Opens the connection, which keeps the file's lock until it has closed the file.
pub(super) async fn connect(path: &Path, inode: Inode) -> Result<SqliteConnection, sqlx::Error> {
    let inode = Arc::new(inode);
    let mut options = SqliteConnectOptions::new();
    if let Some(folder) = temporary::folder(path) {
        let folder = folder.to_string_lossy().replace('\'', "''");
        options = options.pragma("temp_store_directory", format!("'{folder}'"));
    }
    options
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
        // Nothing is ever sorted by it. SQLite gives a collation up after it has closed the file, also where the connection is closed in
        // the background: the one moment at which the lock may go.
        .collation("lock_of_the_inode", move |_, _| {
            let _: &Inode = &inode;
            Ordering::Equal
        })
        .connect()
        .await
}

pub(super) fn create_folder(path: &Path, consent: Consent) -> Result<(), StoreError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(|source| StoreError::File {
        action: "create the folder",
        path: folder.to_owned(),
        source,
    })?;
    let Ok(folder) = folder.canonicalize() else {
        return Ok(());
    };
    // Before a file is made there.
    if !path.exists()
        && let Some(reason) = place::network_folder(&folder, consent.network_filesystem)
    {
        return Err(StoreError::Open {
            path: path.to_owned(),
            reason,
        });
    }
    Ok(())
}

/// Opens the file, and makes it for its owner's eyes alone, since payloads may be confidential; SQLite gives its other files the same mode.
pub(super) fn open_private(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|source| StoreError::File {
        action: "open",
        path: path.to_owned(),
        source,
    })
}
