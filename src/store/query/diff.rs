//! What has changed from one run to another. The failing tasks of each run come from the index of trouble, and devices that only one run has
//! from the two indexes of devices side by side: what has gone well in both is never read.
//!
//! A device is its key, within its product. What is found stands in temporary tables, so that memory does not grow with it.

mod products;

use std::fmt::Write as _;

use serde_json::json;
use sqlx::{AssertSqlSafe, Row as _};

use self::products::Products;
use super::{
    ResultRow, RunRow,
    results::read_rows,
    sql::{Cell, cells},
};
use crate::{
    model::{Change, RunId, TaskFilter, TaskState},
    store::{
        accepted_range::in_no_accepted_range,
        reader::{ReadError, Reader},
        select::passing,
        tally::endings,
    },
};

/// Changes of a page.
const PAGE: i64 = 1000;

/// A device whose fate has changed, or that still fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changed {
    /// What has become of it.
    pub change: Change,
    /// Its task in the later run, where there is one to show.
    pub later: Option<ResultRow>,
    /// Its task in the earlier run, where there is one to show.
    pub earlier: Option<ResultRow>,
    id: i64,
}

impl Changed {
    /// The task that is meant by a filter and in a group.
    pub(crate) fn shown(&self) -> Option<&ResultRow> {
        if self.change.is_of_later() {
            self.later.as_ref()
        } else {
            self.earlier.as_ref()
        }
    }
}

/// By what changes are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Grouping {
    /// The state of the task that is shown.
    State,
    /// Its class.
    Class,
    /// Its code.
    Code,
    /// Its product.
    Product,
    /// Its payload's data.
    Payload,
    /// The value of this label.
    Label(String),
}

/// What has changed between two runs, or what fails in each of several.
#[derive(Debug)]
pub(crate) struct Comparison<'r> {
    reader: &'r mut Reader,
    earlier: RunId,
    later: RunId,
    after: i64,
}

impl Reader {
    /// Compares two runs.
    pub(crate) async fn compare(
        &mut self,
        earlier: &RunRow,
        later: &RunRow,
    ) -> Result<Comparison<'_>, ReadError> {
        self.begin_comparison().await?;
        let products = self
            .begin_products(&[earlier.clone(), later.clone()])
            .await?;
        self.find_failing(0, earlier).await?;
        self.find_failing(1, later).await?;
        for statement in [FAILING_CHANGES, NEW, GONE] {
            self.change(statement, earlier.id, later.id).await?;
        }
        self.end_products(products).await?;
        Ok(Comparison {
            earlier: earlier.id,
            later: later.id,
            reader: self,
            after: 0,
        })
    }

    /// Finds the devices that fail in each of these runs, the earliest first; two at least.
    pub(crate) async fn failing_in_all(
        &mut self,
        runs: &[RunRow],
    ) -> Result<Option<Comparison<'_>>, ReadError> {
        let [.., earlier, later] = runs else {
            return Ok(None);
        };
        self.begin_comparison().await?;
        let products = self.begin_products(runs).await?;
        for (side, run) in runs.iter().enumerate() {
            self.find_failing(side as i64, run).await?;
        }
        self.end_products(products).await?;
        sqlx::query(IN_ALL)
            .bind(runs.len() as i64)
            .bind(Change::StillFailing.number())
            .execute(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))?;
        Ok(Some(Comparison {
            earlier: earlier.id,
            later: later.id,
            reader: self,
            after: 0,
        }))
    }

    async fn begin_products(&mut self, runs: &[RunRow]) -> Result<Products, ReadError> {
        Products::begin(&mut self.connection, runs)
            .await
            .map_err(|error| self.failure(error))
    }

    async fn end_products(&mut self, products: Products) -> Result<(), ReadError> {
        let ended = products.end(&mut self.connection).await;
        ended.map_err(|error| self.failure(error))
    }

    async fn begin_comparison(&mut self) -> Result<(), ReadError> {
        sqlx::raw_sql(TABLES)
            .execute(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))?;
        Ok(())
    }

    /// Notes the failing tasks of a run.
    async fn find_failing(&mut self, side: i64, run: &RunRow) -> Result<(), ReadError> {
        let endings = endings(&mut self.connection, run.id)
            .await
            .map_err(|error| self.failure(error))?;
        for ending in endings {
            let (TaskState::Failed | TaskState::InDoubt, Some(class)) =
                (ending.state, ending.class)
            else {
                continue;
            };
            // The tally does not tell the code 0 from none.
            let nought = ending.code.is_none().then_some(Some(0));
            for code in std::iter::once(ending.code).chain(nought) {
                sqlx::query(FAILING)
                    .bind(side)
                    .bind(ending.state as i64)
                    .bind(class as i64)
                    .bind(code)
                    .bind(run.first_task)
                    .bind(run.end_task)
                    .execute(&mut self.connection)
                    .await
                    .map_err(|error| self.failure(error))?;
            }
        }
        Ok(())
    }

    async fn change(
        &mut self,
        statement: &'static str,
        earlier: RunId,
        later: RunId,
    ) -> Result<(), ReadError> {
        sqlx::query(statement)
            .bind(earlier.0)
            .bind(later.0)
            .execute(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))?;
        Ok(())
    }
}

