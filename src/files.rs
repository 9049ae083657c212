//! Files that people name: what kinds of them are read and written, and how much of them.
//!
//! A wrong path must neither hang the process, nor fill its memory, nor put a file in the place of a device.

use std::{
    fs::{File, FileType, Metadata, Permissions},
    io::{self, Read},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::OFlags,
};
use tempfile::{Builder, NamedTempFile};

/// How long a small file may take that another process writes, such as a pipe.
const WRITERS_TIME: Duration = Duration::from_secs(10);
/// Links that lead to links, as the system counts them.
const MOST_LINKS: usize = 40;
/// Where containers get their secrets: who can look into a container is decided outside of it.
const CONTAINER_SECRETS: [&str; 2] = ["/run/secrets", "/var/run/secrets"];

/// Reads a small text file whole: a regular file or a pipe of at most `most` bytes. `/dev/null` is an empty file.
pub(crate) fn read_small(path: &Path, most: u64) -> io::Result<String> {
    let metadata = path.metadata()?;
    if is_null(&metadata) {
        return Ok(String::new());
    }
    readable(metadata.file_type())?;
    // Opening a pipe waits for its writer otherwise, without an end.
    let file = File::options()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)?;
    // It may be another one by now.
    let kind = file.metadata()?.file_type();
    readable(kind)?;
    let mut bytes = Vec::new();
    if kind.is_file() {
        // One byte more, so that what is too long is seen to be.
        (&file).take(most + 1).read_to_end(&mut bytes)?;
    } else {
        read_pipe(&file, most, &mut bytes)?;
    }
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!(
            "it is longer than {} KiB",
            most / 1024
        )));
    }
    // The error would show the bytes, which may be secret.
    String::from_utf8(bytes).map_err(|error| {
        let reason = if matches!(error.as_bytes(), [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) {
            "is UTF-16 text; save it as UTF-8"
        } else {
            "is not UTF-8; save it as UTF-8"
        };
        io::Error::new(io::ErrorKind::InvalidData, reason)
    })
}

/// Fails for what is not read: folders, devices, sockets.
pub(crate) fn readable(kind: FileType) -> io::Result<()> {
    if kind.is_file() || kind.is_fifo() {
        return Ok(());
    }
    Err(wrong_kind(kind, "a regular file or a pipe"))
}

/// The file that a path leads to, links resolved, if it may be put in the place of what is there: nothing, or a regular file.
pub(crate) fn replaceable(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let kind = match path.symlink_metadata() {
            Ok(metadata) => metadata.file_type(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path),
            Err(error) => return Err(error),
        };
        if kind.is_symlink() {
            let target = path.read_link()?;
            path = match path.parent() {
                Some(folder) => folder.join(target),
                None => target,
            };
        } else if kind.is_file() {
            return Ok(path);
        } else {
            return Err(wrong_kind(kind, "a regular file"));
        }
    }
    Err(rustix::io::Errno::LOOP.into())
}

/// An empty file in the folder of this one, with the mode that the process's umask leaves of `mode`. Its name is one that collectors pass
/// over; it goes when the value is dropped, unless it is put in the other's place.
pub(crate) fn temporary_beside(path: &Path, mode: u32) -> io::Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    Builder::new()
        .prefix(".fleetpush-")
        .suffix(".tmp")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)
}

/// Whether every user of the machine can read a file. What cannot be found out is nobody's fault here.
pub(crate) fn is_open_to_all(path: &Path) -> bool {
    // For files in a folder that is closed to others their own mode does not count.
    const READ: u32 = 0o004;
    const ENTER: u32 = 0o001;
    let allows = |path: &Path, what: u32| {
        path.metadata()
            .is_ok_and(|metadata| metadata.permissions().mode() & what != 0)
    };
    let Ok(path) = path.canonicalize() else {
        return false;
    };
    let in_container = CONTAINER_SECRETS
        .iter()
        .any(|folder| path.starts_with(folder));
    path.is_file()
        && !in_container
        && allows(&path, READ)
        && path.ancestors().skip(1).all(|folder| allows(folder, ENTER))
}

fn is_null(metadata: &Metadata) -> bool {
    let null = Path::new("/dev/null").metadata();
    metadata.file_type().is_char_device() && null.is_ok_and(|null| null.rdev() == metadata.rdev())
}

