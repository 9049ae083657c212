//! The leases by which one process owns parts of a database on a server: the whole while it decides what to do, and then the run that it
//! pushes.
//!
//! The server's clock decides: [`DbConnection::commit`](crate::store::db::DbConnection::commit) looks at the leases in each transaction.
//! This process reckons with an earlier end, by a clock of its own that runs on while the machine is suspended. A task prolongs the leases
//! over a connection of its own, so that a long transaction does not let them end.

mod keeper;
mod rows;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::task::JoinHandle;

use self::{
    keeper::{keep, look_for_sharers},
    rows::{begin, end, taken},
};
use super::{ServerError, ServerStore};
use crate::{
    clock::{Permission, TEST_LEASE, since_boot},
    model::{PartNumber, RunId},
};

/// How long a lease lasts from each time it is prolonged: how long a standby waits at most for a machine that has died.
const LASTS: Duration = Duration::from_secs(30);

/// The times of a lease.
#[derive(Debug, Clone, Copy)]
struct Terms {
    lasts: Duration,
}

impl Terms {
    fn usual() -> Self {
        let told = std::env::var(TEST_LEASE).ok();
        let told = told
            .and_then(|ms| ms.parse().ok())
            .map(Duration::from_millis);
        Self {
            lasts: told.unwrap_or(LASTS),
        }
    }

    /// How often it is prolonged.
    fn pause(self) -> Duration {
        self.lasts / 6
    }

    /// When it ends if it is prolonged by a question that is asked at this moment, as its holder reckons: before the server does, for clocks
    /// that do not run alike, and for the way of a request to the network.
    fn end(self, asked_at: Duration) -> Duration {
        asked_at + self.pause() * 5
    }

    /// How long the holder waits for an answer. The leases live on meanwhile, for they are prolonged over a connection of their own; longer than a
    /// statement may take that waits for the disk of a server, or for another one.
    fn patience(self) -> Duration {
        self.lasts * 4
    }

    fn lasts_ms(self) -> i64 {
        self.lasts.as_millis() as i64
    }
}

/// How long the end of a process waits for a server to take a lease back.
const PATIENCE: Duration = Duration::from_secs(2);
/// The code of the error that says that a lease has ended (`functions.sql`).
pub(in crate::store) const ENDED: &str = "FP001";

/// What a lease is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Purpose {
    /// What concerns no run alone, such as staging one.
    Database,
    /// What is sent and written of a run.
    Run(RunId),
    /// What is sent and written of a part of a run.
    Part(RunId, PartNumber),
    /// The platform's messages.
    Inbox,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database => f.write_str("database"),
            Self::Run(run) => write!(f, "run {}", run.0),
            Self::Part(run, part) => write!(f, "run {} part {}", run.0, part.0),
            Self::Inbox => f.write_str("inbox"),
        }
    }
}

/// The leases that this process has taken.
#[derive(Debug)]
pub(in crate::store) struct Lease {
    /// Their epoch.
    mark: i64,
    terms: Terms,
    holder: String,
    held: Held,
    sharers: Sharers,
    permission: Permission,
    /// How long ago the lease ended that came before the last one of these.
    free_for: Duration,
    keeper: JoinHandle<()>,
    /// By which they are given back when nobody has done that.
    options: Option<PgConnectOptions>,
}

/// The processes that push to the platform of a run with the same account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sharing {
    /// How many there are, this one included.
    pub(crate) pushes: usize,
    /// Whether this one finds for all of them what the platform takes. It is the one that has begun first.
    pub(crate) finds: bool,
}

impl Sharing {
    /// Nobody else does.
    pub(crate) const ALONE: Self = Self {
        pushes: 1,
        finds: true,
    };

    /// As so many leases of runs tell, of which the first has this epoch.
    pub(in crate::store) fn of(leases: i64, first: Option<i64>, mark: i64) -> Self {
        Self {
            pushes: usize::try_from(leases).unwrap_or(1).max(1),
            finds: first.is_none_or(|first| first == mark),
        }
    }
}

/// Who they are, as of the last look.
#[derive(Debug, Clone)]
struct Sharers(Arc<Mutex<Sharing>>);

impl Default for Sharers {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Sharing::ALONE)))
    }
}

impl Sharers {
    fn get(&self) -> Sharing {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, sharing: Sharing) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = sharing;
    }
}

/// What is held, for the task that prolongs it too.
#[derive(Debug, Clone, Default)]
struct Held(Arc<Mutex<Vec<Purpose>>>);

impl Held {
    fn all(&self) -> Vec<Purpose> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Purpose>)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn names(&self) -> Vec<String> {
        self.all().iter().map(ToString::to_string).collect()
    }
}

