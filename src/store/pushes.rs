//! The runs of a database as a push needs them, read while another process may own it.

use super::{PrunedRun, ReadError, Reader, Run, StoreError, db::DbRow, prune, run};

impl Reader {
    /// Every run, in the order in which they were made.
    pub(crate) async fn pushes(&mut self) -> Result<Vec<Run>, ReadError> {
        let text = format!("{} WHERE state <> 'staging' ORDER BY id", run::SELECT);
        let rows = sqlx::query(sqlx::AssertSqlSafe(text))
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))?;
        rows.iter().map(|row| self.read(row, run::read)).collect()
    }

    /// The latest run of this identity among those that have been pruned.
    pub(crate) async fn pruned_push(
        &mut self,
        identity: &str,
    ) -> Result<Option<PrunedRun>, ReadError> {
        let row = sqlx::query(prune::PRUNED)
            .bind(identity)
            .fetch_optional(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))?;
        row.map(|row| self.read(&row, prune::read_pruned))
            .transpose()
    }

    fn read<T>(
        &self,
        row: &DbRow,
        read: fn(&DbRow) -> Result<T, StoreError>,
    ) -> Result<T, ReadError> {
        read(row).map_err(|error| self.damaged(error.to_string()))
    }
}
