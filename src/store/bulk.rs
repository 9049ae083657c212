//! Statements of many rows. One row a statement is an order of magnitude slower, since each statement is a round trip to the thread that
//! owns the connection; so rows go out in a few fixed sizes, each of which is prepared once.

use sqlx::{
    AssertSqlSafe, SqliteConnection,
    query::Query,
    sqlite::{Sqlite, SqliteArguments},
};

/// Rows in one statement, largest first. Fixed, so that the statements stay in the connection's cache.
const SIZES: [usize; 3] = [256, 16, 1];

/// A statement around a `VALUES` list.
#[derive(Debug)]
pub(super) struct Bulk {
    /// The statement up to and with the word `VALUES`.
    pub(super) head: &'static str,
    /// One row: `(?, ?, ?)`.
    pub(super) row: &'static str,
    /// What follows the rows.
    pub(super) tail: &'static str,
}

/// A statement that is being given its values.
pub(super) type Binding<'q> = Query<'q, Sqlite, SqliteArguments>;

impl Bulk {
    /// Runs the statement over `rows`, in their order; `bind` gives the values of one row.
    pub(super) async fn run<T>(
        &self,
        connection: &mut SqliteConnection,
        mut rows: &[T],
        mut bind: impl for<'q> FnMut(Binding<'q>, &T) -> Binding<'q>,
    ) -> Result<(), sqlx::Error> {
        for size in SIZES {
            if rows.len() < size {
                continue;
            }
            let sql = self.sql(size);
            while let Some((now, later)) = rows.split_at_checked(size) {
                rows = later;
                // The text is made of constants alone.
                let mut query = sqlx::query(AssertSqlSafe(sql.clone()));
                for row in now {
                    query = bind(query, row);
                }
                query.execute(&mut *connection).await?;
            }
        }
        Ok(())
    }

    fn sql(&self, rows: usize) -> String {
        let mut sql = String::with_capacity(
            self.head.len() + self.tail.len() + (self.row.len() + 1) * rows + 2,
        );
        sql.push_str(self.head);
        sql.push(' ');
        for i in 0..rows {
            if i > 0 {
                sql.push(',');
            }
            sql.push_str(self.row);
        }
        sql.push(' ');
        sql.push_str(self.tail);
        sql
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection, Row};

    use super::*;

    #[tokio::test]
    async fn every_row_arrives_once_in_order() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        sqlx::query("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
            .execute(&mut connection)
            .await
            .unwrap();
        let insert = Bulk {
            head: "INSERT INTO t (n) VALUES",
            row: "(?)",
            tail: "",
        };
        for n in [0_usize, 1, 15, 16, 17, 255, 256, 257, 1000] {
            sqlx::query("DELETE FROM t")
                .execute(&mut connection)
                .await
                .unwrap();
            let rows: Vec<i64> = (0..n as i64).collect();
            insert
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
