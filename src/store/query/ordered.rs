//! Results in an order: what matches the filter is looked for first, and SQLite sorts it, in files when it is much.

use std::fmt::Write as _;

use sqlx::AssertSqlSafe;

use super::results::{RawRow, ResultPages, ResultRow, read_rows};
use crate::{
    model::RunId,
    store::reader::{ReadError, Reader},
};

/// Keys that rows can be sorted by.
pub(crate) const MOST_KEYS: usize = 8;

/// Which way a key is sorted. What is missing comes last in either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The smallest first.
    Ascending,
    /// The largest first.
    Descending,
}

/// Results in an order, a page at a time.
#[derive(Debug)]
pub(crate) struct OrderedPages<'r> {
    reader: &'r mut Reader,
    run: RunId,
    page: i64,
    /// The place of the last row given.
    after: i64,
}

impl<'r> ResultPages<'r> {
    /// The rows in the order of the manifest, in which the commands of a device follow each other.
    pub(crate) async fn in_manifest_order(self) -> Result<OrderedPages<'r>, ReadError> {
        self.sorted(&[Direction::Ascending], None, |row| vec![row.line.into()])
            .await
    }

    /// At most `limit` rows, in the order of the keys that `keys` gives for each: as many as there are directions, at most
    /// [`MOST_KEYS`].
    pub(crate) async fn sorted(
        mut self,
        directions: &[Direction],
        limit: Option<u64>,
        keys: impl Fn(&ResultRow) -> Vec<serde_json::Value>,
    ) -> Result<OrderedPages<'r>, ReadError> {
        self.reader.make_temporary(TABLES).await?;
        loop {
            let rows = self.next_page().await?;
            if rows.is_empty() {
                break;
            }
            let listed: Vec<serde_json::Value> = rows
                .iter()
                .map(|row| {
                    let mut keyed = vec![row.id.into()];
                    keyed.extend(keys(row).into_iter().flat_map(number_and_text));
                    keyed.into()
                })
                .collect();
            sqlx::query(LIST)
                .bind(serde_json::Value::from(listed).to_string())
                .execute(&mut self.reader.connection)
                .await
                .map_err(|error| self.reader.failure(error))?;
        }
        let mut order = String::new();
        for (number, direction) in directions.iter().take(MOST_KEYS).enumerate() {
            let direction = match direction {
                Direction::Ascending => "ASC",
                Direction::Descending => "DESC",
            };
            // Writing to a string cannot fail.
            let _ = write!(
                order,
                "n{number} {direction} NULLS LAST, t{number} {direction} NULLS LAST, "
            );
        }
        // Only words of ours are in it.
        sqlx::query(AssertSqlSafe(format!(
            "INSERT INTO temp.ranked (id) SELECT id FROM temp.listed ORDER BY {order}id LIMIT ?"
        )))
        .bind(limit.map_or(i64::MAX, |limit| i64::try_from(limit).unwrap_or(i64::MAX)))
        .execute(&mut self.reader.connection)
        .await
        .map_err(|error| self.reader.failure(error))?;
        Ok(OrderedPages {
            run: self.run,
            page: self.page(),
            reader: self.reader,
            after: 0,
        })
    }
}

const TABLES: &str = "
CREATE TEMP TABLE listed (id INTEGER,
    n0 INTEGER, t0 TEXT, n1 INTEGER, t1 TEXT, n2 INTEGER, t2 TEXT, n3 INTEGER, t3 TEXT,
    n4 INTEGER, t4 TEXT, n5 INTEGER, t5 TEXT, n6 INTEGER, t6 TEXT, n7 INTEGER, t7 TEXT);
CREATE TEMP TABLE ranked (place INTEGER PRIMARY KEY, id INTEGER);";
const LIST: &str = "
INSERT INTO temp.listed (id, n0, t0, n1, t1, n2, t2, n3, t3, n4, t4, n5, t5, n6, t6, n7, t7)
SELECT CAST(value ->> 0 AS bigint),
    CAST(value ->> 1 AS bigint), value ->> 2, CAST(value ->> 3 AS bigint), value ->> 4,
    CAST(value ->> 5 AS bigint), value ->> 6, CAST(value ->> 7 AS bigint), value ->> 8,
    CAST(value ->> 9 AS bigint), value ->> 10, CAST(value ->> 11 AS bigint), value ->> 12,
    CAST(value ->> 13 AS bigint), value ->> 14, CAST(value ->> 15 AS bigint), value ->> 16
FROM json_each(?)";

/// A key as a number and as a text, of which one is absent: a column of PostgreSQL has one type.
fn number_and_text(key: serde_json::Value) -> [serde_json::Value; 2] {
    let absent = serde_json::Value::Null;
    if key.is_number() {
        [key, absent]
    } else {
        [absent, key]
    }
}

impl OrderedPages<'_> {
    /// The next rows; an empty page is the end.
    pub(crate) async fn next_page(&mut self) -> Result<Vec<ResultRow>, ReadError> {
        let read = self.read().await;
        read.map_err(|error| self.reader.failure(error))?
            .into_iter()
            .map(|raw| raw.into_row().map_err(|what| self.reader.damaged(what)))
            .collect()
    }

    async fn read(&mut self) -> Result<Vec<RawRow>, sqlx::Error> {
        let connection = &mut self.reader.connection;
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM temp.ranked WHERE place > ?1 ORDER BY place LIMIT ?2",
        )
        .bind(self.after)
        .bind(self.page)
        .fetch_all(&mut *connection)
        .await?;
        self.after += self.page;
        let mut rows = read_rows(connection, self.run, &ids).await?;
        let place: std::collections::HashMap<i64, usize> = ids
            .iter()
            .enumerate()
            .map(|(place, id)| (*id, place))
            .collect();
        rows.sort_unstable_by_key(|row| place.get(&row.id).copied());
        Ok(rows)
    }
}
