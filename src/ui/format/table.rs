//! A table for people.

use std::{borrow::Cow, io::Write as _};

use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, Table, TableStyle, Width};

use super::{Columns, RowWriter, Value};
use crate::ui::{
    printer::{Output, OutputError},
    text::clean,
};

/// Rows that are laid out together. A table of more is written block by block, so that memory does not grow with it; a column is never
/// narrower in a block than in the one before, so most tables stay aligned throughout.
const BLOCK: usize = 500;

/// Blanks between two columns; a column's width, as the layout takes it, includes them.
const GAP: u16 = 2;

/// Writes aligned columns under a header. On a terminal, cells that are too long are wrapped within their column; elsewhere a row is one
/// line, whatever its length.
pub(super) struct TableWriter {
    columns: Columns,
    out: Output,
    block: Vec<Vec<Cell>>,
    widths: Vec<u16>,
}

impl TableWriter {
    pub(super) fn new(columns: Columns, out: Output) -> Self {
        Self {
            columns,
            out,
            block: Vec::new(),
            widths: Vec::new(),
        }
    }

    fn write_block(&mut self) -> Result<(), OutputError> {
        let first = self.widths.is_empty();
        let mut table = Table::new();
        table.force_no_tty().load_style(TableStyle::new());
        match self.out.terminal() {
            Some(terminal) => {
                table
                    .set_content_arrangement(ContentArrangement::Dynamic)
                    .set_width(terminal.width);
                if terminal.colour {
                    table.enforce_styling();
                }
            }
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        if first {
            table.set_header(
                self.columns
                    .iter()
                    .filter(|column| column.in_table)
                    .map(|column| Cell::new(column.name.to_uppercase())),
            );
        }
        table.add_rows(self.block.drain(..));
        for (column, width) in table.column_iter_mut().zip(&self.widths) {
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width + GAP)));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, GAP));
        }
        for line in table.lines() {
            writeln!(self.out, "{}", line.trim_end())?;
        }
        let widths = table.column_max_content_widths();
        if first {
            self.widths = widths;
        } else {
            for (known, width) in self.widths.iter_mut().zip(widths) {
                *known = width.max(*known);
            }
        }
        Ok(())
    }
}

impl RowWriter for TableWriter {
    fn row(&mut self, values: &[Value<'_>]) -> Result<(), OutputError> {
        let cells = self
            .columns
            .iter()
            .zip(values)
            .filter(|(column, _)| column.in_table)
            .map(|(_, value)| cell(value))
            .collect();
        self.block.push(cells);
        if self.block.len() == BLOCK {
            self.write_block()?;
            // Whoever reads along should see the block now.
            self.out.flush()?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        if self.widths.is_empty() || !self.block.is_empty() {
            self.write_block()?;
        }
        self.out.flush()?;
        Ok(())
    }
}

fn cell(value: &Value<'_>) -> Cell {
    let text: Cow<'_, str> = match value {
        Value::None => "-".into(),
        Value::Integer(number) => number.to_string().into(),
        Value::Real(number) => number.to_string().into(),
        Value::Own(text) => Cow::Borrowed(text.as_ref()),
        Value::State(name) => (*name).into(),
        Value::Foreign(text) | Value::Json(text) => clean(text),
    };
    let cell = Cell::new(text);
    match value {
        Value::State("accepted" | "complete") => cell.fg(Color::Green),
        Value::State("failed" | "aborted") => cell.fg(Color::Red),
        Value::State("in_doubt" | "stopped") => cell.fg(Color::Yellow),
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Column, *};
    use crate::ui::printer::{Printer, Terminal};

    const COLUMNS: &[Column] = &[Column::shown("key"), Column::shown("message")];

    fn written(terminal: Option<Terminal>, rows: usize, message: &str) -> String {
        let (printer, captured) = Printer::captured(terminal);
        let mut table = TableWriter::new(COLUMNS.into(), printer.stdout());
        for row in 0..rows {
            table
                .row(&[
                    Value::Own(format!("DK{row}").into()),
                    Value::Foreign(message),
                ])
                .unwrap();
        }
        table.finish().unwrap();
        captured.stdout()
    }

    #[test]
    fn a_long_cell_wraps_on_a_terminal_and_nowhere_else() {
        let message = "the value is not a member of the enumeration";
        let narrow = written(
            Some(Terminal {
                width: 30,
                colour: false,
            }),
            1,
            message,
        );
        assert!(
            narrow.lines().count() > 2 && narrow.lines().all(|line| line.chars().count() <= 30),
            "{narrow}"
        );
        insta::assert_snapshot!(written(None, 1, &message.repeat(3)), @r"
        KEY  MESSAGE
        DK0  the value is not a member of the enumerationthe value is not a member of the enumerationthe value is not a member of the enumeration
        ");
    }

    #[test]
    fn blocks_are_one_table() {
        let text = written(None, BLOCK * 2 + 7, "m");
        assert_eq!(text.lines().count(), BLOCK * 2 + 8);
        assert_eq!(
            text.lines().filter(|line| line.starts_with("KEY")).count(),
            1
        );
        let column = |line: &str| line.find('m');
        let last_of_first = text.lines().nth(BLOCK).and_then(column);
        let last = text.lines().last().and_then(column);
        assert_eq!(
            (last_of_first, last),
            (Some(7), Some(8)),
            "a block may be wider than the one before, never narrower"
        );
        // A table that ends with a block has nothing left to write, and no second header.
        assert_eq!(written(None, BLOCK, "m").lines().count(), BLOCK + 1);
    }

    #[test]
    fn a_block_is_not_narrower_than_the_one_before() {
        let (printer, captured) = Printer::captured(None);
        let mut table = TableWriter::new(COLUMNS.into(), printer.stdout());
        for row in 0..=BLOCK {
            let key = if row == 0 { "a long device key" } else { "DK" };
            table
                .row(&[Value::Foreign(key), Value::Foreign("m")])
                .unwrap();
        }
        table.finish().unwrap();
        let text = captured.stdout();
        let column = |line: &str| line.rfind('m');
        assert_eq!(
            text.lines().last().and_then(column),
            text.lines().nth(2).and_then(column),
            "{text}"
        );
    }
}
