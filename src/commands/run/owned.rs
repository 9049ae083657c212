//! The message when another process owns the database: usually the same push, started twice or still running.

use anyhow::anyhow;

use crate::{
    commands::reading::reader_of,
    exit::Failure,
    settings::Place,
    store::{NewRun, RunRow, StoreError},
    ui::number::{counted, grouped},
};

/// The error of opening the database, with what is known of this push there.
pub(super) async fn explain(error: StoreError, database: &Place, about: &NewRun) -> Failure {
    let (StoreError::Owned { owner, .. } | StoreError::Leased { holder: owner, .. }) = &error
    else {
        return error.into();
    };
    // A courtesy: the owner may be making the database just now.
    let Some(run) = unfinished(database, &about.identity).await else {
        return error.into();
    };
    Failure::locked(anyhow!(
        "run '{}' is under way: another process ({owner}) owns the database {}, and {} of {} are pending; this start has changed \
         nothing and sent nothing: wait until the other one ends",
        run.name,
        database,
        grouped(run.counts.pending),
        counted(run.counts.tasks, "task"),
    ))
}

async fn unfinished(database: &Place, identity: &str) -> Option<RunRow> {
    let mut reader = reader_of(database).await.ok()?;
    let runs = reader.runs().await.ok()?;
    reader.close().await.ok()?;
    runs.into_iter()
        .rev()
        .find(|run| run.identity == identity && run.state.is_unfinished())
}
