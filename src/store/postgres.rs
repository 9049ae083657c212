//! A results database on a PostgreSQL server: the connection, what the server has to be like, and the schema.
//!
//! Its tables mean what those of the SQLite file mean, and its views show the same.

mod connect;
mod error;
mod migrate;

use sqlx::PgConnection;

use crate::model::ServerAddress;

pub(crate) use error::ServerError;

/// A connection to a results database on a server.
#[derive(Debug)]
pub(crate) struct ServerStore {
    pub(super) connection: PgConnection,
    address: ServerAddress,
}

impl ServerStore {
    /// Where it is.
    pub(crate) fn address(&self) -> &ServerAddress {
        &self.address
    }

    pub(super) fn into_parts(self) -> (PgConnection, ServerAddress) {
        (self.connection, self.address)
    }

    pub(super) fn failure(&self, error: sqlx::Error) -> ServerError {
        ServerError::of(&self.address, error)
    }
}
