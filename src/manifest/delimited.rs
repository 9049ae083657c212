//! CSV, and its siblings with semicolons or tabs: from records to entries.

use std::{borrow::Cow, io::BufRead};

use crate::model::{BadRow, Row, RowError};

use super::{
    Entry, FileError, FileErrorKind, FileErrors, cell,
    column::{Column, Field},
    draft::{CellError, CellErrors, Draft, Place},
    encode::{Encoder, parameter_text},
    header::Header,
    labels::Labels,
    memo::Memo,
    records::{Record, Records},
    repeated::Repeated,
    wire::Value,
};

/// Reads entries from delimited text.
pub(super) struct Delimited<R> {
    records: Records<R>,
    layout: Layout,
    unended: Option<u64>,
}

impl<R: BufRead> Delimited<R> {
    /// Reads the header.
    pub(super) fn new(
        mut input: R,
        delimiter: Option<u8>,
        encoder: Encoder,
    ) -> Result<Self, FileErrors> {
        let header = Header::read(&mut input, delimiter)?;
        Ok(Self {
            records: Records::new(input, header.delimiter, header.next_line),
            layout: Layout::new(header, encoder),
            unended: None,
        })
    }

    /// The next entry, or nothing at the end.
    pub(super) fn read(&mut self) -> Result<Option<Entry>, FileError> {
        loop {
            let record = match self.records.read() {
                Ok(Some(record)) => record,
                Ok(None) => return Ok(None),
                Err(error) => return Err(self.layout.with_column_name(error)),
            };
            // Spreadsheets leave rows behind that consist of delimiters only; such a row says no more than a blank line.
            if !record.is_blank() {
                if !record.ends_its_line() && !record.is_quoted(record.len() - 1) {
                    self.unended = Some(record.line);
                }
                return self.layout.entry(&record).map(Some);
            }
        }
    }

    /// The labels whose columns are called like them, without a prefix.
    pub(super) fn implied_labels(&self) -> Vec<Box<str>> {
        let names = self.layout.header.names().iter();
        names
            .zip(&self.layout.meanings)
            .filter_map(|(name, meaning)| match meaning {
                Meaning::Label(label) if label == name => Some(label.clone()),
                _ => None,
            })
            .collect()
    }

    /// The last row's line, when it has been read and no line end follows it: the last value is perhaps cut.
    pub(super) fn unended(&self) -> Option<u64> {
        self.unended
    }
}

/// What a column's cells are for, with names owned so that rows borrow from nothing but their record.
enum Meaning {
    Field(Field),
    Param(Box<str>),
    Label(Box<str>),
    /// The header gives no name; cells have to be empty.
    Nothing,
}

/// What the header says of every row.
struct Layout {
    header: Header,
    meanings: Vec<Meaning>,
    encoder: Encoder,
    memo: Memo,
    labels: Labels,
}

impl Layout {
    fn new(header: Header, encoder: Encoder) -> Self {
        let meanings = header
            .columns()
            .map(|column| match column {
                Some(Column::Known(field)) => Meaning::Field(field),
                Some(Column::Param(code)) => Meaning::Param(code.into()),
                Some(Column::Label("")) | None => Meaning::Nothing,
                Some(Column::Label(name)) => Meaning::Label(name.into()),
            })
            .collect();
        Self {
            header,
            meanings,
            encoder,
            memo: Memo::default(),
            labels: Labels::default(),
        }
    }

    fn entry(&mut self, record: &Record<'_>) -> Result<Entry, FileError> {
        let mut errors = CellErrors::default();
        if let Some(row) = self.row(record, &mut errors)? {
            return Ok(Entry::Row(row));
        }
        let key = self.header.device_key;
        // With fields missing or to spare only the first one is surely what its column says.
        let readable = record.len() == self.meanings.len() || key == 0;
        let device_key = record.field(key).filter(|_| readable);
        Ok(Entry::Bad(BadRow {
            line: record.line,
            device_key: device_key.unwrap_or_default().into(),
            errors: errors
                .into_iter()
                .map(|error| RowError {
                    column: self.column_name(&error.place),
                    reason: error.reason.into(),
                })
                .collect(),
        }))
    }

