//! The seal, which shows that a write-ahead log was lost.
//!
//! `owner.needs_log` is 1 in the file and 0 in its log: [`Store::seal`] sets it, moves the log into the file, and resets it. So the file
//! alone shows that something is missing, and the file with its log does not. If the whole log is moved into the file in order, as by an
//! `sqlite3` that is the last to close it after a crash, the 0 moves too. During a push only a seal moves the log into the file. At other
//! times SQLite does too, and a log that is lost before the next seal is not noticed.

use std::path::Path;

use sqlx::{AssertSqlSafe, Row};

use super::{Store, StoreError, home::Home};

/// How many pages a log may have before it is moved into the file; as many as SQLite would take.
const PAGES: i64 = 1_000;

impl Store {
    /// Moves the log into the file, which from now on says that a log belongs to it. A server looks after its log itself.
    ///
    /// Between the two updates the log itself says so: whoever moves it into the file then leaves a file that asks for a log which nobody
    /// lost. Therefore the lock file names the seal as long as it lasts.
    pub(super) async fn seal(&mut self) -> Result<(), StoreError> {
        let noted = |path: &Path, source| StoreError::File {
            action: "note a seal in the lock file of",
            path: path.to_owned(),
            source,
        };
        let Home::File(file) = &mut self.home else {
            return Ok(());
        };
        file.lock
            .begin_seal(&file.path)
            .map_err(|error| noted(&file.path, error))?;
        sqlx::raw_sql(
            "UPDATE main.owner SET needs_log = 1; PRAGMA main.wal_checkpoint(PASSIVE); UPDATE main.owner SET needs_log = 0",
        )
        .execute(&mut self.connection)
        .await?;
        file.lock
            .end_seal()
            .map_err(|error| noted(&file.path, error))
    }

    /// Leaves it to [`seal`](Self::seal) alone to move the log into the file, or no longer.
    pub(super) async fn seal_alone(&mut self, alone: bool) -> Result<(), StoreError> {
        let Home::File(_) = self.home else {
            return Ok(());
        };
        let pages = if alone { 0 } else { PAGES };
        sqlx::raw_sql(AssertSqlSafe(format!(
            "PRAGMA wal_autocheckpoint = {pages}"
        )))
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }

    /// Seals the database when its log has become long.
    pub(super) async fn seal_when_long(&mut self) -> Result<(), StoreError> {
        let Home::File(_) = self.home else {
            return Ok(());
        };
        let log = sqlx::query("PRAGMA main.wal_checkpoint(NOOP)")
            .fetch_one(&mut self.connection)
            .await?;
        let (pages, moved): (i64, i64) = (log.try_get(1)?, log.try_get(2)?);
        if pages - moved >= PAGES {
            self.seal().await?;
        }
        Ok(())
    }
}