impl Comparison<'_> {
    /// Leaves only what passes the filter. It is asked of the task that is shown of a change.
    pub(crate) async fn narrow(
        &mut self,
        filter: &TaskFilter,
        only: &[Change],
    ) -> Result<(), ReadError> {
        if !only.is_empty() {
            let numbers: Vec<i64> = only.iter().map(|change| change.number()).collect();
            self.execute(
                "DELETE FROM temp.change WHERE change NOT IN (SELECT value FROM json_each(?))",
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
            let ids: std::collections::HashSet<i64> = ids.into_iter().collect();
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
                "DELETE FROM temp.change WHERE id IN (SELECT value FROM json_each(?))",
                json!(gone).to_string(),
            )
            .await?;
        }
        self.after = 0;
        Ok(())
    }

    /// How many devices have changed how, in the order of the changes; those that nobody has are left out.
    pub(crate) async fn counts(&mut self) -> Result<Vec<(Change, u64)>, ReadError> {
        let rows: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT change, count(*) FROM temp.change GROUP BY change ORDER BY change",
        )
        .fetch_all(&mut self.reader.connection)
        .await
        .map_err(|error| self.reader.failure(error))?;
        Ok(rows
            .into_iter()
            .filter_map(|(change, n)| Some((Change::from_number(change)?, n.unsigned_abs())))
            .collect())
    }

    /// The changes counted by what is asked for, the most frequent of each change first: the change, a cell for each grouping, and how many
    /// devices.
    pub(crate) async fn groups(
        &mut self,
        by: &[Grouping],
    ) -> Result<Vec<(Change, Vec<Cell>, u64)>, ReadError> {
        let mut sql = String::from("SELECT c.change, count(*)");
        for (number, grouping) in by.iter().enumerate() {
            let _ = write!(sql, ", {} AS by{number}", grouping.expression(number + 1));
        }
        sql.push_str(GROUPS);
        for number in 0..by.len() {
            let _ = write!(sql, ", by{number}");
        }
        sql.push_str(" ORDER BY c.change, count(*) DESC");
        for number in 0..by.len() {
            let _ = write!(sql, ", by{number}");
        }
        // Only words of ours are in it; the names of labels are bound.
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for grouping in by {
            query = query.bind(match grouping {
                Grouping::Label(name) => Some(name.clone()),
                _ => None,
            });
        }
        let rows = query
            .fetch_all(&mut self.reader.connection)
            .await
            .map_err(|error| self.reader.failure(error))?;
        rows.iter()
            .map(|row| {
                let change: i64 = row.try_get(0)?;
                let devices: i64 = row.try_get(1)?;
                let cells = cells(row)?.split_off(2);
                let change = Change::from_number(change).unwrap_or(Change::New);
                Ok((change, cells, devices.unsigned_abs()))
            })
            .collect::<Result<_, sqlx::Error>>()
            .map_err(|error| self.reader.failure(error))
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
    ) -> Result<std::collections::HashMap<i64, ResultRow>, ReadError> {
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

impl Grouping {
    /// What it is in the tables of [`GROUPS`]; a label's name is the parameter of this number.
    fn expression(&self, number: usize) -> String {
        match self {
            Self::State => {
                "coalesce(s.name, CASE WHEN g.first_task IS NOT NULL THEN 'accepted' END)"
                    .to_owned()
            }
            Self::Class => "k.name".to_owned(),
            Self::Code => "coalesce(o.code, g.code)".to_owned(),
            Self::Product => "p.product_key".to_owned(),
            Self::Payload => "p.data".to_owned(),
            Self::Label(_) => format!(
                "(SELECT CAST(j.value AS TEXT) FROM json_each(t.labels) AS j WHERE j.key = ?{number})"
            ),
        }
    }
}

/// The changes are 0 newly failing, 1 still failing, 2 recovered, 3 not ended, 4 new, 5 gone, as `Change` numbers them.
const TABLES: &str = "
CREATE TEMP TABLE failing (device_key TEXT, side INTEGER, task_id INTEGER, PRIMARY KEY (device_key, side, task_id)) WITHOUT ROWID;
CREATE TEMP TABLE change (id INTEGER PRIMARY KEY, change INTEGER, earlier INTEGER, later INTEGER);";

/// The first condition on the state lets SQLite use the partial index.
const FAILING: &str = "
INSERT INTO temp.failing (device_key, side, task_id)
SELECT t.device_key, ?1, o.task_id
FROM outcome AS o INDEXED BY outcome_trouble CROSS JOIN task AS t ON t.id = o.task_id
WHERE o.state IN (2, 3) AND o.state = ?2 AND o.class = ?3 AND o.code IS ?4 AND o.task_id >= ?5 AND o.task_id < ?6
    AND t.device_key <> ''";

/// ?1 is the earlier run, ?2 the later one. Of a device's failing tasks the first of the manifest's chunks is shown.
const FAILING_CHANGES: &str = concat!(
    "
INSERT INTO temp.change (change, earlier, later)
SELECT change, earlier, later FROM (
    SELECT
        CASE
            WHEN f.old IS NOT NULL AND f.new IS NOT NULL THEN 1
            WHEN f.new IS NOT NULL AND f.old_any IS NOT NULL THEN 0
            WHEN f.old IS NOT NULL AND f.new_any IS NOT NULL AND f.open IS NULL THEN 2
            WHEN f.old IS NOT NULL AND f.new_any IS NOT NULL THEN 3
        END AS change,
        f.device_key, coalesce(f.old, f.old_any) AS earlier, coalesce(f.new, f.open, f.new_any) AS later
    FROM (
        SELECT
            g.device_key, g.old, g.new,
            CASE WHEN g.old IS NULL THEN (SELECT min(d.task_id) FROM device_task AS d WHERE d.run_id = ?1 AND d.device_key = g.device_key)
                END AS old_any,
            CASE WHEN g.new IS NULL THEN (SELECT min(d.task_id) FROM device_task AS d WHERE d.run_id = ?2 AND d.device_key = g.device_key)
                END AS new_any,
            CASE WHEN g.new IS NULL THEN (
                SELECT min(d.task_id) FROM device_task AS d WHERE d.run_id = ?2 AND d.device_key = g.device_key
                AND NOT EXISTS (SELECT 1 FROM outcome AS o WHERE o.task_id = d.task_id AND o.state = 1)
                AND NOT EXISTS (
                    SELECT 1 FROM outcome AS o WHERE o.task_id = d.task_id AND o.state = 4 AND o.message LIKE 'same payload as line%')
                AND ",
    in_no_accepted_range!("d.task_id"),
    ") END AS open
        FROM (
            SELECT device_key, min(task_id) FILTER (WHERE side = 0) AS old, min(task_id) FILTER (WHERE side = 1) AS new
            FROM temp.failing GROUP BY device_key
        ) AS g
    ) AS f
)
WHERE change IS NOT NULL ORDER BY change, device_key"
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

/// ?1 is the number of runs, of which the last two are shown.
const IN_ALL: &str = "
INSERT INTO temp.change (change, earlier, later)
SELECT ?2, min(task_id) FILTER (WHERE side = ?1 - 2), min(task_id) FILTER (WHERE side = ?1 - 1)
FROM temp.failing GROUP BY device_key HAVING count(DISTINCT side) = ?1 ORDER BY device_key";

const GROUPS: &str = "
FROM temp.change AS c
CROSS JOIN task AS t ON t.id = CASE WHEN c.change IN (0, 1, 4) THEN c.later ELSE c.earlier END
LEFT JOIN payload AS p ON p.id = t.payload_id
LEFT JOIN outcome AS o ON o.task_id = t.id
LEFT JOIN task_state AS s ON s.id = o.state
LEFT JOIN accepted_span AS g
    ON g.first_task = (SELECT max(first_task) FROM accepted_span WHERE first_task <= t.id) AND g.end_task > t.id
LEFT JOIN class AS k ON k.id = coalesce(o.class, g.first_task IS NOT NULL OR NULL)
GROUP BY c.change";
