//! Devices with several rows: duplicates are skipped, and of the others each waits for the one before it.

use std::ops::Range;

use serde_json::json;

use super::repeats::Met;
use crate::{
    model::{RunId, Timestamp},
    store::db::DbConnection,
};

/// What was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Order {
    /// Rows that repeat the payload of the device's row before them.
    pub(super) duplicates: u64,
    /// Whether any task waits for another.
    pub(super) followers: bool,
}

/// Fills the index of devices, and holds back the tasks that are not a device's first. Only devices that have been `met` before can have
/// several.
pub(super) async fn arrange(
    connection: &mut DbConnection,
    run: RunId,
    tasks: Range<i64>,
    met: Met,
    now: Timestamp,
) -> Result<Order, sqlx::Error> {
    if let DbConnection::Postgres(connection, _) = &mut *connection {
        // Without room in memory the keys are sorted on the server's disk.
        sqlx::raw_sql("SET LOCAL work_mem = '64MB'")
            .execute(&mut **connection)
            .await?;
    }
    sqlx::query(
        "INSERT INTO device_task (run_id, device_key, task_id) \
         SELECT ?, device_key, id FROM task WHERE id >= ? AND id < ? ORDER BY device_key, id",
    )
    .bind(run.0)
    .bind(tasks.start)
    .bind(tasks.end)
    .execute(&mut *connection)
    .await?;
    let repeated = match met {
        Met::These(keys) if keys.is_empty() => {
            return Ok(Order {
                duplicates: 0,
                followers: false,
            });
        }
        Met::These(keys) => sqlx::query(
            // Each key is looked up: a server that has not looked at the new rows yet would rather read all of them.
            "CREATE TEMP TABLE repeated AS SELECT DISTINCT j.value AS device_key FROM json_each(?2) AS j \
             WHERE (SELECT count(*) FROM device_task AS d WHERE d.run_id = ?1 AND d.device_key = j.value) > 1",
        )
        .bind(run.0)
        .bind(json!(keys).to_string()),
        Met::Many => sqlx::query(
            "CREATE TEMP TABLE repeated AS \
             SELECT device_key FROM device_task WHERE run_id = ? GROUP BY device_key HAVING count(*) > 1",
        )
        .bind(run.0),
    };
    repeated.execute(&mut *connection).await?;
    let any: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM temp.repeated)")
        .fetch_one(&mut *connection)
        .await?;
    let order = if any {
        hold_back(connection, run, now).await?
    } else {
        Order {
            duplicates: 0,
            followers: false,
        }
    };
    sqlx::query("DROP TABLE temp.repeated")
        .execute(connection)
        .await?;
    Ok(order)
}

async fn hold_back(
    connection: &mut DbConnection,
    run: RunId,
    now: Timestamp,
) -> Result<Order, sqlx::Error> {
    // The cross join keeps SQLite from reading all repeated devices anew for every row, which it prefers for want of statistics.
    // A device is a product and a key. A row that repeats the payload of the row before it is a duplicate, whether or not that one is.
    sqlx::query(
        "CREATE TEMP TABLE sequence AS \
         SELECT id, line, product_key, device_key, row_number() OVER device AS place, \
             lag(line) OVER device AS line_before, lag(payload_id) OVER device IS NOT DISTINCT FROM payload_id AS duplicate \
         FROM ( \
             SELECT t.id, t.line, t.payload_id, p.product_key, t.device_key \
             FROM temp.repeated AS r \
             CROSS JOIN device_task AS d ON d.run_id = ? AND d.device_key = r.device_key \
             JOIN task AS t ON t.id = d.task_id \
             JOIN payload AS p ON p.id = t.payload_id AND p.run_id = d.run_id \
         ) AS several \
         WINDOW device AS (PARTITION BY product_key, device_key ORDER BY line, id)",
    )
    .bind(run.0)
    .execute(&mut *connection)
    .await?;
    let duplicates = sqlx::query(
        "INSERT INTO outcome (task_id, state, message, attempts, finished_at) \
         SELECT id, 4, 'same payload as line ' || line_before, 0, ? FROM temp.sequence WHERE duplicate ORDER BY id",
    )
    .bind(now.0)
    .execute(&mut *connection)
    .await?
    .rows_affected();
    let followers = sqlx::query(
        "INSERT INTO follower (previous_id, task_id) SELECT previous_id, id FROM ( \
             SELECT lag(id) OVER (PARTITION BY product_key, device_key ORDER BY line, id) AS previous_id, id \
             FROM temp.sequence WHERE NOT duplicate \
         ) AS left_over WHERE previous_id IS NOT NULL ORDER BY previous_id",
    )
    .execute(&mut *connection)
    .await?
    .rows_affected();
    sqlx::query(
        "UPDATE task SET held = 1 FROM (SELECT id FROM temp.sequence WHERE place > 1 ORDER BY id) AS later WHERE task.id = later.id",
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query("DROP TABLE temp.sequence")
        .execute(connection)
        .await?;
    Ok(Order {
        duplicates,
        followers: followers > 0,
    })
}

/// Lets the tasks of a device wait for those that are left of it; gives whether any waits.
pub(super) async fn follow_anew(
    connection: &mut DbConnection,
    run: RunId,
    tasks: Range<i64>,
) -> Result<bool, sqlx::Error> {
    let Range { start: first, end } = tasks;
    for statement in [
        "CREATE TEMP TABLE left_over AS \
         SELECT t.id, lag(t.id) OVER (PARTITION BY p.product_key, t.device_key ORDER BY t.line, t.id) AS previous_id \
         FROM (SELECT previous_id AS id FROM follower WHERE previous_id >= ?1 AND previous_id < ?2 \
               UNION SELECT task_id FROM follower WHERE previous_id >= ?1 AND previous_id < ?2) AS f \
         JOIN task AS t ON t.id = f.id JOIN payload AS p ON p.id = t.payload_id AND p.run_id = ?3 \
         WHERE NOT EXISTS (SELECT 1 FROM temp.unchanged AS u WHERE u.task_id = f.id)",
        "DELETE FROM follower WHERE previous_id >= ?1 AND previous_id < ?2",
        "INSERT INTO follower (previous_id, task_id) SELECT previous_id, id FROM temp.left_over WHERE previous_id IS NOT NULL ORDER BY 1",
        "UPDATE task SET held = 0 FROM (SELECT id FROM temp.left_over WHERE previous_id IS NULL ORDER BY id) AS l WHERE task.id = l.id",
        "DROP TABLE temp.left_over",
    ] {
        sqlx::query(statement)
            .bind(first)
            .bind(end)
            .bind(run.0)
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM follower WHERE previous_id >= ? AND previous_id < ?)",
    )
    .bind(first)
    .bind(end)
    .fetch_one(connection)
    .await
}
