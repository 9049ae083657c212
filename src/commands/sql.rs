//! `fleetpush sql`: runs a statement of the user, for machines without SQLite's shell.

use std::{fmt::Write as _, io::Read as _};

use anyhow::{Context as _, anyhow};

use super::{reading, select::listed};
use crate::{
    exit::{Exit, Failure},
    model::RowFormat,
    settings::{Sql as Settings, did_you_mean},
    store::{Answer, Cell, Reader, SqlError, UnknownName},
    ui::{
        format::{Column, RowWriter, Value, writer},
        out_file::Destination,
        printer::{Output, OutputError, Printer, unless_closed},
    },
};

/// The most that a statement may have: more is another file, named by mistake.
const LONGEST: u64 = 1 << 20;

/// Prints what a statement answers.
pub(super) async fn sql(settings: Settings, printer: &Printer) -> Result<Exit, Failure> {
    let destination = Destination::open(settings.out.as_deref())?;
    let statement = text(settings.statement)?;
    let mut reader = reading::open(&settings.database, printer).await?;
    let mut rows = Rows {
        format: settings.format,
        out: Some(destination.output(printer)?),
        writer: None,
        written: Ok(()),
    };
    if let Err(error) = reader.answer(&statement, &mut rows).await {
        return Err(explained(&mut reader, error).await?);
    }
    reader.close().await?;
    unless_closed(rows.finished())?;
    destination.keep()?;
    Ok(Exit::Complete)
}

/// The statement of the command line, or that of stdin for `-`.
fn text(statement: String) -> Result<String, Failure> {
    if statement != "-" {
        return Ok(statement);
    }
    let mut text = String::new();
    std::io::stdin()
        .take(LONGEST + 1)
        .read_to_string(&mut text)
        .context("cannot read the statement from stdin")
        .map_err(Failure::usage)?;
    if text.len() as u64 > LONGEST {
        return Err(Failure::usage(anyhow!(
            "the statement on stdin is longer than {} KiB",
            LONGEST / 1024
        )));
    }
    Ok(text)
}

/// Writes an answer as it comes.
struct Rows {
    format: RowFormat,
    out: Option<Output>,
    writer: Option<Box<dyn RowWriter + Send>>,
    written: Result<(), OutputError>,
}

impl Answer for Rows {
    fn head(&mut self, columns: Vec<String>) {
        let columns: Vec<Column> = columns.into_iter().map(Column::named).collect();
        self.writer = self.out.take().map(|out| writer(self.format, columns, out));
    }

    fn row(&mut self, cells: Vec<Cell>) -> bool {
        let Some(writer) = &mut self.writer else {
            return false;
        };
        let bytes: Vec<Option<String>> = cells.iter().map(hex).collect();
        let values: Vec<Value<'_>> = cells
            .iter()
            .zip(&bytes)
            .map(|(cell, hex)| match cell {
                Cell::Null => Value::None,
                Cell::Integer(number) => Value::Integer(*number),
                Cell::Real(number) => Value::Real(*number),
                Cell::Text(text) => Value::Foreign(text),
                Cell::Blob(_) => Value::own(hex.as_deref()),
            })
            .collect();
        self.written = writer.row(&values);
        self.written.is_ok()
    }
}

impl Rows {
    fn finished(self) -> Result<(), OutputError> {
        self.written?;
        self.writer.map_or(Ok(()), |mut writer| writer.finish())
    }
}

/// Bytes as hexadecimal digits, as SQLite writes them in its language.
fn hex(cell: &Cell) -> Option<String> {
    let Cell::Blob(bytes) = cell else {
        return None;
    };
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02X}");
    }
    Some(text)
}

/// The error with the names that there are, where one is not known.
async fn explained(reader: &mut Reader, error: SqlError) -> Result<Failure, Failure> {
    let SqlError::Refused {
        unknown: Some(unknown),
        ..
    } = &error
    else {
        return Ok(error.into());
    };
    let (views, columns) = reader.names().await?;
    let (name, known, what) = match unknown {
        UnknownName::Table(name) => (name, &views, "the views are"),
        UnknownName::Column(name) => (name, &columns, "the columns of the views are"),
    };
    let hint = did_you_mean(name, known.iter().map(String::as_str));
    let names = if hint.is_empty() {
        format!("{what} {}", listed(known.iter()))
    } else {
        hint.trim_start_matches("; ").to_owned()
    };
    Ok(Failure::usage(anyhow!("{error}\n{names}")))
}
