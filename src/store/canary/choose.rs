//! Which devices are the canary.
//!
//! The run's ids are cut into equal parts, and one task of each is drawn: tasks of a payload stand side by side, so that every payload
//! of some size is met, and a run of ten million tasks costs as many look-ups as one of ten thousand. Of the drawn ones each product
//! gives one as far as the canary suffices, and the rest in proportion.
//!
//! Up to [`PARTS`] tasks all are drawn. In a larger run products may be missed that have less than one task in [`PARTS`]. When the canary
//! has room for them, they are sought: `payload` tells which they are, and one pass over the tasks finds one of each, since no index leads
//! from a payload to its tasks. That pass is SQLite's alone: of ten million tasks it takes about a second, of a million payloads with a
//! product each five.

use std::collections::BTreeSet;

use crate::{
    model::Timestamp,
    store::db::DbConnection,
    store::{Run, StoreError, bulk::Bulk},
};

/// Parts that the ids are cut into, at least, if there are as many ids.
const PARTS: u64 = 8192;
/// How much smaller the parts become when too few tasks were drawn, since many are held back.
const FINER: u64 = 4;
/// Draws that are made at a time.
const BATCH: usize = 4096;

/// A task of the part `low..high`: the first one from `pick` that belongs to the first sends, else one before it.
static DRAW: Bulk = Bulk::around(
    "INSERT INTO temp.drawn (task_id, dice) WITH v (low, pick, high, dice) AS (",
    "(?,?,?,?)",
    ") SELECT * FROM (SELECT coalesce( \
           (SELECT id FROM task WHERE id >= pick AND id < high AND held = 0 ORDER BY id LIMIT 1), \
           (SELECT id FROM task WHERE id >= low AND id < pick AND held = 0 ORDER BY id LIMIT 1)) AS task_id, dice FROM v) AS found \
           WHERE task_id IS NOT NULL",
);

/// Moves `wanted` tasks of the run's first sends, fewer than there are, into `due`.
pub(super) async fn choose(
    connection: &mut DbConnection,
    run: &Run,
    wanted: u64,
    seed: u64,
    now: Timestamp,
) -> Result<(), StoreError> {
    for statement in [
        "CREATE TEMP TABLE drawn (task_id INTEGER PRIMARY KEY, dice bigint NOT NULL)",
        "CREATE TEMP TABLE chosen (task_id INTEGER PRIMARY KEY)",
    ] {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    draw_enough(connection, run, wanted, seed).await?;
    seek_missed(connection, run, wanted, seed).await?;
    // Of each product one, the largest products first; then by the place within the product in relation to its size.
    sqlx::query(
        "INSERT INTO temp.chosen (task_id) SELECT task_id FROM ( \
             SELECT d.task_id, d.dice, row_number() OVER (PARTITION BY p.product_key ORDER BY d.dice) AS place, \
                 count(*) OVER (PARTITION BY p.product_key) AS devices \
             FROM temp.drawn AS d JOIN task AS t ON t.id = d.task_id JOIN payload AS p ON p.id = t.payload_id AND p.run_id = ?2 \
         ) AS drawn ORDER BY place > 1, (place - 0.5) / devices, dice LIMIT ?1",
    )
    .bind(wanted as i64)
    .bind(run.id.0)
    .execute(&mut *connection)
    .await?;
    hold(connection, run, now).await?;
    sqlx::query("DROP TABLE temp.drawn")
        .execute(&mut *connection)
        .await?;
    Ok(())
}

/// Moves the first sends to these devices into `due`.
pub(super) async fn take(
    connection: &mut DbConnection,
    run: &Run,
    devices: &BTreeSet<String>,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("CREATE TEMP TABLE chosen (task_id INTEGER PRIMARY KEY)")
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO temp.chosen (task_id) SELECT id FROM task WHERE id >= ? AND id < ? AND held = 0 \
         AND device_key IN (SELECT value FROM json_each(?))",
    )
    .bind(run.first_task.0)
    .bind(run.end_task.0)
    .bind(serde_json::json!(devices).to_string())
    .execute(&mut *connection)
    .await?;
    hold(connection, run, now).await
}

/// Moves the chosen tasks into `due`.
async fn hold(connection: &mut DbConnection, run: &Run, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query("UPDATE task SET held = 1 WHERE id IN (SELECT task_id FROM temp.chosen)")
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO due (task_id, run_id, payload_id, due_at) \
         SELECT t.id, ?, t.payload_id, ? FROM temp.chosen AS c JOIN task AS t ON t.id = c.task_id ORDER BY t.id",
    )
    .bind(run.id.0)
    .bind(now.0)
    .execute(&mut *connection)
    .await?;
    sqlx::query("DROP TABLE temp.chosen")
        .execute(&mut *connection)
        .await?;
    Ok(())
}

