//! Runs that have come to a server as copies of a file's, where their pushes may go on.

use anyhow::anyhow;

use super::reading::reader_of;
use crate::{
    exit::Failure,
    settings::{Database, Place},
    store::{Presence, Reader, Run, RunRow, Store},
};

/// Fails for a database that only copies write. It is to be asked before the database is owned: one that was owned takes no copies any more.
pub(super) async fn must_have_pushes(database: &Database, command: &str) -> Result<(), Failure> {
    let Place::Server(_) = &database.place else {
        return Ok(());
    };
    let mut reader = reader_of(&database.place).await?;
    let has_copies =
        reader.presence().await? == Presence::Unknown && !reader.runs().await?.is_empty();
    reader.close().await?;
    if has_copies {
        return Err(Failure::usage(anyhow!(
            "all runs in {} were copied from a file, where their pushes may go on: {command} them there",
            database.place
        )));
    }
    Ok(())
}

/// Fails when a run is a copy.
pub(super) async fn must_be_no_copy(
    store: &mut Store,
    run: &Run,
    command: &str,
) -> Result<(), Failure> {
    if store.is_copied(run.id).await? {
        return Err(copied(&run.about.name, &store.shown(), command));
    }
    Ok(())
}

/// The same for who reads beside the owner.
pub(super) async fn must_be_no_copy_beside(
    reader: &mut Reader,
    run: &RunRow,
    command: &str,
) -> Result<(), Failure> {
    if reader.is_copied(run.id).await? {
        return Err(copied(&run.name, &reader.name(), command));
    }
    Ok(())
}

fn copied(run: &str, database: &str, command: &str) -> Failure {
    Failure::usage(anyhow!(
        "run '{run}' was copied to {database} from a file, where its push may go on: {command} it there"
    ))
}
