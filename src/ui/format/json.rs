//! JSON: one array of objects, an object a line.

use std::io::Write as _;

use super::{Column, RowWriter, Value, jsonl::object};
use crate::ui::printer::{Output, OutputError};

/// Writes the rows of JSON lines as the elements of an array.
pub(super) struct JsonWriter {
    columns: super::Columns,
    out: Output,
    any: bool,
}

impl JsonWriter {
    pub(super) fn new(columns: super::Columns, out: Output) -> Self {
        Self {
            columns,
            out,
            any: false,
        }
    }

    fn columns(&self) -> &[Column] {
        &self.columns
    }
}

impl RowWriter for JsonWriter {
    fn row(&mut self, values: &[Value<'_>]) -> Result<(), OutputError> {
        let object = object(self.columns(), values)?;
        let lead = if self.any { ",\n" } else { "[\n" };
        self.any = true;
        write!(self.out, "{lead}{object}")?;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        self.out
            .write_all(if self.any { b"\n]\n" } else { b"[]\n" })?;
        self.out.flush()?;
        Ok(())
    }
}
