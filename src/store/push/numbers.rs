//! The numbers of requests.

use std::ops::Range;

use crate::store::db::DbConnection;

const NEXT_REQUEST: &str = "SELECT max(coalesce((SELECT max(id) FROM request), 0), coalesce((SELECT max(last_request) FROM pruned_run), 0)) + 1";
/// Several processes may push to a server.
const REQUEST_BLOCK: &str = "SELECT fleetpush.next_requests()";
/// How many numbers that is.
const BLOCK: i64 = 1000;

/// Numbers that nobody else uses, each higher than that of any request of the run.
pub(super) async fn next(connection: &mut DbConnection) -> Result<Range<i64>, sqlx::Error> {
    let (statement, count) = match connection {
        // Nobody else makes any.
        DbConnection::Sqlite(_) => (NEXT_REQUEST, i64::MAX),
        DbConnection::Postgres(..) => (REQUEST_BLOCK, BLOCK),
    };
    let first: i64 = sqlx::query_scalar(statement).fetch_one(connection).await?;
    Ok(first..first.saturating_add(count))
}