fn wrong_kind(kind: FileType, wanted: &str) -> io::Error {
    let found = if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    io::Error::other(format!("it is {found}, not {wanted}"))
}

/// Reads a pipe to its end, at most a byte more than `most`, as long as somebody may still write to it.
fn read_pipe(mut file: &File, most: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
    let end = Instant::now() + WRITERS_TIME;
    let mut buffer = [0; 4096];
    while bytes.len() as u64 <= most {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut wanted = [PollFd::new(&file, PollFlags::IN)];
        match poll(&mut wanted, Some(&timeout)) {
            Ok(0) => {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!(
                        "it is a pipe, and its content did not arrive within {} s",
                        WRITERS_TIME.as_secs()
                    ),
                ));
            }
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _, os::unix::fs::symlink};

    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;

    #[test]
    fn a_small_file_is_read_and_a_long_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("small");
        fs::write(&path, "x".repeat(2048)).unwrap();
        assert_eq!(read_small(&path, 2048).unwrap().len(), 2048);
        let error = read_small(&path, 2047).unwrap_err();
        assert_eq!(error.to_string(), "it is longer than 1 KiB");
        fs::write(&path, b"\xff").unwrap();
        let error = read_small(&path, 2048).unwrap_err();
        assert_eq!(error.to_string(), "is not UTF-8; save it as UTF-8");
    }

    #[test]
    fn devices_are_not_read_and_null_is_empty() {
        assert_eq!(read_small(Path::new("/dev/null"), 10).unwrap(), "");
        for device in ["/dev/full", "/dev/zero"] {
            let error = read_small(Path::new(device), 10).unwrap_err();
            assert_eq!(
                error.to_string(),
                "it is a device, not a regular file or a pipe"
            );
        }
        let error = read_small(Path::new("/"), 10).unwrap_err();
        assert_eq!(
            error.to_string(),
            "it is a folder, not a regular file or a pipe"
        );
    }

    #[test]
    fn a_pipe_is_read_to_its_end_and_no_further_than_is_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        mkfifoat(CWD, &path, Mode::RWXU).unwrap();
        for (length, most, read) in [(100_000, 100_000, true), (100_000, 5000, false)] {
            let writer = {
                let path = path.clone();
                std::thread::spawn(move || {
                    let mut file = File::options().write(true).open(path).unwrap();
                    // The reader goes away when it has seen too much.
                    let _ = file.write_all(&vec![b'x'; length]);
                })
            };
            let text = read_small(&path, most);
            writer.join().unwrap();
            assert_eq!(text.ok().map(|text| text.len()), read.then_some(length));
        }
    }

    #[test]
    fn links_lead_to_what_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        symlink("target", at("link")).unwrap();
        symlink("link", at("second")).unwrap();
        assert_eq!(replaceable(&at("second")).unwrap(), at("target"));
        fs::write(at("target"), "").unwrap();
        assert_eq!(replaceable(&at("second")).unwrap(), at("target"));
        symlink("round", at("round")).unwrap();
        replaceable(&at("round")).unwrap_err();
        symlink("/dev/null", at("null")).unwrap();
        mkfifoat(CWD, at("pipe"), Mode::RWXU).unwrap();
        for (path, words) in [
            (at("null"), "it is a device, not a regular file"),
            (at("pipe"), "it is a pipe, not a regular file"),
            (folder.path().into(), "it is a folder, not a regular file"),
        ] {
            assert_eq!(replaceable(&path).unwrap_err().to_string(), words);
        }
    }

    #[test]
    fn a_file_in_a_closed_folder_is_closed() {
        // Below a folder that others may enter, as the system's temporary one.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        fs::write(&path, "").unwrap();
        mode(folder.path(), 0o755);
        mode(&path, 0o644);
        let ancestors_open = folder
            .path()
            .ancestors()
            .skip(1)
            .all(|folder| folder.metadata().unwrap().permissions().mode() & 0o001 != 0);
        assert_eq!(is_open_to_all(&path), ancestors_open);
        mode(&path, 0o640);
        assert!(!is_open_to_all(&path));
        mode(&path, 0o644);
        mode(folder.path(), 0o700);
        assert!(!is_open_to_all(&path));
    }
}
