//! Shows the breakdown of a run.

use std::fmt::Write as _;

use crate::{
    model::{Dimension, RowFormat},
    policy::codes,
    store::{Group, GroupCounts},
    ui::{
        format::{Column, Value, writer},
        number::{grouped, share},
        printer::{OutputError, Printer},
        report::{Breakdown, GroupObject, RunReport, Shares},
        text::clean,
    },
};

/// The most groups that a person is shown.
const MOST: usize = 40;
/// The most characters of a text beside a group.
const MOST_TEXT: usize = 60;

const COLUMNS: &[Column] = &[
    Column::shown("run"),
    Column::shown("name"),
    Column::shown("by"),
    Column::shown("value"),
    Column::shown("text"),
    Column::shown("tasks"),
    Column::shown("accepted"),
    Column::shown("failed"),
    Column::shown("in_doubt"),
    Column::shown("skipped"),
    Column::shown("pending"),
    Column::shown("accepted_share"),
    Column::shown("failed_share"),
    Column::shown("in_doubt_share"),
    Column::shown("pending_share"),
];

/// What a group's value stands for, where it does not speak for itself.
fn text_of(dimension: &Dimension, group: &Group) -> Option<String> {
    let code = group.value.as_deref().and_then(|code| code.parse().ok());
    match dimension {
        Dimension::Code => codes::lookup(code?).map(|info| info.text.to_owned()),
        _ => group.text.clone(),
    }
}

/// The states of which the share is shown.
fn shares(counts: GroupCounts) -> [u64; 4] {
    [
        counts.accepted,
        counts.failed,
        counts.in_doubt,
        counts.pending,
    ]
}

/// A table for a person.
pub(super) fn text(dimension: &Dimension, groups: &[Group]) -> String {
    let mut rows = vec![
        [
            "", "tasks", "accepted", "", "failed", "", "in doubt", "", "skipped", "pending", "", "",
        ]
        .map(ToOwned::to_owned),
    ];
    for group in groups.iter().take(MOST) {
        let counts = group.counts;
        let tasks = counts.tasks();
        let part = |part: u64| {
            if part == 0 {
                String::new()
            } else {
                share(part, tasks)
            }
        };
        let [accepted, failed, in_doubt, pending] = shares(counts).map(part);
        let mut text = text_of(dimension, group).unwrap_or_default();
        if text.chars().count() > MOST_TEXT {
            text = text.chars().take(MOST_TEXT - 1).chain(['…']).collect();
        }
        rows.push([
            clean(group.value.as_deref().unwrap_or("-")).into_owned(),
            grouped(tasks),
            grouped(counts.accepted),
            accepted,
            grouped(counts.failed),
            failed,
            grouped(counts.in_doubt),
            in_doubt,
            grouped(counts.skipped),
            grouped(counts.pending),
            pending,
            clean(&text).into_owned(),
        ]);
    }
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut out = format!("\nby {}\n", clean(&dimension.to_string()));
    for row in &rows {
        let mut line = String::from("  ");
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if *width == 0 {
                continue;
            }
            let pad = " ".repeat(width - cell.chars().count());
            // Texts begin on the left, numbers end on the right.
            let is_text = column == 0 || column + 1 == row.len();
            let _ = if is_text {
                write!(line, "{cell}{pad}  ")
            } else {
                write!(line, "{pad}{cell}  ")
            };
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    if groups.len() > MOST {
        let _ = writeln!(
            out,
            "  … and {} more; --format csv has all of them",
            grouped((groups.len() - MOST) as u64)
        );
    }
    out
}

/// All groups, for a program.
pub(super) fn objects(all: &[(Dimension, Vec<Group>)]) -> Vec<Breakdown> {
    let object = |dimension: &Dimension, group: &Group| {
        let counts = group.counts;
        let [accepted, failed, in_doubt, pending] =
            shares(counts).map(|part| ratio(part, counts.tasks()));
        GroupObject {
            value: group.value.clone(),
            text: text_of(dimension, group),
            tasks: counts.tasks(),
            accepted: counts.accepted,
            failed: counts.failed,
            in_doubt: counts.in_doubt,
            skipped: counts.skipped,
            pending: counts.pending,
            shares: Shares {
                accepted,
                failed,
                in_doubt,
                pending,
            },
        }
    };
    all.iter()
        .map(|(dimension, groups)| Breakdown {
            by: dimension.to_string(),
            groups: groups
                .iter()
                .map(|group| object(dimension, group))
                .collect(),
        })
        .collect()
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        (part as f64 / whole as f64 * 1e6).round() / 1e6
    }
}

/// All groups as rows of CSV.
pub(super) fn print_rows(
    report: &RunReport,
    all: &[(Dimension, Vec<Group>)],
    printer: &Printer,
) -> Result<(), OutputError> {
    let mut writer = writer(RowFormat::Csv, COLUMNS, printer.stdout());
    for (dimension, groups) in all {
        let by = dimension.to_string();
        for group in groups {
            let counts = group.counts;
            let text = text_of(dimension, group);
            let count = |number: u64| Value::Integer(number as i64);
            let [accepted, failed, in_doubt, pending] =
                shares(counts).map(|part| Value::own(Some(ratio(part, counts.tasks()))));
            writer.row(&[
                Value::Integer(report.number.0),
                Value::Foreign(&report.name),
                Value::Foreign(&by),
                Value::foreign(group.value.as_deref()),
                Value::foreign(text.as_deref()),
                count(counts.tasks()),
                count(counts.accepted),
                count(counts.failed),
                count(counts.in_doubt),
                count(counts.skipped),
                count(counts.pending),
                accepted,
                failed,
                in_doubt,
                pending,
            ])?;
        }
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(value: Option<&str>, accepted: u64, failed: u64, pending: u64) -> Group {
        Group {
            value: value.map(Into::into),
            text: None,
            counts: GroupCounts {
                accepted,
                failed,
                pending,
                ..GroupCounts::default()
            },
        }
    }

    #[test]
    fn a_table_has_numbers_and_shares() {
        let groups = [
            group(Some("Oslo"), 950, 50, 0),
            group(Some("esc\u{1b}[2J"), 12_345, 1, 654),
            group(None, 0, 0, 7),
        ];
        insta::assert_snapshot!(text(&Dimension::Label("site".into()), &groups), @r"
        by label.site
                         tasks  accepted          failed         in doubt  skipped  pending
          Oslo           1,000       950  95.0 %      50  5.0 %         0        0        0
          esc\u{1b}[2J  13,000    12,345  95.0 %       1  0.1 %         0        0      654  5.0 %
          -                  7         0               0                0        0        7  100 %
        ");
        insta::assert_snapshot!(text(&Dimension::Code, &[group(Some("61002"), 0, 3, 0)]), @r"
        by code
                 tasks  accepted  failed         in doubt  skipped  pending
          61002      3         0       3  100 %         0        0        0  Device offline
        ");
    }

    #[test]
    fn a_long_list_is_cut_for_people_alone() {
        let groups: Vec<Group> = (0..45)
            .map(|n| group(Some(&n.to_string()), 1, 0, 0))
            .collect();
        let shown = text(&Dimension::Product, &groups);
        assert!(
            shown.ends_with("… and 5 more; --format csv has all of them\n"),
            "{shown}"
        );
        let all = serde_json::to_value(objects(&[(Dimension::Product, groups)])).unwrap();
        assert_eq!(all[0]["groups"].as_array().unwrap().len(), 45);
        assert_eq!(all[0]["groups"][0]["shares"]["accepted"], 1.0);
    }
}
