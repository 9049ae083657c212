//! One owner at a time, by locks of the operating system, so that a dead owner holds nothing.
//!
//! There are two locks. One is on a file beside the database; it names the owner, and earlier versions use it too. The other is on the
//! inode of the database: the file beside it may be deleted, and a database may be opened by another name, but the inode is always the
//! same.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Owner, StoreError};

/// The database file, locked by its inode.
///
/// `flock` and the locks of SQLite (`fcntl`) know nothing of each other on a local Linux file system. But closing *any* descriptor of the
/// file drops SQLite's, so that somebody else's `sqlite3` would take itself for the last one, and delete the log. Therefore this
/// descriptor is opened before SQLite opens the file and closed after SQLite has closed it, and nothing else of the process may open the
/// file.
#[derive(Debug)]
pub(super) struct Inode {
    file: File,
}

/// The lock beside a database, held until it is dropped or the process ends.
///
/// Its file also says whether its owner is in the middle of a seal: whoever is killed there leaves a database that asks for a log which
/// another program may rightly have moved into it.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    /// How many bytes say who the owner is.
    about: u64,
    /// Whether the owner before ended in the middle of a seal.
    left_in_a_seal: bool,
}

/// How often a lock is tried that somebody may have for a moment.
const LOOKS: usize = 5;
const A_MOMENT: Duration = Duration::from_millis(10);

/// The same for an owner that has said that it lets go in a moment.
const LOOKS_FOR_A_MOMENT: usize = 1000;
const FOR_A_MOMENT: &str = ", for a moment";

/// The line that stands in the lock file during a seal.
const SEALING: &[u8] = b"sealing\n";

impl Inode {
    /// Takes the lock of this file, the database at `database`.
    ///
    /// Without `locks` only holds it open: elsewhere than on a local Linux file system, a `flock` may be one with SQLite's own locks.
    pub(super) fn take(file: File, database: &Path, locks: bool) -> Result<Self, StoreError> {
        if locks && cfg!(target_os = "linux") {
            match patiently(&file, database) {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    // The owner's own file may have been deleted.
                    let about = File::open(lock_path(database)).ok();
                    return Err(owned(database, about));
                }
                Err(TryLockError::Error(source)) => {
                    return Err(StoreError::File {
                        action: "lock",
                        path: database.to_owned(),
                        source,
                    });
                }
            }
        }
        Ok(Self { file })
    }

    /// How the file begins, as far as a header of SQLite goes.
    pub(super) fn head(&mut self) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        self.file.rewind()?;
        (&self.file).take(100).read_to_end(&mut head)?;
        Ok(head)
    }

    /// What the system says of the file.
    pub(super) fn metadata(&self) -> io::Result<std::fs::Metadata> {
        self.file.metadata()
    }
}

impl Lock {
    /// Whether the last owner ended in the middle of a seal.
    pub(super) fn was_left_in_a_seal(database: &Path) -> bool {
        let mut about = Vec::new();
        // A lock file that cannot be read proves nothing; a new database has none.
        File::open(lock_path(database))
            .and_then(|file| file.take(400).read_to_end(&mut about))
            .is_ok_and(|_| about.ends_with(SEALING))
    }

