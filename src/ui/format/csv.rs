//! CSV, as spreadsheets read it.

use std::borrow::Cow;

use super::{Columns, RowWriter, Value};
use crate::ui::{
    printer::{Output, OutputError, csv_failure},
    text::clean,
};

/// Writes a header and rows.
///
/// A cell of text from outside that a spreadsheet would take for a formula (it begins with `=`, `+`, `-`, `@`, a tab or a carriage
/// return) gets a leading apostrophe, and so does one that begins with an apostrophe before such a character, so that taking one away
/// gives the exact text back. A plain number such as `-12.5` is no formula and stays as it is, as do our own numbers and words.
/// On a terminal, characters that would do something to it are escaped; a file or a pipe gets the exact text.
pub(super) struct CsvWriter {
    columns: Columns,
    csv: ::csv::Writer<Output>,
    terminal: bool,
    headed: bool,
}

impl CsvWriter {
    pub(super) fn new(columns: Columns, out: Output) -> Self {
        let terminal = out.terminal().is_some();
        Self {
            columns,
            csv: ::csv::Writer::from_writer(out),
            terminal,
            headed: false,
        }
    }

    fn head(&mut self) -> Result<(), OutputError> {
        if !self.headed {
            self.headed = true;
            self.csv
                .write_record(self.columns.iter().map(|column| column.name.as_ref()))
                .map_err(csv_failure)?;
        }
        Ok(())
    }
}

impl RowWriter for CsvWriter {
    fn row(&mut self, values: &[Value<'_>]) -> Result<(), OutputError> {
        self.head()?;
        for value in values {
            let cell: Cow<'_, str> = match value {
                Value::None => "".into(),
                Value::Integer(number) => number.to_string().into(),
                Value::Real(number) => number.to_string().into(),
                Value::Own(text) => Cow::Borrowed(text.as_ref()),
                Value::State(name) => (*name).into(),
                Value::Foreign(text) | Value::Json(text) => neutral(if self.terminal {
                    clean(text)
                } else {
                    Cow::Borrowed(*text)
                }),
            };
            self.csv.write_field(cell.as_bytes()).map_err(csv_failure)?;
        }
        self.csv.write_record(None::<&[u8]>).map_err(csv_failure)
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        self.head()?;
        self.csv.flush().map_err(OutputError::from)
    }
}

fn neutral(text: Cow<'_, str>) -> Cow<'_, str> {
    if text
        .trim_start_matches('\'')
        .starts_with(['=', '+', '-', '@', '\t', '\r'])
        && !is_plain_number(&text)
    {
        format!("'{text}").into()
    } else {
        text
    }
}

fn is_plain_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    [whole, fraction]
        .into_iter()
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn formulas_become_text_and_numbers_stay() {
        for (text, cell) in [
            ("=1+1", "'=1+1"),
            ("+SUM(A1)", "'+SUM(A1)"),
            ("-1+cmd", "'-1+cmd"),
            ("@x", "'@x"),
            ("\t=1", "'\t=1"),
            ("\r=1", "'\r=1"),
            ("'=1", "''=1"),
            ("-", "'-"),
            ("-1.2.3", "'-1.2.3"),
            ("-12.5", "-12.5"),
            ("+49", "+49"),
            ("'quoted'", "'quoted'"),
            ("DK=1", "DK=1"),
            ("", ""),
        ] {
            assert_eq!(neutral(text.into()), cell, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_cell_starts_a_formula_and_the_text_can_be_had_back(text in "['=+@\t\r.0-9a-]{0,6}") {
            let cell = neutral(Cow::Borrowed(&text)).into_owned();
            prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']) || is_plain_number(&cell));
            let formula = cell.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_plain_number(&cell);
            let back = if formula { &cell[1..] } else { &cell[..] };
            prop_assert_eq!(back, text);
        }
    }
}
