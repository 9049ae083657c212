//! Counts the changes.

use std::fmt::Write as _;

use sqlx::{AssertSqlSafe, Row as _};

use super::Comparison;
use crate::{
    model::Change,
    store::{
        query::{Cell, cells},
        reader::ReadError,
    },
};

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

impl Comparison<'_> {
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
            let _ = write!(sql, ", {} AS by{number}", grouping.expression(number + 3));
        }
        sql.push_str(GROUPS);
        for number in 0..by.len() {
            let _ = write!(sql, ", by{number}");
        }
        sql.push_str(" ORDER BY c.change, count(*) DESC");
        for number in 0..by.len() {
            // SQLite begins with what is missing.
            let _ = write!(sql, ", by{number} NULLS FIRST");
        }
        // Only words of ours are in it; the names of labels are bound.
        let mut query = sqlx::query(AssertSqlSafe(sql))
            .bind(self.later.0)
            .bind(self.earlier.0);
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
}

impl Grouping {
    /// What it is in the tables of [`GROUPS`]; a label's name is the parameter of this number.
    fn expression(&self, number: usize) -> String {
        match self {
            Self::State => "s.name".to_owned(),
            Self::Class => "k.name".to_owned(),
            Self::Code => "t.code".to_owned(),
            Self::Product => "p.product_key".to_owned(),
            Self::Payload => "p.data".to_owned(),
            Self::Label(_) => format!(
                "(SELECT CAST(j.value AS TEXT) COLLATE BINARY FROM json_each(t.labels) AS j WHERE j.key = ?{number})"
            ),
        }
    }
}

/// Counts the changes by what is put between: the task that is shown of each, with its end. ?1 is the later run, ?2 the earlier one.
const GROUPS: &str = "
FROM temp.change AS c
CROSS JOIN task_end AS t ON t.id = CASE WHEN c.change IN (0, 1, 4) THEN c.later ELSE c.earlier END
LEFT JOIN payload AS p ON p.id = t.payload_id AND p.run_id = CASE WHEN c.change IN (0, 1, 4) THEN ?1 ELSE ?2 END
LEFT JOIN task_state AS s ON s.id = t.state
LEFT JOIN class AS k ON k.id = t.class
GROUP BY c.change";
