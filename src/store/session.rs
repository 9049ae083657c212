//! Sessions: each start of a command that writes leaves a row, which outlives its run.
//!
//! A session is prepared when its process opens the database, and is inserted with the first thing that the process writes. Its totals are
//! computed once: when it ends, or, if it was killed, when the next session begins.

use std::time::Duration;

use serde_json::json;
use sqlx::Connection;

use super::{Run, Store, StoreError, db::DbConnection, owner::BEGIN};
use crate::model::{Asker, Control, RunId, Timestamp};

/// Who starts a command, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewSession {
    pub command: &'static str,
    /// How it was given: what stood on the command line has payloads left out.
    pub about: Asker,
    /// Whose process it is.
    pub user: String,
    /// When it began.
    pub began_at: Timestamp,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionEnd {
    /// Why, in a word.
    pub stop: &'static str,
    /// What was said of it, for a person.
    pub reason: Option<String>,
    /// The exit code of the process.
    pub exit_code: u8,
}

/// What a session came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SessionTotals {
    /// Tasks that were sent, each once.
    pub sent: u64,
    /// Tasks that became accepted.
    pub accepted: u64,
    /// Tasks that failed.
    pub failed: u64,
    /// Tasks that ended in doubt.
    pub in_doubt: u64,
    pub requests: u64,
}

/// The session of the process that has the database open.
#[derive(Debug, Default)]
pub(super) struct Present {
    /// Who it is, once introduced.
    about: Option<NewSession>,
    /// Its row, once it stands there.
    row: Option<i64>,
}

const INSERT: &str = "INSERT INTO session (owner, command, arguments, note, \"user\", host, pid, version, run_id, run_name, began_at) \
     VALUES ((SELECT mark FROM temp.this_owner), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id";

/// What the run's tally is before anything that the session does.
const NOTE_TALLY: &str = "UPDATE session SET \
     accepted_before = (SELECT coalesce(sum(n), 0) FROM tally WHERE run_id = session.run_id AND state = 1), \
     failed_before = (SELECT coalesce(sum(n), 0) FROM tally WHERE run_id = session.run_id AND state = 2), \
     in_doubt_before = (SELECT coalesce(sum(n), 0) FROM tally WHERE run_id = session.run_id AND state = 3) \
     WHERE id = ?";

/// The same of a part of it, which is what the session does.
const NOTE_PART: &str = "UPDATE session SET part = p.number, accepted_before = p.accepted, failed_before = p.failed, in_doubt_before = p.in_doubt \
     FROM part AS p WHERE session.id = ?1 AND p.run_id = ?2 AND p.number = ?3";

const BEGIN_TO_PUSH: &str = "UPDATE session SET pushed_at = ?2, first_request = 1 + \
     max(coalesce((SELECT max(id) FROM request), 0), coalesce((SELECT max(last_request) FROM pruned_run), 0)) WHERE id = ?1";

/// Keeps what sessions have come to.
macro_rules! keep_totals {
    ($of:literal) => {
        concat!(
            "UPDATE session SET seen_at = n.until, sent = n.sent, sends = n.sends, requests = n.requests, \
             accepted = n.accepted, failed = n.failed, in_doubt = n.in_doubt, sending_ms = n.sending_ms, paused_ms = n.paused_ms, \
             canary_ms = n.canary_ms, end_request = CASE WHEN session.first_request IS NOT NULL THEN \
             1 + max(session.first_request - 1, coalesce((SELECT max(id) FROM request), 0)) END \
             FROM session_so_far AS n WHERE n.id = session.id AND ",
            $of
        )
    };
}

/// Of those that have ended, and of those whose process has been killed.
const KEEP_TOTALS_OF_PAST: &str = keep_totals!(
    "(session.ended_at IS NOT NULL OR session.owner NOT IN (SELECT mark FROM live_owner))"
);
/// Of one that has ended.
const KEEP_TOTALS: &str = keep_totals!("session.id = ?");

