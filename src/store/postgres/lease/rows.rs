//! The row of a lease on the server: taken, and ended.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tracing::warn;

use super::{Purpose, Terms};
use crate::model::RunId;

/// How often somebody looks whose rows are locked by a commit, and how long in between.
const LOOKS: u32 = 50;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// What the row of a lease says.
#[derive(Debug, sqlx::FromRow)]
struct LeaseRow {
    holder: String,
    lives: bool,
    free_for_ms: i64,
    backend: Option<i32>,
    began_at_us: Option<i64>,
}

/// Ends the leases of this epoch, as far as they have not been taken since. A connection that has nothing open any more closes by itself.
pub(super) async fn end(
    connection: &mut PgConnection,
    names: &[String],
    mark: i64,
    has_nothing_open: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE fleetpush.lease SET ends_at = least(ends_at, clock_timestamp()), holder = '', \
         backend = CASE WHEN $3 THEN NULL ELSE backend END WHERE name = ANY ($1) AND epoch = $2",
    )
    .bind(names)
    .bind(mark)
    .bind(has_nothing_open)
    .execute(connection)
    .await?;
    Ok(())
}

/// What came of taking a lease: how long ago the last one ended, or who holds it.
pub(super) type Taken = Result<Duration, String>;

/// Gives a connection its mark, and takes its first lease.
pub(super) async fn begin(
    connection: &mut PgConnection,
    purpose: Purpose,
    holder: &str,
    terms: Terms,
) -> Result<(i64, Taken), sqlx::Error> {
    let mark: i64 = sqlx::query_scalar("SELECT nextval('fleetpush.owner_mark')")
        .fetch_one(&mut *connection)
        .await?;
    // What each commit looks at. The view is what `owner` makes in a file.
    let this_owner = format!(
        "CREATE TEMP VIEW this_owner AS SELECT {mark}::bigint AS mark, {}::bigint AS lasts_ms; \
         CREATE TEMP TABLE held_lease (name text PRIMARY KEY)",
        terms.lasts_ms()
    );
    sqlx::raw_sql(AssertSqlSafe(this_owner))
        .execute(&mut *connection)
        .await?;
    let taken = taken(connection, purpose, mark, holder, terms).await?;
    Ok((mark, taken))
}

/// Takes a lease when nobody holds it, nor what it is a part of or what is a part of it.
pub(super) async fn taken(
    connection: &mut PgConnection,
    purpose: Purpose,
    mark: i64,
    holder: &str,
    terms: Terms,
) -> Result<Taken, sqlx::Error> {
    // Whoever takes a run, and whoever takes a part of it, locks the row of the run first: one after the other.
    let names = match purpose {
        Purpose::Part(run, _) => vec![Purpose::Run(run).to_string(), purpose.to_string()],
        Purpose::Database | Purpose::Run(_) | Purpose::Inbox => vec![purpose.to_string()],
    };
    for name in &names {
        sqlx::query(
            "INSERT INTO fleetpush.lease (name, epoch, exchange, ends_at, holder) VALUES ($1, 0, 0, '2000-01-01Z', '') ON CONFLICT DO NOTHING",
        )
        .bind(name)
        .execute(&mut *connection)
        .await?;
    }
    for _ in 0..LOOKS {
        let mut transaction = connection.begin().await?;
        let mut row = None;
        for name in &names {
            row = locked(&mut transaction, name).await?;
            match &row {
                None => break,
                Some(row) if row.lives => return Ok(Err(row.holder.clone())),
                Some(_) => {}
            }
        }
        let Some(mut row) = row else {
            transaction.rollback().await?;
            tokio::time::sleep(BETWEEN_LOOKS).await;
            continue;
        };
        let mut before = Vec::new();
        if let Purpose::Run(run) = purpose {
            before = of_parts(&mut transaction, run).await?;
            for part in &before {
                if part.lives {
                    return Ok(Err(part.holder.clone()));
                }
                row.free_for_ms = row.free_for_ms.min(part.free_for_ms);
            }
        }
        let name = purpose.to_string();
        sqlx::query(
            "UPDATE fleetpush.lease SET epoch = $2, exchange = 0, ends_at = clock_timestamp() + $3 * interval '1 millisecond', holder = $4, \
             backend = pg_backend_pid(), began_at = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()) \
             WHERE name = $1",
        )
        .bind(&name)
        .bind(mark)
        .bind(terms.lasts_ms())
        .bind(holder)
        .execute(&mut *transaction)
        .await?;
        sqlx::query("INSERT INTO pg_temp.held_lease VALUES ($1)")
            .bind(&name)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        let free_for = Duration::from_millis(row.free_for_ms.unsigned_abs());
        before.push(row);
        for row in &before {
            end_backend(connection, row).await;
        }
        return Ok(Ok(free_for));
    }
    let holder = sqlx::query_scalar(
        "SELECT holder FROM fleetpush.lease WHERE name = ANY ($1) ORDER BY ends_at DESC LIMIT 1",
    )
    .bind(&names)
    .fetch_one(connection)
    .await?;
    Ok(Err(holder))
}

/// What a row of a lease says.
macro_rules! select {
    ($from:expr) => {
        concat!(
            "SELECT holder, ends_at > clock_timestamp() AS lives, backend, \
             (extract(epoch FROM clock_timestamp() - ends_at) * 1000)::bigint AS free_for_ms, \
             (extract(epoch FROM began_at) * 1000000)::bigint AS began_at_us FROM fleetpush.lease ",
            $from
        )
    };
}

/// A row, locked. One that is locked belongs to somebody who commits just now: to wait for it would be to wait for a push.
async fn locked(
    transaction: &mut PgConnection,
    name: &str,
) -> Result<Option<LeaseRow>, sqlx::Error> {
    sqlx::query_as(select!("WHERE name = $1 FOR UPDATE SKIP LOCKED"))
        .bind(name)
        .fetch_optional(transaction)
        .await
}

/// Those of the parts of a run.
async fn of_parts(
    transaction: &mut PgConnection,
    run: RunId,
) -> Result<Vec<LeaseRow>, sqlx::Error> {
    sqlx::query_as(select!("WHERE name LIKE 'run ' || $1::bigint || ' part %'"))
        .bind(run.0)
        .fetch_all(transaction)
        .await
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
