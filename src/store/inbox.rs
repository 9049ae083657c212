//! The inbox: the platform's messages, in an SQLite file of their own beside the results database.
//!
//! It is separate because the results database has one owner, and messages arrive while a push owns it. One listener at a time writes,
//! through an [`Inbox`]. Any number of [`InboxReader`]s can read at any time. Messages about commands are stored by ticket, even if the
//! ticket is not known yet, because a reply can arrive after its message. Of a device's connection only the last change is stored, and of
//! all other messages only a count.

mod beside;
mod read;
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
use super::StoreError;

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
        "another process ({owner}) already listens and has the inbox {path}; end it first, or give another database with --db",
        path = path.display()
    )]
    Owned {
        /// The inbox.
        path: PathBuf,
        /// What the other process says of itself.
        owner: String,
    },
    /// It cannot be opened as an inbox of ours.
    #[error("cannot open the inbox {path}: {reason}", path = path.display())]
    Open {
        /// The inbox.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Nobody has listened yet.
    #[error("no inbox at {path}; fleetpush listen creates it", path = .0.display())]
    Missing(PathBuf),
    /// A file of it cannot be used.
    #[error(transparent)]
    File(#[from] StoreError),
    /// A statement failed.
    #[error("the inbox failed")]
    Sql(#[from] sqlx::Error),
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
        path: path.to_owned(),
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
