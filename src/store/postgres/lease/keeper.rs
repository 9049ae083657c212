//! The task that prolongs leases.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tracing::warn;

use super::{Held, Terms, has_ended};
use crate::clock::{Permission, since_boot};

/// Prolongs the leases again and again, until one has ended.
pub(super) async fn keep(
    options: PgConnectOptions,
    mark: i64,
    held: Held,
    terms: Terms,
    permission: Permission,
) {
    let mut connection = None;
    loop {
        tokio::time::sleep(terms.pause()).await;
        let asked_at = since_boot();
        match tokio::time::timeout(
            terms.lasts,
            prolong(&options, &mut connection, mark, &held, terms),
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
    held: &Held,
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
    Ok(())
}
