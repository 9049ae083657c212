//! What this process may write: a file's owner everything, on a server the runs whose leases it has taken.

use super::{
    Owner, Run, Store, StoreError, accepted_range::in_no_accepted_range, db::DbConnection,
    home::Home, postgres::Purpose,
};
use crate::model::RunId;

/// Another run with devices of a run in it, which a process pushes at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InCommon {
    /// The other run.
    pub run: String,
    /// The process that pushes it.
    pub holder: Owner,
    /// How many devices have tasks in both that are pending.
    pub devices: u64,
    /// One of them.
    pub example: String,
}

const PUSHED: &str = "SELECT r.id, r.name, min(l.holder) FROM lease_of_run AS l JOIN run AS r ON r.id = l.run_id \
     WHERE l.ends_at > clock_timestamp() AND r.id <> ? AND r.base_url = ? GROUP BY r.id, r.name ORDER BY r.id";

macro_rules! is_pending {
    ($task:literal) => {
        concat!(
            "NOT EXISTS (SELECT 1 FROM outcome AS o WHERE o.task_id = ",
            $task,
            ") AND ",
            in_no_accepted_range!($task)
        )
    };
}

const COMMON: &str = concat!(
    "SELECT count(DISTINCT a.device_key), min(a.device_key) FROM device_task AS a \
     JOIN device_task AS b ON b.run_id = ?2 AND b.device_key = a.device_key \
     WHERE a.run_id = ?1 AND ",
    is_pending!("a.task_id"),
    " AND ",
    is_pending!("b.task_id")
);

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
        if let (Home::Server(server), DbConnection::Postgres(connection, _)) =
            (&mut self.home, &mut self.connection)
        {
            let taken = server.lease.add(connection, purpose(run)).await?;
            if let Err(holder) = taken {
                return Err(StoreError::RunHeld {
                    run: run.about.name.clone(),
                    holder: Owner(holder),
                });
            }
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

    /// Counts how many pushes send to the platform of this process's run with the same account, now that the account is known.
    pub(crate) async fn count_sharers(&mut self) -> Result<(), StoreError> {
        if let (Home::Server(server), DbConnection::Postgres(connection, _)) =
            (&mut self.home, &mut self.connection)
        {
            server.lease.count_sharers(connection).await?;
        }
        Ok(())
    }

    /// How many there are, this one included, as of some seconds ago.
    pub(crate) fn sharers(&self) -> usize {
        match &self.home {
            Home::File(_) => 1,
            Home::Server(server) => server.lease.sharers(),
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

    /// A run to the same platform that another process pushes, if a device waits for commands of both. One device must not have two commands in
    /// flight.
    pub(crate) async fn in_common(&mut self, run: &Run) -> Result<Option<InCommon>, StoreError> {
        if !self.is_on_server() {
            return Ok(None);
        }
        let pushed: Vec<(i64, String, String)> = sqlx::query_as(PUSHED)
            .bind(run.id.0)
            .bind(&run.about.base_url)
            .fetch_all(&mut self.connection)
            .await?;
        for (other, name, holder) in pushed {
            let (devices, example): (i64, Option<String>) = sqlx::query_as(COMMON)
                .bind(run.id.0)
                .bind(other)
                .fetch_one(&mut self.connection)
                .await?;
            if let Some(example) = example {
                return Ok(Some(InCommon {
                    run: name,
                    holder: Owner(holder),
                    devices: devices.unsigned_abs(),
                    example,
                }));
            }
        }
        Ok(None)
    }
}
