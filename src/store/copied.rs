//! Runs that have come to a server as copies of those in a file.

use super::{ReadError, Reader, Store, StoreError, db::DbConnection};
use crate::model::RunId;

impl Store {
    /// Whether a run is a copy.
    pub(crate) async fn is_copied(&mut self, run: RunId) -> Result<bool, StoreError> {
        Ok(is_copied(&mut self.connection, run).await?)
    }
}

impl Reader {
    /// Whether a run is a copy.
    pub(crate) async fn is_copied(&mut self, run: RunId) -> Result<bool, ReadError> {
        is_copied(&mut self.connection, run)
            .await
            .map_err(|error| self.failure(error))
    }
}

async fn is_copied(connection: &mut DbConnection, run: RunId) -> Result<bool, sqlx::Error> {
    let DbConnection::Postgres(..) = connection else {
        return Ok(false);
    };
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM copied_run WHERE run_id = ?)")
        .bind(run.0)
        .fetch_one(connection)
        .await
}
