//! The file of `--out`: checked before the work begins, written beside its place, and moved there when it is complete.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use super::printer::{Output, Printer};
use crate::files;

/// As of any file that a program writes; the process's umask takes away from it.
const MODE: u32 = 0o666;

/// The file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: name a file in a folder that exists and that you may write to", path.display())]
pub struct OutFileError {
    path: PathBuf,
    source: io::Error,
}

/// Where the data of a command goes: stdout, or a file that is not in its place yet.
#[derive(Debug)]
pub(crate) struct Destination {
    file: Option<OutFile>,
}

#[derive(Debug)]
struct OutFile {
    /// As it was named.
    path: PathBuf,
    /// What the path leads to.
    target: PathBuf,
    beside: NamedTempFile,
}

impl Destination {
    /// stdout when there is no path or it is `-`; else the file, of which nothing can be seen before [`Self::keep`].
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, OutFileError> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else {
            return Ok(Self { file: None });
        };
        let make = || {
            let target = files::replaceable(path)?;
            let beside = files::temporary_beside(&target, MODE)?;
            Ok((target, beside))
        };
        let (target, beside) = make().map_err(|source| OutFileError {
            path: path.into(),
            source,
        })?;
        Ok(Self {
            file: Some(OutFile {
                path: path.into(),
                target,
                beside,
            }),
        })
    }

    /// Whether it is a file.
    pub(crate) fn is_file(&self) -> bool {
        self.file.is_some()
    }

    /// The writer of the data.
    pub(crate) fn output(&self, printer: &Printer) -> Result<Output, OutFileError> {
        let Some(file) = &self.file else {
            return Ok(printer.stdout());
        };
        let sink = file
            .beside
            .as_file()
            .try_clone()
            .map_err(|source| OutFileError {
                path: file.path.clone(),
                source,
            })?;
        Ok(Output::to_file(Box::new(Named {
            sink,
            path: file.path.clone(),
        })))
    }

    /// Puts the file in its place. Whoever wrote has flushed.
    pub(crate) fn keep(self) -> Result<(), OutFileError> {
        let Some(OutFile {
            path,
            target,
            beside,
        }) = self.file
        else {
            return Ok(());
        };
        let keep = || {
            beside.as_file().sync_all()?;
            beside.persist(&target).map_err(io::Error::from)?;
            Ok(())
        };
        keep().map_err(|source| OutFileError { path, source })
    }
}

/// A file whose errors name it.
struct Named {
    sink: std::fs::File,
    path: PathBuf,
}

impl Named {
    fn named(&self, error: &io::Error) -> io::Error {
        io::Error::other(format!("{}: {error}", self.path.display()))
    }
}

impl Write for Named {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sink.write(bytes).map_err(|error| self.named(&error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush().map_err(|error| self.named(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_seen_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        std::fs::write(&path, "old").unwrap();
        let (printer, captured) = Printer::captured(None);
        let write = |keep: bool| {
            let destination = Destination::open(Some(&path)).unwrap();
            let mut output = destination.output(&printer).unwrap();
            write!(output, "new").unwrap();
            output.flush().unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
            if keep {
                destination.keep().unwrap();
            }
        };
        write(false);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        write(true);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!((left, captured.stdout().as_str()), (1, ""));
    }

    #[test]
    fn what_cannot_be_written_is_known_at_once_and_a_dash_is_stdout() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().join("none/out.csv"), folder.path().into()] {
            let error = Destination::open(Some(&path)).unwrap_err().to_string();
            assert!(error.contains(&path.display().to_string()), "{error}");
        }
        for path in [None, Some(Path::new("-"))] {
            assert!(!Destination::open(path).unwrap().is_file());
        }
    }
}
