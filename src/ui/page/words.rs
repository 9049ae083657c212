//! How a run went, in words.

use super::Shown;
use crate::{
    model::{Counts, RunState},
    ui::{
        number::{counted, duration, grouped},
        report::RunReport,
        text::clean,
    },
};

/// How the run stands, at a glance.
pub(super) struct Badge {
    /// In the style of the page.
    pub(super) class: &'static str,
    pub(super) words: &'static str,
}

pub(super) fn badge(report: &RunReport) -> Badge {
    let counts = &report.counts;
    let (class, words) = match report.state {
        RunState::Complete if counts.failed + counts.in_doubt == 0 => ("complete", "complete"),
        RunState::Complete => ("trouble", "complete, with failures"),
        RunState::Running => ("running", "not finished"),
        RunState::Stopped => ("stopped", "stopped"),
        RunState::Paused => ("paused", "paused"),
        RunState::Aborted => ("aborted", "aborted"),
        RunState::Cancelled => ("cancelled", "cancelled"),
    };
    Badge { class, words }
}

pub(super) fn when(report: &RunReport) -> String {
    let Some(started) = report.started_at else {
        return "not started".into();
    };
    match report.finished_at {
        Some(finished) => format!(
            "{} to {}, {}",
            started.human(),
            finished.human(),
            duration(started.until(finished))
        ),
        None => format!("since {}", started.human()),
    }
}

/// How it went, in words, and of which part.
pub(super) fn headline(report: &RunReport, shown: &Shown) -> String {
    let Shown::Part { of, .. } = shown else {
        return went(report);
    };
    let tasks = report.counts.tasks;
    let part = format!(
        "This page shows {} of the run's {}, those with{}.",
        if tasks == 0 {
            "none".into()
        } else {
            grouped(tasks)
        },
        counted(*of, "command"),
        clean(&shown.flags()),
    );
    if tasks == 0 {
        part
    } else {
        format!("{part} {}", went(report))
    }
}

fn went(report: &RunReport) -> String {
    let Counts {
        tasks,
        accepted,
        failed,
        in_doubt,
        skipped,
        pending,
        ..
    } = report.counts;
    if accepted == tasks {
        return format!("The platform accepted all {}.", counted(tasks, "command"));
    }
    let mut sentences = vec![format!(
        "The platform accepted {} of {}.",
        grouped(accepted),
        counted(tasks, "command")
    )];
    if failed > 0 {
        sentences.push(format!("{} failed.", grouped(failed)));
    }
    if in_doubt > 0 {
        sentences.push(format!(
            "{} in doubt: the device may have the command.",
            are(in_doubt)
        ));
    }
    if pending > 0 {
        sentences.push(format!("{} still to be sent.", are(pending)));
    }
    if skipped > 0 {
        sentences.push(format!(
            "{} not sent: duplicates, unchanged or cancelled.",
            were(skipped)
        ));
    }
    sentences.join(" ")
}

fn are(number: u64) -> String {
    let verb = if number == 1 { "is" } else { "are" };
    format!("{} {verb}", grouped(number))
}

fn were(number: u64) -> String {
    let verb = if number == 1 { "was" } else { "were" };
    format!("{} {verb}", grouped(number))
}

/// A part in percent with two digits, rounded towards the middle: only nothing is 0 % and only everything is 100 %.
pub(super) fn share(part: u64, whole: u64) -> String {
    match part {
        0 => "0 %".into(),
        part if part == whole => "100 %".into(),
        part => {
            let percent = part as f64 / whole as f64 * 100.0;
            format!("{:.2} %", percent.clamp(0.01, 99.99))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nothing_is_nothing_and_only_everything_is_everything() {
        for (part, whole, words) in [
            (0, 0, "0 %"),
            (0, 10, "0 %"),
            (10, 10, "100 %"),
            (1, 1_000_000, "0.01 %"),
            (999_999, 1_000_000, "99.99 %"),
            (1, 3, "33.33 %"),
        ] {
            assert_eq!(share(part, whole), words);
        }
    }

    #[test]
    fn the_headline_leaves_out_what_did_not_happen() {
        let said = |counts: Counts| {
            went(&RunReport {
                counts,
                ..crate::ui::report::tests::report()
            })
        };
        let all = Counts {
            tasks: 3,
            accepted: 3,
            ..Counts::default()
        };
        assert_eq!(said(all), "The platform accepted all 3 commands.");
        let some = Counts {
            tasks: 12_000,
            accepted: 11_990,
            failed: 8,
            in_doubt: 1,
            skipped: 1,
            ..Counts::default()
        };
        assert_eq!(
            said(some),
            "The platform accepted 11,990 of 12,000 commands. 8 failed. 1 is in doubt: the device may have the command. 1 was not sent: \
             duplicates, unchanged or cancelled."
        );
    }

    #[test]
    fn the_headline_says_which_part_is_shown() {
        let shown = Shown::Part {
            of: 12_345,
            of_outcome: " --state failed".into(),
            others: " --label site=Oslo".into(),
        };
        let said = |tasks: u64, accepted: u64| {
            let counts = Counts {
                tasks,
                accepted,
                ..Counts::default()
            };
            let report = RunReport {
                counts,
                ..crate::ui::report::tests::report()
            };
            headline(&report, &shown)
        };
        assert_eq!(
            said(2, 2),
            "This page shows 2 of the run's 12,345 commands, those with --state failed --label site=Oslo. The platform accepted all 2 \
             commands."
        );
        assert_eq!(
            said(0, 0),
            "This page shows none of the run's 12,345 commands, those with --state failed --label site=Oslo."
        );
    }
}