    /// Takes the lock beside the database at `database`, and says there who has it, whether for a moment, and that its first seal is to come.
    pub(super) fn take(database: &Path, for_a_moment: bool) -> Result<Self, StoreError> {
        let path = lock_path(database);
        let failed = |action, source| StoreError::File {
            action,
            path: path.clone(),
            source,
        };
        let file = open(&path).map_err(|error| failed("open the lock file", error))?;
        match patiently(&file, database) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(owned(database, Some(file))),
            Err(TryLockError::Error(error)) => return Err(failed("lock", error)),
        }
        let left_in_a_seal = Self::was_left_in_a_seal(database);
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let moment = if for_a_moment { FOR_A_MOMENT } else { "" };
        let about = format!(
            "pid {} on host {}{moment}\n",
            std::process::id(),
            host.trim()
        );
        let lock = Self {
            file,
            about: about.len() as u64,
            left_in_a_seal,
        };
        // In one piece: whoever is killed before the first seal has ended may have left one.
        let text = [about.as_bytes(), SEALING].concat();
        // Never empty in between: whoever waits reads at any moment whether it is for a moment only.
        lock.file
            .write_all_at(&text, 0)
            .and_then(|()| lock.file.set_len(text.len() as u64))
            .map_err(|error| failed("write the lock file", error))?;
        Ok(lock)
    }

    /// Gives the lock back before the first seal: what was noted of the owner before counts again.
    pub(super) fn leave(self) {
        if !self.left_in_a_seal {
            // At worst a log that is lost from now on is not missed.
            let _ = self.end_seal();
        }
    }

    /// Notes that a seal of `database` begins. Where somebody has deleted the file it is made again: nobody would find the note.
    pub(super) fn begin_seal(&mut self, database: &Path) -> io::Result<()> {
        if self.file.metadata()?.nlink() == 0 {
            let file = open(&lock_path(database))?;
            // Somebody who looks for an owner may have it for a moment; the inode's lock holds in any case.
            let _ = file.try_lock();
            let mut about = vec![0; usize::try_from(self.about).unwrap_or(0)];
            self.file.read_exact_at(&mut about, 0)?;
            file.set_len(0)?;
            file.write_all_at(&about, 0)?;
            self.file = file;
        }
        self.file.write_all_at(SEALING, self.about)
    }

    /// Notes that the seal has ended.
    pub(super) fn end_seal(&self) -> io::Result<()> {
        self.file.set_len(self.about)
    }
}

/// Whether somebody owns a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Somebody does.
    Owned {
        /// What the owner says of itself.
        owner: Owner,
    },
    /// Nobody does.
    Nobody,
    /// It cannot be found out, for example for lack of permission.
    Unknown,
}

/// Whether somebody owns the database at `path` at this moment. Nothing is written, and no owner is kept from starting.
pub(crate) fn presence(path: &Path) -> Presence {
    let Ok(path) = path.canonicalize() else {
        return Presence::Nobody;
    };
    let file = match File::open(lock_path(&path)) {
        Ok(file) => file,
        // The file stays when its owner ends.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Presence::Nobody,
        Err(_) => return Presence::Unknown,
    };
    match file.try_lock_shared() {
        // Given back at once, when the file is closed.
        Ok(()) => Presence::Nobody,
        Err(TryLockError::WouldBlock) => Presence::Owned {
            owner: said_by_owner(Some(file)),
        },
        Err(TryLockError::Error(_)) => Presence::Unknown,
    }
}

/// Takes a lock that somebody may have for the moment in which they look whether there is an owner, or in which they record something.
fn patiently(file: &File, database: &Path) -> Result<(), TryLockError> {
    for look in 0..LOOKS_FOR_A_MOMENT {
        match file.try_lock() {
            Err(TryLockError::WouldBlock)
                if look < LOOKS
                    || is_owned_for_a_moment(database)
                    || is_coming_or_going(database) =>
            {
                std::thread::sleep(A_MOMENT);
            }
            taken => return taken,
        }
    }
    file.try_lock()
}

/// Whether the last owner has said that it lets the database go in a moment.
fn is_owned_for_a_moment(database: &Path) -> bool {
    let said = said_by_owner(File::open(lock_path(database)).ok());
    said.0.ends_with(FOR_A_MOMENT)
}

/// Whether somebody has one of the two locks and not the other: it has not said yet for how long, or is about to end.
fn is_coming_or_going(database: &Path) -> bool {
    File::open(lock_path(database)).is_ok_and(|file| {
        let is_empty = file.metadata().is_ok_and(|about| about.len() == 0);
        is_empty || file.try_lock_shared().is_ok()
    })
}

