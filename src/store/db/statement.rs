//! A statement that has been prepared.

use sqlx::{
    ColumnIndex, Either, FromRow, IntoArguments, SqlStr,
    query::{Query, QueryAs, QueryScalar},
};

use super::{
    Db,
    arguments::Arguments,
    row::{Column, DbRow},
    value::Kind,
};

/// A statement that has been prepared: its text and its columns.
#[derive(Debug, Clone)]
pub(in crate::store) struct Statement {
    pub(super) sql: SqlStr,
    pub(super) columns: Vec<Column>,
}

impl sqlx::Statement for Statement {
    type Database = Db;

    fn into_sql(self) -> SqlStr {
        self.sql
    }

    fn sql(&self) -> &SqlStr {
        &self.sql
    }

    fn parameters(&self) -> Option<Either<&[Kind], usize>> {
        None
    }

    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn query(&self) -> Query<'_, Db, Arguments> {
        self.query_with(Arguments::default())
    }

    fn query_with<A: IntoArguments<Db>>(&self, arguments: A) -> Query<'_, Db, A> {
        sqlx::query_with(self.sql.clone(), arguments)
    }

    fn query_as<O: for<'r> FromRow<'r, DbRow>>(&self) -> QueryAs<'_, Db, O, Arguments> {
        self.query_as_with(Arguments::default())
    }

    fn query_as_with<'s, O, A>(&'s self, arguments: A) -> QueryAs<'s, Db, O, A>
    where
        O: for<'r> FromRow<'r, DbRow>,
        A: IntoArguments<Db>,
    {
        sqlx::query_as_with(self.sql.clone(), arguments)
    }

    fn query_scalar<O>(&self) -> QueryScalar<'_, Db, O, Arguments>
    where
        (O,): for<'r> FromRow<'r, DbRow>,
    {
        self.query_scalar_with(Arguments::default())
    }

    fn query_scalar_with<'s, O, A>(&'s self, arguments: A) -> QueryScalar<'s, Db, O, A>
    where
        (O,): for<'r> FromRow<'r, DbRow>,
        A: IntoArguments<Db>,
    {
        sqlx::query_scalar_with(self.sql.clone(), arguments)
    }
}

impl ColumnIndex<Statement> for usize {
    fn index(&self, statement: &Statement) -> Result<usize, sqlx::Error> {
        let len = statement.columns.len();
        if *self < len {
            Ok(*self)
        } else {
            Err(sqlx::Error::ColumnIndexOutOfBounds { index: *self, len })
        }
    }
}
