//! The task that prolongs leases.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tracing::warn;

use super::{Held, Purpose, Sharers, Sharing, Terms, has_ended};
use crate::clock::{Permission, since_boot};

/// Prolongs the leases again and again, until one has ended.
pub(super) async fn keep(
    options: PgConnectOptions,
    mark: i64,
    held: Held,
    sharers: Sharers,
    terms: Terms,
    permission: Permission,
) {
    let mut connection = None;
    loop {
        tokio::time::sleep(terms.pause()).await;
        let asked_at = since_boot();
        match tokio::time::timeout(
            terms.lasts,
            prolong(&options, &mut connection, mark, (&held, &sharers), terms),
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
    mark: i64,
    (held, sharers): (&Held, &Sharers),
    terms: Terms,
) -> Result<(), sqlx::Error> {
    let connection = match kept {
        Some(connection) => connection,
        None => kept.insert(PgConnection::connect_with(options).await?),
    };
    for name in held.names() {
        let prolonged = sqlx::query("SELECT fleetpush.hold_lease($1, $2, $3, 0)")
            .bind(&name)
            .bind(mark)
            .bind(terms.lasts_ms())
            .execute(&mut *connection)
            .await;
        match prolonged {
            // It has been given back meanwhile.
            Err(error) if has_ended(&error) && !held.names().contains(&name) => {}
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
    look_for_sharers(connection, mark, held, sharers).await
}

/// Looks who pushes to the platform of a run that is held, with the same account.
pub(super) async fn look_for_sharers(
    connection: &mut PgConnection,
    mark: i64,
    held: &Held,
    sharers: &Sharers,
) -> Result<(), sqlx::Error> {
    let run = held.all().into_iter().find_map(|purpose| match purpose {
        Purpose::Run(run) | Purpose::Part(run, _) => Some(run),
        Purpose::Database | Purpose::Inbox => None,
    });
    if let Some(run) = run {
        let (leases, first) = sqlx::query_as(
            "SELECT count(*), min(l.epoch) FROM fleetpush.run AS own \
             JOIN fleetpush.run AS r ON r.base_url = own.base_url AND r.account IS NOT DISTINCT FROM own.account \
             JOIN fleetpush.lease_of_run AS l ON l.run_id = r.id AND l.ends_at > clock_timestamp() \
             WHERE own.id = $1",
        )
        .bind(run.0)
        .fetch_one(connection)
        .await?;
        sharers.set(Sharing::of(leases, first, mark));
    }
    Ok(())
}