/// What the owner of a database says of itself.
fn said_by_owner(about: Option<File>) -> Owner {
    let mut text = String::new();
    if let Some(file) = about {
        // The owner may be writing it just now; its name is a courtesy.
        let _ = file.take(200).read_to_string(&mut text);
    }
    let owner = text.lines().next().filter(|line| !line.is_empty());
    Owner(owner.unwrap_or("not known").to_owned())
}

/// That the database has another owner, by what it says of itself.
fn owned(database: &Path, about: Option<File>) -> StoreError {
    StoreError::Owned {
        path: database.to_owned(),
        owner: said_by_owner(about),
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
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
        let first = Lock::take(&database, false).unwrap();
        let error = Lock::take(&database, false).unwrap_err().to_string();
        assert!(
            error.contains(&format!("pid {}", std::process::id())),
            "{error}"
        );
        assert!(error.contains("a.db"), "{error}");
        drop(first);
        Lock::take(&database, false).unwrap();
    }

    #[test]
    fn who_looks_for_an_owner_is_none_and_keeps_nobody_from_being_one() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a.db");
        assert_eq!(presence(&database), Presence::Nobody);
        std::fs::write(&database, "").unwrap();
        assert_eq!(presence(&database), Presence::Nobody, "no lock file");
        let owner = Lock::take(&database, false).unwrap();
        let Presence::Owned { owner: said } = presence(&database) else {
            panic!("it has an owner");
        };
        assert_eq!(said.pid(), Some(std::process::id()));
        drop(owner);
        assert_eq!(presence(&database), Presence::Nobody);
        // Somebody looks at the moment at which an owner starts.
        let looking = File::open(lock_path(&database)).unwrap();
        looking.try_lock_shared().unwrap();
        let starting = std::thread::spawn(move || Lock::take(&database, false).map(|_| ()));
        drop(looking);
        starting.join().unwrap().unwrap();
    }

    #[test]
    fn whoever_owns_a_database_for_a_moment_is_waited_for_from_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a.db");
        let file = || {
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(false);
            options.open(&database).unwrap()
        };
        drop(Lock::take(&database, false).unwrap());
        // The inode alone: its owner has not said yet for how long.
        let inode = Inode::take(file(), &database, true).unwrap();
        let waiting = {
            let (file, database) = (file(), database.clone());
            std::thread::spawn(move || Inode::take(file, &database, true).map(drop))
        };
        let lock = Lock::take(&database, true).unwrap();
        assert!(is_owned_for_a_moment(&database));
        drop((lock, inode));
        waiting.join().unwrap().unwrap();
    }

    #[test]
    fn a_seal_is_noted_although_the_file_was_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("a.db");
        let mut lock = Lock::take(&database, false).unwrap();
        lock.end_seal().unwrap();
        std::fs::remove_file(lock_path(&database)).unwrap();
        lock.begin_seal(&database).unwrap();
        assert!(Lock::was_left_in_a_seal(&database));
        let error = Lock::take(&database, false).unwrap_err().to_string();
        assert!(error.contains("pid"), "it is locked and says who: {error}");
        lock.end_seal().unwrap();
        assert!(!Lock::was_left_in_a_seal(&database));
    }

    #[test]
    fn an_inode_has_one_owner_by_whatever_name_and_without_the_other_file() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("a.db"), folder.path().join("b.db"));
        std::fs::write(&one, "").unwrap();
        std::fs::hard_link(&one, &other).unwrap();
        let open = |path: &Path| {
            let file = File::options().read(true).write(true).open(path).unwrap();
            Inode::take(file, path, true)
        };
        let first = open(&one).unwrap();
        let error = open(&other).unwrap_err();
        assert!(matches!(error, StoreError::Owned { .. }), "{error}");
        drop(first);
        open(&other).unwrap();
    }
}
