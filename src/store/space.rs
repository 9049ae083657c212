//! The room that the database takes on the disk.

use std::path::PathBuf;

use super::{Store, StoreError, db::DbConnection};

/// Pages that go back to the file system in one transaction: 20 MiB.
const PAGES: i64 = 5_000;
/// What `PRAGMA auto_vacuum` says of a database that can shrink step by step.
const INCREMENTAL: i64 = 2;

impl Store {
    /// How many bytes a database in a file takes on the disk, its log included.
    pub(crate) fn size(&self) -> Result<Option<u64>, StoreError> {
        let Some(path) = self.home.path() else {
            return Ok(None);
        };
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let mut size = 0;
        for path in [path.to_owned(), PathBuf::from(log)] {
            match std::fs::metadata(&path) {
                Ok(file) => size += file.len(),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => {
                    return Err(StoreError::File {
                        action: "look at",
                        path,
                        source,
                    });
                }
            }
        }
        Ok(Some(size))
    }

    /// Gives the space of what has been deleted back to the file system. A server gives it to what is written next, by itself.
    ///
    /// Piece by piece, with no more room than a piece takes, and as good as done if it is interrupted. Only the database of a version that
    /// did not yet prune has to be written anew, once: that takes as much room again as it has content.
    pub(crate) async fn give_back(&mut self) -> Result<(), StoreError> {
        if self.home.path().is_none() {
            return Ok(());
        }
        let connection = &mut self.connection;
        if number(connection, "PRAGMA auto_vacuum").await? == INCREMENTAL {
            let mut free = number(connection, "PRAGMA freelist_count").await?;
            while free > 0 {
                sqlx::query(sqlx::AssertSqlSafe(format!(
                    "PRAGMA incremental_vacuum({PAGES})"
                )))
                .execute(&mut *connection)
                .await?;
                let left = number(connection, "PRAGMA freelist_count").await?;
                if left >= free {
                    break;
                }
                free = left;
            }
        } else {
            for statement in ["PRAGMA auto_vacuum = INCREMENTAL", "VACUUM"] {
                sqlx::query(statement).execute(&mut *connection).await?;
            }
        }
        // The file shrinks when the log is moved into it. A reader may hold that up; then the next one to close the database does it.
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&mut *connection)
            .await?;
        Ok(())
    }
}

async fn number(connection: &mut DbConnection, sql: &'static str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(sql).fetch_one(connection).await
}
