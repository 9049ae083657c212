//! Statements of many rows. Each statement is a round trip to the thread that owns the connection, which costs more than ten rows. So rows
//! are written together, in a few fixed sizes, and each size is prepared once. If there are fewer rows than the size has, the rest are rows
//! of NULLs, which the statement skips.

use std::sync::{Arc, OnceLock};

use sqlx::{
    Arguments as _, AssertSqlSafe, Encode, Type,
    error::BoxDynError,
    sqlite::{Sqlite, SqliteArguments},
};

use super::db::DbConnection;

/// The most rows in one statement is 2 to the power of this: so many that the trip is a small part of it.
const MOST: usize = 10;
/// The most rows in one statement.
pub(super) const MOST_ROWS: usize = 1 << MOST;

/// A statement around a `VALUES` list. It must do nothing for a row whose first value is NULL.
#[derive(Debug)]
pub(super) struct Bulk {
    /// What comes before the rows: two pieces, the word `VALUES` at their end.
    head: [&'static str; 2],
    /// One row: `(?, ?, ?)`.
    row: &'static str,
    /// What follows the rows.
    tail: [&'static str; 2],
    /// Its text for 1, 2, 4, … rows. Fixed, so that the statements stay in the connection's cache.
    texts: [OnceLock<Arc<str>>; MOST + 1],
}

/// The values of statements, in the order of their question marks.
#[derive(Debug, Default)]
pub(super) struct Values {
    arguments: SqliteArguments,
    /// The first value that could not be encoded.
    failed: Option<BoxDynError>,
}

impl Values {
    /// Gives the next question mark its value.
    pub(super) fn bind<'t>(mut self, value: impl Encode<'t, Sqlite> + Type<Sqlite>) -> Self {
        if let Err(error) = self.arguments.add(value) {
            self.failed.get_or_insert(error);
        }
        self
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
        sqlx::query_with(AssertSqlSafe(text), self.arguments)
            .execute(connection.sqlite()?)
            .await?;
        Ok(())
    }
}

impl Bulk {
    /// `INSERT INTO table (columns)` with rows of these values; `after` is what may follow an `INSERT`.
    pub(super) const fn insert(into: &'static str, row: &'static str, after: &'static str) -> Self {
        let rows = "SELECT * FROM (VALUES";
        Self::pieces([into, rows], row, [") WHERE column1 IS NOT NULL", after])
    }

    /// Any statement around rows of these values, from `head`, with the word `VALUES` at its end, to `tail`.
    pub(super) const fn around(head: &'static str, row: &'static str, tail: &'static str) -> Self {
        Self::pieces([head, ""], row, [tail, ""])
    }

    const fn pieces(head: [&'static str; 2], row: &'static str, tail: [&'static str; 2]) -> Self {
        Self {
            head,
            row,
            tail,
            texts: [const { OnceLock::new() }; MOST + 1],
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
        let mut ready = self.next(Values::default(), &mut rows, &mut bind);
        while let (Some(text), values) = ready {
            // While the connection's thread is at work, the values of the next statement are made ready.
            let (done, next) = tokio::join!(values.execute(text, &mut *connection), async {
                self.next(Values::default(), &mut rows, &mut bind)
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
        let size = now.next_power_of_two();
        let text = self.texts[size.ilog2() as usize].get_or_init(|| self.text(size));
        for row in rows.take(now) {
            values = bind(values, row);
        }
        for _ in 0..(size - now) * self.row.matches('?').count() {
            values = values.bind(None::<i64>);
        }
        (Some(Arc::clone(text)), values)
    }

    fn text(&self, rows: usize) -> Arc<str> {
        let rows = vec![self.row; rows].join(",");
        let ([head, opening], [closing, tail]) = (self.head, self.tail);
        format!("{head} {opening} {rows} {closing} {tail}").into()
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
