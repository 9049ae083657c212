//! Opening ended tasks again.

use serde_json::json;
use sqlx::{Connection, SqliteConnection};

use super::{Run, Store, StoreError, owner::BEGIN, span::in_no_span};
use crate::model::{Class, TaskState, Timestamp};

/// Which of a run's ended tasks to send again. Invalid rows are never among them: there is nothing to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryFilter {
    /// Failed ones, ones in doubt, or both.
    pub states: Vec<TaskState>,
    /// Only these classes; every class when empty.
    pub classes: Vec<Class>,
    /// Only these codes; every code when empty.
    pub codes: Vec<i64>,
    /// Only these device keys; every device when empty.
    pub devices: Vec<String>,
}

/// What a retry would send again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPlan {
    /// Tasks that the filter chooses.
    pub chosen: u64,
    /// Tasks that were blocked by one of them, and go along.
    pub blocked: u64,
}

impl Store {
    /// What a retry with this filter would send again. Changes nothing.
    pub async fn plan_retry(
        &mut self,
        run: &Run,
        filter: &RetryFilter,
    ) -> Result<RetryPlan, StoreError> {
        let mut transaction = self.connection.begin_with(BEGIN).await?;
        let plan = choose(&mut transaction, run, filter).await?;
        transaction.rollback().await?;
        Ok(plan)
    }

    /// Opens the chosen tasks again, with a fresh budget of attempts.
    pub async fn retry(
        &mut self,
        run: &Run,
        filter: &RetryFilter,
        now: Timestamp,
    ) -> Result<RetryPlan, StoreError> {
        let mut transaction = self.connection.begin_with(BEGIN).await?;
        let plan = choose(&mut transaction, run, filter).await?;
        if plan.chosen > 0 {
            reopen(&mut transaction, run, now).await?;
        }
        sqlx::query("DROP TABLE temp.reopened")
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(plan)
    }
}

/// Makes the table `reopened`, empty.
pub(super) async fn choose_none(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query(
        "CREATE TEMP TABLE reopened (task_id INTEGER PRIMARY KEY, blocked INTEGER NOT NULL)",
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Fills the table `reopened` with the tasks that the filter chooses, and those that they block.
pub(super) async fn choose(
    connection: &mut SqliteConnection,
    run: &Run,
    filter: &RetryFilter,
) -> Result<RetryPlan, StoreError> {
    choose_none(connection).await?;
    let states: Vec<u8> = filter.states.iter().map(|state| *state as u8).collect();
    let classes: Vec<u8> = filter.classes.iter().map(|class| *class as u8).collect();
    let chosen = sqlx::query(
        "INSERT INTO temp.reopened (task_id, blocked) \
         SELECT o.task_id, 0 FROM outcome AS o \
         WHERE o.task_id >= ?1 AND o.task_id < ?2 AND o.state IN (2, 3) AND o.class <> 12 \
         AND o.state IN (SELECT value FROM json_each(?3)) \
         AND (json_array_length(?4) = 0 OR o.class IN (SELECT value FROM json_each(?4))) \
         AND (json_array_length(?5) = 0 OR o.code IN (SELECT value FROM json_each(?5))) \
         AND (json_array_length(?6) = 0 OR o.task_id IN ( \
             SELECT d.task_id FROM json_each(?6) AS j JOIN device_task AS d ON d.run_id = ?7 AND d.device_key = j.value)) \
         ORDER BY o.task_id",
    )
    .bind(run.first_task.0)
    .bind(run.end_task.0)
    .bind(json!(states).to_string())
    .bind(json!(classes).to_string())
    .bind(json!(filter.codes).to_string())
    .bind(json!(filter.devices).to_string())
    .bind(run.id.0)
    .execute(&mut *connection)
    .await?
    .rows_affected();
    let blocked = sqlx::query(
        "INSERT OR IGNORE INTO temp.reopened (task_id, blocked) \
         WITH RECURSIVE later (task_id) AS ( \
             SELECT f.task_id FROM temp.reopened AS r JOIN follower AS f ON f.previous_id = r.task_id \
             JOIN outcome AS o ON o.task_id = f.task_id WHERE o.state = 2 AND o.class = 11 \
             UNION \
             SELECT f.task_id FROM later AS l JOIN follower AS f ON f.previous_id = l.task_id \
             JOIN outcome AS o ON o.task_id = f.task_id WHERE o.state = 2 AND o.class = 11 \
         ) \
         SELECT task_id, 1 FROM later",
    )
    .execute(connection)
    .await?
    .rows_affected();
    Ok(RetryPlan { chosen, blocked })
}

async fn reopen(
    connection: &mut SqliteConnection,
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
            in_no_span!("e.task_id"),
            ") ORDER BY t.id"
        ),
        // Whoever retries a refused payload expects the platform to have changed its mind.
        "DELETE FROM refusal WHERE run_id = ?1",
        "UPDATE run SET state = 'running', finished_at = NULL WHERE id = ?1",
    ] {
        sqlx::query(statement)
            .bind(run.id.0)
            .bind(now.0)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
