//! Lists runs that have been pruned, by what is left of them.

use crate::store::reader::{ReadError, Reader};

/// A pruned run as the view `pruned_runs` shows it. What was not kept when it was pruned is missing.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct PrunedRow {
    /// Its number.
    pub run: i64,
    pub name: String,
    /// The manifest as it was named.
    pub manifest: Option<String>,
    /// What makes two pushes the same.
    pub identity: String,
    /// The target, or the word `simulator`.
    pub base_url: String,
    /// How it had ended.
    pub state: String,
    /// When it was staged.
    pub created_at: Option<String>,
    /// When it was first pushed.
    pub started_at: Option<String>,
    /// When it ended.
    pub finished_at: String,
    pub tasks: i64,
    /// Those that were accepted.
    pub accepted: Option<i64>,
    /// Those that had failed.
    pub failed: Option<i64>,
    /// Those in doubt.
    pub in_doubt: Option<i64>,
    /// Those that were skipped.
    pub skipped: Option<i64>,
    /// When it was pruned.
    pub pruned_at: Option<String>,
}

impl Reader {
    /// Every run that has been pruned, the oldest first.
    pub(crate) async fn pruned_runs(&mut self) -> Result<Vec<PrunedRow>, ReadError> {
        sqlx::query_as("SELECT * FROM pruned_runs ORDER BY run")
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))
    }
}
