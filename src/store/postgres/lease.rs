//! The leases by which one process owns a database on a server, and one its inbox.
//!
//! The server's clock decides: [`DbConnection::commit`](crate::store::db::DbConnection::commit) looks at the lease in each transaction.
//! This process reckons with an earlier end, by a clock of its own that runs on while the machine is suspended. A task prolongs the lease
//! over a connection of its own, so that a long transaction does not let it end.

use std::{fmt, time::Duration};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::task::JoinHandle;
use tracing::warn;

use super::{ServerError, ServerStore};
use crate::clock::{Permission, TEST_LEASE, since_boot};

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

    fn lasts_ms(self) -> i64 {
        self.lasts.as_millis() as i64
    }
}

/// How often somebody looks whose rows are locked by a commit, and how long in between.
const LOOKS: u32 = 50;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
/// How long the end of a process waits for a server to take a lease back.
const PATIENCE: Duration = Duration::from_secs(2);
/// The code of the error that says that a lease has ended (`functions.sql`).
pub(in crate::store) const ENDED: &str = "FP001";

/// What a lease is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Part {
    /// All that a push writes.
    Database,
    /// The platform's messages.
    Inbox,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Database => "database",
            Self::Inbox => "inbox",
        })
    }
}

/// A lease that this process has taken.
#[derive(Debug)]
pub(in crate::store) struct Lease {
    part: Part,
    mark: i64,
    permission: Permission,
    /// How long ago the lease before it ended.
    free_for: Duration,
    keeper: JoinHandle<()>,
    /// By which it is given back when nobody has done that.
    options: Option<PgConnectOptions>,
}

impl Drop for Lease {
    /// A command that ends early must not keep the next one waiting until the lease has ended.
    fn drop(&mut self) {
        self.keeper.abort();
        self.permission.end_at(Duration::ZERO);
        let (Some(options), part, mark) = (self.options.take(), self.part, self.mark) else {
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
                    end(&mut connection, part, mark, false).await.ok()
                })
                .await
                .ok()?
            })
        });
        // If it was not, it ends by itself.
        let _ = given_back.join();
    }
}

/// What the row of a lease says.
#[derive(Debug, sqlx::FromRow)]
struct LeaseRow {
    epoch: i64,
    holder: String,
    lives: bool,
    free_for_ms: i64,
    backend: Option<i32>,
    began_at_us: Option<i64>,
}

impl Lease {
    /// Takes a lease for the transactions of the server's connection; gives what its holder says of itself if somebody has it.
    pub(in crate::store) async fn take(
        server: &mut ServerStore,
        part: Part,
        holder: &str,
    ) -> Result<Result<Self, String>, ServerError> {
        let terms = Terms::usual();
        let asked_at = since_boot();
        let (mark, free_for_ms) = match taken(&mut server.connection, part, holder, terms).await {
            Ok(Ok(taken)) => taken,
            Ok(Err(holder)) => return Ok(Err(holder)),
            Err(error) => return Err(server.failure(error)),
        };
        // As `owner` does in a file.
        let this_owner = format!(
            "CREATE TEMP VIEW this_owner AS SELECT {mark}::bigint AS mark, '{part}'::text AS name, {}::bigint AS lasts_ms",
            terms.lasts_ms()
        );
        sqlx::raw_sql(AssertSqlSafe(this_owner))
            .execute(&mut server.connection)
            .await
            .map_err(|error| server.failure(error))?;
        let permission = Permission::until(terms.end(asked_at));
        let keeper = tokio::spawn(keep(
            server.options.clone(),
            part,
            mark,
            terms,
            permission.clone(),
        ));
        Ok(Ok(Self {
            part,
            mark,
            permission,
            free_for: Duration::from_millis(free_for_ms.unsigned_abs()),
            keeper,
            options: Some(server.options.clone()),
        }))
    }

    /// Whether it may be relied on.
    pub(in crate::store) fn permission(&self) -> &Permission {
        &self.permission
    }

    /// How long ago the lease before it ended.
    pub(in crate::store) fn free_for(&self) -> Duration {
        self.free_for
    }

    /// Gives it back, so that nobody has to wait for its end.
    pub(in crate::store) async fn give_back(
        mut self,
        connection: &mut PgConnection,
    ) -> Result<(), sqlx::Error> {
        self.keeper.abort();
        self.permission.end_at(Duration::ZERO);
        self.options = None;
        end(connection, self.part, self.mark, true).await
    }
}

