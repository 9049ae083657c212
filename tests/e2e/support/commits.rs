//! A way to a PostgreSQL server that breaks in the middle of a commit.

use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use tempfile::TempDir;

use super::Database;

/// How a statement ends that commits, and the reply to it.
const COMMIT: &[u8] = b"COMMIT\0";

/// Where a commit is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Before the server has heard of it.
    Before,
    /// When the server has committed, and before the program hears of it.
    After,
}

/// Passes connections on to a server's socket, and cuts one when it is told to.
pub(crate) struct Commits {
    folder: TempDir,
    next: Arc<Mutex<Option<Cut>>>,
}

impl Commits {
    /// An open way to the server of a database.
    pub(crate) fn of(database: &Database) -> Self {
        let target = database.server().socket();
        let folder = tempfile::tempdir().expect("a folder can be made");
        let name = target.file_name().expect("a socket has a name");
        let listener = UnixListener::bind(folder.path().join(name)).expect("a socket can be made");
        let next: Arc<Mutex<Option<Cut>>> = Arc::default();
        let way = Self {
            folder,
            next: Arc::clone(&next),
        };
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                pass(&client, &target, &next);
            }
        });
        way
    }

    /// The folder of the socket that stands for the server's.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Cuts the connection on which the next commit comes by.
    pub(crate) fn cut_next(&self, cut: Cut) {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(cut);
    }

    /// Lets every commit pass from now on.
    pub(crate) fn cut_none(&self) {
        self.next
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// Whether the last cut that was asked for is yet to come.
    pub(crate) fn is_to_cut(&self) -> bool {
        self.next
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }
}

/// Passes one connection on, in both directions.
fn pass(client: &UnixStream, target: &PathBuf, next: &Arc<Mutex<Option<Cut>>>) {
    let Ok(server) = UnixStream::connect(target) else {
        return;
    };
    let copied = |stream: &UnixStream| stream.try_clone().expect("a stream");
    let is_cut = Arc::new(AtomicBool::new(false));
    let (from, to, next, cut) = (
        copied(client),
        copied(&server),
        Arc::clone(next),
        Arc::clone(&is_cut),
    );
    thread::spawn(move || requests(from, to, &next, &cut));
    let (from, to) = (server, copied(client));
    thread::spawn(move || replies(from, to, &is_cut));
}

fn requests(
    mut from: UnixStream,
    mut to: UnixStream,
    next: &Mutex<Option<Cut>>,
    is_cut: &AtomicBool,
) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let said = &buffer[..count];
        if said.ends_with(COMMIT) {
            match next.lock().unwrap_or_else(PoisonError::into_inner).take() {
                None => {}
                Some(Cut::Before) => break,
                // The reply to it is the end of the connection.
                Some(Cut::After) => is_cut.store(true, Ordering::SeqCst),
            }
        }
        if to.write_all(said).is_err() {
            break;
        }
    }
    end(&from, &to);
}

fn replies(mut from: UnixStream, mut to: UnixStream, is_cut: &AtomicBool) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if is_cut.load(Ordering::SeqCst) || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    end(&from, &to);
}

fn end(from: &UnixStream, to: &UnixStream) {
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
