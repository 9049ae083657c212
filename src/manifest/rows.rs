//! The one stream of entries that both formats give.

use std::io::BufReader;

use crate::model::{BadRow, Row};

use super::{
    FileError, FileErrorKind, ManifestError, Warning,
    delimited::Delimited,
    jsonl::Jsonl,
    source::{Stream, Verified},
};

/// What a place in the manifest holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A good row for one device.
    Row(Row),
    /// A row that cannot be sent.
    Bad(BadRow),
}

/// The entries of a manifest, in its order.
///
/// An error is final: the manifest as a whole is not to be used, rows that came before it included. The last thing to be found out is whether
/// the file has changed, so nothing may be sent before the end.
pub struct Rows {
    file: Box<str>,
    reader: RowReader,
    state: State,
}

/// How far a reading has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No entry has been read.
    Fresh,
    Reading,
    Ended,
}

/// The reader of the manifest's format.
pub(super) enum RowReader {
    Delimited(Box<Delimited<BufReader<Verified<Stream>>>>),
    Jsonl(Box<Jsonl<BufReader<Verified<Stream>>>>),
}

impl Rows {
    pub(super) fn new(file: &str, reader: RowReader) -> Self {
        Self {
            file: file.into(),
            reader,
            state: State::Fresh,
        }
    }

    /// What is odd about the rows that have been read.
    pub fn warning(&self) -> Option<Warning> {
        match &self.reader {
            RowReader::Delimited(reader) => {
                reader.unended().map(|line| Warning::NoLineEnd { line })
            }
            RowReader::Jsonl(reader) => reader.odd_keys().cloned().map(Warning::OddKeys),
        }
    }
}

impl Rows {
    /// The labels so far that no prefix says are labels: a column `site` and not `label.site`, a field of a JSONL line and not one of its
    /// `labels`.
    pub(crate) fn implied_labels(&self) -> Vec<Box<str>> {
        match &self.reader {
            RowReader::Delimited(reader) => reader.implied_labels(),
            RowReader::Jsonl(reader) => reader.implied_labels(),
        }
    }
}

impl Iterator for Rows {
    type Item = Result<Entry, ManifestError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Ended {
            return None;
        }
        let read = match &mut self.reader {
            RowReader::Delimited(reader) => reader.read(),
            RowReader::Jsonl(reader) => reader.read(),
        };
        let error = match read {
            Ok(Some(entry)) => {
                self.state = State::Reading;
                return Some(Ok(entry));
            }
            Ok(None) if self.state == State::Fresh => FileError::whole(FileErrorKind::NoRows),
            Ok(None) => {
                self.state = State::Ended;
                return None;
            }
            Err(error) => error,
        };
        self.state = State::Ended;
        Some(Err(error.of(&self.file)))
    }
}
