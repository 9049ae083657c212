//! JSON, one object a line: from lines to entries. The body of an API request is such a line.

use std::{
    io::{self, BufRead},
    str, vec,
};

use crate::model::{Row, RowError};

use super::{
    Entry, Fault, Problem, ROW_LIMIT,
    column::Classifier,
    encode::Encoder,
    line::{self, Device, Line, Shared, Wrong},
};

/// Reads entries from lines.
pub(super) struct Jsonl<R> {
    input: R,
    encoder: Encoder,
    /// The number of the line read last.
    line: u64,
    text: Vec<u8>,
    batch: Option<Batch>,
    names: Classifier,
}

impl<R: BufRead> Jsonl<R> {
    pub(super) fn new(input: R, encoder: Encoder) -> Self {
        Self {
            input,
            encoder,
            line: 0,
            text: Vec::new(),
            batch: None,
            names: Classifier::default(),
        }
    }

    /// The next entry, or nothing at the end.
    pub(super) fn read(&mut self) -> Result<Option<Entry>, Fault> {
        loop {
            if let Some(entry) = self.batch.as_mut().and_then(Iterator::next) {
                return Ok(Some(entry));
            }
            let Some(length) = self.read_line()? else {
                return Ok(None);
            };
            if length > ROW_LIMIT {
                return Ok(Some(bad(self.line, Box::default(), too_long())));
            }
            let text = str::from_utf8(&self.text)
                .map_err(|_| Fault::at(self.line, Problem::NotUtf8))?
                .trim_ascii_end();
            if text.is_empty() {
                continue;
            }
            let Line { devices, shared } = line::read(text, &self.encoder, &mut self.names);
            self.batch = Some(Batch {
                line: self.line,
                devices: devices.into_iter(),
                shared,
            });
        }
    }

    /// Reads a line into `text`, up to a little more than the limit; gives the line's length.
    fn read_line(&mut self) -> Result<Option<usize>, Fault> {
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

/// A line's devices that have not been given out yet. Entries are made one by one, because each copies the payload.
struct Batch {
    line: u64,
    devices: vec::IntoIter<Device>,
    shared: Result<Shared, Wrong>,
}

impl Iterator for Batch {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let device = self.devices.next()?;
        let wrong = match (device.wrong, &self.shared) {
            (None, Ok(shared)) => {
                return Some(Entry::Row(Row {
                    line: self.line,
                    device_key: device.key,
                    payload: shared.payload.clone(),
                    labels: shared.labels.clone(),
                }));
            }
            (Some(wrong), _) => wrong,
            (None, Err(wrong)) => wrong.clone(),
        };
        Some(bad(self.line, device.key, wrong))
    }
}

fn too_long() -> Wrong {
    let limit = ROW_LIMIT >> 20;
    Wrong {
        column: None,
        reason: format!(
            "the line is longer than {limit} MiB; spread its devices over several lines"
        )
        .into(),
    }
}

fn bad(line: u64, device_key: Box<str>, wrong: Wrong) -> Entry {
    Entry::Bad(RowError {
        line,
        column: wrong.column,
        device_key,
        reason: wrong.reason,
    })
}
