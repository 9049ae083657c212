//! Which tasks need action, and what to do.

use super::Shown;
use crate::{
    model::{Class, RunState, TaskState},
    ui::{
        number::grouped,
        report::{EndingLine, RunReport},
        text::clean,
    },
};

/// Tasks that ended alike and not well.
pub(super) struct Need {
    /// In the style of the page.
    pub(super) class: &'static str,
    pub(super) tasks: String,
    pub(super) what: String,
    pub(super) code: Option<i64>,
    pub(super) advice: &'static str,
    /// Keys of some of the devices.
    pub(super) examples: Vec<String>,
    /// What to type, when something helps.
    pub(super) command: Option<String>,
}

/// The whole list, the rest of an unfinished run first.
pub(super) fn needs(report: &RunReport, examples: &[Vec<String>], shown: &Shown) -> Vec<Need> {
    let troubled = report.endings.iter().filter(|line| line.is_trouble());
    let mut examples = examples.iter();
    // What is left of a part may be nothing.
    let rest = rest(report).filter(|_| *shown == Shown::Whole || report.counts.pending > 0);
    rest.into_iter()
        .chain(troubled.map(|line| {
            let examples = examples.next().map_or(&[][..], Vec::as_slice);
            need(report, line, examples, shown)
        }))
        .collect()
}

/// What is left to be sent.
fn rest(report: &RunReport) -> Option<Need> {
    let (advice, flags) = match report.state {
        RunState::Running => (
            "The push was not finished when this page was created. If no process is working on it, it continues with:",
            "",
        ),
        RunState::Stopped => (
            "The push stopped before its end. The same command as before continues it, and so does:",
            "",
        ),
        RunState::Paused => ("The push is paused. This continues it:", ""),
        RunState::Aborted => (
            "A threshold stopped the push. Look at the failures first. If the command is correct, this sends the rest.",
            " --override-abort",
        ),
        RunState::Cancelled | RunState::Complete => return None,
    };
    Some(Need {
        class: "pending",
        tasks: grouped(report.counts.pending),
        what: "still to be sent".into(),
        code: None,
        advice,
        examples: Vec::new(),
        command: Some(
            report
                .repeat
                .command("resume", &report.name, &report.target, flags),
        ),
    })
}

fn need(report: &RunReport, line: &EndingLine, examples: &[String], shown: &Shown) -> Need {
    let class = line.class.map(|class| format!(" --class {}", class.name()));
    let code = line.code.map(|code| format!(" --code {code}"));
    let flags = [Some(format!(" --state {}", line.state.name())), class, code];
    let mut flags: String = flags.into_iter().flatten().collect();
    flags.push_str(shown.other_flags());
    let (advice, command) = advice(line.state, line.class);
    Need {
        class: line.state.name(),
        tasks: grouped(line.tasks),
        what: what(line),
        code: line.code,
        advice,
        examples: examples.iter().map(|key| clean(key).into_owned()).collect(),
        command: Some(
            report
                .repeat
                .command(command, &report.name, &report.target, &flags),
        ),
    }
}

fn what(line: &EndingLine) -> String {
    match (line.text, line.class) {
        (Some(text), _) => text.to_owned(),
        (None, Some(Class::InDoubt)) => "in doubt".into(),
        (None, Some(class)) => class.name().into(),
        (None, None) => line.state.name().into(),
    }
}

/// What to do about it, and the command that helps.
fn advice(state: TaskState, class: Option<Class>) -> (&'static str, &'static str) {
    if state == TaskState::InDoubt {
        return (
            "They were sent, but there was no readable reply. The devices may have the command. Send it again only if a second delivery does no harm.",
            "retry",
        );
    }
    match class {
        Some(Class::Offline) => (
            "The devices had no connection. Send to them again when they are back.",
            "retry",
        ),
        Some(Class::Frequency | Class::Quota) => (
            "The platform throttled the devices for longer than the push waits (--max-snooze).",
            "retry",
        ),
        Some(Class::Transient | Class::Outage) => (
            "The platform failed temporarily each time they were sent. Sending again may help.",
            "retry",
        ),
        Some(Class::Auth | Class::Refused) => (
            "The platform refused the login. Check the credentials and their permissions, then send again.",
            "retry",
        ),
        Some(Class::Rejected) => (
            "The platform refuses these devices or their payload. Sending the same again does not help: correct the manifest.",
            "results",
        ),
        Some(Class::Blocked) => (
            "They were not sent, because an earlier command for the same device did not succeed. Fix that one first.",
            "retry",
        ),
        Some(Class::Invalid) => (
            "The rows of the manifest are wrong, and were not sent. The messages in the results say what is wrong.",
            "results",
        ),
        Some(Class::InDoubt | Class::Accepted | Class::Unchanged) | None => {
            ("Look at the messages.", "results")
        }
    }
}
