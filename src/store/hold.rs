//! What this process may write: a file's owner everything, on a server the runs whose leases it has taken.

use super::{
    Owner, Run, Sharing, Store, StoreError, db::DbConnection, home::Home, postgres::Purpose,
};
use crate::model::RunId;

/// What is taken to push a run, or the part of it that this is.
fn purpose(run: &Run) -> Purpose {
    match run.part {
        Some(part) => Purpose::Part(run.id, part),
        None => Purpose::Run(run.id),
    }
}

impl Store {
    /// Makes a run, or the part of it that this is, this process's own, as long as the store is open. The owner of a file has them all.
    ///
    /// An error means that another process has it, or that the database failed.
    pub(crate) async fn hold_run(&mut self, run: &Run) -> Result<(), StoreError> {
        let (Home::Server(server), DbConnection::Postgres(connection, _)) =
            (&mut self.home, &mut self.connection)
        else {
            return Ok(());
        };
        let taken = server.lease.add(connection, purpose(run)).await?;
        if let Err(holder) = taken {
            return Err(StoreError::RunHeld {
                run: run.about.name.clone(),
                holder: Owner(holder),
            });
        }
        Ok(())
    }

    /// Lets go of a run with which this process has done.
    pub(crate) async fn release_run(&mut self, run: RunId) -> Result<(), StoreError> {
        if let (Home::Server(server), DbConnection::Postgres(connection, _)) =
            (&mut self.home, &mut self.connection)
        {
            server.lease.let_go(connection, Purpose::Run(run)).await?;
        }
        Ok(())
    }

    /// Looks who pushes to the platform of this process's run with the same account, now that the account is known.
    pub(crate) async fn look_for_sharers(&mut self) -> Result<(), StoreError> {
        if let (Home::Server(server), DbConnection::Postgres(connection, _)) =
            (&mut self.home, &mut self.connection)
        {
            server.lease.look_for_sharers(connection).await?;
        }
        Ok(())
    }

    /// Who did some seconds ago.
    pub(crate) fn sharing(&self) -> Sharing {
        match &self.home {
            Home::File(_) => Sharing::ALONE,
            Home::Server(server) => server.lease.sharing(),
        }
    }

    /// Lets other processes decide what they push, and keeps the runs that are this one's.
    pub(crate) async fn keep_to_runs(&mut self) -> Result<(), StoreError> {
        if let (Home::Server(server), DbConnection::Postgres(connection, _)) =
            (&mut self.home, &mut self.connection)
        {
            server.lease.keep_to_runs(connection).await?;
        }
        Ok(())
    }

    /// Whether this process may write what is of a run.
    pub(super) fn holds(&self, run: RunId) -> bool {
        match &self.home {
            Home::File(_) => true,
            Home::Server(server) => server.lease.has(run),
        }
    }
}
