//! Reads the changes, and narrows them down.

use std::collections::{HashMap, HashSet};

use serde_json::json;

use super::{Changed, Comparison};
use crate::{
    model::{Change, RunId, TaskFilter},
    store::{
        query::{ResultRow, results::read_rows},
        reader::ReadError,
        select::passing,
    },
};

/// Changes of a page.
const PAGE: i64 = 1000;

impl Comparison<'_> {
    /// Leaves only what matches the filter. It is asked of the task that is shown of a change.
    pub(crate) async fn narrow(
        &mut self,
        filter: &TaskFilter,
        only: &[Change],
    ) -> Result<(), ReadError> {
        if !only.is_empty() {
            let numbers: Vec<i64> = only.iter().map(|change| change.number()).collect();
            self.execute(
                "DELETE FROM temp.change WHERE change NOT IN (SELECT CAST(value AS bigint) FROM json_each(?))",
                json!(numbers).to_string(),
            )
            .await?;
        }
        if *filter == TaskFilter::default() {
            return Ok(());
        }
        loop {
            let page = self.next_page().await?;
            if page.is_empty() {
                break;
            }
            let ids: Vec<i64> = page
                .iter()
                .filter_map(Changed::shown)
                .map(|row| row.id)
                .collect();
            let ids = if filter.needs_row() {
                let mut ids = ids;
                ids.sort_unstable();
                passing(&mut self.reader.connection, filter, &ids)
                    .await
                    .map_err(|error| self.reader.failure(error))?
            } else {
                ids
            };
            let ids: HashSet<i64> = ids.into_iter().collect();
            let gone: Vec<i64> = page
                .iter()
                .filter(|changed| {
                    !changed.shown().is_some_and(|row| {
                        ids.contains(&row.id)
                            && filter.wants(row.status)
                            && filter.passes_outcome(row.class, row.code)
                            && filter
                                .devices
                                .as_ref()
                                .is_none_or(|devices| devices.contains(&row.device_key))
                    })
                })
                .map(|changed| changed.id)
                .collect();
            self.execute(
                "DELETE FROM temp.change WHERE id IN (SELECT CAST(value AS bigint) FROM json_each(?))",
                json!(gone).to_string(),
            )
            .await?;
        }
        self.after = 0;
        Ok(())
    }

    /// The next changes, those of one kind after the other and by device key; an empty page is the end.
    pub(crate) async fn next_page(&mut self) -> Result<Vec<Changed>, ReadError> {
        let rows: Vec<(i64, i64, Option<i64>, Option<i64>)> = sqlx::query_as(
            "SELECT id, change, earlier, later FROM temp.change WHERE id > ? ORDER BY id LIMIT ?",
        )
        .bind(self.after)
        .bind(PAGE)
        .fetch_all(&mut self.reader.connection)
        .await
        .map_err(|error| self.reader.failure(error))?;
        let Some(last) = rows.last() else {
            return Ok(Vec::new());
        };
        self.after = last.0;
        let mut earlier = self
            .rows(self.earlier, rows.iter().filter_map(|row| row.2))
            .await?;
        let mut later = self
            .rows(self.later, rows.iter().filter_map(|row| row.3))
            .await?;
        Ok(rows
            .into_iter()
            .filter_map(|(id, change, old, new)| {
                Some(Changed {
                    change: Change::from_number(change)?,
                    earlier: old.and_then(|id| earlier.remove(&id)),
                    later: new.and_then(|id| later.remove(&id)),
                    id,
                })
            })
            .collect())
    }

    async fn rows(
        &mut self,
        run: RunId,
        ids: impl Iterator<Item = i64>,
    ) -> Result<HashMap<i64, ResultRow>, ReadError> {
        let ids: Vec<i64> = ids.collect();
        let rows = read_rows(&mut self.reader.connection, run, &ids)
            .await
            .map_err(|error| self.reader.failure(error))?;
        rows.into_iter()
            .map(|raw| {
                raw.into_row()
                    .map(|row| (row.id, row))
                    .map_err(|what| self.reader.damaged(what))
            })
            .collect()
    }

    async fn execute(&mut self, sql: &'static str, bound: String) -> Result<(), ReadError> {
        sqlx::query(sql)
            .bind(bound)
            .execute(&mut self.reader.connection)
            .await
            .map_err(|error| self.reader.failure(error))?;
        Ok(())
    }
}
