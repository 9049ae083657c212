//! A connection to one of the two, and its transactions.

use std::{future::Future, str::FromStr, time::Duration};

use log::LevelFilter;
use sqlx::{
    ConnectOptions, Database, PgConnection, SqlSafeStr, SqlStr, Sqlite, SqliteConnection,
    Transaction, postgres::PgConnectOptions, sqlite::SqliteConnectOptions,
};
use sqlx_core::transaction::TransactionManager;
use url::Url;

use super::Db;

/// A connection to a results database: a file, or a database on a server.
#[derive(Debug)]
pub(in crate::store) enum DbConnection {
    Sqlite(SqliteConnection),
    Postgres(Box<PgConnection>, Commit),
}

/// How transactions on a server are committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Commit {
    /// As they are.
    Plainly,
    /// If this process still has the leases that `temp.held_lease` names.
    AsOwner,
}

/// Looks at the leases and prolongs them by the server's clock, in the transaction that they guard, just before that is committed.
macro_rules! hold_lease {
    () => {
        "SELECT fleetpush.hold_lease(h.name, o.mark, o.lasts_ms) FROM pg_temp.held_lease AS h, pg_temp.this_owner AS o"
    };
}

const HOLD_LEASE: &str = hold_lease!();
/// The second statement is not executed when the first one fails.
const COMMIT_AS_OWNER: &str = concat!(hold_lease!(), "; COMMIT");

impl From<SqliteConnection> for DbConnection {
    fn from(connection: SqliteConnection) -> Self {
        Self::Sqlite(connection)
    }
}

impl From<PgConnection> for DbConnection {
    fn from(connection: PgConnection) -> Self {
        Self::Postgres(Box::new(connection), Commit::Plainly)
    }
}

impl DbConnection {
    /// A connection of the owner of a database on a server.
    pub(in crate::store) fn owning(connection: PgConnection) -> Self {
        Self::Postgres(Box::new(connection), Commit::AsOwner)
    }

    /// Begins a transaction that [`commit`](Self::commit) ends; on a file with a statement of its own.
    pub(in crate::store) async fn begin_by_hand(
        &mut self,
        on_file: &'static str,
    ) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection) => sqlx::raw_sql(on_file).execute(connection).await.map(drop),
            Self::Postgres(connection, _) => sqlx::raw_sql("BEGIN")
                .execute(&mut **connection)
                .await
                .map(drop),
        }
    }

    /// Commits the transaction.
    pub(in crate::store) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection) => sqlx::raw_sql("COMMIT").execute(connection).await.map(drop),
            Self::Postgres(connection, commit) => {
                let commit = match commit {
                    Commit::Plainly => "COMMIT",
                    Commit::AsOwner => COMMIT_AS_OWNER,
                };
                sqlx::raw_sql(commit)
                    .execute(&mut **connection)
                    .await
                    .map(drop)
            }
        }
    }

    /// The connection to a file, for what only files have.
    pub(in crate::store) fn sqlite(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        match self {
            Self::Sqlite(connection) => Ok(connection),
            Self::Postgres(..) => Err(sqlx::Error::Protocol(
                "this is done with a results database in a file alone".into(),
            )),
        }
    }
}

/// Where to connect, for those who have only an address.
#[derive(Debug, Clone)]
pub(in crate::store) enum Options {
    Sqlite(Box<SqliteConnectOptions>),
    Postgres(Box<PgConnectOptions>),
}

impl FromStr for Options {
    type Err = sqlx::Error;

    fn from_str(address: &str) -> Result<Self, sqlx::Error> {
        let url = Url::parse(address).map_err(sqlx::Error::config)?;
        Self::from_url(&url)
    }
}

impl ConnectOptions for Options {
    type Connection = DbConnection;

    fn from_url(url: &Url) -> Result<Self, sqlx::Error> {
        if Sqlite::URL_SCHEMES.contains(&url.scheme()) {
            SqliteConnectOptions::from_url(url).map(|options| Self::Sqlite(Box::new(options)))
        } else {
            PgConnectOptions::from_url(url).map(|options| Self::Postgres(Box::new(options)))
        }
    }

