//! What a push needs of this machine: the results database, its file system, and room on its disk.

use std::path::{Path, PathBuf};

use super::finding::{Finding, chain};
use crate::{
    exit::Exit,
    store::{Presence, ReadError, Reader, file_system, free, network_folder, presence},
    ui::number::{bytes, counted},
};

/// Less than this is too little for a push of a few thousand devices and its log.
const LEAST_ROOM: u64 = 64 << 20;
/// Less than this is too little for a push of a million devices.
const GOOD_ROOM: u64 = 1 << 30;

/// The room on the disk.
const DISK: &str = "disk";

/// Looks at all of it.
pub(super) async fn look(path: &Path, network_allowed: bool) -> Vec<Finding> {
    let folder = existing_folder(path);
    vec![
        database(path, &folder).await,
        place(&folder, network_allowed),
        room(path, &folder),
    ]
}

async fn database(path: &Path, folder: &Path) -> Finding {
    const CHECK: &str = "database";
    if let Err(error) = tempfile::tempfile_in(folder) {
        return Finding::fail(
            CHECK,
            Exit::Database,
            format!("cannot write in {}: {error}", folder.display()),
        )
        .todo("make the folder writable for this user, or name another database with --db");
    }
    let mut reader = match Reader::open(path).await {
        Ok(reader) => reader,
        Err(ReadError::Missing(_)) => {
            return Finding::ok(
                CHECK,
                format!(
                    "{} does not exist yet; the first push creates it",
                    path.display()
                ),
            );
        }
        Err(error) => return Finding::fail(CHECK, Exit::Database, chain(&error)),
    };
    let runs = reader.runs().await;
    let closed = reader.close().await;
    let runs = match (runs, closed) {
        (Ok(runs), Ok(())) => runs.len() as u64,
        (Err(error), _) | (_, Err(error)) => {
            return Finding::fail(CHECK, Exit::Database, chain(&error));
        }
    };
    let what = format!("{} has {}", path.display(), counted(runs, "run"));
    match presence(path) {
        Presence::Nobody => Finding::ok(CHECK, what),
        Presence::Owned { owner } => Finding::warn(
            CHECK,
            format!("{what}, and another process ({owner}) owns it"),
        )
        .todo("wait until it ends before you push, or stop it with fleetpush pause"),
        Presence::Unknown => Finding::warn(
            CHECK,
            format!("{what}, and fleetpush cannot find out whether another process owns it"),
        ),
    }
}

fn place(folder: &Path, network_allowed: bool) -> Finding {
    const CHECK: &str = "file system";
    let kind = file_system(folder).unwrap_or_else(|| "unknown".to_owned());
    match network_folder(folder, network_allowed) {
        Some(reason) => Finding::fail(CHECK, Exit::Database, reason),
        None => Finding::ok(CHECK, format!("{kind}, at {}", folder.display())),
    }
}

fn room(path: &Path, folder: &Path) -> Finding {
    // Of a file in the folder, which need not be there.
    let name = path.file_name().unwrap_or_default();
    match free(&folder.join(name)) {
        Ok(free) => judged_room(free, folder),
        Err(error) => Finding::warn(DISK, error.to_string())
            .todo("check that the disk has 300 MB free, which a push of a million devices needs"),
    }
}

/// Whether so many bytes are enough.
fn judged_room(free: u64, folder: &Path) -> Finding {
    let little = || format!("{} free in {}", bytes(free), folder.display());
    if free < LEAST_ROOM {
        Finding::fail(DISK, Exit::Database, little()).todo(
            "delete files, or old runs with fleetpush prune, or name a database on another disk with --db",
        )
    } else if free < GOOD_ROOM {
        Finding::warn(DISK, little()).todo(
            "a push of a million devices needs about 300 MB; fleetpush prune deletes old runs",
        )
    } else {
        Finding::ok(DISK, format!("{} free", bytes(free)))
    }
}

/// The folder of a file, or the nearest one above it that is there.
fn existing_folder(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = absolute.ancestors().skip(1).find(|folder| folder.is_dir());
    let folder = folder.unwrap_or(Path::new("/"));
    folder.canonicalize().unwrap_or_else(|_| folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_fails_and_little_room_is_worth_a_look() {
        let told = [0, LEAST_ROOM - 1, LEAST_ROOM, GOOD_ROOM - 1, GOOD_ROOM]
            .map(|free| judged_room(free, Path::new("/data")));
        let exits: Vec<_> = told.iter().map(|finding| finding.exit).collect();
        assert_eq!(
            exits,
            [
                Exit::Database,
                Exit::Database,
                Exit::Complete,
                Exit::Complete,
                Exit::Complete
            ]
        );
        let lines: Vec<_> = told.iter().flat_map(Finding::lines).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn what_cannot_be_measured_is_worth_a_look() {
        let nowhere = Path::new("/no/such/folder");
        let told = room(&nowhere.join("push.db"), nowhere);
        assert_eq!(told.exit, Exit::Complete);
        let lines = told.lines();
        assert!(lines[0].starts_with("warn  disk"), "{lines:?}");
        assert!(lines[1].contains("300 MB"), "{lines:?}");
    }

    #[test]
    fn the_folder_of_a_database_that_is_not_there_is_the_nearest_one() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        assert_eq!(existing_folder(&folder.path().join("a/b/push.db")), real);
        assert_eq!(existing_folder(&folder.path().join("push.db")), real);
    }
}
