//! The platform's device list while it is read: a temporary table, so that a million devices take no memory. It exists as long as its
//! connection.

use std::collections::HashSet;

use serde_json::json;

use super::{
    Store, StoreError,
    db::{DbConnection, DbRow},
};
use crate::model::{ListedDevice, ListedState, Timestamp};

/// Devices that are read from it at a time.
const PAGE: i64 = 2000;

const TABLE: &str = "
CREATE TABLE IF NOT EXISTS temp.listed_device (
    device_key  TEXT NOT NULL,
    product_key TEXT NOT NULL,
    -- The product under which it was listed: a list has had entries of another one.
    listed_under TEXT NOT NULL,
    reading     INTEGER NOT NULL,
    -- The reading before that in which it was met; 0 for none.
    previous    INTEGER NOT NULL DEFAULT 0,
    name TEXT, sn TEXT, online INTEGER, activated INTEGER, raw INTEGER, last_online INTEGER,
    PRIMARY KEY (device_key, listed_under, product_key)
) WITHOUT ROWID";

const NOTE: &str = "
INSERT INTO temp.listed_device
    (device_key, product_key, listed_under, reading, name, sn, online, activated, raw, last_online)
SELECT value ->> 0, value ->> 1, ?2, ?3, value ->> 2, value ->> 3,
    CAST(value ->> 4 AS bigint), CAST(value ->> 5 AS bigint), CAST(value ->> 6 AS bigint), CAST(value ->> 7 AS bigint)
FROM json_each(?1) WHERE true
ON CONFLICT (device_key, listed_under, product_key) DO UPDATE SET
    previous = CASE listed_device.reading WHEN excluded.reading THEN listed_device.previous ELSE listed_device.reading END,
    reading = excluded.reading, name = excluded.name, sn = excluded.sn, online = excluded.online,
    activated = excluded.activated, raw = excluded.raw, last_online = excluded.last_online";

const KNOWN: &str = "
SELECT count(*) FROM json_each(?1) AS j
CROSS JOIN temp.listed_device AS d
    ON d.device_key = j.value ->> 0 AND d.listed_under = ?2 AND d.product_key = j.value ->> 1
WHERE d.reading = ?3";

/// The device lists of products, as far as they have been read.
#[derive(Debug)]
pub(crate) struct DeviceLists<'c> {
    connection: &'c mut DbConnection,
}

/// By how much a reading differs from the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Difference {
    /// Entries that the one before had not.
    pub(crate) added: u64,
    /// Entries that only the one before had.
    pub(crate) gone: u64,
}

/// How many devices a list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ListSize {
    /// Of the product that it is the list of.
    pub(crate) own: u64,
    /// Of other products.
    pub(crate) foreign: u64,
}

impl Store {
    /// Device lists, which nothing of the database knows.
    pub(crate) async fn device_lists(&mut self) -> Result<DeviceLists<'_>, StoreError> {
        DeviceLists::new(&mut self.connection).await
    }
}

impl<'c> DeviceLists<'c> {
    pub(super) async fn new(connection: &'c mut DbConnection) -> Result<Self, StoreError> {
        sqlx::raw_sql(TABLE).execute(&mut *connection).await?;
        Ok(Self { connection })
    }

    /// Takes in devices that a reading of the product's list has met; gives how many of them it had not met before.
    pub(crate) async fn note(
        &mut self,
        product_key: &str,
        reading: u32,
        devices: &[ListedDevice],
    ) -> Result<u64, StoreError> {
        let mut met = HashSet::new();
        let rows: Vec<_> = devices
            .iter()
            .rev()
            .filter(|device| met.insert((&*device.device_key, &*device.product_key)))
            .map(|device| {
                let ListedState {
                    online,
                    activated,
                    raw,
                } = device.state;
                json!([
                    device.device_key,
                    device.product_key,
                    device.name,
                    device.sn,
                    online.map(i64::from),
                    activated.map(i64::from),
                    raw.map(i64::from),
                    device.last_online.map(|at| at.0),
                ])
            })
            .collect();
        let count = rows.len() as u64;
        let rows = json!(rows).to_string();
        let known: i64 = sqlx::query_scalar(KNOWN)
            .bind(&rows)
            .bind(product_key)
            .bind(reading)
            .fetch_one(&mut *self.connection)
            .await?;
        sqlx::query(NOTE)
            .bind(&rows)
            .bind(product_key)
            .bind(reading)
            .execute(&mut *self.connection)
            .await?;
        Ok(count - known as u64)
    }

