//! What is kept of a run that goes: the last two acceptances of each device and service, with their payloads.

use super::device_after;
use crate::{model::RunId, store::StoreError, store::db::DbConnection};

/// Notes what each device accepted last, and what before that, in the order of the keys, which is that of the tables. A run stays as it is,
/// and to note it again changes nothing.
pub(super) async fn keep_last_acceptances(
    connection: &mut DbConnection,
    run: RunId,
) -> Result<(), StoreError> {
    sqlx::query(PAYLOADS)
        .bind(run.0)
        .execute(&mut *connection)
        .await?;
    sqlx::raw_sql(TABLE).execute(&mut *connection).await?;
    let mut after = String::new();
    loop {
        let last = device_after(connection, run.0, &after).await?;
        for statement in ["DELETE FROM temp.kept", KEPT] {
            sqlx::query(statement)
                .bind(run.0)
                .bind(&after)
                .bind(&last)
                .execute(&mut *connection)
                .await?;
        }
        // What was last becomes the one before: the other way round, a kill between them would lose it.
        for statement in [BEFORE, LAST] {
            sqlx::query(statement).execute(&mut *connection).await?;
        }
        match last {
            Some(last) => after = last,
            None => break,
        }
    }
    for statement in ["DROP TABLE temp.kept", UNUSED] {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    Ok(())
}

const PAYLOADS: &str = "
INSERT OR IGNORE INTO past_payload (digest, product_key, data, qos, is_cache, cache_time, is_cover, extend_para)
SELECT digest, product_key, data, qos, is_cache, cache_time, is_cover, extend_para FROM payload WHERE run_id = ?1 AND accepted = 1";

const TABLE: &str = "
CREATE TEMP TABLE IF NOT EXISTS kept (
    device_key TEXT, product_key TEXT, service TEXT, run_id INTEGER, line INTEGER, ticket, accepted_at INTEGER, payload_id INTEGER,
    request_id INTEGER, place INTEGER
)";

/// The last two of what the run ?1 has and what is noted already of others, of devices after ?2 and up to ?3: by the requests, which are
/// numbered as they are recorded, and where one is not known by the runs. Times decide nothing but among what an earlier version has noted.
const KEPT: &str = "
INSERT INTO temp.kept
SELECT device_key, product_key, service, run_id, line, ticket, accepted_at, payload_id, request_id, place FROM (
    SELECT *, row_number() OVER (
        PARTITION BY device_key, product_key, service
        ORDER BY CASE WHEN is_vague THEN run_id END DESC, request_id DESC, accepted_at DESC, line DESC
    ) AS place
    FROM (
        SELECT *, max(request_id IS NULL) OVER (PARTITION BY device_key, product_key, service) AS is_vague
        FROM (
            SELECT a.device_key, a.product_key, coalesce(a.service, '') AS service, a.run AS run_id, a.line, a.ticket, a.accepted_at,
                (SELECT k.id FROM payload AS p JOIN past_payload AS k ON k.digest = p.digest WHERE p.id = a.payload_id) AS payload_id,
                a.request_id
            FROM acceptance AS a
            WHERE a.run = ?1 AND a.device_key > ?2 AND (?3 IS NULL OR a.device_key <= ?3)
            UNION
            SELECT device_key, product_key, service, run_id, line, ticket, accepted_at, payload_id, request_id FROM device_past
            WHERE device_key > ?2 AND (?3 IS NULL OR device_key <= ?3) AND run_id <> ?1
            UNION
            SELECT device_key, product_key, service, run_id, line, ticket, accepted_at, payload_id, request_id FROM device_past_before
            WHERE device_key > ?2 AND (?3 IS NULL OR device_key <= ?3) AND run_id <> ?1
        )
    )
) WHERE place <= 2";

const LAST: &str = "
INSERT OR REPLACE INTO device_past (device_key, product_key, service, run_id, line, ticket, accepted_at, payload_id, request_id)
SELECT device_key, product_key, service, run_id, line, ticket, accepted_at, payload_id, request_id FROM temp.kept WHERE place = 1
ORDER BY device_key, product_key, service";

const BEFORE: &str = "
INSERT OR REPLACE INTO device_past_before (device_key, product_key, service, run_id, line, ticket, accepted_at, payload_id, request_id)
SELECT device_key, product_key, service, run_id, line, ticket, accepted_at, payload_id, request_id FROM temp.kept WHERE place = 2
ORDER BY device_key, product_key, service";

/// Payloads that are of nobody's last two acceptances any more.
const UNUSED: &str = "
DELETE FROM past_payload WHERE id NOT IN (
    SELECT payload_id FROM device_past WHERE payload_id IS NOT NULL
    UNION
    SELECT payload_id FROM device_past_before WHERE payload_id IS NOT NULL
)";