/// Draws at least `wanted` tasks; where many are held back, in smaller and smaller parts.
async fn draw_enough(
    connection: &mut DbConnection,
    run: &Run,
    wanted: u64,
    seed: u64,
) -> Result<(), StoreError> {
    let ids = (run.end_task.0 - run.first_task.0).unsigned_abs();
    // A few more than are wanted, so that products can be evened out.
    let mut parts = PARTS.max(wanted + wanted / 4).min(ids);
    loop {
        draw(connection, run, parts, seed).await?;
        let drawn: i64 = sqlx::query_scalar("SELECT count(*) FROM temp.drawn")
            .fetch_one(&mut *connection)
            .await?;
        if drawn.unsigned_abs() >= wanted || parts == ids {
            return Ok(());
        }
        parts = parts.saturating_mul(FINER).min(ids);
        sqlx::query("DELETE FROM temp.drawn")
            .execute(&mut *connection)
            .await?;
    }
}

/// Adds a task of each product that the draw has missed, the largest first, as far as `wanted` suffices for one of each product.
async fn seek_missed(
    connection: &mut DbConnection,
    run: &Run,
    wanted: u64,
    seed: u64,
) -> Result<(), StoreError> {
    for statement in [
        "CREATE TEMP TABLE met (product_key TEXT PRIMARY KEY) WITHOUT ROWID",
        "CREATE TEMP TABLE missed (payload_id INTEGER PRIMARY KEY, product_key TEXT NOT NULL)",
    ] {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    let met = sqlx::query(
        "INSERT INTO temp.met SELECT DISTINCT p.product_key FROM temp.drawn AS d \
         JOIN task AS t ON t.id = d.task_id JOIN payload AS p ON p.id = t.payload_id AND p.run_id = ?",
    )
    .bind(run.id.0)
    .execute(&mut *connection)
    .await?
    .rows_affected();
    if met < wanted {
        // The index tells where the run's payloads begin and end, and they are read in the order that they are stored in.
        let missed = sqlx::query(
            "INSERT INTO temp.missed SELECT id, product_key FROM payload \
             WHERE id BETWEEN (SELECT min(id) FROM payload WHERE run_id = ?1) AND (SELECT max(id) FROM payload WHERE run_id = ?1) \
             AND +run_id = ?1 AND product_key NOT IN (SELECT product_key FROM temp.met)",
        )
        .bind(run.id.0)
        .execute(&mut *connection)
        .await?
        .rows_affected();
        if missed > 0 {
            // The order of the joins is that of the text.
            sqlx::query(
                "INSERT INTO temp.drawn (task_id, dice) SELECT id, dice FROM ( \
                     SELECT id, dice, count(*) OVER product AS devices, row_number() OVER (product ORDER BY dice, id) AS place FROM ( \
                         SELECT t.id, (t.id * 2654435761 + ?3) & 4294967295 AS dice, m.product_key \
                         FROM task AS t CROSS JOIN temp.missed AS m ON m.payload_id = t.payload_id \
                         WHERE t.id >= ?1 AND t.id < ?2 AND t.held = 0 \
                     ) AS missed WINDOW product AS (PARTITION BY product_key) \
                 ) AS rolled WHERE place = 1 ORDER BY devices DESC, dice LIMIT ?4",
            )
            .bind(run.first_task.0)
            .bind(run.end_task.0)
            .bind((mix(seed) >> 32) as i64)
            .bind((wanted - met) as i64)
            .execute(&mut *connection)
            .await?;
        }
    }
    for statement in ["DROP TABLE temp.met", "DROP TABLE temp.missed"] {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn draw(
    connection: &mut DbConnection,
    run: &Run,
    parts: u64,
    seed: u64,
) -> Result<(), StoreError> {
    let (first, ids) = (
        run.first_task.0,
        (run.end_task.0 - run.first_task.0).unsigned_abs(),
    );
    let mut draws = (0..parts).map(|part| Draw::of(part, parts, ids, seed));
    loop {
        let batch: Vec<Draw> = draws.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            return Ok(());
        }
        DRAW.run(connection, &batch, |query, draw| {
            query
                .bind(first + draw.low as i64)
                .bind(first + draw.pick as i64)
                .bind(first + draw.high as i64)
                .bind(draw.dice as i64)
        })
        .await?;
    }
}

/// One part, counted from the run's first id, and where to look in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Draw {
    low: u64,
    pick: u64,
    high: u64,
    dice: u64,
}

impl Draw {
    fn of(part: u64, parts: u64, ids: u64, seed: u64) -> Self {
        let edge = |part: u64| (u128::from(ids) * u128::from(part) / u128::from(parts)) as u64;
        let (low, high) = (edge(part), edge(part + 1));
        let number = mix(seed ^ mix(part));
        Self {
            low,
            pick: low + number % (high - low),
            high,
            dice: mix(number),
        }
    }
}

/// The finalizer of `SplitMix64` (Steele, Lea and Flood 2014, variant 13): numbers that are the same on every machine, and look random.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_parts_cover_every_id_once(ids in 1u64..2000, share in 1u64..2000, seed: u64) {
            let parts = share.min(ids);
            let mut next = 0;
            for part in 0..parts {
                let draw = Draw::of(part, parts, ids, seed);
                prop_assert_eq!(draw.low, next);
                prop_assert!(draw.low <= draw.pick && draw.pick < draw.high);
                next = draw.high;
            }
            prop_assert_eq!(next, ids);
        }
    }
}
