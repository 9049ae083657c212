//! One owner at a time, by a lock of the operating system, so that a dead owner holds nothing.

use std::{
    fmt,
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

use super::StoreError;

/// The lock of a database, held until it is dropped or the process ends.
///
/// It is on a file of its own beside the database: closing any descriptor of the database file itself would drop the locks that SQLite
/// holds on it.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// What an owner says of itself; for information only, since only the lock decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner(String);

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Lock {
    /// Takes the lock of the database at `database`.
    pub(super) fn take(database: &Path) -> Result<Self, StoreError> {
        let path = lock_path(database);
        let failed = |action, source| StoreError::File {
            action,
            path: path.clone(),
            source,
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options
            .open(&path)
            .map_err(|error| failed("open the lock file", error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // The owner may be writing it just now; its name is a courtesy.
                let _ = file.take(200).read_to_string(&mut text);
                let owner = text.lines().next().filter(|line| !line.is_empty());
                return Err(StoreError::Owned {
                    path: database.to_owned(),
                    owner: Owner(owner.unwrap_or("not known").to_owned()),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed("lock", error)),
        }
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let about = format!("pid {} on host {}\n", std::process::id(), host.trim());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(about.as_bytes()))
            .map_err(|error| failed("write the lock file", error))?;
        Ok(Self { _file: file })
    }
}

fn lock_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_refused_and_learns_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a.db");
        let first = Lock::take(&database).unwrap();
        let error = Lock::take(&database).unwrap_err().to_string();
        assert!(
            error.contains(&format!("pid {}", std::process::id())),
            "{error}"
        );
        assert!(error.contains("a.db"), "{error}");
        drop(first);
        Lock::take(&database).unwrap();
    }
}