impl Drop for Lease {
    /// A command that ends early must not keep the next one waiting until the lease has ended.
    fn drop(&mut self) {
        self.keeper.abort();
        self.permission.end_at(Duration::ZERO);
        let (Some(options), names, mark) = (self.options.take(), self.held.names(), self.mark)
        else {
            return;
        };
        // Not on the runtime of this thread, which may be the one that is at work, or about to end.
        let given_back = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .ok()?;
            runtime.block_on(async {
                tokio::time::timeout(PATIENCE, async {
                    let mut connection = PgConnection::connect_with(&options).await.ok()?;
                    end(&mut connection, &names, mark, false).await.ok()
                })
                .await
                .ok()?
            })
        });
        // If it was not, it ends by itself.
        let _ = given_back.join();
    }
}

impl Lease {
    /// Takes a lease for the transactions of the server's connection; gives what its holder says of itself if somebody has it.
    pub(in crate::store) async fn take(
        server: &mut ServerStore,
        purpose: Purpose,
        holder: &str,
    ) -> Result<Result<Self, String>, ServerError> {
        let terms = Terms::usual();
        let asked_at = since_boot();
        let (mark, taken) = match begin(&mut server.connection, purpose, holder, terms).await {
            Ok(begun) => begun,
            Err(error) => return Err(server.failure(error)),
        };
        let free_for = match taken {
            Ok(free_for) => free_for,
            Err(holder) => return Ok(Err(holder)),
        };
        let permission = Permission::until(terms.end(asked_at));
        let (held, sharers) = (Held::default(), Sharers::default());
        held.change(|held| held.push(purpose));
        let keeper = tokio::spawn(keep(
            server.options.clone(),
            mark,
            held.clone(),
            sharers.clone(),
            terms,
            permission.clone(),
        ));
        Ok(Ok(Self {
            mark,
            terms,
            holder: holder.to_owned(),
            held,
            sharers,
            permission,
            free_for,
            keeper,
            options: Some(server.options.clone()),
        }))
    }

    /// Takes another one besides; gives what its holder says of itself if somebody has it.
    pub(in crate::store) async fn add(
        &mut self,
        connection: &mut PgConnection,
        purpose: Purpose,
    ) -> Result<Result<(), String>, sqlx::Error> {
        if self.held.all().contains(&purpose) {
            return Ok(Ok(()));
        }
        let taken = taken(connection, purpose, self.mark, &self.holder, self.terms).await?;
        Ok(taken.map(|free_for| {
            self.free_for = free_for;
            self.held.change(|held| held.push(purpose));
        }))
    }

    /// Gives the lease of the database back and keeps those of runs, of which there must be one.
    pub(in crate::store) async fn keep_to_runs(
        &mut self,
        connection: &mut PgConnection,
    ) -> Result<(), sqlx::Error> {
        self.let_go(connection, Purpose::Database).await
    }

    /// Gives one back.
    pub(in crate::store) async fn let_go(
        &mut self,
        connection: &mut PgConnection,
        purpose: Purpose,
    ) -> Result<(), sqlx::Error> {
        let name = purpose.to_string();
        // No transaction looks at it any more, and only then somebody else may take it.
        self.held
            .change(|held| held.retain(|held| *held != purpose));
        sqlx::query("DELETE FROM pg_temp.held_lease WHERE name = $1")
            .bind(&name)
            .execute(&mut *connection)
            .await?;
        end(connection, &[name], self.mark, true).await
    }

    /// Whether that of a run or of a part of it is among them.
    pub(in crate::store) fn has(&self, run: RunId) -> bool {
        self.held
            .all()
            .iter()
            .any(|held| matches!(held, Purpose::Run(of) | Purpose::Part(of, _) if *of == run))
    }

    /// Looks who pushes to the platform of this one's run with the same account.
    pub(in crate::store) async fn look_for_sharers(
        &self,
        connection: &mut PgConnection,
    ) -> Result<(), sqlx::Error> {
        look_for_sharers(connection, self.mark, &self.held, &self.sharers).await
    }

    /// Who did when that was looked for last.
    pub(in crate::store) fn sharing(&self) -> Sharing {
        self.sharers.get()
    }

    /// Whether they may be relied on.
    pub(in crate::store) fn permission(&self) -> &Permission {
        &self.permission
    }

    /// How long an answer of the connection is waited for that they are for.
    pub(in crate::store) fn patience(&self) -> Duration {
        self.terms.patience()
    }

    /// How long ago the lease ended that came before the last one of these.
    pub(in crate::store) fn free_for(&self) -> Duration {
        self.free_for
    }

    /// Gives them back, so that nobody has to wait for their end.
    pub(in crate::store) async fn give_back(
        mut self,
        connection: &mut PgConnection,
    ) -> Result<(), sqlx::Error> {
        self.keeper.abort();
        self.permission.end_at(Duration::ZERO);
        self.options = None;
        end(connection, &self.held.names(), self.mark, true).await
    }
}

/// Whether an error says that a lease has ended.
pub(in crate::store) fn has_ended(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == ENDED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_holder_lets_it_go_before_it_ends() {
        let terms = Terms { lasts: LASTS };
        let asked_at = Duration::from_secs(1_000);
        assert_eq!(terms.end(asked_at), Duration::from_secs(1_025));
        assert_eq!(terms.pause(), Duration::from_secs(5));
        assert!(terms.end(asked_at) < asked_at + LASTS);
    }
}
