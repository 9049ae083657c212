//! One connection for statements that SQLite and PostgreSQL both run: a driver of sqlx around its two drivers. The other folders write a
//! statement once, in the words of SQLite, and [`dialect`] says it in PostgreSQL's.
//!
//! sqlx has such a driver itself, `Any`. It copies each value of each row, knows neither `bool` nor `u32`, and is connected by an address
//! alone. This one borrows values from the row as its drivers do.

mod arguments;
mod connection;
mod copy_rows;
mod dialect;
mod executor;
mod row;
mod statement;
mod value;

pub(super) use self::{
    arguments::Arguments,
    connection::DbConnection,
    copy_rows::CopyRows,
    row::DbRow,
    value::{Kind, ValueRef},
};

use self::{connection::Transactions, row::Column, statement::Statement, value::Value};

/// What sqlx calls a database: a name for the types of this driver.
#[derive(Debug)]
pub(super) struct Db;

impl sqlx::Database for Db {
    type Connection = DbConnection;
    type TransactionManager = Transactions;
    type Row = DbRow;
    type QueryResult = Affected;
    type Column = Column;
    type TypeInfo = Kind;
    type Value = Value;
    type ValueRef<'r> = ValueRef<'r>;
    type Arguments = Arguments;
    type ArgumentBuffer = Vec<arguments::Argument>;
    type Statement = Statement;

    const NAME: &'static str = "SQLite or PostgreSQL";
    const URL_SCHEMES: &'static [&'static str] = &["sqlite", "postgres", "postgresql"];
}

/// How many rows a statement has changed.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Affected(u64);

impl Affected {
    pub(super) fn rows_affected(self) -> u64 {
        self.0
    }
}

impl Extend<Self> for Affected {
    fn extend<T: IntoIterator<Item = Self>>(&mut self, more: T) {
        self.0 += more.into_iter().map(|one| one.0).sum::<u64>();
    }
}
