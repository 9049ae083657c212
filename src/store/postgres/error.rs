//! What can go wrong with a results database on a server, in words that say what to do.

use std::borrow::Cow;

use crate::model::ServerAddress;

/// An error of a results database on a server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Nobody answers.
    #[error(
        "cannot reach {address}: check the address, and whether the server runs and accepts connections from this machine"
    )]
    Unreachable {
        /// The database.
        address: ServerAddress,
        /// What the connection came to.
        source: sqlx::Error,
    },
    /// TLS has failed.
    #[error(
        "cannot make a TLS connection to {address}: check sslmode and sslrootcert in the address; the server's certificate must have the \
         name in the address, and an authority that the system or sslrootcert knows"
    )]
    Tls {
        /// The database.
        address: ServerAddress,
        /// What is wrong with it.
        source: sqlx::Error,
    },
    /// Who asks is not let in.
    #[error(
        "{address} refuses the login: check the user in the address, and the password in ~/.pgpass (or the file that PGPASSFILE names, mode \
         600), or in FLEETPUSH_DB_PASSWORD or FLEETPUSH_DB_PASSWORD_FILE"
    )]
    Login {
        /// The database.
        address: ServerAddress,
        /// What the server said.
        source: sqlx::Error,
    },
    /// The server has no such database.
    #[error(
        "there is no database {address}: make one on the server, for example with createdb, then run fleetpush db migrate"
    )]
    NoDatabase {
        /// The database.
        address: ServerAddress,
    },
    /// The user may not do it.
    #[error(
        "{address} refuses this to its user: grant the rights, or name another user in the address"
    )]
    Forbidden {
        /// The database.
        address: ServerAddress,
        /// What the server said.
        source: sqlx::Error,
    },
    /// The user may not make temporary tables.
    #[error(
        "{address} refuses temporary tables to its user, and this command sorts and compares in them: grant the right, for example with \
         GRANT TEMPORARY ON DATABASE fleet TO analysts, or name another user in the address"
    )]
    NoTemporaryTables {
        /// The database.
        address: ServerAddress,
        /// What the server said.
        source: sqlx::Error,
    },
    /// The server is not as it has to be.
    #[error("{address} cannot keep results: {reason}")]
    Unfit {
        /// The database.
        address: ServerAddress,
        /// What it is like, and what to change.
        reason: String,
    },
    /// The database has no schema of ours.
    #[error("{address} has no schema fleetpush: run fleetpush db migrate --db '{}' first", address.as_str())]
    NoSchema {
        /// The database.
        address: ServerAddress,
    },
    /// The schema is an earlier version's.
    #[error(
        "{address} has schema {found}, and this fleetpush needs {known}: run fleetpush db migrate --db '{}' first",
        address.as_str()
    )]
    Older {
        /// The database.
        address: ServerAddress,
        /// The schema that it has.
        found: i64,
        /// The schema that is needed.
        known: i64,
    },
    /// The schema is a later version's.
    #[error(
        "{address} has schema {found}, and this fleetpush knows schemas up to {known}: use a newer fleetpush"
    )]
    Newer {
        /// The database.
        address: ServerAddress,
        /// The schema that it has.
        found: i64,
        /// The last schema that this program knows.
        known: i64,
    },
    /// There is another thing of the name of our schema.
    #[error(
        "{address} has a schema fleetpush that is not a results database: name another database, or rename that schema"
    )]
    NotOurs {
        /// The database.
        address: ServerAddress,
    },
    /// Pushes have written into the database that a copy would write over.
    #[error(
        "{address} has results of pushes that were stored there, and a copy would write over them: copy to another database; a file is copied \
         before the first push to its server"
    )]
    HasPushes {
        /// The database.
        address: ServerAddress,
    },
    /// A migration has failed.
    #[error("cannot make the schema fleetpush in {address}; nothing was changed")]
    Migration {
        /// The database.
        address: ServerAddress,
        /// Why.
        source: sqlx::migrate::MigrateError,
    },
    /// A statement has failed, and its transaction with it.
    #[error("the database {address} failed; nothing of the last step was kept")]
    Failed {
        /// The database.
        address: ServerAddress,
        /// What the server said.
        source: sqlx::Error,
    },
}

impl ServerError {
    /// What an error of the library means.
    pub(in crate::store) fn of(address: &ServerAddress, source: sqlx::Error) -> Self {
        let address = address.clone();
        let code = source
            .as_database_error()
            .and_then(|error| error.code().map(Cow::into_owned));
        match (code.as_deref(), &source) {
            (Some("28000" | "28P01"), _) => Self::Login { address, source },
            (Some("3D000"), _) => Self::NoDatabase { address },
            (Some("42501"), _) => Self::Forbidden { address, source },
            (None, sqlx::Error::Tls(_)) => Self::Tls { address, source },
            (None, sqlx::Error::Io(error)) if error.get_ref().is_some_and(is_of_tls) => {
                Self::Tls { address, source }
            }
            (None, sqlx::Error::Io(_)) => Self::Unreachable { address, source },
            _ => Self::Failed { address, source },
        }
    }
}

fn is_of_tls(cause: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    cause.is::<rustls::Error>()
}