    /// How a reading of the product's list differs from the one before it.
    pub(crate) async fn difference(
        &mut self,
        product_key: &str,
        reading: u32,
    ) -> Result<Difference, StoreError> {
        let (added, gone): (i64, i64) = sqlx::query_as(
            "SELECT count(*) FILTER (WHERE reading = ?2 AND previous <> ?2 - 1), count(*) FILTER (WHERE reading = ?2 - 1) \
             FROM temp.listed_device WHERE listed_under = ?1",
        )
        .bind(product_key)
        .bind(reading)
        .fetch_one(&mut *self.connection)
        .await?;
        Ok(Difference {
            added: added as u64,
            gone: gone as u64,
        })
    }

    /// Forgets devices that only earlier readings of the product's list have met.
    pub(crate) async fn keep_only(
        &mut self,
        product_key: &str,
        reading: u32,
    ) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM temp.listed_device WHERE listed_under = ? AND reading <> ?")
            .bind(product_key)
            .bind(reading)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    /// How many devices the product's list has.
    pub(crate) async fn size(&mut self, product_key: &str) -> Result<ListSize, StoreError> {
        let (own, foreign): (i64, i64) = sqlx::query_as(
            "SELECT count(*) FILTER (WHERE product_key = ?1), count(*) FILTER (WHERE product_key <> ?1) \
             FROM temp.listed_device WHERE listed_under = ?1",
        )
        .bind(product_key)
        .fetch_one(&mut *self.connection)
        .await?;
        Ok(ListSize {
            own: own as u64,
            foreign: foreign as u64,
        })
    }

    /// The next devices of a product behind a key, in the order of their keys; none when there are no more.
    pub(crate) async fn page(
        &mut self,
        product_key: &str,
        after: &str,
    ) -> Result<Vec<ListedDevice>, StoreError> {
        let rows: Vec<DbRow> = sqlx::query(
            "SELECT device_key, product_key, name, sn, online, activated, raw, last_online FROM temp.listed_device \
             WHERE device_key > ?2 AND listed_under = ?1 AND product_key = ?1 ORDER BY device_key LIMIT ?3",
        )
        .bind(product_key)
        .bind(after)
        .bind(PAGE)
        .fetch_all(&mut *self.connection)
        .await?;
        rows.iter().map(|row| Ok(device(row)?)).collect()
    }
}

fn device(row: &DbRow) -> Result<ListedDevice, sqlx::Error> {
    use sqlx::Row as _;

    Ok(ListedDevice {
        device_key: row.try_get(0)?,
        product_key: row.try_get(1)?,
        name: row.try_get(2)?,
        sn: row.try_get(3)?,
        state: ListedState {
            online: row.try_get(4)?,
            activated: row.try_get(5)?,
            raw: row.try_get(6)?,
        },
        last_online: row.try_get::<Option<i64>, _>(7)?.map(Timestamp),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(key: &str) -> ListedDevice {
        ListedDevice {
            product_key: "PK".to_owned(),
            device_key: key.to_owned(),
            name: Some("Hall, \"3\"".to_owned()),
            state: ListedState {
                online: Some(false),
                activated: None,
                raw: Some(true),
            },
            last_online: Some(Timestamp(7)),
            ..ListedDevice::default()
        }
    }

    #[tokio::test]
    async fn readings_are_compared_and_a_device_is_kept_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("push.db")).await.unwrap();
        let mut lists = store.device_lists().await.unwrap();
        let [a, b, c] = ["A", "B", "C"].map(device);
        let foreign = ListedDevice {
            product_key: "PK2".to_owned(),
            ..a.clone()
        };
        assert_eq!(
            lists
                .note("PK", 1, &[a.clone(), b.clone(), a.clone()])
                .await
                .unwrap(),
            2
        );
        assert_eq!(lists.note("PK", 1, &[b.clone(), foreign]).await.unwrap(), 1);
        assert_eq!(
            lists.size("PK").await.unwrap(),
            ListSize { own: 2, foreign: 1 }
        );
        assert_eq!(
            lists.note("PK", 2, &[b.clone(), c.clone()]).await.unwrap(),
            2
        );
        let expected = Difference { added: 1, gone: 2 };
        assert_eq!(lists.difference("PK", 2).await.unwrap(), expected);
        lists.keep_only("PK", 2).await.unwrap();
        assert_eq!(
            lists.note("PK", 3, &[c.clone(), b.clone()]).await.unwrap(),
            2
        );
        assert_eq!(
            lists.difference("PK", 3).await.unwrap(),
            Difference::default()
        );
        assert_eq!(lists.page("PK", "").await.unwrap(), [b, c.clone()]);
        assert_eq!(lists.page("PK", "B").await.unwrap(), [c]);
        assert_eq!(lists.page("PK", "C").await.unwrap(), []);
        store.close().await.unwrap();
    }
}
