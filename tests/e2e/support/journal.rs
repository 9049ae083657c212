//! What the results database says, read through its public views alone.

use std::{collections::BTreeMap, path::Path};

use sqlx::{
    ConnectOptions, Connection, FromRow, PgConnection, SqliteConnection,
    sqlite::SqliteConnectOptions,
};

/// The content of a database's views.
#[derive(Debug)]
pub(crate) struct Journal {
    pub(crate) runs: Vec<Run>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) attempts: Vec<Attempt>,
    /// Requests that have no end.
    pub(crate) unfinished: i64,
    /// What the view `requests` has in its column `error`.
    pub(crate) errors: Vec<String>,
}

/// A row of `runs`.
#[derive(Debug, FromRow)]
pub(crate) struct Run {
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) tasks: i64,
    pub(crate) accepted: i64,
    pub(crate) failed: i64,
    pub(crate) in_doubt: i64,
    pub(crate) pending: i64,
    pub(crate) in_flight: i64,
    pub(crate) skipped: i64,
}

/// A row of `results`.
#[derive(Debug, FromRow)]
pub(crate) struct Task {
    pub(crate) run: i64,
    pub(crate) line: i64,
    pub(crate) product_key: Option<String>,
    pub(crate) device_key: String,
    pub(crate) state: String,
    pub(crate) class: Option<String>,
    pub(crate) code: Option<i64>,
    pub(crate) ticket: Option<String>,
    pub(crate) attempts: i64,
    pub(crate) data: Option<String>,
    pub(crate) labels: Option<String>,
}

/// A row of `attempts`.
#[derive(Debug, FromRow)]
pub(crate) struct Attempt {
    pub(crate) run: i64,
    pub(crate) line: i64,
    pub(crate) device_key: String,
    #[sqlx(rename = "attempt")]
    pub(crate) number: i64,
    pub(crate) outcome: String,
    pub(crate) code: Option<i64>,
    pub(crate) ticket: Option<String>,
    pub(crate) sent_at: String,
}

/// The content of the views, as a transaction sees it.
macro_rules! content {
    ($transaction:ident) => {
        Journal {
            runs: sqlx::query_as("SELECT * FROM runs ORDER BY run")
                .fetch_all(&mut *$transaction)
                .await?,
            tasks: sqlx::query_as("SELECT * FROM results ORDER BY run, line, device_key")
                .fetch_all(&mut *$transaction)
                .await?,
            attempts: sqlx::query_as(
                "SELECT * FROM attempts ORDER BY run, line, device_key, attempt",
            )
            .fetch_all(&mut *$transaction)
            .await?,
            unfinished: sqlx::query_scalar(
                "SELECT count(*) FROM requests WHERE finished_at IS NULL",
            )
            .fetch_one(&mut *$transaction)
            .await?,
            errors: sqlx::query_scalar("SELECT error FROM requests WHERE error IS NOT NULL")
                .fetch_all(&mut *$transaction)
                .await?,
        }
    };
}

impl Journal {
    /// The same of a database on a server.
    pub(crate) async fn on_server(connection: &mut PgConnection) -> Self {
        let read = async {
            let mut transaction = connection.begin().await?;
            sqlx::raw_sql(
                "SET LOCAL search_path = fleetpush; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            )
            .execute(&mut *transaction)
            .await?;
            let journal = content!(transaction);
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(journal)
        };
        read.await.expect("the views can be read")
    }

    /// Reads all of it, in one transaction, as any reader may at any time.
    pub(crate) fn read(database: &Path) -> Self {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime can be made")
            .block_on(read(database))
            .expect("the views can be read")
    }

    /// The only run.
    pub(crate) fn run(&self) -> &Run {
        assert_eq!(self.runs.len(), 1, "{:?}", self.runs);
        &self.runs[0]
    }

    /// How many attempts came to what.
    pub(crate) fn outcomes(&self) -> BTreeMap<&str, usize> {
        let mut outcomes = BTreeMap::new();
        for attempt in &self.attempts {
            *outcomes.entry(attempt.outcome.as_str()).or_default() += 1;
        }
        outcomes
    }
}

async fn read(database: &Path) -> Result<Journal, sqlx::Error> {
    let mut connection = SqliteConnectOptions::new()
        .filename(database)
        .connect()
        .await?;
    let sound: String = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(&mut connection)
        .await?;
    assert_eq!(sound, "ok");
    let mut transaction = connection.begin().await?;
    let journal = content!(transaction);
    transaction.commit().await?;
    SqliteConnection::close(connection).await?;
    Ok(journal)
}
