//! A row of a result, and its columns.

use std::sync::OnceLock;

use sqlx::{ColumnIndex, Decode, Type, postgres::PgRow, sqlite::SqliteRow};

use super::{
    Db,
    value::{Kind, ValueRef},
};

/// A row of a result.
#[derive(Debug)]
pub(in crate::store) struct DbRow {
    row: DriverRow,
    /// Made when somebody asks.
    columns: OnceLock<Vec<Column>>,
}

#[derive(Debug)]
enum DriverRow {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// A column of a result.
#[derive(Debug, Clone)]
pub(in crate::store) struct Column {
    ordinal: usize,
    name: String,
}

impl Column {
    pub(super) fn all<C: sqlx::Column>(columns: &[C]) -> Vec<Self> {
        let column = |column: &C| Self {
            ordinal: column.ordinal(),
            name: column.name().to_owned(),
        };
        columns.iter().map(column).collect()
    }
}

impl sqlx::Column for Column {
    type Database = Db;

    fn ordinal(&self) -> usize {
        self.ordinal
    }

    fn name(&self) -> &str {
        &self.name
    }

    /// A column of SQLite has no type of its own: each of its values does.
    fn type_info(&self) -> &Kind {
        &Kind::Other
    }
}

impl From<SqliteRow> for DbRow {
    fn from(row: SqliteRow) -> Self {
        Self {
            row: DriverRow::Sqlite(row),
            columns: OnceLock::new(),
        }
    }
}

impl From<PgRow> for DbRow {
    fn from(row: PgRow) -> Self {
        Self {
            row: DriverRow::Postgres(row),
            columns: OnceLock::new(),
        }
    }
}

impl sqlx::Row for DbRow {
    type Database = Db;

    fn columns(&self) -> &[Column] {
        self.columns.get_or_init(|| match &self.row {
            DriverRow::Sqlite(row) => Column::all(row.columns()),
            DriverRow::Postgres(row) => Column::all(row.columns()),
        })
    }

    /// Each type looks itself whether the value is one of its own, as its driver would.
    fn try_get<'r, T, I>(&'r self, index: I) -> Result<T, sqlx::Error>
    where
        I: ColumnIndex<Self>,
        T: Decode<'r, Db> + Type<Db>,
    {
        T::decode(self.try_get_raw(&index)?).map_err(|source| sqlx::Error::ColumnDecode {
            index: format!("{index:?}"),
            source,
        })
    }

    fn try_get_raw<I: ColumnIndex<Self>>(&self, index: I) -> Result<ValueRef<'_>, sqlx::Error> {
        let index = index.index(self)?;
        match &self.row {
            DriverRow::Sqlite(row) => row.try_get_raw(index).map(ValueRef::Sqlite),
            DriverRow::Postgres(row) => row.try_get_raw(index).map(ValueRef::Postgres),
        }
    }
}

/// The driver's row says when there is no such column.
impl ColumnIndex<DbRow> for usize {
    fn index(&self, _: &DbRow) -> Result<usize, sqlx::Error> {
        Ok(*self)
    }
}

impl ColumnIndex<DbRow> for str {
    fn index(&self, row: &DbRow) -> Result<usize, sqlx::Error> {
        match &row.row {
            DriverRow::Sqlite(row) => ColumnIndex::index(&self, row),
            DriverRow::Postgres(row) => ColumnIndex::index(&self, row),
        }
    }
}
