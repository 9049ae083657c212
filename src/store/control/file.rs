//! Control requests of a database in a file.
//!
//! Only the owner writes into the database. Another writer would move the log into the file without a seal, and its transaction could make
//! the owner wait. So a request is a small file beside the database, named after it, the action and the run (`push.db.pause-7`). It is on
//! the disk before it has its name. The owner renames it when it begins to act on it (`push.db.pausing-7`).

use std::{
    ffi::{OsStr, OsString},
    fs::{File, OpenOptions, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::{OpenOptionsExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::{ControlRequest, ControlledRun, TakenBack, Unreadable};
use crate::model::{Asker, Control, ControlAction, RunId, Timestamp};

/// More than any file of ours has.
const LARGEST: u64 = 65_536;

/// A temporary file that is older was left by a process that was killed.
const LEFT_BEHIND: Duration = Duration::from_mins(1);

/// The control files of a database.
#[derive(Debug, Clone)]
pub(crate) struct ControlFiles {
    /// The database, without links.
    database: PathBuf,
}

/// The content of a control file.
#[derive(Debug, Serialize, Deserialize)]
struct Content {
    action: String,
    run: i64,
    created_at: i64,
    by: String,
    at: i64,
    id: String,
    /// An earlier version says nothing of it.
    #[serde(default)]
    asker: Option<Asker>,
}

/// How far the owner has got with a request, by the name of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Asked,
    Obeying,
}

impl Step {
    fn of(begun: bool) -> Self {
        if begun { Self::Obeying } else { Self::Asked }
    }
}

impl ControlFiles {
    /// Those of the database at this path.
    pub(super) fn of(database: &Path) -> io::Result<Self> {
        let database = database.canonicalize()?;
        Ok(Self { database })
    }

    /// The file of a request.
    pub(super) fn path(&self, action: ControlAction, run: RunId, begun: bool) -> PathBuf {
        self.named(action, Step::of(begun), run)
    }

    /// Puts a request on the disk, in place of an earlier one of the same kind.
    pub(super) fn ask(&self, run: ControlledRun, control: &Control) -> io::Result<()> {
        let path = self.named(control.action, Step::Asked, run.id);
        let mut temporary = path.clone().into_os_string();
        temporary.push(format!(".{}.tmp", control.id));
        let temporary = PathBuf::from(temporary);
        let content = Content {
            action: control.action.name().to_owned(),
            run: run.id.0,
            created_at: run.created_at.0,
            by: control.by.clone(),
            at: control.at.0,
            id: control.id.clone(),
            asker: control.asker.clone(),
        };
        let text = serde_json::to_vec(&content).map_err(io::Error::other)?;
        let placed = place(&temporary, &path, &text);
        if placed.is_err() {
            // It may not even have been made.
            let _ = std::fs::remove_file(&temporary);
        }
        placed
    }

    /// The requests for this run, whatever has been done about them. What cannot be read as one is left out.
    pub(super) fn of_run(&self, run: RunId) -> Vec<ControlRequest> {
        let names = ControlAction::ALL
            .into_iter()
            .flat_map(|action| [Step::Asked, Step::Obeying].map(|step| (action, step)));
        names
            .filter_map(|(action, step)| {
                read(&self.named(action, step, run), action, step, run).ok()?
            })
            .collect()
    }

    /// The requests for all runs, and those files that are named like one and cannot be read, with the reason.
    pub(super) fn all(&self) -> io::Result<(Vec<ControlRequest>, Vec<Unreadable>)> {
        let (mut found, mut unreadable) = (Vec::new(), Vec::new());
        let folder = self.database.parent().unwrap_or(Path::new("/"));
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let Some(rest) = self.rest(&entry.file_name()) else {
                continue;
            };
            let path = entry.path();
            let Some((action, step, run)) = parse(&rest) else {
                remove_if_left_behind(&path, &rest);
                continue;
            };
            match read(&path, action, step, run) {
                Ok(Some(file)) => found.push(file),
                // Somebody has taken it back.
                Ok(None) => {}
                Err(error) => unreadable.push((path, error)),
            }
        }
        Ok((found, unreadable))
    }

    /// Notes that the owner begins to obey: from now on it cannot be taken back. Says whether it is still there.
    pub(super) fn begin(&self, request: &ControlRequest) -> bool {
        let (action, run) = (request.control.action, request.run.id);
        let from = self.path(action, run, request.begun);
        match std::fs::rename(from, self.named(action, Step::Obeying, run)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            // In a folder where nobody touches what is another's. It is obeyed all the same, and its id is recorded.
            Ok(()) | Err(_) => true,
        }
    }

    /// Deletes this request.
    pub(super) fn delete(&self, request: &ControlRequest) -> io::Result<()> {
        let path = self.path(request.control.action, request.run.id, request.begun);
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Deletes every request of a run for this action: it has been obeyed, or has no meaning any more.
    pub(super) fn end(&self, action: ControlAction, run: RunId) -> io::Result<()> {
        let mut result = Ok(());
        for step in [Step::Asked, Step::Obeying] {
            match std::fs::remove_file(self.named(action, step, run)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => result = Err(error),
                _ => {}
            }
        }
        result
    }

    /// Takes a request back that no owner has begun to obey.
    pub(super) fn take_back(&self, action: ControlAction, run: RunId) -> io::Result<TakenBack> {
        match std::fs::remove_file(self.named(action, Step::Asked, run)) {
            Ok(()) => Ok(TakenBack::Taken),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(if self.is_begun(action, run) {
                    TakenBack::TooLate
                } else {
                    TakenBack::Nothing
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Whether an owner obeys this request just now, or has died while it did.
    pub(super) fn is_begun(&self, action: ControlAction, run: RunId) -> bool {
        self.named(action, Step::Obeying, run)
            .symlink_metadata()
            .is_ok()
    }

    /// What follows the database's name and a dot in the name of a file beside it.
    fn rest(&self, name: &OsStr) -> Option<OsString> {
        let database = self.database.file_name()?.as_bytes();
        let rest = name.as_bytes().strip_prefix(database)?.strip_prefix(b".")?;
        Some(OsString::from_vec(rest.to_vec()))
    }

    fn named(&self, action: ControlAction, step: Step, run: RunId) -> PathBuf {
        let mut path = self.database.clone().into_os_string();
        path.push(format!(".{}-{run}", word(action, step)));
        path.into()
    }
}

fn word(action: ControlAction, step: Step) -> &'static str {
    match (action, step) {
        (ControlAction::Pause, Step::Asked) => "pause",
        (ControlAction::Pause, Step::Obeying) => "pausing",
        (ControlAction::Cancel, Step::Asked) => "cancel",
        (ControlAction::Cancel, Step::Obeying) => "cancelling",
    }
}

/// Reads `pause-7`.
fn parse(rest: &OsStr) -> Option<(ControlAction, Step, RunId)> {
    let (name, number) = rest.to_str()?.split_once('-')?;
    let mut names = ControlAction::ALL
        .into_iter()
        .flat_map(|action| [Step::Asked, Step::Obeying].map(|step| (action, step)));
    let (action, step) = names.find(|(action, step)| word(*action, *step) == name)?;
    let number: i64 = number.parse().ok()?;
    (number > 0).then_some((action, step, RunId(number)))
}

/// Writes a file as a whole: whoever sees it sees all of it, also after a loss of power.
fn place(temporary: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(temporary)?;
    file.write_all(text)?;
    // Whatever the umask: the owner may be another user, and there is nothing to hide.
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.sync_all()?;
    std::fs::rename(temporary, path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    File::open(folder)?.sync_all()
}

/// Reads a control file; `None` when there is none.
fn read(
    path: &Path,
    action: ControlAction,
    step: Step,
    run: RunId,
) -> io::Result<Option<ControlRequest>> {
    // Whatever somebody has put there: no link is followed, and no pipe waited for.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = Vec::new();
    file.take(LARGEST).read_to_end(&mut text)?;
    let content: Content = serde_json::from_slice(&text).map_err(io::Error::other)?;
    if content.action != action.name() || content.run != run.0 {
        return Err(io::Error::other("its content belongs to another name"));
    }
    Ok(Some(ControlRequest {
        begun: matches!(step, Step::Obeying),
        run: ControlledRun {
            id: run,
            created_at: Timestamp(content.created_at),
        },
        control: Control {
            action,
            by: content.by,
            at: Timestamp(content.at),
            id: content.id,
            asker: content.asker,
        },
    }))
}

/// Removes a temporary file whose writer was killed. `rest` is its name after the database's.
fn remove_if_left_behind(path: &Path, rest: &OsStr) {
    let is_ours = rest
        .to_str()
        .and_then(|rest| rest.strip_suffix(".tmp")?.split_once('.'))
        .is_some_and(|(name, _)| parse(OsStr::new(name)).is_some());
    let is_old = || {
        let modified = path.symlink_metadata().and_then(|file| file.modified());
        modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > LEFT_BEHIND))
    };
    if is_ours && is_old() {
        // It only takes up a name.
        let _ = std::fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests;
