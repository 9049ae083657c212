//! JSON, one object a line.

use std::io::Write as _;

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

use super::{Column, Columns, RowWriter, Value};
use crate::ui::{
    printer::{Output, OutputError},
    text::clean_json,
};

/// Writes each row as an object whose keys are the column names. Values are exact: a character that a terminal would obey is written as
/// the `\u` escape that JSON has for it.
pub(super) struct JsonlWriter {
    columns: Columns,
    out: Output,
}

impl JsonlWriter {
    pub(super) fn new(columns: Columns, out: Output) -> Self {
        Self { columns, out }
    }
}

impl RowWriter for JsonlWriter {
    fn row(&mut self, values: &[Value<'_>]) -> Result<(), OutputError> {
        let object = object(&self.columns, values)?;
        writeln!(self.out, "{object}")?;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        self.out.flush()?;
        Ok(())
    }
}

/// A row as the text of an object, on one line.
pub(super) fn object(columns: &[Column], values: &[Value<'_>]) -> Result<String, OutputError> {
    let object =
        serde_json::to_string(&Object { columns, values }).map_err(std::io::Error::from)?;
    Ok(clean_json(&object).into_owned())
}

struct Object<'a> {
    columns: &'a [Column],
    values: &'a [Value<'a>],
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.columns.len()))?;
        for (column, value) in self.columns.iter().zip(self.values) {
            let name = column.name.as_ref();
            match value {
                Value::None => map.serialize_entry(name, &()),
                Value::Integer(number) => map.serialize_entry(name, number),
                Value::Real(number) => map.serialize_entry(name, number),
                Value::Own(text) => map.serialize_entry(name, text),
                Value::State(state) => map.serialize_entry(name, state),
                Value::Foreign(text) => map.serialize_entry(name, text),
                Value::Json(text) => match serde_json::from_str::<&RawValue>(text) {
                    // Raw text with a line break in it would be two lines.
                    Ok(json) if !text.contains(['\n', '\r']) => map.serialize_entry(name, json),
                    _ => map.serialize_entry(name, text),
                },
            }?;
        }
        map.end()
    }
}
