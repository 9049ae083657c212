//! Statements of many rows. Each statement is a round trip to the thread that owns the connection, which costs more than ten rows. So rows
//! are written together, in a few fixed sizes, and each size is prepared once. If there are fewer rows than the size has, the rest are rows
//! of NULLs, which the statement skips. PostgreSQL gets lists of values, or the rows of a `COPY`.

use std::{
    fmt::Write as _,
    sync::{Arc, OnceLock},
};

use sqlx::{
    Arguments as _, AssertSqlSafe, Encode, PgConnection, Type,
    error::BoxDynError,
    postgres::PgCopyIn,
    sqlite::{Sqlite, SqliteArguments},
};

use super::db::{Arguments, CopyRows, Db, DbConnection};
use crate::model::Ticket;

/// The most rows in one statement is 2 to the power of this: so many that the trip is a small part of it.
const MOST: usize = 10;
/// The most rows in one statement.
pub(super) const MOST_ROWS: usize = 1 << MOST;
/// The bytes of rows that are worth a `COPY`: each takes PostgreSQL as long as a thousand rows do.
const COPIED: usize = 1 << 20;

/// A statement around rows of values. SQLite gets them as a `VALUES` list, PostgreSQL as one list for each column.
#[derive(Debug)]
pub(super) struct Bulk {
    kind: Kind,
    /// One row: `(?, ?, ?)`.
    row: &'static str,
    /// What follows the rows.
    tail: &'static str,
    /// SQLite's text for 1, 2, 4, … rows. Fixed, so that the statements stay in the connection's cache. It does nothing for a row whose
    /// first value is NULL.
    of_rows: [OnceLock<Arc<str>>; MOST + 1],
    /// PostgreSQL's text, for any number of rows.
    of_any: OnceLock<Arc<str>>,
}

