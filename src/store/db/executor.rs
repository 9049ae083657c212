//! How a statement reaches the driver of the connection, and how its rows come back.

use futures::{
    FutureExt as _, StreamExt as _, TryStreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{Describe, Either, Execute, Executor, SqlStr, Statement as _};

use super::{
    Affected, Db, DbConnection, DbRow, arguments::Arguments, dialect, row::Column,
    statement::Statement, value::Kind,
};

type Step = Either<Affected, DbRow>;

impl<'c> Executor<'c> for &'c mut DbConnection {
    type Database = Db;

    fn fetch_many<'e, 'q: 'e, E>(self, mut query: E) -> BoxStream<'e, Result<Step, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Db>,
    {
        match query.take_arguments() {
            Ok(arguments) => {
                let persistent = query.persistent();
                self.run(query.sql(), arguments, persistent)
            }
            Err(error) => stream::iter([Err(sqlx::Error::Encode(error))]).boxed(),
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        mut query: E,
    ) -> BoxFuture<'e, Result<Option<DbRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Db>,
    {
        async move {
            let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?;
            let persistent = query.persistent();
            let sql = query.sql();
            /// The row of a driver as one of ours.
            macro_rules! row {
                ($connection:expr, $sql:expr, $into_driver:ident($($most:expr)?)) => {
                    match arguments {
                        None => $connection.fetch_optional($sql).await?.map(DbRow::from),
                        Some(arguments) => {
                            let query = sqlx::query_with($sql, arguments.$into_driver($($most)?)?);
                            $connection
                                .fetch_optional(query.persistent(persistent))
                                .await?
                                .map(DbRow::from)
                        }
                    }
                };
            }
            Ok(match self {
                DbConnection::Sqlite(connection) => row!(connection, sql, into_sqlite()),
                DbConnection::Postgres(connection, _) => {
                    let (sql, values) = dialect::of_postgres(&sql);
                    row!(connection, sql, into_postgres(values))
                }
            })
        }
        .boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        _: &'e [Kind],
    ) -> BoxFuture<'e, Result<Statement, sqlx::Error>>
    where
        'c: 'e,
    {
        async move {
            let columns = match self {
                DbConnection::Sqlite(connection) => {
                    Column::all(connection.prepare(sql.clone()).await?.columns())
                }
                DbConnection::Postgres(connection, _) => Column::all(
                    connection
                        .prepare(dialect::of_postgres(&sql).0)
                        .await?
                        .columns(),
                ),
            };
            Ok(Statement { sql, columns })
        }
        .boxed()
    }

    /// What the macros of sqlx ask when they check a statement at compile time, which those of this crate are not.
    fn describe<'e>(self, _: SqlStr) -> BoxFuture<'e, Result<Describe<Db>, sqlx::Error>>
    where
        'c: 'e,
    {
        async { Err(sqlx::Error::Protocol("statements are not described".into())) }.boxed()
    }
}

impl DbConnection {
    fn run(
        &mut self,
        sql: SqlStr,
        arguments: Option<Arguments>,
        persistent: bool,
    ) -> BoxStream<'_, Result<Step, sqlx::Error>> {
        /// One step of a driver as one of ours.
        macro_rules! steps {
            ($stream:expr) => {
                $stream
                    .map_ok(|step| match step {
                        Either::Left(done) => Either::Left(Affected(done.rows_affected())),
                        Either::Right(row) => Either::Right(DbRow::from(row)),
                    })
                    .boxed()
            };
        }
        match self {
            Self::Sqlite(connection) => match arguments.map(Arguments::into_sqlite) {
                None => steps!(connection.fetch_many(sql)),
                Some(Err(error)) => stream::iter([Err(error)]).boxed(),
                Some(Ok(arguments)) => steps!(
                    connection.fetch_many(sqlx::query_with(sql, arguments).persistent(persistent))
                ),
            },
            Self::Postgres(connection, _) => {
                let (sql, values) = dialect::of_postgres(&sql);
                match arguments.map(|arguments| arguments.into_postgres(values)) {
                    None => steps!(connection.fetch_many(sql)),
                    Some(Err(error)) => stream::iter([Err(error)]).boxed(),
                    Some(Ok(arguments)) => steps!(
                        connection
                            .fetch_many(sqlx::query_with(sql, arguments).persistent(persistent))
                    ),
                }
            }
        }
    }
}
