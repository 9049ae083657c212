//! The inbox of a database on a server: tables, which one listener at a time writes by a lease of its own.

use sqlx::Connection as _;

use super::{Inbox, InboxError, InboxReader, write::Home};
use crate::store::{
    Owner, Presence,
    db::DbConnection,
    postgres::{Lease, Purpose, ServerStore},
};

impl Inbox {
    /// Takes the inbox of a database on a server; `holder` is what to tell others of this process.
    pub(crate) async fn on_server(
        mut server: ServerStore,
        holder: &str,
    ) -> Result<Self, InboxError> {
        server.must_be_current().await?;
        let address = server.address().clone();
        match Lease::take(&mut server, Purpose::Inbox, holder).await? {
            Ok(lease) => Ok(Self {
                connection: DbConnection::owning(server.into_parts().0),
                home: Home::Server {
                    address,
                    lease: Box::new(lease),
                },
            }),
            Err(owner) => Err(InboxError::Owned {
                inbox: format!("of {address}"),
                owner,
            }),
        }
    }
}

impl InboxReader {
    /// Opens the inbox of a database on a server; [`InboxError::Missing`] when nobody has listened yet.
    pub(crate) async fn on_server(mut server: ServerStore) -> Result<Self, InboxError> {
        server.must_be_current().await?;
        let place = server.address().to_string();
        let mut connection = DbConnection::from(server.into_parts().0);
        if presence(&mut connection).await? == Presence::Unknown {
            connection.close().await?;
            return Err(InboxError::Missing(place));
        }
        Ok(Self {
            connection,
            file: None,
        })
    }

    pub(super) async fn listener_on_server(&mut self) -> Result<Presence, InboxError> {
        Ok(presence(&mut self.connection).await?)
    }

    /// Whether somebody listens into the inbox of a database on a server; unknown when nobody ever has.
    pub(crate) async fn presence_on(server: ServerStore) -> Result<Presence, InboxError> {
        let mut connection = DbConnection::from(server.into_parts().0);
        let presence = presence(&mut connection).await?;
        connection.close().await?;
        Ok(presence)
    }
}

async fn presence(connection: &mut DbConnection) -> Result<Presence, sqlx::Error> {
    let held: Option<(bool, String)> =
        sqlx::query_as("SELECT ends_at > clock_timestamp(), holder FROM lease WHERE name = ?")
            .bind(Purpose::Inbox.to_string())
            .fetch_optional(connection)
            .await?;
    Ok(match held {
        Some((true, holder)) => Presence::Owned {
            owner: Owner(holder),
        },
        Some((false, _)) => Presence::Nobody,
        None => Presence::Unknown,
    })
}