/// Ends the lease of this epoch, if it has not been taken since. A connection that has nothing open any more closes by itself.
async fn end(
    connection: &mut PgConnection,
    part: Part,
    mark: i64,
    has_nothing_open: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE fleetpush.lease SET ends_at = least(ends_at, clock_timestamp()), holder = '', \
         backend = CASE WHEN $3 THEN NULL ELSE backend END WHERE name = $1 AND epoch = $2",
    )
    .bind(part.to_string())
    .bind(mark)
    .bind(has_nothing_open)
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes the lease when nobody holds it: its epoch, and how many milliseconds ago the last one ended; else who holds it.
async fn taken(
    connection: &mut PgConnection,
    part: Part,
    holder: &str,
    terms: Terms,
) -> Result<Result<(i64, i64), String>, sqlx::Error> {
    sqlx::query(
        "INSERT INTO fleetpush.lease (name, epoch, exchange, ends_at, holder) VALUES ($1, 0, 0, '2000-01-01Z', '') ON CONFLICT DO NOTHING",
    )
    .bind(part.to_string())
    .execute(&mut *connection)
    .await?;
    for _ in 0..LOOKS {
        let mut transaction = connection.begin().await?;
        // A row that is locked belongs to somebody who commits just now. To wait for it would be to wait for a push.
        let row: Option<LeaseRow> = sqlx::query_as(
            "SELECT epoch, holder, ends_at > clock_timestamp() AS lives, backend, \
             (extract(epoch FROM clock_timestamp() - ends_at) * 1000)::bigint AS free_for_ms, \
             (extract(epoch FROM began_at) * 1000000)::bigint AS began_at_us \
             FROM fleetpush.lease WHERE name = $1 FOR UPDATE SKIP LOCKED",
        )
        .bind(part.to_string())
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = row else {
            transaction.rollback().await?;
            tokio::time::sleep(BETWEEN_LOOKS).await;
            continue;
        };
        if row.lives {
            return Ok(Err(row.holder));
        }
        let mark = row.epoch + 1;
        sqlx::query(
            "UPDATE fleetpush.lease SET epoch = $2, exchange = 0, ends_at = clock_timestamp() + $3 * interval '1 millisecond', holder = $4, \
             backend = pg_backend_pid(), began_at = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()) \
             WHERE name = $1",
        )
        .bind(part.to_string())
        .bind(mark)
        .bind(terms.lasts_ms())
        .bind(holder)
        .execute(&mut *transaction)
        .await?;
        if part == Part::Database {
            // What a file's owner leaves as its mark.
            sqlx::query("INSERT INTO fleetpush.owner (id, mark) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET mark = excluded.mark")
                .bind(mark)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        end_backend(connection, &row).await;
        return Ok(Ok((mark, row.free_for_ms)));
    }
    let holder = sqlx::query_scalar("SELECT holder FROM fleetpush.lease WHERE name = $1")
        .bind(part.to_string())
        .fetch_one(connection)
        .await?;
    Ok(Err(holder))
}

/// Ends the connection of the holder before: it may stand in the middle of a transaction, whose rows would be waited for as long as its process
/// is frozen. It could not have committed any more.
async fn end_backend(connection: &mut PgConnection, before: &LeaseRow) {
    let ended = sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE pid = $1 AND (extract(epoch FROM backend_start) * 1000000)::bigint = $2 AND pid <> pg_backend_pid()",
    )
    .bind(before.backend)
    .bind(before.began_at_us)
    .execute(connection)
    .await;
    if let Err(error) = ended {
        warn!(
            "the connection of {} was not ended, and its last rows may have to be waited for: {error}",
            before.holder
        );
    }
}

/// Prolongs the lease again and again, until it has ended.
async fn keep(
    options: PgConnectOptions,
    part: Part,
    mark: i64,
    terms: Terms,
    permission: Permission,
) {
    let mut connection = None;
    loop {
        tokio::time::sleep(terms.pause()).await;
        let asked_at = since_boot();
        match tokio::time::timeout(
            terms.lasts,
            prolong(&options, &mut connection, part, mark, terms),
        )
        .await
        {
            Ok(Ok(())) => permission.end_at(terms.end(asked_at)),
            Ok(Err(error)) if has_ended(&error) => {
                permission.end_at(Duration::ZERO);
                return;
            }
            // The server is asked anew; what counts is the end that is known.
            Ok(Err(error)) => {
                warn!("the lease on the results database was not prolonged: {error}");
                connection = None;
            }
            Err(_) => connection = None,
        }
    }
}

async fn prolong(
    options: &PgConnectOptions,
    kept: &mut Option<PgConnection>,
    part: Part,
    mark: i64,
    terms: Terms,
) -> Result<(), sqlx::Error> {
    let connection = match kept {
        Some(connection) => connection,
        None => kept.insert(PgConnection::connect_with(options).await?),
    };
    sqlx::query("SELECT fleetpush.hold_lease($1, $2, $3, 0)")
        .bind(part.to_string())
        .bind(mark)
        .bind(terms.lasts_ms())
        .execute(connection)
        .await?;
    Ok(())
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