impl Store {
    /// Says whose process this is. Without it no session is noted.
    pub(crate) fn introduce(&mut self, session: NewSession) {
        self.session.about = Some(session);
    }

    /// Notes that the present session begins to write, as one that concerns this run; a later call changes nothing.
    pub(crate) async fn begin_session(&mut self, run: Option<&Run>) -> Result<(), StoreError> {
        let Some(about) = self.session.about.as_ref() else {
            return Ok(());
        };
        if self.session.row.is_some() {
            return Ok(());
        }
        let mut transaction = self.connection.begin_with(BEGIN).await?;
        // Before anything of theirs is changed.
        sqlx::query(KEEP_TOTALS_OF_PAST)
            .execute(&mut *transaction)
            .await?;
        let run = run.map(|run| (run.id, &*run.about.name));
        let row = insert(&mut transaction, about, run).await?;
        transaction.commit().await?;
        self.session.row = Some(row);
        Ok(())
    }

    /// Notes the session of a command that has left its request to the owner of the database, which has carried it out by now; a second call
    /// changes nothing. Without anything that is known of the command nothing is noted.
    pub(crate) async fn note_asker(
        &mut self,
        run: RunId,
        name: &str,
        control: &Control,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(asker) = &control.asker else {
            return Ok(());
        };
        let mut transaction = self.connection.begin_with(BEGIN).await?;
        // The process that has carried it out and another one may note it at the same time on a server: one after the other.
        sqlx::query("UPDATE run SET last_control = last_control WHERE id = ?")
            .bind(run.0)
            .execute(&mut *transaction)
            .await?;
        let is_noted: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM session WHERE run_id = ? AND command = ? AND host = ? AND pid = ? AND began_at = ?)",
        )
        .bind(run.0)
        .bind(control.action.name())
        .bind(&asker.host)
        .bind(asker.pid)
        .bind(control.at.0)
        .fetch_one(&mut *transaction)
        .await?;
        if is_noted {
            return Ok(());
        }
        let about = NewSession {
            command: control.action.name(),
            about: asker.clone(),
            user: control.by.clone(),
            began_at: control.at,
        };
        let row = insert(&mut transaction, &about, Some((run, name))).await?;
        sqlx::query(
            "UPDATE session SET ended_at = max(?2, began_at), stop = 'complete', reason = ?3, exit_code = 0 WHERE id = ?1",
        )
        .bind(row)
        .bind(now.0)
        .bind(format!(
            "carried out by the owner of the database, pid {}",
            std::process::id()
        ))
        .execute(&mut *transaction)
        .await?;
        keep_totals(&mut transaction, row).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Keeps what sessions that have ended came to, before what tells of it is changed.
    pub(super) async fn keep_past_totals(&mut self) -> Result<(), StoreError> {
        self.execute(sqlx::query(KEEP_TOTALS_OF_PAST)).await?;
        Ok(())
    }

    /// The row of the present session, once it stands there.
    pub(crate) fn session_row(&self) -> Option<i64> {
        self.session.row
    }

    /// Goes on with a session that began with an earlier opening of the database by this process.
    pub(crate) async fn continue_session(&mut self, row: i64) -> Result<(), StoreError> {
        let statement = sqlx::query(
            "UPDATE session SET owner = (SELECT mark FROM temp.this_owner) WHERE id = ?",
        )
        .bind(row);
        self.execute(statement).await?;
        self.session.row = Some(row);
        Ok(())
    }

    /// Notes how long the present session took to read and stage its manifest.
    pub(crate) async fn note_staging(&mut self, took: Duration) -> Result<(), StoreError> {
        self.update(
            "UPDATE session SET staging_ms = ?2 WHERE id = ?1",
            took.as_millis() as i64,
        )
        .await
    }

    /// Notes that the present session begins to push a run. What it sends and what becomes of that is counted from now on.
    pub(super) async fn begin_to_push(
        &mut self,
        run: &Run,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.begin_session(Some(run)).await?;
        let Some(row) = self.session.row else {
            return Ok(());
        };
        let mut transaction = self.connection.begin_with(BEGIN).await?;
        sqlx::query(NOTE_TALLY)
            .bind(row)
            .execute(&mut *transaction)
            .await?;
        if let Some(part) = run.part {
            sqlx::query(NOTE_PART)
                .bind(row)
                .bind(run.id.0)
                .bind(part.0)
                .execute(&mut *transaction)
                .await?;
        }
        sqlx::query(BEGIN_TO_PUSH)
            .bind(row)
            .bind(now.0)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Notes that the push pauses since `now`.
    pub(crate) async fn begin_pause(
        &mut self,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if let Some(row) = self.session.row {
            let statement = sqlx::query(
                "INSERT INTO pause (session_id, began_at, reason) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            )
            .bind(row)
            .bind(now.0)
            .bind(reason);
            self.execute(statement).await?;
        }
        Ok(())
    }

    /// Notes that the push goes on.
    pub(crate) async fn end_pause(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.update(
            "UPDATE pause SET ended_at = max(?2, began_at) WHERE session_id = ?1 AND ended_at IS NULL",
            now.0,
        )
        .await
    }

    /// Notes how the present session ends, and gives what it came to; nothing when it has not begun to write.
    pub(crate) async fn end_session(
        &mut self,
        end: &SessionEnd,
        now: Timestamp,
    ) -> Result<Option<SessionTotals>, StoreError> {
        let Some(row) = self.session.row else {
            return Ok(None);
        };
        let mut transaction = self.connection.begin_with(BEGIN).await?;
        sqlx::query(
            "UPDATE session SET ended_at = max(?2, began_at), stop = ?3, reason = ?4, exit_code = ?5 WHERE id = ?1",
        )
        .bind(row)
        .bind(now.0)
        .bind(end.stop)
        .bind(&end.reason)
        .bind(end.exit_code)
        .execute(&mut *transaction)
        .await?;
        sqlx::query("UPDATE pause SET ended_at = max(?2, began_at) WHERE session_id = ?1 AND ended_at IS NULL")
            .bind(row)
            .bind(now.0)
            .execute(&mut *transaction)
            .await?;
        keep_totals(&mut transaction, row).await?;
        let (sent, accepted, failed, in_doubt, requests): (i64, i64, i64, i64, i64) =
            sqlx::query_as(
                "SELECT sent, accepted, failed, in_doubt, requests FROM session WHERE id = ?",
            )
            .bind(row)
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(Some(SessionTotals {
            sent: sent.unsigned_abs(),
            accepted: accepted.unsigned_abs(),
            failed: failed.unsigned_abs(),
            in_doubt: in_doubt.unsigned_abs(),
            requests: requests.unsigned_abs(),
        }))
    }

    /// Changes something of the present session, if it has begun to write.
    async fn update(&mut self, statement: &'static str, value: i64) -> Result<(), StoreError> {
        if let Some(row) = self.session.row {
            let statement = sqlx::query(statement).bind(row).bind(value);
            self.execute(statement).await?;
        }
        Ok(())
    }
}

/// Makes a row for a session, with what the tally of its run is by now.
async fn insert(
    connection: &mut DbConnection,
    session: &NewSession,
    run: Option<(RunId, &str)>,
) -> Result<i64, StoreError> {
    let row: i64 = sqlx::query_scalar(INSERT)
        .bind(session.command)
        .bind(json!(session.about.arguments).to_string())
        .bind(&session.about.note)
        .bind(&session.user)
        .bind(&session.about.host)
        .bind(session.about.pid)
        .bind(&session.about.version)
        .bind(run.map(|(id, _)| id.0))
        .bind(run.map(|(_, name)| name))
        .bind(session.began_at.0)
        .fetch_one(&mut *connection)
        .await?;
    sqlx::query(NOTE_TALLY)
        .bind(row)
        .execute(connection)
        .await?;
    Ok(row)
}

async fn keep_totals(connection: &mut DbConnection, session: i64) -> Result<(), StoreError> {
    sqlx::query(KEEP_TOTALS)
        .bind(session)
        .execute(connection)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
