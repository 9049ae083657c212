//! A statement of somebody's own, which may only read.

mod cell;
mod refusal;
mod tokens;

use std::fmt;

use futures::{StreamExt as _, TryStreamExt as _};
use sqlx::{AssertSqlSafe, Column, Executor as _, SqlSafeStr as _, Statement as _};

pub(in crate::store) use self::cell::cells;
use self::{refusal::refused, tokens::tokens};
use crate::{
    store::db::{DbConnection, DbRow},
    store::reader::{ReadError, Reader},
};

/// Words that a reading statement begins with.
const READING: [&str; 4] = ["SELECT", "WITH", "VALUES", "EXPLAIN"];

/// A cell of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// NULL.
    Null,
    /// A whole number.
    Integer(i64),
    /// Another number.
    Real(f64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// Why a statement has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SqlError {
    /// There is no statement in the text.
    #[error("there is no statement; write one, as in 'SELECT * FROM runs'")]
    Empty,
    /// The text has more than one.
    #[error("there is more than one statement; give only one\n{0}")]
    Several(Place),
    /// It does something else than to read.
    #[error(
        "{word} does not read: sql takes SELECT, WITH, VALUES and EXPLAIN (for a pragma: SELECT * FROM pragma_table_info('runs')), and changes \
         nothing\n{place}"
    )]
    NotReading {
        /// The word that it begins with.
        word: String,
        /// Where.
        place: Place,
    },
    /// It would change the database.
    #[error("the statement would change the database; sql only reads")]
    Writes,
    /// SQLite does not take it.
    #[error("{message}{place}")]
    Refused {
        /// What SQLite said.
        message: String,
        /// Where, when it can be told.
        place: PlaceLine,
        /// The name that SQLite does not know, if that is what is wrong.
        unknown: Option<UnknownName>,
    },
    /// The database cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A name that the database does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UnknownName {
    /// Of a table or a view.
    Table(String),
    /// Of a column.
    Column(String),
}

/// A place in a statement: its line, and a mark under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    number: usize,
    line: String,
    column: usize,
}

/// How much of the line before and after a place is shown, in characters.
const NEAR: usize = 100;

/// A place on lines of its own, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlaceLine(Option<Place>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lead = format!("line {}: ", self.number);
        // Of a long line what is near the place.
        let from = self.column.saturating_sub(NEAR);
        let near: String = self.line.chars().skip(from).take(2 * NEAR).collect();
        writeln!(f, "{lead}{near}")?;
        write!(f, "{:width$}^", "", width = lead.len() + self.column - from)
    }
}

impl fmt::Display for PlaceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(place) => write!(f, "\n{place}"),
            None => Ok(()),
        }
    }
}

impl Place {
    /// The place of a byte of the text.
    fn at(text: &str, offset: usize) -> Self {
        let before = &text[..offset];
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let line = text[start..].lines().next().unwrap_or_default();
        Self {
            number: before.matches('\n').count() + 1,
            // A tab has no width of its own.
            line: line.replace('\t', " "),
            column: text[start..offset].chars().count(),
        }
    }
}

/// Takes an answer.
pub(crate) trait Answer {
    /// Takes the names of the columns, before any row.
    fn head(&mut self, columns: Vec<String>);

    /// Takes a row, and says whether to go on.
    fn row(&mut self, cells: Vec<Cell>) -> bool;
}

impl Reader {
    /// Hands the answer of a statement to somebody: the columns, and then the rows one by one.
    ///
    /// Nothing that the statement does can change a database: this connection only reads, whatever it opens.
    pub(crate) async fn answer(
        &mut self,
        sql: &str,
        answer: &mut impl Answer,
    ) -> Result<(), SqlError> {
        only_reads(sql)?;
        // One transaction: the names of the columns and the rows are of the same moment.
        let begin: &[&'static str] = match self.connection {
            DbConnection::Sqlite(_) => &[
                "PRAGMA query_only = ON",
                "PRAGMA trusted_schema = OFF",
                "BEGIN",
            ],
            DbConnection::Postgres(..) => &["BEGIN READ ONLY"],
        };
        for statement in begin {
            self.plain(statement).await?;
        }
        let answered = self.hand_over(sql, answer).await;
        // Nothing has been changed: however it ends, it is over.
        self.plain("ROLLBACK").await?;
        answered.map_err(|error| refused(self, sql, error))
    }

    async fn hand_over(&mut self, sql: &str, answer: &mut impl Answer) -> Result<(), sqlx::Error> {
        // The text is somebody's own, and that is the point: it reaches its engine as it is.
        let statement = AssertSqlSafe(sql.to_owned()).into_sql_str();
        let (names, mut rows) = match &mut self.connection {
            DbConnection::Sqlite(connection) => {
                let prepared = connection.prepare(statement.clone()).await?;
                let rows = connection.fetch(sqlx::query(statement));
                (names(prepared.columns()), rows.map_ok(DbRow::from).boxed())
            }
            DbConnection::Postgres(connection, _) => {
                let prepared = connection.prepare(statement.clone()).await?;
                // Values come as text, whatever their types.
                let rows = sqlx::raw_sql(statement).fetch(&mut **connection);
                (names(prepared.columns()), rows.map_ok(DbRow::from).boxed())
            }
        };
        answer.head(names);
        while let Some(row) = rows.next().await {
            if !answer.row(cells(&row?)?) {
                break;
            }
        }
        Ok(())
    }

    async fn plain(&mut self, sql: &'static str) -> Result<(), ReadError> {
        sqlx::query(sql)
            .execute(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))?;
        Ok(())
    }

    /// The names of the views and of their columns, for words about one that is unknown.
    pub(crate) async fn names(&mut self) -> Result<(Vec<String>, Vec<String>), ReadError> {
        let [views, columns] = match self.connection {
            DbConnection::Sqlite(_) => [
                "SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY name",
                "SELECT DISTINCT c.name FROM sqlite_schema AS s CROSS JOIN pragma_table_info(s.name) AS c WHERE s.type = 'view' ORDER BY 1",
            ],
            DbConnection::Postgres(..) => [
                "SELECT viewname FROM pg_views WHERE schemaname = 'fleetpush' ORDER BY 1",
                "SELECT DISTINCT column_name::text FROM information_schema.columns WHERE table_schema = 'fleetpush' ORDER BY 1",
            ],
        };
        let views = sqlx::query_scalar(views)
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))?;
        let columns = sqlx::query_scalar(columns)
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))?;
        Ok((views, columns))
    }
}

fn names<C: Column>(columns: &[C]) -> Vec<String> {
    columns
        .iter()
        .map(|column| column.name().to_owned())
        .collect()
}

/// Fails unless the text is one statement that begins as reading ones do.
fn only_reads(sql: &str) -> Result<(), SqlError> {
    let words = tokens(sql);
    let Some((offset, word)) = words.first() else {
        return Err(SqlError::Empty);
    };
    if !READING
        .iter()
        .any(|reading| word.eq_ignore_ascii_case(reading))
    {
        return Err(SqlError::NotReading {
            word: word.to_uppercase(),
            place: Place::at(sql, *offset),
        });
    }
    let mut after_end = words.iter().skip_while(|(_, word)| *word != ";");
    match after_end.find(|(_, word)| *word != ";") {
        Some((offset, _)) => Err(SqlError::Several(Place::at(sql, *offset))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
