//! Control requests: how another process asks the owner of a database to pause or to cancel a run.
//!
//! A request is a file beside a database that is a file (`file`), and a row of one that is on a server (`row`). The owner looks for it, notes
//! that it begins to act on it, and deletes it after the commit that records it. So the request outlives both processes. If the owner acts on
//! a pause while another process withdraws it, exactly one of them succeeds.

mod file;
mod row;

use std::{io, path::PathBuf};

use tokio::task::spawn_blocking;

use self::{file::ControlFiles, row::ControlRows};
use super::{Store, StoreError, home::Home, postgres::ServerError, postgres::ServerStore};
use crate::model::{Control, ControlAction, RunId, Timestamp};

/// The run that a request is for. A number alone could be that of another database, which has come to the same place since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ControlledRun {
    /// Its number.
    pub id: RunId,
    /// When it was staged.
    pub created_at: Timestamp,
}

/// A request that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ControlRequest {
    pub run: ControlledRun,
    /// Whether an owner has begun to act on it.
    pub begun: bool,
    /// What it asks.
    pub control: Control,
}

/// A file that is named like a request and is none, and why not.
type Unreadable = (PathBuf, io::Error);

/// The requests of a database.
#[derive(Debug, Default)]
pub(crate) struct FoundRequests {
    pub found: Vec<ControlRequest>,
    pub unreadable: Vec<Unreadable>,
}

/// What became of a request that somebody takes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TakenBack {
    /// There was none.
    Nothing,
    /// It is gone, and no owner has seen it.
    Taken,
    /// An owner obeys it already, or has died while it did.
    TooLate,
}

/// Why requests cannot be read or deleted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// The folder or a file.
    #[error(transparent)]
    File(#[from] io::Error),
    /// The server.
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// Where the requests of a database are.
#[derive(Debug)]
pub(crate) enum ControlRequests {
    Files(ControlFiles),
    Rows(Box<ControlRows>),
}

impl Store {
    /// The requests of the database.
    pub(crate) fn control_requests(&self) -> Result<ControlRequests, StoreError> {
        match &self.home {
            Home::File(file) => ControlRequests::beside(file.path.clone()),
            Home::Server(server) => {
                let rows = ControlRows::at(server.access.clone());
                Ok(ControlRequests::Rows(Box::new(rows)))
            }
        }
    }

    /// Whether there may be any: as a rule no second connection to a server has to be made for them.
    pub(crate) async fn may_be_controlled(&mut self) -> Result<bool, StoreError> {
        if self.path().is_some() {
            return Ok(true);
        }
        Ok(sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM control)")
            .fetch_one(&mut self.connection)
            .await?)
    }
}

impl ControlRequests {
    /// Those of a database in a file.
    pub(crate) fn beside(database: PathBuf) -> Result<Self, StoreError> {
        match ControlFiles::of(&database) {
            Ok(files) => Ok(Self::Files(files)),
            Err(source) => Err(StoreError::File {
                action: "find",
                path: database,
                source,
            }),
        }
    }

    /// Those of a database on a server.
    pub(crate) fn on_server(server: ServerStore) -> Self {
        Self::Rows(Box::new(ControlRows::over(server)))
    }

    /// How people name a request.
    pub(crate) fn shown(&self, request: &ControlRequest) -> String {
        match self {
            Self::Files(files) => {
                let path = files.path(request.control.action, request.run.id, request.begun);
                path.display().to_string()
            }
            Self::Rows(_) => "the request".to_owned(),
        }
    }

    /// Leaves a request, in place of an earlier one of the same kind.
    pub(crate) async fn ask(&mut self, request: &ControlRequest) -> Result<(), StoreError> {
        let ControlRequest { run, control, .. } = request;
        match self {
            Self::Files(files) => {
                let action = control.action;
                files
                    .ask(*run, control)
                    .map_err(|source| StoreError::Control {
                        path: files.path(action, run.id, false),
                        action,
                        source,
                    })
            }
            Self::Rows(rows) => Ok(rows.ask(*run, control).await?),
        }
    }

    /// The requests for this run, whatever has been done about them. What cannot be read as one is left out.
    pub(crate) async fn of_run(&mut self, run: RunId) -> Result<Vec<ControlRequest>, RequestError> {
        match self {
            Self::Files(files) => {
                let files = files.clone();
                // A folder that does not answer must not hold a push.
                let found = spawn_blocking(move || files.of_run(run)).await;
                Ok(found.map_err(io::Error::other)?)
            }
            Self::Rows(rows) => Ok(rows.of_run(run).await?),
        }
    }

    /// The requests for all runs.
    pub(crate) async fn all(&mut self) -> Result<FoundRequests, RequestError> {
        match self {
            Self::Files(files) => {
                let (found, unreadable) = files.all()?;
                Ok(FoundRequests { found, unreadable })
            }
            Self::Rows(rows) => Ok(FoundRequests {
                found: rows.all().await?,
                unreadable: Vec::new(),
            }),
        }
    }

    /// Notes that the owner begins to obey: from now on it cannot be taken back. Says whether it is still there: somebody may have taken it
    /// back meanwhile.
    pub(crate) async fn begin(&mut self, request: &ControlRequest) -> Result<bool, RequestError> {
        match self {
            Self::Files(files) => {
                let (files, request) = (files.clone(), request.clone());
                let begun = spawn_blocking(move || files.begin(&request)).await;
                Ok(begun.map_err(io::Error::other)?)
            }
            Self::Rows(rows) => Ok(rows.begin(&request.control).await?),
        }
    }

    /// Deletes every request of a run for this action: it has been obeyed, or has no meaning any more.
    pub(crate) async fn end(
        &mut self,
        action: ControlAction,
        run: RunId,
    ) -> Result<(), RequestError> {
        match self {
            Self::Files(files) => Ok(files.end(action, run)?),
            Self::Rows(rows) => Ok(rows.end(action, run).await?),
        }
    }

    /// Deletes this request.
    pub(crate) async fn delete(&mut self, request: &ControlRequest) -> Result<(), RequestError> {
        match self {
            Self::Files(files) => Ok(files.delete(request)?),
            Self::Rows(rows) => Ok(rows.delete(&request.control).await?),
        }
    }

    /// Takes a request back that no owner has begun to obey.
    pub(crate) async fn take_back(
        &mut self,
        action: ControlAction,
        run: RunId,
    ) -> Result<TakenBack, StoreError> {
        match self {
            Self::Files(files) => files
                .take_back(action, run)
                .map_err(|source| StoreError::File {
                    action: "take back",
                    path: files.path(action, run, false),
                    source,
                }),
            Self::Rows(rows) => Ok(rows.take_back(action, run).await?),
        }
    }

    /// Whether an owner obeys such a request just now, or has died while it did.
    pub(crate) async fn is_begun(
        &mut self,
        action: ControlAction,
        run: RunId,
    ) -> Result<bool, StoreError> {
        match self {
            Self::Files(files) => Ok(files.is_begun(action, run)),
            Self::Rows(rows) => Ok(rows.is_begun(action, run).await?),
        }
    }
}