    async fn connect(&self) -> Result<DbConnection, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(options) => options.connect().await?.into(),
            Self::Postgres(options) => options.connect().await?.into(),
        })
    }

    fn log_statements(self, level: LevelFilter) -> Self {
        match self {
            Self::Sqlite(options) => Self::Sqlite(Box::new(options.log_statements(level))),
            Self::Postgres(options) => Self::Postgres(Box::new(options.log_statements(level))),
        }
    }

    fn log_slow_statements(self, level: LevelFilter, after: Duration) -> Self {
        match self {
            Self::Sqlite(options) => {
                Self::Sqlite(Box::new(options.log_slow_statements(level, after)))
            }
            Self::Postgres(options) => {
                Self::Postgres(Box::new(options.log_slow_statements(level, after)))
            }
        }
    }
}

impl sqlx::Connection for DbConnection {
    type Database = Db;
    type Options = Options;

    async fn close(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection) => connection.close().await,
            Self::Postgres(connection, _) => connection.close().await,
        }
    }

    async fn close_hard(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection) => connection.close_hard().await,
            Self::Postgres(connection, _) => connection.close_hard().await,
        }
    }

    async fn ping(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection) => connection.ping().await,
            Self::Postgres(connection, _) => connection.ping().await,
        }
    }

    fn begin(
        &mut self,
    ) -> impl Future<Output = Result<Transaction<'_, Db>, sqlx::Error>> + Send + '_ {
        Transaction::begin(self, None)
    }

    fn begin_with(
        &mut self,
        statement: impl SqlSafeStr,
    ) -> impl Future<Output = Result<Transaction<'_, Db>, sqlx::Error>> + Send + '_ {
        Transaction::begin(self, Some(statement.into_sql_str()))
    }

    fn shrink_buffers(&mut self) {
        match self {
            Self::Sqlite(connection) => connection.shrink_buffers(),
            Self::Postgres(connection, _) => connection.shrink_buffers(),
        }
    }

    async fn flush(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection) => connection.flush().await,
            Self::Postgres(connection, _) => connection.flush().await,
        }
    }

    fn should_flush(&self) -> bool {
        match self {
            Self::Sqlite(connection) => connection.should_flush(),
            Self::Postgres(connection, _) => connection.should_flush(),
        }
    }
}

/// Begins and ends transactions as the driver of the connection does.
#[derive(Debug)]
pub(in crate::store) struct Transactions;

type OfSqlite = <Sqlite as Database>::TransactionManager;
type OfPostgres = <sqlx::Postgres as Database>::TransactionManager;

impl TransactionManager for Transactions {
    type Database = Db;

    async fn begin(
        connection: &mut DbConnection,
        statement: Option<SqlStr>,
    ) -> Result<(), sqlx::Error> {
        match connection {
            DbConnection::Sqlite(connection) => OfSqlite::begin(connection, statement).await,
            // What a statement of its own looks at when a transaction begins, a server looks at when it is committed.
            DbConnection::Postgres(connection, Commit::AsOwner) => {
                OfPostgres::begin(connection, None).await
            }
            DbConnection::Postgres(connection, Commit::Plainly) => {
                OfPostgres::begin(connection, statement).await
            }
        }
    }

    async fn commit(connection: &mut DbConnection) -> Result<(), sqlx::Error> {
        match connection {
            DbConnection::Sqlite(connection) => OfSqlite::commit(connection).await,
            DbConnection::Postgres(connection, commit) => {
                if *commit == Commit::AsOwner {
                    sqlx::raw_sql(HOLD_LEASE).execute(&mut **connection).await?;
                }
                OfPostgres::commit(connection).await
            }
        }
    }

    async fn rollback(connection: &mut DbConnection) -> Result<(), sqlx::Error> {
        match connection {
            DbConnection::Sqlite(connection) => OfSqlite::rollback(connection).await,
            DbConnection::Postgres(connection, _) => OfPostgres::rollback(connection).await,
        }
    }

    fn start_rollback(connection: &mut DbConnection) {
        match connection {
            DbConnection::Sqlite(connection) => OfSqlite::start_rollback(connection),
            DbConnection::Postgres(connection, _) => OfPostgres::start_rollback(connection),
        }
    }

    fn get_transaction_depth(connection: &DbConnection) -> usize {
        match connection {
            DbConnection::Sqlite(connection) => OfSqlite::get_transaction_depth(connection),
            DbConnection::Postgres(connection, _) => OfPostgres::get_transaction_depth(connection),
        }
    }
}
