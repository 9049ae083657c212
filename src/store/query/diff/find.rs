//! Finds the changes.

use super::{RunRow, products::Products};
use crate::{
    model::{Change, TaskState},
    store::db::DbConnection,
    store::{accepted_range::in_no_accepted_range, tally::endings},
};

/// Finds what has changed from one run to another.
pub(super) async fn changes(
    connection: &mut DbConnection,
    earlier: &RunRow,
    later: &RunRow,
) -> Result<(), sqlx::Error> {
    let products = Products::begin(connection, &[earlier.clone(), later.clone()]).await?;
    find_failing(connection, 0, earlier).await?;
    find_failing(connection, 1, later).await?;
    let statements: &[&str] = if products.are_several() {
        &[FAILING_CHANGES, NEW_OF_PRODUCT, ODD, GONE_OF_PRODUCT]
    } else {
        &[FAILING_CHANGES, NEW, GONE]
    };
    for &statement in statements {
        sqlx::query(statement)
            .bind(earlier.id.0)
            .bind(later.id.0)
            .execute(&mut *connection)
            .await?;
    }
    products.end(connection).await
}

/// Finds what fails in each of these runs.
pub(super) async fn failing_in_all(
    connection: &mut DbConnection,
    runs: &[RunRow],
) -> Result<(), sqlx::Error> {
    let products = Products::begin(connection, runs).await?;
    for (side, run) in runs.iter().enumerate() {
        find_failing(connection, side as i64, run).await?;
    }
    products.end(connection).await?;
    sqlx::query(IN_ALL)
        .bind(runs.len() as i64)
        .bind(Change::StillFailing.number())
        .execute(connection)
        .await?;
    Ok(())
}

/// Notes the failing tasks of a run.
async fn find_failing(
    connection: &mut DbConnection,
    side: i64,
    run: &RunRow,
) -> Result<(), sqlx::Error> {
    for (key, _) in endings(connection, run.id).await? {
        let (TaskState::Failed | TaskState::InDoubt, Some(class)) = (key.state, key.class) else {
            continue;
        };
        // The tally does not tell the code 0 from none.
        let nought = key.code.is_none().then_some(Some(0));
        for code in std::iter::once(key.code).chain(nought) {
            sqlx::query(FAILING)
                .bind(side)
                .bind(key.state as i64)
                .bind(class as i64)
                .bind(code)
                .bind(run.first_task)
                .bind(run.end_task)
                .execute(&mut *connection)
                .await?;
        }
    }
    Ok(())
}

/// The changes are 0 newly failing, 1 still failing, 2 recovered, 3 not ended, 4 new, 5 gone, as `Change` numbers them.
pub(super) const TABLES: &str = "
CREATE TEMP TABLE failing (device_key TEXT, side INTEGER, task_id INTEGER, PRIMARY KEY (device_key, side, task_id)) WITHOUT ROWID;
CREATE TEMP TABLE change (id INTEGER PRIMARY KEY, change INTEGER, earlier INTEGER, later INTEGER);
CREATE TEMP TABLE odd (device_key TEXT PRIMARY KEY) WITHOUT ROWID;";

/// The first condition on the state lets SQLite use the partial index.
const FAILING: &str = "
INSERT INTO temp.failing (device_key, side, task_id)
SELECT t.device_key, ?1, o.task_id
FROM outcome AS o INDEXED BY outcome_trouble CROSS JOIN task AS t ON t.id = o.task_id
WHERE o.state IN (2, 3) AND o.state = ?2 AND o.class = ?3 AND o.code IS NOT DISTINCT FROM ?4 AND o.task_id >= ?5 AND o.task_id < ?6
    AND t.device_key <> ''";

