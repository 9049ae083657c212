//! Whether a file is a results database of fleetpush. This is checked before SQLite may write, so that another program's file does not
//! change.

use std::{
    io,
    path::{Path, PathBuf},
};

use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{StoreError, lock::Lock, schema::MIGRATOR};

/// `PRAGMA application_id` of our databases: 'FLTP'. Those of the first versions have none.
const APPLICATION_ID: i64 = 0x464c_5450;

/// What a SQLite file begins with.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Less than one page after the header of a write-ahead log: nothing that was ever committed.
const EMPTY_LOG: u64 = 32;

/// What stands at the path of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    /// Nothing yet.
    New,
    /// A results database.
    Ours {
        /// The file says that what follows stands in the log, and there is no log.
        log_is_lost: bool,
    },
    /// Something else.
    Foreign,
}

/// Finds out what stands at the path. `head` is how the file begins.
pub(super) async fn identify(path: &Path, head: &[u8]) -> Result<Identity, StoreError> {
    let log = log_path(path);
    let has_log = has_log(&log)?;
    if head.is_empty() && has_log {
        return Err(StoreError::Open {
            path: path.to_owned(),
            reason: format!(
                "the file is missing or empty, and its write-ahead log {} is there: put the database back beside it, or remove the log \
                 too to begin anew, which sends everything again",
                log.display()
            ),
        });
    }
    if head.is_empty() {
        return Ok(Identity::New);
    }
    if !head.starts_with(MAGIC) {
        return Ok(Identity::Foreign);
    }
    // The file alone first: nothing is made beside it, and no log is played back.
    let alone = look(path, true, has_log).await;
    let found = match alone {
        Ok(found @ (Identity::Ours { .. } | Identity::Foreign)) => Ok(found),
        // Only the log knows, or what is in the log is needed to read the file.
        Ok(Identity::New) | Err(_) if has_log => look(path, false, has_log).await,
        other => other,
    };
    // A page that cannot be read is no proof: the migrations will tell.
    Ok(found.unwrap_or(Identity::Ours { log_is_lost: false }))
}

/// Whether the database that is open says that a log belongs to it, and there is none. A look that takes no lock: an owner may be at work.
pub(super) async fn has_lost_log(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<bool, sqlx::Error> {
    const NEEDS_LOG: &str = "SELECT coalesce(max(needs_log), 0) FROM owner";
    let needs_log: bool = sqlx::query_scalar(NEEDS_LOG)
        .fetch_one(&mut *connection)
        .await?;
    let has_log = || has_log(&log_path(path)).unwrap_or(true);
    if !needs_log || has_log() || Lock::was_left_in_a_seal(path) {
        return Ok(false);
    }
    // Between the looks an owner may have moved its log into the file.
    sqlx::query_scalar(NEEDS_LOG).fetch_one(connection).await
}

/// The write-ahead log of a database.
pub(super) fn log_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    path.into()
}

fn has_log(log: &Path) -> Result<bool, StoreError> {
    match std::fs::metadata(log) {
        Ok(file) => Ok(file.len() > EMPTY_LOG),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(StoreError::File {
            action: "look at",
            path: log.to_owned(),
            source,
        }),
    }
}

async fn look(path: &Path, alone: bool, has_log: bool) -> Result<Identity, sqlx::Error> {
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .immutable(alone)
        .connect()
        .await?;
    let found = read(&mut connection).await;
    connection.close().await?;
    let Some(needs_log) = found? else {
        return Ok(Identity::New);
    };
    Ok(match needs_log {
        Schema::Foreign => Identity::Foreign,
        Schema::Ours { needs_log } => Identity::Ours {
            log_is_lost: needs_log && !has_log,
        },
    })
}

/// What the tables say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Schema {
    Ours { needs_log: bool },
    Foreign,
}

/// Whose tables these are; `None` when there are none.
async fn read(connection: &mut SqliteConnection) -> Result<Option<Schema>, sqlx::Error> {
    let id: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *connection)
        .await?;
    let (objects, migrated, owner): (i64, bool, bool) = sqlx::query_as(
        "SELECT count(*), coalesce(max(name = '_sqlx_migrations' AND type = 'table'), 0), \
         coalesce(max(name = 'owner' AND type = 'table'), 0) FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'",
    )
    .fetch_one(&mut *connection)
    .await?;
    if objects == 0 && id == 0 {
        return Ok(None);
    }
    let ours = id == APPLICATION_ID || (id == 0 && migrated && has_our_history(connection).await?);
    if !ours {
        return Ok(Some(Schema::Foreign));
    }
    let needs_log = owner
        && sqlx::query_scalar("SELECT coalesce(max(needs_log), 0) FROM owner")
            .fetch_one(&mut *connection)
            .await?;
    Ok(Some(Schema::Ours { needs_log }))
}

/// Whether what was applied to the schema began with our first migration, or has not begun.
async fn has_our_history(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let first: Option<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations ORDER BY version LIMIT 1")
            .fetch_optional(&mut *connection)
            .await?;
    let Some((version, checksum)) = first else {
        // Killed after the table of migrations was made: then there is nothing else.
        let others: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' AND name <> '_sqlx_migrations'",
        )
        .fetch_one(connection)
        .await?;
        return Ok(others == 0);
    };
    Ok(MIGRATOR
        .iter()
        .any(|ours| ours.version == version && *ours.checksum == *checksum))
}
