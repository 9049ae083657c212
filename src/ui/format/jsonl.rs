//! JSON, one object a line.

use std::io::Write as _;

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

use super::{Column, RowWriter, Value};
use crate::ui::{
    printer::{OutputError, Stdout},
    text::clean_json,
};

/// Writes each row as an object whose keys are the column names. Values are exact: a character that a terminal would obey is written as
/// the `\u` escape that JSON has for it.
pub(super) struct JsonlWriter {
    columns: &'static [Column],
    out: Stdout,
}

impl JsonlWriter {
    pub(super) fn new(columns: &'static [Column], out: Stdout) -> Self {
        Self { columns, out }
    }
}

impl RowWriter for JsonlWriter {
    fn row(&mut self, values: &[Value<'_>]) -> Result<(), OutputError> {
        let object = serde_json::to_string(&Object {
            columns: self.columns,
            values,
        })
        .map_err(std::io::Error::from)?;
        writeln!(self.out, "{}", clean_json(&object))?;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        self.out.flush()?;
        Ok(())
    }
}

struct Object<'a> {
    columns: &'static [Column],
    values: &'a [Value<'a>],
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.columns.len()))?;
        for (column, value) in self.columns.iter().zip(self.values) {
            match value {
                Value::None => map.serialize_entry(column.name, &()),
                Value::Integer(number) => map.serialize_entry(column.name, number),
                Value::Own(text) => map.serialize_entry(column.name, text),
                Value::State(name) => map.serialize_entry(column.name, name),
                Value::Foreign(text) => map.serialize_entry(column.name, text),
                Value::Json(text) => match serde_json::from_str::<&RawValue>(text) {
                    // Raw text with a line break in it would be two lines.
                    Ok(json) if !text.contains(['\n', '\r']) => {
                        map.serialize_entry(column.name, json)
                    }
                    _ => map.serialize_entry(column.name, text),
                },
            }?;
        }
        map.end()
    }
}
