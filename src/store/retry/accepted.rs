//! Accepted tasks that are sent again. Those that stand in an accepted range get rows of their own first, with all of their range: what
//! a range says it says of all its tasks.

use super::chosen;
use crate::store::db::DbConnection;

/// The same where what has ended may stand in a row of its own or in a range.
pub(super) const CHOSEN: &str = chosen!("task_end", "o.id");

const RANGES: &str = "CREATE TEMP TABLE dissolved AS \
     SELECT DISTINCT o.span AS first_task FROM temp.reopened AS r CROSS JOIN task_end AS o ON o.id = r.task_id WHERE o.span IS NOT NULL";

/// Gives each task of the ranges a row of its own, with its ticket as `$ticket`.
macro_rules! rows {
    ($ticket:literal) => {
        concat!(
            "INSERT INTO outcome (task_id, state, class, code, message, ticket, request_id, attempts, finished_at) \
             SELECT t.id, t.state, t.class, t.code, t.message, ",
            $ticket,
            ", t.request_id, t.attempts, t.finished_at \
             FROM temp.dissolved AS d CROSS JOIN accepted_span AS g ON g.first_task = d.first_task \
             CROSS JOIN task_end AS t ON t.id >= g.first_task AND t.id < g.end_task \
             ORDER BY t.id"
        )
    };
}

/// A ticket is a number where that loses nothing, as everywhere in a file; on a server the column takes text alone.
const ROWS_OF_FILE: &str = rows!(
    "CASE WHEN CAST(CAST(t.ticket AS INTEGER) AS TEXT) = t.ticket THEN CAST(t.ticket AS INTEGER) ELSE t.ticket END"
);
const ROWS_OF_SERVER: &str = rows!("t.ticket");

/// Gives the tasks of each range with a task of the draft rows of their own.
pub(super) async fn dissolve_ranges(connection: &mut DbConnection) -> Result<(), sqlx::Error> {
    let rows = match connection {
        DbConnection::Sqlite(_) => ROWS_OF_FILE,
        DbConnection::Postgres(..) => ROWS_OF_SERVER,
    };
    for statement in [
        RANGES,
        rows,
        "DELETE FROM accepted_span WHERE first_task IN (SELECT first_task FROM temp.dissolved)",
        "DROP TABLE temp.dissolved",
    ] {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    Ok(())
}
