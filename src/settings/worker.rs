//! What a worker pushes, and how.

use std::path::PathBuf;

use super::{Database, Error, Push, source::Sources};
use crate::cli::WorkerArgs;

/// `fleetpush worker`
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    /// The name of the run whose parts are pushed; without one, those of every run to the platform.
    pub run: Option<String>,
    /// Whether to wait for more when no part is left.
    pub stay: bool,
    /// How to push.
    pub push: Push,
    /// The results database.
    pub database: Database,
}

impl Worker {
    pub(super) fn resolve(
        args: WorkerArgs,
        db: Option<PathBuf>,
        quiet: bool,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let WorkerArgs {
            run,
            stay,
            push,
            owner,
        } = args;
        let push = Push::resolve(push, quiet, sources)?;
        let database = Database::of_push(db, &push, "worker", owner, sources)?;
        database.must_be_on_server_for("worker")?;
        Ok(Self {
            run,
            stay,
            push,
            database,
        })
    }
}
