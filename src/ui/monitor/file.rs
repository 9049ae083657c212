//! A file that readers only ever see complete.

use std::{
    fs::Permissions,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::files;

/// For all to read: the collector is another user.
const MODE: u32 = 0o644;

/// In every metrics file that we have written.
const OURS: &str = "# HELP fleetpush_";

const FOLDER: &str = "check that its folder exists and can be written";
const KIND: &str = "name a regular file, or one that does not exist yet";
const FOREIGN: &str =
    "it is not a metrics file of fleetpush, and would be replaced: name another one, or delete it";

/// Far above any metrics file: what is larger is another file, named by mistake.
const LARGEST: u64 = 1 << 20;

/// The metrics file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the metrics file {}: {way_out}", path.display())]
pub struct MetricsError {
    path: PathBuf,
    way_out: &'static str,
    source: io::Error,
}

impl MetricsError {
    /// What the system said.
    pub(super) fn cause(&self) -> &io::Error {
        &self.source
    }
}

#[derive(Debug)]
pub(super) struct MetricsFile {
    path: PathBuf,
    label: String,
    /// What stood in it when it was opened.
    content: String,
}

impl MetricsFile {
    /// Sees that the file can be written, and leaves it as it is.
    pub(super) fn open(path: &Path) -> Result<Self, MetricsError> {
        let mut file = Self {
            path: path.to_owned(),
            label: path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            content: String::new(),
        };
        let target = file.target()?;
        file.content = file.own_content(&target)?;
        beside(&target).map_err(|source| file.error(FOLDER, source))?;
        Ok(file)
    }

    /// The file's name without its ending.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// What stood in the file when it was opened; nothing when there was none.
    pub(super) fn content(&self) -> &str {
        &self.content
    }

    /// Puts another content in the place of the old one.
    pub(super) fn write(&self, text: &str) -> Result<(), MetricsError> {
        // What the path leads to may have changed.
        let target = self.target()?;
        let write = || {
            let mut new = beside(&target)?;
            new.write_all(text.as_bytes())?;
            new.persist(&target)?;
            Ok(())
        };
        write().map_err(|source| self.error(FOLDER, source))
    }

    /// The file behind the links: a link stays one, and a device or a pipe what it is.
    fn target(&self) -> Result<PathBuf, MetricsError> {
        files::replaceable(&self.path).map_err(|source| self.error(KIND, source))
    }

    /// What stands in the file; an error when it is somebody else's, which would be lost.
    fn own_content(&self, target: &Path) -> Result<String, MetricsError> {
        match files::read_small(target, LARGEST) {
            Ok(text) if text.trim().is_empty() || text.contains(OURS) => Ok(text),
            Ok(_) => {
                let source = io::Error::other("it holds something else");
                Err(self.error(FOREIGN, source))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(source) => Err(self.error(FOREIGN, source)),
        }
    }

    fn error(&self, way_out: &'static str, source: io::Error) -> MetricsError {
        MetricsError {
            path: self.path.clone(),
            way_out,
            source,
        }
    }
}

/// An empty file in the same folder.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let file = files::temporary_beside(path, MODE)?;
    // Whatever the umask of the process takes away.
    file.as_file()
        .set_permissions(Permissions::from_mode(MODE))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_for_all_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("europe.prom");
        let old = "# HELP fleetpush_pushing Old.\n";
        std::fs::write(&path, old).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let file = MetricsFile::open(&path).unwrap();
        assert_eq!((file.label(), file.content()), ("europe", old));
        let reader = std::fs::File::open(&path).unwrap();
        file.write("new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(
            io::read_to_string(reader).unwrap(),
            old,
            "who has it open keeps what was there"
        );
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_stays_and_leads_to_the_new_content() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("fleet.prom");
        std::fs::create_dir(folder.path().join("textfile")).unwrap();
        let target = folder.path().join("textfile/europe.prom");
        std::os::unix::fs::symlink("textfile/europe.prom", &link).unwrap();
        for text in ["first", "second"] {
            let file = MetricsFile::open(&link);
            file.unwrap().write(&format!("{OURS}{text}")).unwrap();
            assert!(link.is_symlink());
            let written = std::fs::read_to_string(&target).unwrap();
            assert_eq!(written, format!("{OURS}{text}"));
        }
    }

    #[test]
    fn what_is_not_ours_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fleet.csv");
        for content in [&b"device_key\nDK1\n"[..], b"\xff", &vec![b'#'; 2 << 20]] {
            std::fs::write(&path, content).unwrap();
            let error = MetricsFile::open(&path).unwrap_err().to_string();
            assert!(error.ends_with(FOREIGN), "{error}");
        }
        std::fs::write(&path, "").unwrap();
        MetricsFile::open(&path).unwrap();
    }

    #[test]
    fn a_place_that_cannot_be_written_is_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("nowhere/fleet.prom");
        let error = MetricsFile::open(&missing).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "cannot write the metrics file {}: check that its folder exists and can be written",
                missing.display()
            )
        );
        for (path, cause) in [
            (folder.path(), "it is a folder, not a regular file"),
            (Path::new("/dev/full"), "it is a device, not a regular file"),
        ] {
            let error = MetricsFile::open(path).unwrap_err();
            assert!(error.to_string().ends_with(KIND));
            assert_eq!(error.cause().to_string(), cause);
        }
    }
}
