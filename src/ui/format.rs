//! Rows as a table for people, as CSV for spreadsheets and as JSON lines for programs, behind one trait.

mod csv;
mod json;
mod jsonl;
mod table;

use std::borrow::Cow;

use super::printer::{Output, OutputError};
use crate::model::RowFormat;

/// A column of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    /// Its name, in every format.
    pub name: Cow<'static, str>,
    /// Whether people see it; CSV and JSON have every column.
    pub in_table: bool,
}

impl Column {
    /// A column of every format.
    pub(crate) const fn shown(name: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            in_table: true,
        }
    }

    /// A column of CSV and JSON alone.
    pub(crate) const fn hidden(name: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            in_table: false,
        }
    }

    /// A column of every format whose name somebody has chosen.
    pub(crate) const fn named(name: String) -> Self {
        Self {
            name: Cow::Owned(name),
            in_table: true,
        }
    }
}

/// One cell. What matters is who wrote it: only text from outside may be an attack on a terminal or a spreadsheet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    /// Nothing: an empty cell, or `null`.
    None,
    /// A number of ours.
    Integer(i64),
    /// Another number.
    Real(f64),
    /// Text of ours: a class, a time.
    Own(Cow<'a, str>),
    /// The name of a state, coloured where colours are welcome.
    State(&'static str),
    /// Text from the manifest, the platform or the command line.
    Foreign(&'a str),
    /// The text of a JSON value with contents from outside.
    Json(&'a str),
}

impl<'a> Value<'a> {
    /// Text from outside that may be missing.
    pub(crate) fn foreign(text: Option<&'a str>) -> Self {
        text.map_or(Self::None, Self::Foreign)
    }

    /// A number that may be missing.
    pub(crate) fn integer(number: Option<i64>) -> Self {
        number.map_or(Self::None, Self::Integer)
    }

    /// Text of ours that may be missing, made of something that prints as it.
    pub(crate) fn own(text: Option<impl ToString>) -> Self {
        text.map_or(Self::None, |text| Self::Own(text.to_string().into()))
    }
}

/// Writes rows in one format.
pub(crate) trait RowWriter {
    /// Writes a row; it has one value for each column.
    fn row(&mut self, values: &[Value<'_>]) -> Result<(), OutputError>;

    /// Writes what is still held back. A listing without rows has its header all the same, where the format has one.
    fn finish(&mut self) -> Result<(), OutputError>;
}

/// The columns of a listing: always the same, or chosen.
pub(crate) type Columns = Cow<'static, [Column]>;

/// The writer of a format.
pub(crate) fn writer(
    format: RowFormat,
    columns: impl Into<Columns>,
    out: Output,
) -> Box<dyn RowWriter + Send> {
    let columns = columns.into();
    match format {
        RowFormat::Table => Box::new(table::TableWriter::new(columns, out)),
        RowFormat::Csv => Box::new(csv::CsvWriter::new(columns, out)),
        RowFormat::Jsonl => Box::new(jsonl::JsonlWriter::new(columns, out)),
        RowFormat::Json => Box::new(json::JsonWriter::new(columns, out)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::printer::{Printer, Terminal};

    const COLUMNS: &[Column] = &[
        Column::shown("device_key"),
        Column::shown("state"),
        Column::shown("code"),
        Column::hidden("data"),
        Column::hidden("labels"),
    ];

    const ROWS: [[Value<'static>; 5]; 3] = [
        [
            Value::Foreign("0012"),
            Value::State("accepted"),
            Value::Integer(200),
            Value::Foreign("[{\"a\":\"=1+1\"}]"),
            Value::None,
        ],
        [
            Value::Foreign("=cmd()"),
            Value::State("failed"),
            Value::Integer(-5),
            Value::None,
            Value::Json(r#"{"site":"Oslo","n":"1"}"#),
        ],
        [
            Value::Foreign("esc\u{1b}[2J\nü,\""),
            Value::State("pending"),
            Value::None,
            Value::None,
            Value::Json("not json"),
        ],
    ];

    fn written(format: RowFormat, terminal: Option<Terminal>, rows: &[[Value<'_>; 5]]) -> String {
        let (printer, captured) = Printer::captured(terminal);
        let mut writer = writer(format, COLUMNS, printer.stdout());
        for row in rows {
            writer.row(row).unwrap();
        }
        writer.finish().unwrap();
        captured.stdout()
    }

    #[test]
    fn a_table_shows_the_chosen_columns_aligned() {
        insta::assert_snapshot!(written(RowFormat::Table, None, &ROWS), @r#"
        DEVICE_KEY         STATE     CODE
        0012               accepted  200
        =cmd()             failed    -5
        esc\u{1b}[2J\nü,"  pending   -
        "#);
        insta::assert_snapshot!(written(RowFormat::Table, None, &[]), @"DEVICE_KEY  STATE  CODE");
    }

    #[test]
    fn colours_appear_only_where_they_are_welcome() {
        let on = |colour| {
            written(
                RowFormat::Table,
                Some(Terminal { width: 80, colour }),
                &ROWS,
            )
        };
        assert!(!on(false).contains('\u{1b}'));
        assert!(on(true).contains("\u{1b}[38;5;9mfailed"), "{:?}", on(true));
        assert!(!on(true).contains("[2J\n"));
    }

    #[test]
    fn csv_is_exact_but_for_formulas() {
        insta::assert_snapshot!(written(RowFormat::Csv, None, &ROWS).escape_debug(), @r#"device_key,state,code,data,labels\n0012,accepted,200,\"[{\"\"a\"\":\"\"=1+1\"\"}]\",\n\'=cmd(),failed,-5,,\"{\"\"site\"\":\"\"Oslo\"\",\"\"n\"\":\"\"1\"\"}\"\n\"esc\u{1b}[2J\nü,\"\"\",pending,,,not json\n"#);
        insta::assert_snapshot!(written(RowFormat::Csv, None, &[]).escape_debug(), @r"device_key,state,code,data,labels\n");
    }

    #[test]
    fn csv_on_a_terminal_is_harmless() {
        let shown = written(
            RowFormat::Csv,
            Some(Terminal {
                width: 80,
                colour: true,
            }),
            &ROWS,
        );
        assert!(shown.contains("esc\\u{1b}[2J\\nü"), "{shown}");
    }

    #[test]
    fn json_lines_are_exact() {
        let text = written(RowFormat::Jsonl, None, &ROWS);
        insta::assert_snapshot!(text, @r#"
        {"device_key":"0012","state":"accepted","code":200,"data":"[{\"a\":\"=1+1\"}]","labels":null}
        {"device_key":"=cmd()","state":"failed","code":-5,"data":null,"labels":{"site":"Oslo","n":"1"}}
        {"device_key":"esc\u001b[2J\nü,\"","state":"pending","code":null,"data":null,"labels":"not json"}
        "#);
        let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(last["device_key"], "esc\u{1b}[2J\nü,\"");
        assert_eq!(written(RowFormat::Jsonl, None, &[]), "");
        let array: Vec<serde_json::Value> =
            serde_json::from_str(&written(RowFormat::Json, None, &ROWS)).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(array, lines);
        assert_eq!(written(RowFormat::Json, None, &[]), "[]\n");
        let reordered = [
            Value::Foreign("a\u{202e}b"),
            Value::None,
            Value::None,
            Value::None,
            Value::None,
        ];
        let text = written(RowFormat::Jsonl, None, &[reordered]);
        assert!(text.contains(r"a\u202eb"), "{text}");
    }

    #[test]
    fn every_format_notices_a_reader_who_has_gone() {
        for format in RowFormat::ALL {
            let mut writer = writer(*format, COLUMNS, Printer::closed().stdout());
            let result = ROWS
                .iter()
                .try_for_each(|row| writer.row(row))
                .and_then(|()| writer.finish());
            assert!(matches!(result, Err(OutputError::Closed)), "{format:?}");
        }
    }
}
