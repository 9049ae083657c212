//! JSON, one object a line: from lines to entries. The body of an API request is such a line.

use std::{
    io::{self, BufRead},
    mem, str,
    sync::Arc,
    vec,
};

use crate::model::{BadRow, Row, RowError};

use super::{
    Entry, FileError, FileErrorKind, ROW_LIMIT,
    column::Classifier,
    encode::Encoder,
    json,
    line::{self, Device, Line, Shared},
    warning::OddKeys,
};

/// Reads entries from lines.
pub(super) struct Jsonl<R> {
    input: R,
    encoder: Encoder,
    /// The number of the line read last.
    line: u64,
    text: Vec<u8>,
    /// Whether every line so far was blank.
    fresh: bool,
    batch: Option<Batch>,
    names: Classifier,
    odd_keys: Option<OddKeys>,
}

impl<R: BufRead> Jsonl<R> {
    pub(super) fn new(input: R, encoder: Encoder) -> Self {
        Self {
            input,
            encoder,
            line: 0,
            text: Vec::new(),
            fresh: true,
            batch: None,
            names: Classifier::default(),
            odd_keys: None,
        }
    }

    /// The keys so far that look like what an export leaves behind, and were taken all the same.
    pub(super) fn odd_keys(&self) -> Option<&OddKeys> {
        self.odd_keys.as_ref()
    }

    /// The labels so far that are fields of their lines, as far as they are remembered.
    pub(super) fn implied_labels(&self) -> Vec<Box<str>> {
        self.names.labels()
    }

    /// The next entry, or nothing at the end.
    pub(super) fn read(&mut self) -> Result<Option<Entry>, FileError> {
        loop {
            if let Some(entry) = self.batch.as_mut().and_then(Iterator::next) {
                if let Entry::Row(row) = &entry {
                    OddKeys::look_at(&mut self.odd_keys, row.line, &row.device_key);
                }
                return Ok(Some(entry));
            }
            let Some(length) = self.read_line()? else {
                return Ok(None);
            };
            if length > ROW_LIMIT {
                return Ok(Some(bad(self.line, Box::default(), vec![too_long()])));
            }
            let text = str::from_utf8(&self.text)
                .map_err(|_| FileError::at(self.line, FileErrorKind::NotUtf8))?
                .trim_ascii_end();
            if text.is_empty() {
                continue;
            }
            if mem::take(&mut self.fresh) && goes_on(text, &mut self.input)? {
                return Err(FileError::at(self.line, FileErrorKind::PrettyPrinted));
            }
            if text.starts_with('\u{feff}') {
                return Ok(Some(bad(self.line, Box::default(), vec![mark()])));
            }
            let Line { devices, shared } = line::read(text, &self.encoder, &mut self.names);
            if let Ok(shared) = &shared {
                OddKeys::look_at(&mut self.odd_keys, self.line, &shared.payload.product_key);
            }
            self.batch = Some(Batch {
                line: self.line,
                devices: devices.into_iter(),
                shared,
            });
        }
    }

    /// Reads a line into `text`, up to a little more than the limit; gives the line's length.
    fn read_line(&mut self) -> Result<Option<usize>, FileError> {
        self.text.clear();
        let length = io::Read::take(&mut self.input, ROW_LIMIT as u64 + 1)
            .read_until(b'\n', &mut self.text)?;
        if length == 0 {
            return Ok(None);
        }
        self.line += 1;
        if length > ROW_LIMIT && !self.text.ends_with(b"\n") {
            self.input.skip_until(b'\n')?;
        }
        Ok(Some(length))
    }
}

/// Whether the object of a line is continued on the next one.
fn goes_on(text: &str, input: &mut impl BufRead) -> io::Result<bool> {
    let is_open = json::parse(text).is_err_and(|error| error.is_eof());
    Ok(is_open && matches!(input.fill_buf()?.trim_ascii_start(), [next, ..] if *next != b'{'))
}

/// A line's devices that have not been given out yet. Entries are made one by one, because each copies the labels.
struct Batch {
    line: u64,
    devices: vec::IntoIter<Device>,
    shared: Result<Shared, Vec<RowError>>,
}

impl Iterator for Batch {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let device = self.devices.next()?;
        let errors = match (device.error, &self.shared) {
            (None, Ok(shared)) => {
                return Some(Entry::Row(Row {
                    line: self.line,
                    device_key: device.key,
                    payload: Arc::clone(&shared.payload),
                    labels: shared.labels.clone(),
                }));
            }
            (error, shared) => {
                let shared = shared.as_ref().err().into_iter().flatten();
                error.into_iter().chain(shared.cloned()).collect()
            }
        };
        Some(bad(self.line, device.key, errors))
    }
}

fn mark() -> RowError {
    RowError {
        column: None,
        reason:
            "begins with a byte order mark (U+FEFF), as files do when they are joined; delete it"
                .into(),
    }
}

fn too_long() -> RowError {
    let limit = ROW_LIMIT >> 20;
    RowError {
        column: None,
        reason: format!(
            "the line is longer than {limit} MiB; spread its devices over several lines"
        )
        .into(),
    }
}

fn bad(line: u64, device_key: Box<str>, errors: Vec<RowError>) -> Entry {
    Entry::Bad(BadRow {
        line,
        device_key,
        errors,
    })
}

#[cfg(test)]
mod tests;