/// ?1 is the earlier run, ?2 the later one. The bare key is the device's without its product, as the index has it. Of a device's failing tasks the first of the manifest's chunks is shown.
/// What is looked up for a device is used several times, and looked up once only when it is materialized.
const FAILING_CHANGES: &str = concat!(
    "
WITH f AS MATERIALIZED (
    SELECT
        g.device_key, g.old, g.new,
        CASE WHEN g.old IS NULL THEN (
            SELECT min(d.task_id) FROM device_task AS d CROSS JOIN task AS t ON t.id = d.task_id
            WHERE d.run_id = ?1 AND d.device_key = g.bare_key AND t.device_key = g.device_key)
            END AS old_any,
        CASE WHEN g.new IS NULL THEN (
            SELECT min(d.task_id) FROM device_task AS d CROSS JOIN task AS t ON t.id = d.task_id
            WHERE d.run_id = ?2 AND d.device_key = g.bare_key AND t.device_key = g.device_key)
            END AS new_any,
        CASE WHEN g.new IS NULL THEN (
            SELECT min(d.task_id) FROM device_task AS d CROSS JOIN task AS t ON t.id = d.task_id
            WHERE d.run_id = ?2 AND d.device_key = g.bare_key AND t.device_key = g.device_key
            AND NOT EXISTS (SELECT 1 FROM outcome AS o WHERE o.task_id = d.task_id AND o.state = 1)
            AND NOT EXISTS (
                SELECT 1 FROM outcome AS o WHERE o.task_id = d.task_id AND o.state = 4 AND (o.class = 13 OR o.message LIKE 'same payload as line%'))
            AND ",
    in_no_accepted_range!("d.task_id"),
    ") END AS open
    FROM (
        SELECT
            device_key, substr(device_key, 1, CAST(coalesce(nullif(instr(device_key, char(31)), 0) - 1, length(device_key)) AS integer)) AS bare_key,
            min(task_id) FILTER (WHERE side = 0) AS old, min(task_id) FILTER (WHERE side = 1) AS new
        FROM temp.failing GROUP BY device_key
    ) AS g
), c AS MATERIALIZED (
    SELECT
        CASE
            WHEN f.old IS NOT NULL AND f.new IS NOT NULL THEN 1
            WHEN f.new IS NOT NULL AND f.old_any IS NOT NULL THEN 0
            WHEN f.old IS NOT NULL AND f.new_any IS NOT NULL AND f.open IS NULL THEN 2
            WHEN f.old IS NOT NULL AND f.new_any IS NOT NULL THEN 3
        END AS change,
        f.device_key, coalesce(f.old, f.old_any) AS earlier, coalesce(f.new, f.open, f.new_any) AS later
    FROM f
)
INSERT INTO temp.change (change, earlier, later)
SELECT change, earlier, later FROM c WHERE change IS NOT NULL ORDER BY change, device_key"
);

const NEW: &str = "
INSERT INTO temp.change (change, earlier, later)
SELECT 4, NULL, coalesce((SELECT min(f.task_id) FROM temp.failing AS f WHERE f.device_key = d.device_key AND f.side = 1), min(d.task_id))
FROM device_task AS d
WHERE d.run_id = ?2 AND d.device_key <> ''
    AND NOT EXISTS (SELECT 1 FROM device_task AS e WHERE e.run_id = ?1 AND e.device_key = d.device_key)
GROUP BY d.device_key ORDER BY d.device_key";

const GONE: &str = "
INSERT INTO temp.change (change, earlier, later)
SELECT 5, coalesce((SELECT min(f.task_id) FROM temp.failing AS f WHERE f.device_key = d.device_key AND f.side = 0), min(d.task_id)), NULL
FROM device_task AS d
WHERE d.run_id = ?1 AND d.device_key <> ''
    AND NOT EXISTS (SELECT 1 FROM device_task AS e WHERE e.run_id = ?2 AND e.device_key = d.device_key)
GROUP BY d.device_key ORDER BY d.device_key";

/// The tasks are read in their own order, in which they stand.
const NEW_OF_PRODUCT: &str = "
INSERT INTO temp.change (change, earlier, later)
SELECT 4, NULL, coalesce((SELECT min(f.task_id) FROM temp.failing AS f WHERE f.device_key = n.device_key AND f.side = 1), min(n.id))
FROM (
    SELECT t.id, t.device_key || char(31) || coalesce(p.product_key, '') AS device_key
    FROM run AS r
    CROSS JOIN main.task AS t ON t.id >= r.first_task AND t.id < r.end_task
    LEFT JOIN payload AS p ON p.id = t.payload_id AND p.run_id = r.id
    WHERE r.id = ?2 AND t.device_key <> ''
        AND NOT EXISTS (
            SELECT 1 FROM device_task AS e CROSS JOIN main.task AS u ON u.id = e.task_id LEFT JOIN payload AS q ON q.id = u.payload_id AND q.run_id = ?1
            WHERE e.run_id = ?1 AND e.device_key = t.device_key AND coalesce(q.product_key, '') = coalesce(p.product_key, ''))
) AS n
GROUP BY n.device_key ORDER BY n.device_key";

/// Keys whose product may be gone although the later run has the key: it is new with another product, or the earlier run has it several times.
/// Products are compared once for each task, not once more for those that are gone.
const ODD: &str = "
INSERT INTO temp.odd (device_key)
SELECT t.device_key FROM temp.change AS c CROSS JOIN main.task AS t ON t.id = c.later WHERE c.change = 4
UNION ALL
SELECT d.device_key FROM device_task AS d WHERE d.run_id = ?1 GROUP BY d.device_key HAVING count(*) > 1
ON CONFLICT DO NOTHING";

const GONE_OF_PRODUCT: &str = "
INSERT INTO temp.change (change, earlier, later)
SELECT 5, coalesce((SELECT min(f.task_id) FROM temp.failing AS f WHERE f.device_key = t.device_key AND f.side = 0), min(d.task_id)), NULL
FROM device_task AS d CROSS JOIN task AS t ON t.id = d.task_id
WHERE d.run_id = ?1 AND d.device_key <> ''
    AND (
        d.device_key IN (SELECT device_key FROM temp.odd)
        OR NOT EXISTS (SELECT 1 FROM device_task AS e WHERE e.run_id = ?2 AND e.device_key = d.device_key))
    AND NOT EXISTS (
        SELECT 1 FROM device_task AS e CROSS JOIN task AS u ON u.id = e.task_id
        WHERE e.run_id = ?2 AND e.device_key = d.device_key AND u.product_key = t.product_key)
GROUP BY t.device_key ORDER BY t.device_key";

/// ?1 is the number of runs, of which the last two are shown.
const IN_ALL: &str = "
INSERT INTO temp.change (change, earlier, later)
SELECT ?2, min(task_id) FILTER (WHERE side = ?1 - 2), min(task_id) FILTER (WHERE side = ?1 - 1)
FROM temp.failing GROUP BY device_key HAVING count(DISTINCT side) = ?1 ORDER BY device_key";
