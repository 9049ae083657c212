//! Where a database may be: SQLite must find the log beside the only name of the file, and locks must work.

use std::{
    ffi::OsString,
    fs::Metadata,
    os::unix::{ffi::OsStringExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

/// Where Linux lists what is mounted, as this process sees it.
const MOUNTS: &str = "/proc/self/mountinfo";

/// File systems whose files other machines can have open at the same time, by the names that Linux gives them. With FUSE the program
/// behind it decides what a lock and a flush are worth, and so do those that share a host's folders with a virtual machine.
const NETWORK: &[&str] = &[
    "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "drvfs", "fuse", "gfs2", "gpfs",
    "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "prl_fs", "pvfs2", "smb3", "smbfs",
    "vboxsf", "virtiofs", "vmhgfs",
];

/// Something that is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    at: PathBuf,
    kind: String,
}

/// Why a database must not lie where it lies, with what to do. `path` is canonical, and `file` is what stands there.
pub(super) fn refusal(path: &Path, file: &Metadata, network_allowed: bool) -> Option<String> {
    // Another system, or no /proc: then nothing is known against the place.
    let mounts = std::fs::read(MOUNTS).unwrap_or_default();
    names(file.nlink()).or_else(|| mounted(path, &parse(&mounts), network_allowed))
}

/// Why a folder may hold no database, when it is on a network file system.
pub(crate) fn network_folder(folder: &Path, network_allowed: bool) -> Option<String> {
    let mounts = std::fs::read(MOUNTS).unwrap_or_default();
    network(folder, &parse(&mounts)).filter(|_| !network_allowed)
}

/// The kind of file system that a folder is on, by the name that Linux gives it. `folder` is canonical.
pub(crate) fn file_system(folder: &Path) -> Option<String> {
    let mounts = std::fs::read(MOUNTS).ok()?;
    mount_of(folder, &parse(&mounts)).map(|mount| mount.kind.clone())
}

/// Whether a file is on a file system where locks of the two kinds are one, or where nobody knows.
pub(super) fn is_on_network(path: &Path) -> bool {
    let mounts = std::fs::read(MOUNTS).unwrap_or_default();
    network(path, &parse(&mounts)).is_some()
}

fn names(names: u64) -> Option<String> {
    (names > 1).then(|| {
        format!(
            "the file has {names} names (hard links), and its write-ahead log is beside one of them only, so that a push by another \
             name would not see what was sent; keep one name: copy the file with its log (sqlite3 FILE '.backup COPY'), or remove the \
             other links"
        )
    })
}

fn mounted(path: &Path, mounts: &[Mount], network_allowed: bool) -> Option<String> {
    if mounts.iter().any(|mount| mount.at == path) {
        let folder = path.parent().unwrap_or(path).display();
        return Some(format!(
            "the file is mounted by itself, so that its write-ahead log is not beside it for everybody, and two pushes could send the \
             same; mount its folder instead, for example -v /srv/fleetpush:{folder} and not the file"
        ));
    }
    network(path, mounts).filter(|_| !network_allowed)
}

fn network(path: &Path, mounts: &[Mount]) -> Option<String> {
    let mount = mount_of(path, mounts)?;
    // `fuseblk` is a local disk that a program reads, such as NTFS.
    let is_network = NETWORK.contains(&mount.kind.as_str()) || mount.kind.starts_with("fuse.");
    is_network.then(|| {
        format!(
            "{} is a {} file system, which other machines can use at the same time; locks may not hold there, and SQLite's write-ahead \
             log does not work from two machines: two pushes could send the same, and the database could be damaged; keep it on a local \
             disk, or use it from this machine alone and say so with --allow-network-filesystem",
            mount.at.display(),
            mount.kind
        )
    })
}

/// What a path lies on: the mount with the longest path, and of several at one place the last.
fn mount_of<'m>(path: &Path, mounts: &'m [Mount]) -> Option<&'m Mount> {
    mounts
        .iter()
        .filter(|mount| path.starts_with(&mount.at))
        .max_by_key(|mount| mount.at.as_os_str().len())
}

/// Reads the lines of `mountinfo`: `36 35 98:0 /root /mount/point options optional… - type source options`.
fn parse(text: &[u8]) -> Vec<Mount> {
    text.split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let mut fields = line.split(|byte| *byte == b' ');
            let at = unescape(fields.nth(4)?);
            let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
            Some(Mount {
                at: OsString::from_vec(at).into(),
                kind: String::from_utf8_lossy(kind).into_owned(),
            })
        })
        .collect()
}

/// Blanks, tabs, line ends and backslashes stand there as `\040`, in octal.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        let octal = (*first == b'\\')
            .then(|| tail.get(..3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let Some(byte) = octal {
            bytes.push(byte);
            rest = &tail[3..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: &[u8] = b"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n\
        36 22 0:33 / /srv/share rw,relatime shared:2 master:1 - nfs4 nas:/share rw,vers=4.2\n\
        37 36 0:34 / /srv/share/local rw - tmpfs tmpfs rw\n\
        38 22 8:1 /data/push.db /state/push.db rw - ext4 /dev/root rw\n\
        39 22 0:35 / /mnt/my\\040drive rw - fuse.sshfs host: rw\n\
        40 22 8:2 / /mnt/usb rw - fuseblk /dev/sdb1 rw\n\
        not a line\n";

    fn told(path: &str, network_allowed: bool) -> Option<String> {
        mounted(Path::new(path), &parse(SOME), network_allowed)
    }

    #[test]
    fn a_network_file_system_is_refused_unless_it_is_allowed() {
        for (path, kind) in [
            ("/srv/share/push.db", "nfs4"),
            ("/mnt/my drive/a/push.db", "fuse.sshfs"),
        ] {
            let why = told(path, false).unwrap();
            assert!(why.contains(kind), "{why}");
            assert!(why.contains("--allow-network-filesystem"), "{why}");
            assert_eq!(told(path, true), None);
        }
    }

    #[test]
    fn a_local_file_system_is_taken_also_below_a_network_one() {
        for path in [
            "/srv/push.db",
            "/srv/shared.db",
            "/srv/share/local/push.db",
            "/mnt/usb/push.db",
            "/state/other.db",
        ] {
            assert_eq!(told(path, false), None, "{path}");
        }
        assert_eq!(mounted(Path::new("/a"), &parse(b""), false), None);
    }

    #[test]
    fn a_file_that_is_mounted_by_itself_is_refused_with_what_to_mount() {
        let why = told("/state/push.db", true).unwrap();
        assert!(why.contains("-v /srv/fleetpush:/state"), "{why}");
    }

    #[test]
    fn a_file_has_one_name() {
        assert_eq!(names(1), None);
        // Nobody's any more: it has been deleted, which is noticed elsewhere.
        assert_eq!(names(0), None);
        assert!(names(2).unwrap().contains("2 names"));
    }
}
