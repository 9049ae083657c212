//! Copies runs from an SQLite database to one on a server: reads the rows of both sides and writes those of the other. What is equal, and
//! what may be copied, is decided elsewhere (`journal::copying`).
//!
//! Rows travel in the text format of `COPY`, and are compared in it: a row is one line, whichever side it is read from.

mod content;
mod line;
mod source;
mod tables;
mod target;

use content::Content;
pub(crate) use content::Digest;
pub(crate) use source::{CopySource, SourceError, SourceRun};
pub(crate) use tables::Part;
pub(crate) use target::{CopyTarget, Written};

use crate::model::Timestamp;

/// What makes a run the same run on both sides.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct RunMark {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What was pushed, and whereto.
    pub identity: String,
    /// When it was staged.
    pub created_at: i64,
}

/// What makes a session the same session on both sides.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct SessionMark {
    /// Its number.
    pub id: i64,
    /// When it began.
    pub began_at: i64,
    /// The machine.
    pub host: String,
    /// The process.
    pub pid: i64,
}

impl SessionMark {
    /// When it began.
    pub(crate) fn began_at(&self) -> Timestamp {
        Timestamp(self.began_at)
    }
}

/// What a database has: enough to know whether it is the other's history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Holdings {
    /// Its runs, by number.
    pub runs: Vec<RunMark>,
    /// The numbers and identities of runs that were pruned.
    pub pruned: Vec<(i64, String)>,
    /// Its latest session.
    pub last_session: Option<SessionMark>,
}
