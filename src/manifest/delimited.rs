//! CSV, and its siblings with semicolons or tabs: from records to entries.

use std::{borrow::Cow, io::BufRead};

use crate::model::{Row, RowError};

use super::{
    Entry, Fault, cell,
    column::{Column, Field},
    draft::{Draft, Flaw, Place},
    encode::{Encoder, parameter_text},
    header::Header,
    labels::Labels,
    memo::Memo,
    records::{Record, Records},
    wire::Value,
};

/// Reads entries from delimited text.
pub(super) struct Delimited<R> {
    records: Records<R>,
    layout: Layout,
}

impl<R: BufRead> Delimited<R> {
    /// Reads the header.
    pub(super) fn new(
        mut input: R,
        delimiter: Option<u8>,
        encoder: Encoder,
    ) -> Result<Self, Fault> {
        let header = Header::read(&mut input, delimiter)?;
        Ok(Self {
            records: Records::new(input, header.delimiter, header.next_line),
            layout: Layout::new(header, encoder),
        })
    }

    /// The next entry, or nothing at the end.
    pub(super) fn read(&mut self) -> Result<Option<Entry>, Fault> {
        loop {
            let record = match self.records.read() {
                Ok(Some(record)) => record,
                Ok(None) => return Ok(None),
                Err(fault) => return Err(self.layout.with_column_name(fault)),
            };
            // Spreadsheets leave rows behind that consist of delimiters only; such a row says no more than a blank line.
            if !record.is_blank() {
                return Ok(Some(self.layout.entry(&record)));
            }
        }
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
        }
    }

    fn entry(&mut self, record: &Record<'_>) -> Entry {
        self.row(record)
            .map_or_else(|flaw| Entry::Bad(self.row_error(record, &flaw)), Entry::Row)
    }

    fn row(&mut self, record: &Record<'_>) -> Result<Row, Flaw> {
        let (fields, columns) = (record.len(), self.meanings.len());
        if fields != columns {
            return Err(Flaw::of_row(format!(
                "has {fields} fields where the header has {columns}; is a text with a delimiter in it not quoted?"
            )));
        }
        self.memo.begin();
        let mut labels = Labels::default();
        let mut device_key = "";
        for (place, (meaning, text)) in self.meanings.iter().zip(record.iter()).enumerate() {
            if text.is_empty() {
                continue;
            }
            match meaning {
                Meaning::Field(Field::DeviceKey) => device_key = text,
                Meaning::Field(_) | Meaning::Param(_) => self.memo.add(place, text),
                Meaning::Label(name) => labels.push(name, text),
                Meaning::Nothing => {
                    return Err(Flaw::named(
                        &(place + 1).to_string(),
                        "the cell is filled, but the header has no name for the column",
                    ));
                }
            }
        }
        cell::check_key(device_key).map_err(|reason| Flaw::of(Field::DeviceKey, reason))?;
        let payload = self
            .memo
            .payload(|| self.encoder.payload(&draft(&self.meanings, record)?))?;
        Ok(Row {
            line: record.line,
            device_key: device_key.into(),
            payload,
            labels: labels.finish(),
        })
    }

    fn row_error(&self, record: &Record<'_>, flaw: &Flaw) -> RowError {
        let key = self.header.device_key;
        // With fields missing or to spare only the first one is surely what its column says.
        let readable = record.len() == self.meanings.len() || key == 0;
        RowError {
            line: record.line,
            column: self.column_name(&flaw.place),
            device_key: record
                .iter()
                .nth(key)
                .filter(|_| readable)
                .unwrap_or_default()
                .into(),
            reason: flaw.reason.as_str().into(),
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
    fn with_column_name(&self, fault: Fault) -> Fault {
        let name = |number: &str| {
            let place = number.parse::<usize>().ok()?.checked_sub(1)?;
            let name = self.header.names().get(place)?;
            (!name.is_empty()).then(|| name.clone())
        };
        Fault {
            column: fault.column.map(|number| name(&number).unwrap_or(number)),
            ..fault
        }
    }
}

/// What a record asks for.
fn draft<'r>(meanings: &'r [Meaning], record: &Record<'r>) -> Result<Draft<'r>, Flaw> {
    let mut draft = Draft::default();
    for (meaning, text) in meanings.iter().zip(record.iter()) {
        match meaning {
            _ if text.is_empty() => {}
            Meaning::Field(field) => {
                draft.set(*field, Value::Text(Cow::Borrowed(text)));
            }
            Meaning::Param(code) => {
                let value = parameter_text(text).map_err(|reason| Flaw::of_param(code, reason))?;
                draft.params.push((Cow::Borrowed(code), value));
            }
            Meaning::Label(_) | Meaning::Nothing => {}
        }
    }
    Ok(draft)
}

#[cfg(test)]
mod tests;