    /// The row of a record; nothing when anything is wrong with it, which is then among `errors`.
    fn row(
        &mut self,
        record: &Record<'_>,
        errors: &mut CellErrors,
    ) -> Result<Option<Row>, FileError> {
        if let Some(error) = self.joined(record)? {
            errors.push(error);
            return Ok(None);
        }
        if let Some((place, stray)) = record.stray_quote() {
            errors.push(CellError::named(&self.place_name(place), stray.to_string()));
        }
        let (fields, columns) = (record.len(), self.meanings.len());
        if fields != columns {
            let why = if fields < columns {
                "is the row truncated, or is a delimiter missing?"
            } else {
                "put a text that holds a delimiter in quotes, and double the quotes inside it"
            };
            let noun = if fields == 1 { "field" } else { "fields" };
            errors.push(CellError::of_row(format!(
                "has {fields} {noun} where the header has {columns}; {why}"
            )));
            return Ok(None);
        }
        self.memo.begin();
        self.labels.begin();
        let mut device_key = "";
        for (place, (meaning, text)) in self.meanings.iter().zip(record.iter()).enumerate() {
            if text.is_empty() {
                continue;
            }
            match meaning {
                Meaning::Field(Field::DeviceKey) => device_key = text,
                Meaning::Field(Field::Service) | Meaning::Param(_) => {
                    if has_blanks(text) && !record.is_quoted(place) {
                        errors.push(CellError::named(&self.place_name(place), blanks(text)));
                    }
                    self.memo.add(place, text);
                }
                Meaning::Field(_) => self.memo.add(place, text),
                Meaning::Label(name) => self.labels.push(name, text),
                Meaning::Nothing => errors.push(CellError::named(
                    &(place + 1).to_string(),
                    "the cell is filled, but the header has no name for the column; name it there, or empty the cell",
                )),
            }
        }
        errors.keep(
            cell::check_key(device_key)
                .and_then(|()| check_meant(device_key))
                .map_err(|reason| CellError::of(Field::DeviceKey, reason)),
        );
        let payload = self.memo.payload(|| {
            let draft = draft(&self.meanings, record, errors);
            self.encoder.payload(&draft, errors)
        });
        Ok(errors.unless_any(payload).map(|payload| Row {
            line: record.line,
            device_key: device_key.into(),
            payload,
            labels: self.labels.finish(),
        }))
    }

    /// Whether another file begins with this record: its mark or its header stands there.
    fn joined(&self, record: &Record<'_>) -> Result<Option<CellError>, FileError> {
        let repeated = self.header.is_repeated_by(record);
        match repeated {
            Some(Repeated::Same) => Ok(Some(CellError::of_row(format!(
                "repeats the header{}: delete the line; if a device is really called so, write its row in JSONL",
                if record.begins_with_mark() {
                    ", behind a byte order mark (U+FEFF), as when files are joined"
                } else {
                    ", as when files are joined"
                }
            )))),
            Some(Repeated::Other) => Err(FileError::at(
                record.line,
                FileErrorKind::Header(
                    "another header with other columns begins here, as when files are joined; push each file separately".into(),
                ),
            )),
            None if record.begins_with_mark() => Ok(Some(CellError::named(
                &self.place_name(0),
                "begins with a byte order mark (U+FEFF), as files do when they are joined; delete it; if it belongs to the text, put the field in quotes",
            ))),
            None => Ok(None),
        }
    }

    /// A column's name, or its number when it has none.
    fn place_name(&self, place: usize) -> Box<str> {
        match self.header.names().get(place) {
            Some(name) if !name.is_empty() => name.clone(),
            _ => (place + 1).to_string().into(),
        }
    }

    /// A place as the file spells it.
    fn column_name(&self, place: &Place) -> Option<Box<str>> {
        match place {
            Place::Row => None,
            Place::Field(field) => Some(
                self.meanings
                    .iter()
                    .position(|meaning| matches!(meaning, Meaning::Field(other) if other == field))
                    .map_or_else(
                        || field.name().into(),
                        |place| self.header.names()[place].clone(),
                    ),
            ),
            Place::Param(code) => Some(format!("param.{code}").into()),
            Place::Named(name) => Some(name.clone()),
        }
    }

    /// Records know their columns by number only.
    fn with_column_name(&self, error: FileError) -> FileError {
        let name = |number: &str| {
            let place = number.parse::<usize>().ok()?.checked_sub(1)?;
            let name = self.header.names().get(place)?;
            (!name.is_empty()).then(|| name.clone())
        };
        FileError {
            column: error.column.map(|number| name(&number).unwrap_or(number)),
            ..error
        }
    }
}

/// What a record asks for; a cell that cannot be read keeps its place.
fn draft<'r>(meanings: &'r [Meaning], record: &Record<'r>, errors: &mut CellErrors) -> Draft<'r> {
    let mut draft = Draft::default();
    for (meaning, text) in meanings.iter().zip(record.iter()) {
        match meaning {
            _ if text.is_empty() => {}
            Meaning::Field(field) => {
                let meant = match field {
                    Field::Service => cell::check_value(text),
                    Field::ProductKey => check_meant(text),
                    _ => Ok(()),
                };
                errors.keep(meant.map_err(|reason| CellError::of(*field, reason)));
                draft.set(*field, Value::Text(Cow::Borrowed(text)));
            }
            Meaning::Param(code) => {
                let value = cell::check_value(text)
                    .and_then(|()| parameter_text(text))
                    .map_err(|reason| CellError::of_param(code, reason));
                let value = errors.keep(value).unwrap_or(Value::Text(Cow::Borrowed("")));
                draft.params.push((Cow::Borrowed(code), value));
            }
            Meaning::Label(_) | Meaning::Nothing => {}
        }
    }
    draft
}

/// Whether a key of a cell is one that somebody means.
fn check_meant(key: &str) -> Result<(), String> {
    cell::check_meant(key, "write the row in JSONL")
}

fn has_blanks(text: &str) -> bool {
    text.starts_with([' ', '\t']) || text.ends_with([' ', '\t'])
}

fn blanks(text: &str) -> String {
    format!(
        "\"{}\" has blanks around it; remove them, or put the field in quotes to send them",
        cell::shown(text)
    )
}

#[cfg(test)]
mod tests;
