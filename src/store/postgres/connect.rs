//! The connection, and what a server must be like to be trusted with results.

use std::str::FromStr as _;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{ConnectOptions as _, Connection as _, postgres::PgConnectOptions};

use super::{ServerAccess, ServerError, ServerStore};
use crate::model::ServerAddress;

/// The oldest version that is tried, as the server numbers its versions.
const OLDEST: i32 = 150_000;

/// What the server says of itself.
#[derive(Debug, Clone, sqlx::FromRow)]
struct Server {
    version: i32,
    version_text: String,
    fsync: bool,
    encoding: String,
    is_standby: bool,
}

impl ServerStore {
    /// Connects to the database at an address. A server that is too old, or that may forget what it has confirmed, is refused.
    pub(crate) async fn connect(
        address: &ServerAddress,
        password: Option<&SecretString>,
    ) -> Result<Self, ServerError> {
        let options = PgConnectOptions::from_str(address.as_str())
            .map_err(|error| ServerError::of(address, error))?;
        let options = match password {
            Some(password) => options.password(password.expose_secret()),
            None => options,
        };
        let options = options
            .application_name("fleetpush")
            .disable_statement_logging();
        let access = ServerAccess {
            address: address.clone(),
            options,
        };
        access.connect().await
    }

    /// Ends the connection in order.
    pub(crate) async fn close(self) -> Result<(), ServerError> {
        let Self {
            connection,
            address,
            options: _,
        } = self;
        connection
            .close()
            .await
            .map_err(|error| ServerError::of(&address, error))
    }
}

impl ServerAccess {
    /// Connects to it.
    pub(in crate::store) async fn connect(&self) -> Result<ServerStore, ServerError> {
        let Self { address, options } = self.clone();
        let connection = options
            .connect()
            .await
            .map_err(|error| ServerError::of(&address, error))?;
        let mut store = ServerStore {
            connection,
            address,
            options,
        };
        let server: Server = sqlx::query_as(
            "SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS version_text,
                 current_setting('fsync')::bool AS fsync, current_setting('server_encoding') AS encoding, pg_is_in_recovery() AS is_standby",
        )
        .fetch_one(&mut store.connection)
        .await
        .map_err(|error| store.failure(error))?;
        if let Some(reason) = unfit(&server) {
            return Err(ServerError::Unfit {
                address: store.address,
                reason,
            });
        }
        // What has been said to be stored is on the server's disk, whatever is set for the user. The views join up to a dozen tables, and
        // only a planner that may order all of them begins with the few rows that are asked for.
        sqlx::raw_sql(
            "SET search_path = fleetpush; SET bytea_output = hex; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
             SET join_collapse_limit = 16; SET from_collapse_limit = 16; SET geqo = off; SET jit = off;
             SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
        )
        .execute(&mut store.connection)
        .await
        .map_err(|error| store.failure(error))?;
        Ok(store)
    }
}

/// Why this server is not trusted with results, and what to change.
fn unfit(server: &Server) -> Option<String> {
    if server.version < OLDEST {
        return Some(format!(
            "the server is PostgreSQL {}, and fleetpush needs 15 or later: update it, or name another server",
            server.version_text
        ));
    }
    if !server.fsync {
        return Some(
            "the server runs with fsync=off, so that it loses what it has confirmed when its machine loses power: set fsync = on in \
             postgresql.conf, and reload it (SELECT pg_reload_conf())"
                .into(),
        );
    }
    if server.encoding != "UTF8" {
        return Some(format!(
            "its encoding is {}, which has no place for every character: make a database with ENCODING 'UTF8'",
            server.encoding
        ));
    }
    if server.is_standby {
        return Some("the server is a standby, which only reads: name the primary server".into());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit() -> Server {
        Server {
            version: 150_000,
            version_text: "15.0".into(),
            fsync: true,
            encoding: "UTF8".into(),
            is_standby: false,
        }
    }

    #[test]
    fn a_server_that_may_forget_or_is_too_old_is_refused_with_what_to_do() {
        assert_eq!(unfit(&fit()), None);
        let reason = |server: Server| unfit(&server).unwrap();
        let old = reason(Server {
            version: 140_012,
            version_text: "14.12".into(),
            ..fit()
        });
        assert!(
            old.contains("14.12") && old.contains("15 or later"),
            "{old}"
        );
        let forgetful = reason(Server {
            fsync: false,
            ..fit()
        });
        assert!(forgetful.contains("set fsync = on"), "{forgetful}");
        let narrow = reason(Server {
            encoding: "LATIN1".into(),
            ..fit()
        });
        assert!(narrow.contains("UTF8"), "{narrow}");
        let standby = reason(Server {
            is_standby: true,
            ..fit()
        });
        assert!(standby.contains("primary"), "{standby}");
    }
}
