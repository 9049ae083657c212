//! The writes of one transaction, collected. Each round trip to the thread that owns the connection wakes two threads, which is most of the
//! cost of a request at a platform's pace. Small writes travel together, so that a transaction with few changes takes one round trip
//! instead of eight.

use std::sync::Arc;

use super::{
    bulk::{Bulk, Values},
    db::DbConnection,
    owner::BEGIN,
};

/// Statements travel together to a file as long as they have no more rows than this. A statement of many rows is worth a trip of its own,
/// and the combinations of sizes have to be few, since each is prepared and kept.
const TOGETHER: usize = 8;
/// A server takes them one by one.
const ONE_BY_ONE: usize = 0;

/// A transaction that writes. It ends with [`commit`](Self::commit), or after an error with [`roll_back`](Self::roll_back).
pub(super) struct Writes<'c> {
    connection: &'c mut DbConnection,
    /// Statements that have not been executed yet.
    text: String,
    values: Values,
    /// How many rows these have.
    rows: usize,
    /// How many rows statements that travel together may have.
    together: usize,
}

impl<'c> Writes<'c> {
    /// Begins a transaction, with the first thing that it does.
    pub(super) fn begin(connection: &'c mut DbConnection) -> Self {
        let (begin, together) = match connection {
            DbConnection::Sqlite(_) => (BEGIN, TOGETHER),
            DbConnection::Postgres(..) => ("BEGIN", ONE_BY_ONE),
        };
        Self {
            text: format!("{begin};"),
            values: Values::of(connection),
            rows: 0,
            together,
            connection,
        }
    }

    /// Whether they go to a file, which one process has to itself.
    pub(super) fn is_on_file(&self) -> bool {
        matches!(self.connection, DbConnection::Sqlite(_))
    }

    /// Writes rows, in their order.
    pub(super) async fn bulk<R>(
        &mut self,
        bulk: &'static Bulk,
        rows: R,
        mut bind: impl FnMut(Values, R::Item) -> Values,
    ) -> Result<(), sqlx::Error>
    where
        R: IntoIterator<IntoIter: ExactSizeIterator>,
    {
        let mut rows = rows.into_iter();
        while rows.len() > 0 {
            self.make_room(rows.len()).await?;
            let before = rows.len();
            let values = self.values.take();
            let (text, values) = bulk.next(values, &mut rows, &mut bind);
            self.values = values;
            self.add(text.as_deref().unwrap_or_default());
            self.rows += before - rows.len();
        }
        Ok(())
    }

    /// Executes one statement with its values.
    pub(super) async fn statement(
        &mut self,
        text: &'static str,
        bind: impl FnOnce(Values) -> Values,
    ) -> Result<(), sqlx::Error> {
        self.make_room(1).await?;
        self.values = bind(self.values.take());
        self.add(text);
        self.rows += 1;
        Ok(())
    }

    /// The connection, for what has to be read; all that has been written is there.
    pub(super) async fn connection(&mut self) -> Result<&mut DbConnection, sqlx::Error> {
        self.execute().await?;
        Ok(self.connection)
    }

    /// Commits, with the last thing that was written.
    pub(super) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        match self.connection {
            DbConnection::Sqlite(_) => {
                self.make_room(0).await?;
                self.add("COMMIT");
                self.execute().await
            }
            DbConnection::Postgres(..) => {
                self.execute().await?;
                self.connection.commit().await
            }
        }
    }

    /// Leaves no transaction behind.
    pub(super) async fn roll_back(self) {
        // It may not have begun, or may be gone already, as after a full disk.
        let _ = sqlx::query("ROLLBACK").execute(self.connection).await;
    }

    /// Executes what there is before a statement of so many rows would be too much.
    async fn make_room(&mut self, rows: usize) -> Result<(), sqlx::Error> {
        if self.together == ONE_BY_ONE || self.rows + rows > self.together {
            self.execute().await?;
        }
        Ok(())
    }

    fn add(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push(';');
    }

    async fn execute(&mut self) -> Result<(), sqlx::Error> {
        if self.text.is_empty() {
            return Ok(());
        }
        let text: Arc<str> = std::mem::take(&mut self.text).into();
        self.rows = 0;
        self.values
            .take()
            .execute(text, &mut *self.connection)
            .await
    }
}