/// What comes before the rows.
#[derive(Debug)]
enum Kind {
    /// `INSERT INTO table (columns)`.
    Insert(&'static str),
    /// `table (columns)`, into which rows are inserted as they are. PostgreSQL takes them with `COPY`, which is half the work.
    Load(&'static str),
    /// Anything that ends where a query or `VALUES` may stand.
    Around(&'static str),
}

/// The values of statements, in the order of their question marks, as the connection takes them.
#[derive(Debug)]
pub(super) struct Values {
    bound: Bound,
    /// The first value that could not be encoded.
    failed: Option<BoxDynError>,
}

#[derive(Debug)]
enum Bound {
    /// Bound at once: a push binds a hundred values for each request.
    Sqlite(SqliteArguments),
    Postgres(Arguments),
    /// Of any number of rows.
    Rows(CopyRows),
}

/// A statement that the connection has, or is about to get.
enum Begun<'c> {
    Statement(Arc<str>, Bound, &'c mut DbConnection),
    /// A `COPY` that waits for its rows.
    Copy(PgCopyIn<&'c mut PgConnection>, Vec<u8>),
}

impl Values {
    /// No values, for statements of this connection.
    pub(super) fn of(connection: &DbConnection) -> Self {
        Self::with(match connection {
            DbConnection::Sqlite(_) => Bound::Sqlite(SqliteArguments::default()),
            DbConnection::Postgres(..) => Bound::Postgres(Arguments::default()),
        })
    }

    fn with(bound: Bound) -> Self {
        Self {
            bound,
            failed: None,
        }
    }

    /// Takes the values, and leaves none.
    pub(super) fn take(&mut self) -> Self {
        let none = Self::with(match self.bound {
            Bound::Sqlite(_) => Bound::Sqlite(SqliteArguments::default()),
            Bound::Postgres(_) | Bound::Rows(_) => Bound::Postgres(Arguments::default()),
        });
        std::mem::replace(self, none)
    }

    /// Whether it is better to wait for more rows.
    pub(super) fn want_more(&self) -> bool {
        matches!(&self.bound, Bound::Rows(rows) if rows.len() < COPIED)
    }

    /// Gives the next question mark its value.
    pub(super) fn bind<'t, T>(mut self, value: T) -> Self
    where
        T: Encode<'t, Sqlite> + Type<Sqlite> + Encode<'t, Db> + Type<Db>,
    {
        let bound = match &mut self.bound {
            Bound::Sqlite(arguments) => arguments.add(value),
            Bound::Postgres(arguments) => arguments.add(value),
            Bound::Rows(rows) => rows.add(value),
        };
        if let Err(error) = bound {
            self.failed.get_or_insert(error);
        }
        self
    }

    /// Gives the next question mark a ticket: as an integer where that loses nothing and the column takes both, which needs half the
    /// space of its text.
    pub(super) fn bind_ticket(self, ticket: Option<&Ticket>) -> Self {
        let integer = match &self.bound {
            Bound::Sqlite(_) => ticket.and_then(Ticket::as_integer),
            Bound::Postgres(_) | Bound::Rows(_) => None,
        };
        match integer {
            Some(integer) => self.bind(integer),
            None => self.bind(ticket.map(Ticket::as_str)),
        }
    }

    /// Executes statements with these values.
    pub(super) async fn execute(
        self,
        text: Arc<str>,
        connection: &mut DbConnection,
    ) -> Result<(), sqlx::Error> {
        self.begin(text, connection).await?.end().await
    }

    /// The same for one statement. While the connection's thread or the server is at work, `meanwhile` is done.
    pub(super) async fn execute_beside<T>(
        self,
        text: Arc<str>,
        connection: &mut DbConnection,
        meanwhile: impl FnOnce() -> T,
    ) -> Result<T, sqlx::Error> {
        // A `COPY` has begun before anything else is done, or the server would wait for its rows.
        let begun = self.begin(text, connection).await?;
        let (done, result) = tokio::join!(begun.end(), async { meanwhile() });
        done?;
        Ok(result)
    }

    async fn begin(
        self,
        text: Arc<str>,
        connection: &mut DbConnection,
    ) -> Result<Begun<'_>, sqlx::Error> {
        if let Some(error) = self.failed {
            return Err(sqlx::Error::Encode(error));
        }
        Ok(match (self.bound, connection) {
            (Bound::Rows(rows), DbConnection::Postgres(connection, _)) => {
                Begun::Copy(connection.copy_in_raw(&text).await?, rows.end())
            }
            (bound, connection) => Begun::Statement(text, bound, connection),
        })
    }
}

impl Begun<'_> {
    async fn end(self) -> Result<(), sqlx::Error> {
        // The text is made of constants alone.
        match self {
            Self::Statement(text, Bound::Sqlite(arguments), connection) => {
                sqlx::query_with(AssertSqlSafe(text), arguments)
                    .execute(connection.sqlite()?)
                    .await?;
            }
            Self::Statement(text, Bound::Postgres(arguments), connection) => {
                sqlx::query_with(AssertSqlSafe(text), arguments)
                    .execute(connection)
                    .await?;
            }
            Self::Statement(_, Bound::Rows(_), _) => {
                return Err(sqlx::Error::Protocol("a file takes no `COPY`".into()));
            }
            Self::Copy(mut copy, rows) => {
                copy.send(rows).await?;
                copy.finish().await?;
            }
        }
        Ok(())
    }
}

impl Bulk {
    /// `INSERT INTO table (columns)` with rows of these values; `after` is what may follow an `INSERT`.
    pub(super) const fn insert(into: &'static str, row: &'static str, after: &'static str) -> Self {
        Self::new(Kind::Insert(into), row, after)
    }

    /// Inserts rows of these values into `table (columns)`, in large groups and nothing else.
    pub(super) const fn load(into: &'static str, row: &'static str) -> Self {
        Self::new(Kind::Load(into), row, "")
    }

    /// Any statement around rows of these values, from `head` to `tail`.
    pub(super) const fn around(head: &'static str, row: &'static str, tail: &'static str) -> Self {
        Self::new(Kind::Around(head), row, tail)
    }

    const fn new(kind: Kind, row: &'static str, tail: &'static str) -> Self {
        Self {
            kind,
            row,
            tail,
            of_rows: [const { OnceLock::new() }; MOST + 1],
            of_any: OnceLock::new(),
        }
    }

    /// Runs the statement over `rows`, in their order; `bind` gives the values of one row.
    pub(super) async fn run<R>(
        &'static self,
        connection: &mut DbConnection,
        rows: R,
        mut bind: impl FnMut(Values, R::Item) -> Values,
    ) -> Result<(), sqlx::Error>
    where
        R: IntoIterator<IntoIter: ExactSizeIterator>,
    {
        let mut rows = rows.into_iter();
        let mut none = Values::of(connection);
        let mut ready = self.next(none.take(), &mut rows, &mut bind);
        while let (Some(text), values) = ready {
            ready = values
                .execute_beside(text, connection, || {
                    self.next(none.take(), &mut rows, &mut bind)
                })
                .await?;
        }
        Ok(())
    }

    /// The text of the statement for the next rows, if there are any, and their values after those that there are.
    pub(super) fn next<T>(
        &'static self,
        mut values: Values,
        rows: &mut impl ExactSizeIterator<Item = T>,
        bind: &mut impl FnMut(Values, T) -> Values,
    ) -> (Option<Arc<str>>, Values) {
        let columns = self.row.matches('?').count();
        if let (Kind::Load(_), Bound::Postgres(_)) = (&self.kind, &values.bound) {
            match CopyRows::of(columns) {
                Ok(rows) => values.bound = Bound::Rows(rows),
                Err(error) => values.failed = Some(error),
            }
        }
        let now = rows.len().min(MOST_ROWS);
        for row in rows.take(now) {
            values = bind(values, row);
        }
        let any = || self.of_any.get_or_init(|| self.any(columns));
        let (text, bound) = match values.bound {
            Bound::Rows(rows) if rows.len() == 0 => (None, Bound::Rows(rows)),
            bound @ Bound::Rows(_) => (Some(any()), bound),
            bound @ (Bound::Sqlite(_) | Bound::Postgres(_)) if now == 0 => (None, bound),
            Bound::Sqlite(mut arguments) => {
                let size = now.next_power_of_two();
                for _ in 0..(size - now) * columns {
                    if let Err(error) = arguments.add(None::<i64>) {
                        values.failed.get_or_insert(error);
                    }
                }
                let text = self.of_rows[size.ilog2() as usize].get_or_init(|| self.rows(size));
                (Some(text), Bound::Sqlite(arguments))
            }
            Bound::Postgres(arguments) => {
                let lists = arguments.into_columns(columns).unwrap_or_else(|error| {
                    values.failed.get_or_insert(error);
                    Arguments::default()
                });
                (Some(any()), Bound::Postgres(lists))
            }
        };
        values.bound = bound;
        (text.map(Arc::clone), values)
    }

    fn rows(&self, rows: usize) -> Arc<str> {
        let rows = vec![self.row; rows].join(",");
        let tail = self.tail;
        match self.kind {
            Kind::Insert(into) => {
                format!("{into} SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL {tail}")
            }
            Kind::Load(into) => {
                format!(
                    "INSERT INTO {into} SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL"
                )
            }
            Kind::Around(head) => format!("{head} VALUES {rows} {tail}"),
        }
        .into()
    }

    fn any(&self, columns: usize) -> Arc<str> {
        let head = match self.kind {
            Kind::Insert(head) | Kind::Around(head) => head,
            Kind::Load(into) => return format!("COPY {into} FROM STDIN (FORMAT binary)").into(),
        };
        let mut cells = String::new();
        let mut numbers = 1..=columns;
        for piece in self.row.trim_matches(['(', ')']).split_inclusive('?') {
            match piece.strip_suffix('?').zip(numbers.next()) {
                Some((before, number)) => {
                    let _ = write!(cells, "{before}c{number}");
                }
                None => cells.push_str(piece),
            }
        }
        let list = |prefix: &str| {
            let numbered = (1..=columns).map(|number| format!("{prefix}{number}"));
            numbered.collect::<Vec<_>>().join(", ")
        };
        let rows = format!(
            "SELECT {cells} FROM unnest({}) AS lists ({})",
            list("?"),
            list("c")
        );
        let tail = self.tail;
        format!("{head} {rows} {tail}").into()
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, Row};

    use super::*;

    #[tokio::test]
    async fn every_row_arrives_once_in_order() {
        static INSERT: Bulk = Bulk::insert("INSERT INTO t (n)", "(?)", "");
        let mut connection = DbConnection::connect("sqlite::memory:").await.unwrap();
        sqlx::query("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
            .execute(&mut connection)
            .await
            .unwrap();
        for n in [0_usize, 1, 2, 3, 15, 16, 17, 1023, 1024, 1025, 5000] {
            sqlx::query("DELETE FROM t")
                .execute(&mut connection)
                .await
                .unwrap();
            let rows: Vec<i64> = (0..n as i64).collect();
            INSERT
                .run(&mut connection, &rows, |query, n| query.bind(*n))
                .await
                .unwrap();
            let back: Vec<i64> = sqlx::query("SELECT n FROM t ORDER BY id")
                .fetch_all(&mut connection)
                .await
                .unwrap()
                .iter()
                .map(|row| row.get(0))
                .collect();
            assert_eq!(back, rows);
        }
    }
}
