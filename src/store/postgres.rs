//! A results database on a PostgreSQL server: the connection, what the server has to be like, and the schema.
//!
//! Its tables mean what those of the SQLite file mean, and its views show the same.

mod connect;
mod error;
mod lease;
mod migrate;

use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};

use crate::model::ServerAddress;

pub(crate) use error::ServerError;
pub(crate) use lease::Sharing;
pub(super) use lease::{Lease, Purpose, has_ended};
pub(super) use migrate::make_temporary_views;

/// A connection to a results database on a server.
#[derive(Debug)]
pub(crate) struct ServerStore {
    pub(super) connection: PgConnection,
    address: ServerAddress,
    options: PgConnectOptions,
}

/// How to connect to it once more.
#[derive(Debug, Clone)]
pub(super) struct ServerAccess {
    pub(super) address: ServerAddress,
    options: PgConnectOptions,
}

impl ServerAccess {
    /// Cancels what the connection with this backend executes.
    pub(super) async fn cancel(&self, backend: i32) -> Result<(), sqlx::Error> {
        let mut connection = PgConnection::connect_with(&self.options).await?;
        sqlx::query("SELECT pg_cancel_backend($1)")
            .bind(backend)
            .execute(&mut connection)
            .await?;
        connection.close().await
    }
}

impl ServerStore {
    /// Where it is.
    pub(crate) fn address(&self) -> &ServerAddress {
        &self.address
    }

    pub(super) fn into_parts(self) -> (PgConnection, ServerAccess) {
        let Self {
            connection,
            address,
            options,
        } = self;
        (connection, ServerAccess { address, options })
    }

    pub(super) fn failure(&self, error: sqlx::Error) -> ServerError {
        ServerError::of(&self.address, error)
    }
}
