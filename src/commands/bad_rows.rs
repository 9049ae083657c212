//! Lists the bad rows of a manifest. Rows with the same mistake share a line.

use std::fmt::Write as _;

use crate::model::{BadRow, RowError};

/// Mistakes that are told at once.
const MOST_ERRORS: usize = 20;

/// The bad rows that have been found.
#[derive(Debug, Default)]
pub(super) struct BadRows {
    errors: Vec<Found>,
    rows: u64,
    last_line: Option<u64>,
}

/// An error where it stands first.
#[derive(Debug)]
struct Found {
    error: RowError,
    line: u64,
    /// Rows after the first that have it, too.
    more: u64,
    last_line: u64,
}

impl BadRows {
    /// Whether none has been found.
    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Takes in the next bad row; rows come in the order of their lines. False when there are too many different errors to tell, and
    /// looking for more is in vain.
    pub(super) fn add(&mut self, error: BadRow) -> bool {
        let line = error.line;
        for error in error.errors {
            let full = self.errors.len() == MOST_ERRORS;
            let known = self.errors.iter_mut().find(|found| found.error == error);
            match known {
                Some(found) => {
                    // A JSONL line with many devices is one line to correct.
                    found.more += u64::from(found.last_line != line);
                    found.last_line = line;
                }
                None if full => return false,
                None => self.errors.push(Found {
                    error,
                    line,
                    more: 0,
                    last_line: line,
                }),
            }
        }
        self.rows += u64::from(self.last_line != Some(line));
        self.last_line = Some(line);
        true
    }

    /// What is told of them; `whole` is false when there are more.
    pub(super) fn text(&self, file: &str, whole: bool) -> String {
        let rows = rows(self.rows);
        let mut text = if whole {
            format!("{file}: {rows} cannot be sent; nothing has been sent")
        } else {
            format!(
                "{file}: the first {MOST_ERRORS} different mistakes, in {rows}; nothing has been sent"
            )
        };
        for found in &self.errors {
            let Found {
                error, line, more, ..
            } = found;
            let separator = if error.column.is_some() { "," } else { ":" };
            // Writing to a string cannot fail.
            let _ = write!(text, "\nline {line}{separator} {error}");
            if *more > 0 {
                let _ = write!(text, " (and {more} more {})", noun(*more));
            }
        }
        text.push_str("\ncorrect them, or record them as failed and go on with --skip-invalid");
        text
    }
}

fn rows(count: u64) -> String {
    format!("{count} {}", noun(count))
}

fn noun(count: u64) -> &'static str {
    if count == 1 { "row" } else { "rows" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: u64, column: &str, reason: &str) -> BadRow {
        BadRow {
            line,
            device_key: format!("D{line}").into(),
            errors: vec![row_error(column, reason)],
        }
    }

    fn row_error(column: &str, reason: &str) -> RowError {
        RowError {
            column: Some(column.into()),
            reason: reason.into(),
        }
    }

    #[test]
    fn every_mistake_of_a_row_has_a_line() {
        let mut bad = BadRows::default();
        for line in 2..=3 {
            assert!(bad.add(BadRow {
                line,
                device_key: "D".into(),
                errors: vec![
                    row_error("qos", "is wrong"),
                    row_error("data", &format!("is bad {line}"))
                ],
            }));
        }
        insta::assert_snapshot!(bad.text("fleet.csv", true), @r"
        fleet.csv: 2 rows cannot be sent; nothing has been sent
        line 2, column qos: is wrong (and 1 more row)
        line 2, column data: is bad 2
        line 3, column data: is bad 3
        correct them, or record them as failed and go on with --skip-invalid
        ");
    }

    #[test]
    fn rows_that_are_wrong_in_the_same_way_share_a_line() {
        let mut bad = BadRows::default();
        assert!(bad.is_empty());
        for line in 7..=18 {
            assert!(bad.add(error(
                line,
                "qos",
                "\"9\" is not a whole number from 0 to 2"
            )));
        }
        assert!(bad.add(error(19, "device_key", "is empty")));
        insta::assert_snapshot!(bad.text("fleet.csv", true), @r#"
        fleet.csv: 13 rows cannot be sent; nothing has been sent
        line 7, column qos: "9" is not a whole number from 0 to 2 (and 11 more rows)
        line 19, column device_key: is empty
        correct them, or record them as failed and go on with --skip-invalid
        "#);
    }

    #[test]
    fn a_line_with_many_devices_is_one_row() {
        let mut bad = BadRows::default();
        for _ in 0..500 {
            bad.add(error(3, "qos", "is wrong"));
        }
        let text = bad.text("fleet.jsonl", true);
        assert!(text.starts_with("fleet.jsonl: 1 row cannot"), "{text}");
        assert!(!text.contains("more"), "{text}");
    }

    #[test]
    fn it_ends_with_one_mistake_too_many_and_not_before() {
        let mut bad = BadRows::default();
        for line in 1..=20 {
            assert!(bad.add(error(line, "qos", &format!("reason {line}"))));
        }
        assert!(bad.add(error(21, "qos", "reason 1")), "a known mistake");
        assert!(!bad.add(error(22, "qos", "reason 21")));
        let text = bad.text("fleet.csv", false);
        assert!(
            text.starts_with("fleet.csv: the first 20 different mistakes, in 21 rows;"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 22);
    }
}
