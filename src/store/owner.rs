//! The owner's mark in the database: a random number that each start writes.
//!
//! Every transaction begins with a check of the mark ([`BEGIN`]). An owner that has lost its database to another one stops at its next
//! transaction, even if the locks of the file system do not work.

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::StoreError;

/// Begins a transaction that writes, as long as the database is this owner's: otherwise the constraint `another_owner` fails.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE; \
     INSERT INTO main.owner (id, mark, needs_log) SELECT 0, 0, 0 \
     WHERE NOT EXISTS (SELECT 1 FROM main.owner AS o JOIN temp.this_owner AS t ON t.mark = o.mark)";

/// Takes the database over: writes a mark of its own. The first seal is to follow.
pub(super) async fn take_over(
    connection: &mut SqliteConnection,
    mark: i64,
) -> Result<(), StoreError> {
    sqlx::raw_sql(AssertSqlSafe(format!(
        "CREATE TEMP VIEW this_owner AS SELECT {mark} AS mark; UPDATE main.owner SET mark = {mark}"
    )))
    .execute(connection)
    .await?;
    Ok(())
}
