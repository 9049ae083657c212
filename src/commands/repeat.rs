//! How the next command finds the same program and the same database.

use std::path::{Path, PathBuf};

use crate::{
    settings::{Database, Place, Readable},
    ui::repeat::Repeat,
};

/// The flags that the next command needs to find the same database.
pub(super) fn repeat(database: &Database) -> Repeat {
    repeat_reading(&database.clone().into())
}

/// The same for a command that only reads.
pub(super) fn repeat_reading(database: &Readable) -> Repeat {
    Repeat {
        db: (!database.usual).then(|| match &database.place {
            Place::File(path) => absolute(path),
            Place::Server(server) => server.address.as_str().into(),
        }),
        simulate: database.simulated,
        of_copy: false,
        program: program(std::env::args_os().next().unwrap_or_default().as_ref()),
    }
}

/// The path from the root, since whoever reads of it may be in another folder; one that has none is told as it was given.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The program's name in the next command, when the plain name may not be found: a path from this folder, as `cargo run` starts it.
fn program(called_as: &Path) -> Option<String> {
    let is_ours = called_as
        .file_stem()
        .is_some_and(|stem| stem == "fleetpush");
    let is_beside = called_as.is_relative() && called_as.components().count() > 1;
    (is_ours && is_beside).then(|| called_as.to_string_lossy().into_owned())
}
