//! Statements of many rows. Each statement is a round trip to the thread that owns the connection, which costs more than ten rows. So rows
//! are written together, in a few fixed sizes, and each size is prepared once. If there are fewer rows than the size has, the rest are rows
//! of NULLs, which the statement skips.

use std::{
    fmt::Write as _,
    sync::{Arc, OnceLock},
};

use sqlx::{
    Arguments as _, AssertSqlSafe, Encode, Type,
    error::BoxDynError,
    sqlite::{Sqlite, SqliteArguments},
};

use super::db::{Arguments, Db, DbConnection};
use crate::model::Ticket;

/// The most rows in one statement is 2 to the power of this: so many that the trip is a small part of it.
const MOST: usize = 10;
/// The most rows in one statement.
pub(super) const MOST_ROWS: usize = 1 << MOST;

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
    of_lists: OnceLock<Arc<str>>,
}

/// What comes before the rows.
#[derive(Debug)]
enum Kind {
    /// `INSERT INTO table (columns)`.
    Insert(&'static str),
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
            Bound::Postgres(_) => Bound::Postgres(Arguments::default()),
        });
        std::mem::replace(self, none)
    }

    /// Gives the next question mark its value.
    pub(super) fn bind<'t, T>(mut self, value: T) -> Self
    where
        T: Encode<'t, Sqlite> + Type<Sqlite> + Encode<'t, Db> + Type<Db>,
    {
        let bound = match &mut self.bound {
            Bound::Sqlite(arguments) => arguments.add(value),
            Bound::Postgres(arguments) => arguments.add(value),
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
            Bound::Postgres(_) => None,
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
        if let Some(error) = self.failed {
            return Err(sqlx::Error::Encode(error));
        }
        // The text is made of constants alone.
        let text = AssertSqlSafe(text);
        match self.bound {
            Bound::Sqlite(arguments) => {
                sqlx::query_with(text, arguments)
                    .execute(connection.sqlite()?)
                    .await?;
            }
            Bound::Postgres(arguments) => {
                sqlx::query_with(text, arguments)
                    .execute(connection)
                    .await?;
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
            of_lists: OnceLock::new(),
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
            // While the connection's thread is at work, the values of the next statement are made ready.
            let (done, next) = tokio::join!(values.execute(text, &mut *connection), async {
                self.next(none.take(), &mut rows, &mut bind)
            });
            done?;
            ready = next;
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
        let now = rows.len().min(MOST_ROWS);
        if now == 0 {
            return (None, values);
        }
        for row in rows.take(now) {
            values = bind(values, row);
        }
        let columns = self.row.matches('?').count();
        match values.bound {
            Bound::Sqlite(_) => {
                let size = now.next_power_of_two();
                for _ in 0..(size - now) * columns {
                    values = values.bind(None::<i64>);
                }
                let text = self.of_rows[size.ilog2() as usize].get_or_init(|| self.rows(size));
                (Some(Arc::clone(text)), values)
            }
            Bound::Postgres(arguments) => {
                let text = self.of_lists.get_or_init(|| self.lists(columns));
                let (bound, failed) = match arguments.into_columns(columns) {
                    Ok(lists) => (lists, values.failed),
                    Err(error) => (Arguments::default(), values.failed.or(Some(error))),
                };
                let values = Values {
                    bound: Bound::Postgres(bound),
                    failed,
                };
                (Some(Arc::clone(text)), values)
            }
        }
    }

    fn rows(&self, rows: usize) -> Arc<str> {
        let rows = vec![self.row; rows].join(",");
        let tail = self.tail;
        match self.kind {
            Kind::Insert(into) => {
                format!("{into} SELECT * FROM (VALUES {rows}) WHERE column1 IS NOT NULL {tail}")
            }
            Kind::Around(head) => format!("{head} VALUES {rows} {tail}"),
        }
        .into()
    }

    fn lists(&self, columns: usize) -> Arc<str> {
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
        let (Kind::Insert(head) | Kind::Around(head), tail) = (&self.kind, self.tail);
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
