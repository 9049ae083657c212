//! Where the database of a store is, and by what it is this process's own.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::Connection as _;
use tokio::task::JoinHandle;

use super::{
    StoreError,
    db::DbConnection,
    file_id::FileId,
    lock::Lock,
    postgres::{Lease, ServerAccess},
};
use crate::model::{PartNumber, RunId};

/// The database of a store.
#[derive(Debug)]
pub(super) enum Home {
    File(FileHome),
    Server(Box<ServerHome>),
}

/// A file, which is this process's by two locks.
#[derive(Debug)]
pub(super) struct FileHome {
    pub(super) path: PathBuf,
    pub(super) is_new: bool,
    pub(super) lost_log: bool,
    /// Which file the path led to when it was opened.
    pub(super) file: FileId,
    /// The log's file, once a push has begun.
    pub(super) log: Option<FileId>,
    pub(super) lock: Lock,
}

/// A database on a server, which is this process's by a lease.
#[derive(Debug)]
pub(super) struct ServerHome {
    pub(super) access: ServerAccess,
    pub(super) lease: Lease,
    /// Ends a statement that works for long, when that is asked for.
    pub(super) canceller: Option<Canceller>,
    /// The part of a run that the connection is bound to, if it is.
    pub(super) part: Option<PartNumber>,
    /// The run whose devices in common with others have been noted, or the part of it.
    pub(super) registered: Option<(RunId, Option<PartNumber>)>,
}

impl Home {
    /// The file, if it is one.
    pub(super) fn file(&self) -> Option<&FileHome> {
        match self {
            Self::File(file) => Some(file),
            Self::Server(_) => None,
        }
    }

    /// The file's path, if it is one.
    pub(super) fn path(&self) -> Option<&Path> {
        self.file().map(|file| &*file.path)
    }

    /// Leaves the database, whose connection this is, in order.
    pub(super) async fn leave(self, mut connection: DbConnection) -> Result<(), StoreError> {
        if let (Self::Server(server), DbConnection::Postgres(connection, _)) =
            (self, &mut connection)
        {
            server.lease.give_back(connection).await?;
        }
        Ok(connection.close().await?)
    }
}

/// A task that cancels the statement that a connection to a server executes, again and again, as soon as somebody asks for it.
#[derive(Debug)]
pub(super) struct Canceller(JoinHandle<()>);

impl Canceller {
    /// Watches over the connection whose backend has this number.
    pub(super) fn watch(
        access: ServerAccess,
        backend: i32,
        asked: impl Fn() -> bool + Send + 'static,
    ) -> Self {
        Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                if asked() {
                    // Without a connection the statement ends when it ends.
                    let _ = access.cancel(backend).await;
                }
            }
        }))
    }
}

impl Drop for Canceller {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How often to look whether somebody asks.
const LOOK: Duration = Duration::from_millis(20);
