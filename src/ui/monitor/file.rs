//! A file that is only ever seen whole.

use std::{
    fs::Permissions,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tempfile::{Builder, NamedTempFile};

/// For all to read: the collector is another user.
const MODE: u32 = 0o644;

/// The metrics file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the metrics file {}: see that its folder is there and can be written", path.display())]
pub struct MetricsError {
    path: PathBuf,
    source: io::Error,
}

impl MetricsError {
    /// What the system said.
    pub(super) fn cause(&self) -> &io::Error {
        &self.source
    }
}

/// A metrics file.
#[derive(Debug)]
pub(super) struct MetricsFile {
    path: PathBuf,
    label: String,
}

impl MetricsFile {
    /// Sees that the file can be written, and leaves it as it is.
    pub(super) fn open(path: &Path) -> Result<Self, MetricsError> {
        let file = Self {
            path: path.to_owned(),
            label: path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
        };
        let tried = if path.is_dir() {
            Err(io::ErrorKind::IsADirectory.into())
        } else {
            file.beside().map(drop)
        };
        tried.map_err(|source| file.error(source))?;
        Ok(file)
    }

    /// The file's name without its ending.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// What stands in the file; nothing when there is none.
    pub(super) fn content(&self) -> String {
        std::fs::read_to_string(&self.path).unwrap_or_default()
    }

    /// Puts another content in the place of the old one.
    pub(super) fn write(&self, text: &str) -> Result<(), MetricsError> {
        let write = || {
            let mut new = self.beside()?;
            new.write_all(text.as_bytes())?;
            new.persist(&self.path)?;
            Ok(())
        };
        write().map_err(|source| self.error(source))
    }

    /// An empty file in the same folder. Its name is one that collectors pass over.
    fn beside(&self) -> io::Result<NamedTempFile> {
        let folder = match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let file = Builder::new()
            .prefix(".fleetpush-")
            .suffix(".tmp")
            .tempfile_in(folder)?;
        // Whatever the umask of the process takes away.
        file.as_file()
            .set_permissions(Permissions::from_mode(MODE))?;
        Ok(file)
    }

    fn error(&self, source: io::Error) -> MetricsError {
        MetricsError {
            path: self.path.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_for_all_to_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("europe.prom");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let file = MetricsFile::open(&path).unwrap();
        assert_eq!((file.label(), file.content().as_str()), ("europe", "old"));
        let reader = std::fs::File::open(&path).unwrap();
        file.write("new").unwrap();
        assert_eq!(file.content(), "new");
        assert_eq!(
            io::read_to_string(reader).unwrap(),
            "old",
            "who has it open keeps what was there"
        );
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("nowhere/fleet.prom");
        let error = MetricsFile::open(&missing).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "cannot write the metrics file {}: see that its folder is there and can be written",
                missing.display()
            )
        );
        assert_eq!(
            MetricsFile::open(folder.path()).unwrap_err().cause().kind(),
            io::ErrorKind::IsADirectory
        );
    }
}
