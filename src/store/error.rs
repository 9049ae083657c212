//! What can go wrong with the results database.

use std::{io, path::PathBuf};

use super::Owner;

/// An error of the results database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process owns the database.
    #[error(
        "the database {path} is owned by another process ({owner}); wait until it ends, or give another database with --db",
        path = path.display()
    )]
    Owned {
        /// The database.
        path: PathBuf,
        /// What the owner wrote about itself.
        owner: Owner,
    },
    /// The file or its folder cannot be created, opened or locked.
    #[error("cannot {action} {path}", path = path.display())]
    File {
        /// What was tried: `create`, `lock`, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The database cannot be opened as one of ours.
    #[error("cannot open the database {path}: {reason}", path = path.display())]
    Open {
        /// The database.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A statement failed. Nothing of its transaction is in the database.
    #[error("the results database failed; remove the cause, then start the same command again")]
    Sql(#[from] sqlx::Error),
    /// The database contradicts itself.
    #[error("the results database is damaged: {0}")]
    Damaged(String),
    /// A run of this name exists already.
    #[error("a run of the name '{0}' exists already; choose another with --name")]
    NameTaken(String),
}
