//! The schema `fleetpush` on a server: made, brought up to date, and looked at.

use sqlx::{Connection as _, PgConnection, migrate::Migrator};

use super::{ServerError, ServerStore};

/// The schema, embedded in the binary. Append-only.
static MIGRATOR: Migrator = sqlx::migrate!("migrations/postgres");

/// Functions that statements call, which are replaced with each migration.
const FUNCTIONS: &str = include_str!("functions.sql");

/// The views, which are replaced with each migration.
const VIEWS: &str = include_str!("views.sql");

/// What brings a database up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServerUpgrade {
    /// The schema that it has; 0: none.
    pub from: i64,
    /// The schema that it will have.
    pub to: i64,
    /// Migrations that are to be made.
    pub migrations: usize,
}

fn newest() -> i64 {
    MIGRATOR
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0)
}

/// What each view begins with.
const VIEW: &str = "CREATE OR REPLACE VIEW ";

/// Makes the views for this connection alone, which looks for its own first; nothing if it has them.
pub(in crate::store) async fn make_temporary_views(
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let made: bool = sqlx::query_scalar("SELECT to_regclass('pg_temp.results') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if made {
        return Ok(());
    }
    let mut script = String::new();
    for (at, _) in VIEWS.match_indices(VIEW) {
        if let Some((statement, _)) = VIEWS[at..].split_once(";\n") {
            script.push_str(&statement.replacen(VIEW, "CREATE TEMP VIEW ", 1));
            script.push_str(";\n");
        }
    }
    sqlx::raw_sql(sqlx::AssertSqlSafe(script))
        .execute(connection)
        .await?;
    Ok(())
}

impl ServerStore {
    /// What is to be done to the database. Only reads.
    pub(crate) async fn upgrade(&mut self) -> Result<ServerUpgrade, ServerError> {
        let from = self.schema().await?.unwrap_or(0);
        let to = newest();
        if from > to {
            return Err(ServerError::Newer {
                address: self.address.clone(),
                found: from,
                known: to,
            });
        }
        Ok(ServerUpgrade {
            from,
            to,
            migrations: MIGRATOR
                .iter()
                .filter(|migration| migration.version > from)
                .count(),
        })
    }

    /// Makes the schema, or brings it up to date. Each migration is kept as a whole or not at all.
    pub(crate) async fn migrate(&mut self) -> Result<(), ServerError> {
        sqlx::raw_sql("CREATE SCHEMA IF NOT EXISTS fleetpush")
            .execute(&mut self.connection)
            .await
            .map_err(|error| ServerError::of(&self.address, error))?;
        if let Err(source) = MIGRATOR.run(&mut self.connection).await {
            return Err(ServerError::Migration {
                address: self.address.clone(),
                source,
            });
        }
        self.replace_views()
            .await
            .map_err(|error| ServerError::of(&self.address, error))
    }

    async fn replace_views(&mut self) -> Result<(), sqlx::Error> {
        let mut transaction = self.connection.begin().await?;
        for script in [FUNCTIONS, VIEWS] {
            sqlx::raw_sql(script).execute(&mut *transaction).await?;
        }
        transaction.commit().await
    }

    /// Fails unless the schema is the one that this program knows.
    pub(crate) async fn must_be_current(&mut self) -> Result<(), ServerError> {
        let Some(_) = self.schema().await? else {
            return Err(ServerError::NoSchema {
                address: self.address.clone(),
            });
        };
        let upgrade = self.upgrade().await?;
        if upgrade.migrations > 0 {
            return Err(ServerError::Older {
                address: self.address.clone(),
                found: upgrade.from,
                known: upgrade.to,
            });
        }
        Ok(())
    }

    /// The version of the schema, if there is one.
    async fn schema(&mut self) -> Result<Option<i64>, ServerError> {
        let (ours, others): (bool, bool) = sqlx::query_as(
            "SELECT to_regclass('fleetpush._sqlx_migrations') IS NOT NULL, EXISTS (
                 SELECT 1 FROM pg_class WHERE relnamespace = to_regnamespace('fleetpush') AND relkind IN ('r', 'v', 'm', 'p', 'f')
             )",
        )
        .fetch_one(&mut self.connection)
        .await
        .map_err(|error| ServerError::of(&self.address, error))?;
        if !ours {
            return if others {
                Err(ServerError::NotOurs {
                    address: self.address.clone(),
                })
            } else {
                Ok(None)
            };
        }
        let version =
            sqlx::query_scalar("SELECT max(version) FROM fleetpush._sqlx_migrations WHERE success")
                .fetch_one(&mut self.connection)
                .await
                .map_err(|error| ServerError::of(&self.address, error))?;
        Ok(version)
    }
}
