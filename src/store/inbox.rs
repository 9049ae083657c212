//! The inbox: the platform's messages, in an SQLite file of their own beside the results database, or in tables of a server.
//!
//! The file is separate because the results database has one owner, and messages arrive while a push owns it. One listener at a time writes,
//! through an [`Inbox`]. Any number of [`InboxReader`]s can read at any time. Messages about commands are stored by ticket, even if the
//! ticket is not known yet, because a reply can arrive after its message. Of a device's connection only the last change is stored, and of
//! all other messages only a count.

mod beside;
mod read;
mod server;
mod since;
#[cfg(test)]
mod tests;
mod write;

use std::path::{Path, PathBuf};

use super::db::DbConnection;

pub(super) use self::read::Since;
pub(crate) use self::{
    beside::InboxBeside,
    read::{
        DevicePresence, InboxMessage, InboxPlace, InboxReader, MOST_OF_DEVICE, MessageDevice,
        TicketMessage,
    },
    write::Inbox,
};
use super::{
    StoreError,
    postgres::{ServerError, has_ended},
};

/// `PRAGMA application_id` of an inbox: 'FLIN'.
const APPLICATION_ID: i64 = 0x464c_494e;

/// What brings a file from each schema to the next. Only ever appended to: `PRAGMA user_version` says how many have been applied.
const SCHEMAS: [&str; 2] = [
    include_str!("inbox/schema_1.sql"),
    include_str!("inbox/schema_2.sql"),
];

#[derive(Debug, thiserror::Error)]
pub(crate) enum InboxError {
    /// Another listener has it.
    #[error(
        "another process ({owner}) already listens and has the inbox {inbox}; end it first, or give another database with --db"
    )]
    Owned {
        /// The inbox.
        inbox: String,
        /// What the other process says of itself.
        owner: String,
    },
    /// It cannot be opened as an inbox of ours.
    #[error("cannot open the inbox {inbox}: {reason}")]
    Open {
        /// The inbox.
        inbox: String,
        /// Why not.
        reason: String,
    },
    /// It contradicts itself.
    #[error("the inbox is damaged: {0}")]
    Damaged(String),
    /// Nobody has listened yet.
    #[error("no inbox at {0}; fleetpush listen creates it")]
    Missing(String),
    /// The lease of the listener on the inbox of a server has ended.
    #[error(
        "this process no longer has the inbox: its lease has ended, since the process or its connection stood still, and another one may \
         listen now; what it has not recorded is not acknowledged, and will be delivered again: listen again"
    )]
    Fenced,
    /// A server cannot be used.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A file of it cannot be used.
    #[error(transparent)]
    File(#[from] StoreError),
    /// A statement failed.
    #[error("the inbox failed")]
    Sql(#[source] sqlx::Error),
}

impl From<sqlx::Error> for InboxError {
    fn from(error: sqlx::Error) -> Self {
        if has_ended(&error) {
            Self::Fenced
        } else {
            Self::Sql(error)
        }
    }
}

/// The inbox of a results database.
pub(crate) fn inbox_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".inbox");
    path.into()
}

/// Whose file it is, and how many schemas have been applied to it.
async fn version(connection: &mut DbConnection, path: &Path) -> Result<usize, InboxError> {
    let id: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *connection)
        .await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *connection)
        .await?;
    let objects: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")
            .fetch_one(connection)
            .await?;
    let opened = |reason: &str| InboxError::Open {
        inbox: path.display().to_string(),
        reason: reason.to_owned(),
    };
    if id != APPLICATION_ID && (id != 0 || objects > 0) {
        return Err(opened(
            "it is no inbox of fleetpush, and has been left as it is; move it away, or give another database with --db",
        ));
    }
    match usize::try_from(version) {
        Ok(version) if version <= SCHEMAS.len() => Ok(version),
        _ => Err(opened("it was made by a newer fleetpush; use that version")),
    }
}
