//! Errors of the results database.

use std::{fmt, io, path::PathBuf, time::Duration};

use super::postgres::{ServerError, has_ended};
use crate::model::{ControlAction, ServerAddress};

/// The constraint that fails when the mark in the database is another owner's.
const ANOTHER_OWNER: &str = "another_owner";

/// What an owner says of itself; for information only, since only the lock decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner(pub(super) String);

impl Owner {
    /// The number of its process, on its own machine.
    pub fn pid(&self) -> Option<u32> {
        self.0.strip_prefix("pid ")?.split(' ').next()?.parse().ok()
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is no longer where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The database: deleted, or another file is in its place.
    Database,
    /// Its write-ahead log.
    Log,
    /// The lease on one that is on a server: it was not prolonged.
    Lease,
}

/// An error of the results database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process owns the database.
    #[error(
        "the database {path} is owned by another process ({owner}); wait until it ends, or give another database with --db",
        path = path.display()
    )]
    Owned {
        /// The database.
        path: PathBuf,
        /// What the owner wrote about itself.
        owner: Owner,
    },
    /// Another process holds the lease of a database on a server.
    #[error(
        "the database {address} is owned by another process ({holder}); wait until it ends: one that has died loses it after half a minute"
    )]
    Leased {
        /// The database.
        address: ServerAddress,
        /// What the holder wrote about itself.
        holder: Owner,
    },
    /// Another process holds the lease of a run.
    #[error(
        "run '{run}' is under way: another process ({holder}) pushes it; this start has changed nothing and sent nothing: wait until the other \
         one ends (one that has died loses the run after half a minute)"
    )]
    RunHeld {
        /// The run.
        run: String,
        /// What the holder wrote about itself.
        holder: Owner,
    },
    /// The lease of this process on a database on a server has ended.
    #[error(
        "this process no longer owns the results database: its lease has ended, since the process or its connection stood still, and \
         another one may have taken it over; nothing more was sent or written, and what was in flight is in doubt: start the same command again"
    )]
    Fenced,
    /// The connection to a server has not answered for long, though another one does.
    #[error("the connection to the results database is silent")]
    Silent,
    /// A database on a server cannot be opened.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The file or its folder cannot be created, opened or locked.
    #[error("cannot {action} {path}", path = path.display())]
    File {
        /// What was tried: `create`, `lock`, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A request to the owner cannot be left beside the database.
    #[error(
        "cannot write {path}, which asks the push to {action}; run the command as the user who owns the push (sudo -u USER), or as one \
         who may write into the folder",
        path = path.display(), action = action.name()
    )]
    Control {
        /// The file.
        path: PathBuf,
        /// What it would have asked.
        action: ControlAction,
        /// Why not.
        source: io::Error,
    },
    /// The database cannot be opened as one of ours.
    #[error("cannot open the database {path}: {reason}", path = path.display())]
    Open {
        /// The database.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// Bringing the schema up to date takes too long to be done by the way.
    #[error(
        "the database {path} has schema {from} of an older fleetpush; the migration to schema {to} takes about {seconds} s, too long for this command, so nothing was done",
        path = path.display(), seconds = takes.as_secs()
    )]
    HeavyMigration {
        /// The database.
        path: PathBuf,
        /// The schema that it has.
        from: i64,
        /// The schema that it is to have.
        to: i64,
        /// About how long that takes.
        takes: Duration,
    },
    /// The log of the last owner is missing.
    #[error(
        "the write-ahead log {log} of the database {path} is missing: the last results of the last push are only in it, and a push would send those commands again; put the log back beside the database, or restore both from a backup; to continue without it: --accept-lost-log",
        log = log.display(), path = path.display()
    )]
    LostLog {
        log: PathBuf,
        /// The database.
        path: PathBuf,
    },
    /// The mark in the database is another owner's.
    #[error(
        "another process has taken the results database over; this one has stopped sending and has written nothing more; find out which \
         one (fuser, lsof), then start the same command again"
    )]
    TakenOver,
    /// Another process holds a write transaction.
    #[error(
        "another process holds a write transaction on the results database for too long (fuser or lsof find it); requests in flight are in doubt at the next start; end that process, then start the same command again"
    )]
    Busy,
    /// The database or its log was taken away while it was open.
    #[error("the results database or its write-ahead log was deleted or replaced during a push")]
    Gone(Missing),
    /// A statement failed. Nothing of its transaction is in the database.
    #[error("the results database failed; remove the cause, then start the same command again")]
    Sql(#[source] sqlx::Error),
    /// The database contradicts itself.
    #[error("the results database is damaged: {0}")]
    Damaged(String),
    /// A run of this name exists already.
    #[error("a run of the name '{0}' exists already; choose another with --name")]
    NameTaken(String),
}

impl StoreError {
    /// Whether a server has gone, or this process has lost its hold on it, so that the same may be possible again when it is back.
    pub(crate) fn is_loss(&self) -> bool {
        match self {
            Self::Fenced | Self::Silent | Self::Gone(Missing::Lease) => true,
            Self::Sql(error) => is_cut(error),
            _ => false,
        }
    }
}

/// Whether an error says that a server has ended a connection, or takes none.
fn is_cut(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        // The classes 'connection exception' and 'operator intervention' of PostgreSQL's codes, and the end of one of two transactions that wait
        // for each other. Those of SQLite are numbers.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            code.len() == 5
                && (code.starts_with("08") || code.starts_with("57P") || code == "40P01")
        }),
        _ => false,
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let is_another_owner = error.as_database_error().is_some_and(|error| {
            error.is_check_violation() && error.message().contains(ANOTHER_OWNER)
        });
        // SQLite's result code SQLITE_BUSY, whatever it stands for in detail.
        let is_busy = error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .and_then(|code| code.parse::<i32>().ok())
            .is_some_and(|code| code & 0xff == 5);
        if has_ended(&error) {
            Self::Fenced
        } else if is_another_owner {
            Self::TakenOver
        } else if is_busy {
            Self::Busy
        } else {
            Self::Sql(error)
        }
    }
}
