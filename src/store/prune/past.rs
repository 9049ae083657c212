//! What is kept of a run that goes: the last two acceptances of each device and service, with their payloads.

use sqlx::Connection as _;

use super::{device_after, execute};
use crate::{
    model::RunId,
    store::{StoreError, db::DbConnection, owner::BEGIN},
};

/// Notes what each device accepted last, and what before that, in the order of the keys, which is that of the tables. A run stays as it is,
/// and to note it again changes nothing.
pub(super) async fn keep_last_acceptances(
    connection: &mut DbConnection,
    run: RunId,
) -> Result<(), StoreError> {
    execute(connection, sqlx::query(PAYLOADS).bind(run.0)).await?;
    let table = match connection {
        DbConnection::Sqlite(_) => TABLE_OF_FILE,
        DbConnection::Postgres(..) => TABLE_OF_SERVER,
    };
    sqlx::raw_sql(table).execute(&mut *connection).await?;
    let mut after = String::new();
    loop {
        let last = device_after(connection, run.0, &after).await?;
        // As an owner: one that has lost the database must not write over what another one has noted since.
        let mut transaction = connection.begin_with(BEGIN).await?;
        for statement in ["DELETE FROM temp.kept", KEPT, BEFORE, LAST] {
            sqlx::query(statement)
                .bind(run.0)
                .bind(&after)
                .bind(&last)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        match last {
            Some(last) => after = last,
            None => break,
        }
    }
    sqlx::query("DROP TABLE temp.kept")
        .execute(&mut *connection)
        .await?;
    execute(connection, sqlx::query(UNUSED)).await
}

const PAYLOADS: &str = "
INSERT INTO past_payload (id, digest, product_key, data, qos, is_cache, cache_time, is_cover, extend_para)
SELECT (SELECT coalesce(max(id), 0) FROM past_payload) + row_number() OVER (ORDER BY p.id),
    p.digest, p.product_key, p.data, p.qos, p.is_cache, p.cache_time, p.is_cover, p.extend_para
FROM payload AS p WHERE p.run_id = ?1 AND p.accepted = 1 AND NOT EXISTS (SELECT 1 FROM past_payload AS k WHERE k.digest = p.digest)
ORDER BY p.id";

macro_rules! table {
    ($ticket:literal) => {
        concat!(
            "CREATE TEMP TABLE IF NOT EXISTS kept ( \
                 device_key TEXT, product_key TEXT, service TEXT, run_id INTEGER, line INTEGER, ",
            $ticket,
            ", accepted_at INTEGER, payload_id INTEGER, request_id INTEGER, place INTEGER \
             )"
        )
    };
}
/// Of a file a ticket may be a number.
const TABLE_OF_FILE: &str = table!("ticket");
const TABLE_OF_SERVER: &str = table!("ticket TEXT");

/// The last two of what the run ?1 has and what is noted already of others, of devices after ?2 and up to ?3: by the requests, which are
/// numbered as they are recorded, and where one is not known by the runs. Times decide nothing but among what an earlier version has noted.
const KEPT: &str = "
INSERT INTO temp.kept
SELECT device_key, product_key, service, run_id, line, ticket, accepted_at, payload_id, request_id, place FROM (
    SELECT *, row_number() OVER (
        PARTITION BY device_key, product_key, service
        ORDER BY CASE WHEN is_vague = 1 THEN run_id END DESC NULLS LAST, request_id DESC NULLS LAST, accepted_at DESC, line DESC
    ) AS place
    FROM (
        SELECT *, max(CASE WHEN request_id IS NULL THEN 1 ELSE 0 END) OVER (PARTITION BY device_key, product_key, service) AS is_vague
        FROM (
            SELECT a.device_key, a.product_key, coalesce(a.service, '') AS service, a.run AS run_id, a.line, a.ticket, a.accepted_at,
                (SELECT k.id FROM payload AS p JOIN past_payload AS k ON k.digest = p.digest WHERE p.run_id = ?1 AND p.id = a.payload_id)
                    AS payload_id,
                a.request_id
            FROM acceptance AS a
            WHERE a.run = ?1 AND a.device_key > ?2 AND (?3 IS NULL OR a.device_key <= ?3)
            UNION
            SELECT device_key, product_key, service, run_id, line, ticket, accepted_at, payload_id, request_id FROM device_past
            WHERE device_key > ?2 AND (?3 IS NULL OR device_key <= ?3) AND run_id <> ?1
            UNION
            SELECT device_key, product_key, service, run_id, line, ticket, accepted_at, payload_id, request_id FROM device_past_before
            WHERE device_key > ?2 AND (?3 IS NULL OR device_key <= ?3) AND run_id <> ?1
        ) AS known
    ) AS judged
) AS placed WHERE place <= 2";

macro_rules! note {
    ($table:literal, $place:literal) => {
        concat!(
            "INSERT INTO ",
            $table,
            " (device_key, product_key, service, run_id, line, ticket, accepted_at, payload_id, request_id) \
             SELECT device_key, product_key, service, run_id, line, ticket, accepted_at, payload_id, request_id \
             FROM temp.kept WHERE place = ",
            $place,
            " ORDER BY device_key, product_key, service \
             ON CONFLICT (device_key, product_key, service) DO UPDATE SET run_id = excluded.run_id, line = excluded.line, \
             ticket = excluded.ticket, accepted_at = excluded.accepted_at, payload_id = excluded.payload_id, request_id = excluded.request_id"
        )
    };
}
const LAST: &str = note!("device_past", "1");
const BEFORE: &str = note!("device_past_before", "2");

/// Payloads that are of nobody's last two acceptances any more.
const UNUSED: &str = "
DELETE FROM past_payload WHERE id IN (
    SELECT id FROM past_payload EXCEPT SELECT payload_id FROM device_past EXCEPT SELECT payload_id FROM device_past_before
)";
