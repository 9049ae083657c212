//! Accepted tasks that are sent again. Those that stand in an accepted range get rows of their own first, with all of their range: what
//! a range says it says of all its tasks.

use crate::store::db::DbConnection;

/// Of the candidates in ?1 those that have ended as the filter wants it, and not with the class ?5, whether in a row of their own or in a
/// range.
pub(super) const CHOSEN: &str = "INSERT OR IGNORE INTO temp.reopened (task_id, blocked) \
     SELECT o.id, 0 FROM json_each(?1) AS j CROSS JOIN task_end AS o ON o.id = j.value \
     WHERE o.class <> ?5 AND o.state IN (SELECT value FROM json_each(?2)) \
     AND (json_array_length(?3) = 0 OR o.class IN (SELECT value FROM json_each(?3))) \
     AND (json_array_length(?4) = 0 \
         OR EXISTS (SELECT 1 FROM json_each(?4) AS c WHERE o.code BETWEEN c.value ->> 0 AND c.value ->> 1)) \
     ORDER BY o.id";

/// A ticket is a number where that loses nothing, as everywhere.
const DISSOLVE: [&str; 4] = [
    "CREATE TEMP TABLE dissolved AS \
     SELECT DISTINCT g.first_task FROM temp.reopened AS r CROSS JOIN accepted_span AS g \
     ON g.first_task = (SELECT max(first_task) FROM accepted_span WHERE first_task <= r.task_id) AND g.end_task > r.task_id",
    "INSERT INTO outcome (task_id, state, class, code, message, ticket, request_id, attempts, finished_at) \
     SELECT s.id, 1, 1, s.code, s.message, \
     CASE WHEN CAST(CAST(s.ticket AS INTEGER) AS TEXT) = s.ticket THEN CAST(s.ticket AS INTEGER) ELSE s.ticket END, \
     s.request_id, 1, s.finished_at \
     FROM ( \
         SELECT t.id, g.code, g.message, g.request_id, g.finished_at, \
         CAST(substr(g.tickets, (t.id - g.first_task) * g.ticket_bytes + 1, g.ticket_bytes) AS TEXT) AS ticket \
         FROM temp.dissolved AS d CROSS JOIN accepted_span AS g ON g.first_task = d.first_task \
         CROSS JOIN task AS t ON t.id >= g.first_task AND t.id < g.end_task \
     ) AS s ORDER BY s.id",
    "DELETE FROM accepted_span WHERE first_task IN (SELECT first_task FROM temp.dissolved)",
    "DROP TABLE temp.dissolved",
];

/// Gives the tasks of each range with a task of the draft rows of their own.
pub(super) async fn dissolve_ranges(connection: &mut DbConnection) -> Result<(), sqlx::Error> {
    for statement in DISSOLVE {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    Ok(())
}
