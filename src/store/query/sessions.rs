//! Lists sessions.

use crate::{
    model::RunId,
    store::{
        FindError,
        reader::{ReadError, Reader},
    },
};

/// A session as the view `sessions` shows it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct SessionRow {
    /// Its number.
    pub session: i64,
    /// The run that it concerns, if it is one.
    pub run: Option<i64>,
    /// The run's name.
    pub name: Option<String>,
    pub command: String,
    /// What stood on the command line, as a JSON array.
    pub arguments: String,
    /// `--note`
    pub note: Option<String>,
    /// Whose process it was.
    pub user: String,
    /// The machine.
    pub host: String,
    /// The process.
    pub pid: i64,
    /// The version of the program.
    pub version: String,
    /// When it began.
    pub began_at: String,
    /// When it ended; none while it is at work, and when it was killed.
    pub ended_at: Option<String>,
    /// Why it ended, in a word.
    pub stop: Option<String>,
    /// What was said of that.
    pub reason: Option<String>,
    pub exit_code: Option<i64>,
    /// Tasks that were sent.
    pub sent: i64,
    /// Tasks that became accepted.
    pub accepted: i64,
    /// Tasks that failed.
    pub failed: i64,
    /// Tasks that ended in doubt.
    pub in_doubt: i64,
    pub requests: i64,
    /// Sends, each repeat counted.
    pub sends: i64,
    /// Milliseconds of reading and staging the manifest.
    pub staging_ms: i64,
    /// Milliseconds of a canary.
    pub canary_ms: i64,
    /// Milliseconds of sending besides.
    pub sending_ms: i64,
    /// Milliseconds in which the platform did not answer.
    pub paused_ms: i64,
    /// Whether nobody has opened the database since, and it has no end: it is at work, if the database has an owner.
    pub is_open: bool,
}

macro_rules! select_session {
    ($rest:literal) => {
        concat!(
            "SELECT v.*, EXISTS (
                 SELECT 1 FROM session AS s WHERE s.id = v.session AND s.ended_at IS NULL AND s.owner IN (SELECT mark FROM live_owner)
             ) AS is_open
             FROM sessions AS v ",
            $rest
        )
    };
}

impl Reader {
    /// Every session, the oldest first.
    pub(crate) async fn sessions(&mut self) -> Result<Vec<SessionRow>, ReadError> {
        sqlx::query_as(select_session!("ORDER BY v.session"))
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))
    }

    /// The sessions of a run, the oldest first.
    pub(crate) async fn sessions_of(&mut self, run: RunId) -> Result<Vec<SessionRow>, ReadError> {
        sqlx::query_as(select_session!("WHERE v.run = ? ORDER BY v.session"))
            .bind(run.0)
            .fetch_all(&mut self.connection)
            .await
            .map_err(|error| self.failure(error))
    }

    /// The number of the run of this name, else of this number, also when it has been pruned.
    pub(crate) async fn find_run_ever(&mut self, wanted: &str) -> Result<RunId, FindError> {
        match self.find_run(Some(wanted)).await {
            Ok(run) => Ok(run.id),
            Err(FindError::Pruned { run, .. }) => Ok(RunId(run)),
            Err(error) => Err(error),
        }
    }
}
