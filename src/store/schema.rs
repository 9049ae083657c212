//! The schema of a results database.

use sqlx::{
    Connection as _, SqliteConnection,
    migrate::{MigrateError, Migrator},
};

#[cfg(test)]
mod tests;

/// The schema, embedded in the binary. Append-only.
pub(super) static MIGRATOR: Migrator = sqlx::migrate!();

/// What all migrations together make, without the views. A test writes it, and compares it with them.
const NEWEST: &str = include_str!("schema.sql");

/// Brings a database up to date.
pub(super) async fn migrate(connection: &mut SqliteConnection) -> Result<(), MigrateError> {
    let is_empty = sqlx::query_scalar("SELECT count(*) = 0 FROM sqlite_schema")
        .fetch_one(&mut *connection)
        .await?;
    if is_empty {
        make(connection).await
    } else {
        MIGRATOR.run(connection).await
    }
}

/// Makes the newest schema in an empty database, in one transaction. By the migrations it would take two flushes each, and after each
/// `ALTER TABLE` SQLite reads the whole schema anew.
async fn make(connection: &mut SqliteConnection) -> Result<(), MigrateError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::raw_sql(NEWEST).execute(&mut *transaction).await?;
    MIGRATOR.skip(&mut *transaction, None).await?;
    transaction.commit().await?;
    Ok(())
}
