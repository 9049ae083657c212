//! What is done to the tasks of a draft that are sent again.

use crate::{
    model::Timestamp,
    store::{Run, StoreError, accepted_range::in_no_accepted_range, db::DbConnection},
};

/// Opens the tasks in the table `reopened`, which have rows of their own by now.
pub(super) async fn reopen(
    connection: &mut DbConnection,
    run: &Run,
    now: Timestamp,
) -> Result<(), StoreError> {
    for statement in [
        "INSERT INTO attempt (task_id, attempt, request_id, class, code, message, ticket) \
         SELECT o.task_id, o.attempts, o.request_id, o.class, o.code, o.message, o.ticket \
         FROM temp.reopened AS r JOIN outcome AS o ON o.task_id = r.task_id WHERE o.request_id IS NOT NULL ORDER BY o.task_id",
        "UPDATE tally SET n = tally.n - gone.n FROM ( \
             SELECT o.state, coalesce(o.class, 0) AS class, coalesce(o.code, 0) AS code, count(*) AS n \
             FROM temp.reopened AS r JOIN outcome AS o ON o.task_id = r.task_id GROUP BY 1, 2, 3 \
         ) AS gone WHERE tally.run_id = ?1 AND tally.state = gone.state AND tally.class = gone.class AND tally.code = gone.code",
        // No more can have ended in an outage than have ended.
        "UPDATE excused SET n = min(excused.n, tally.n) FROM tally WHERE excused.run_id = ?1 AND tally.run_id = ?1 \
         AND tally.state = excused.state AND tally.class = excused.class AND tally.code = excused.code",
        "DELETE FROM outcome WHERE task_id IN (SELECT task_id FROM temp.reopened)",
        // Of a device's tasks one is under way at a time: one that an earlier retry has made due waits again.
        "DELETE FROM due WHERE task_id IN ( \
             WITH RECURSIVE later (task_id) AS ( \
                 SELECT f.task_id FROM temp.reopened AS r JOIN follower AS f ON f.previous_id = r.task_id \
                 UNION \
                 SELECT f.task_id FROM later AS l JOIN follower AS f ON f.previous_id = l.task_id \
             ) \
             SELECT task_id FROM later)",
        // A task waits as long as any earlier one of its device has not ended, as it did the first time.
        concat!(
            "INSERT INTO due (task_id, run_id, payload_id, due_at, sends) \
         SELECT t.id, ?1, t.payload_id, ?2, (SELECT coalesce(max(a.attempt), 0) FROM attempt AS a WHERE a.task_id = t.id) \
         FROM temp.reopened AS r JOIN task AS t ON t.id = r.task_id \
         WHERE NOT EXISTS ( \
             WITH RECURSIVE earlier (task_id) AS ( \
                 SELECT f.previous_id FROM follower AS f WHERE f.task_id = t.id \
                 UNION ALL \
                 SELECT f.previous_id FROM earlier AS e JOIN follower AS f ON f.task_id = e.task_id \
             ) \
             SELECT 1 FROM earlier AS e WHERE NOT EXISTS (SELECT 1 FROM outcome AS o WHERE o.task_id = e.task_id) AND ",
            in_no_accepted_range!("e.task_id"),
            ") ORDER BY t.id"
        ),
        // Whoever retries a refused payload expects the platform to have changed its mind.
        "DELETE FROM refusal WHERE run_id = ?1",
        "UPDATE run SET state = 'running', finished_at = NULL, cancelled_by = NULL, chunk_limit = NULL, limit_hints = 0 WHERE id = ?1",
    ] {
        sqlx::query(statement)
            .bind(run.id.0)
            .bind(now.0)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
