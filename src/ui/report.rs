//! The facts about one run, shared by `status` and by the summary at the end of a push.

mod activity;
mod again;
mod json;
mod text;

pub(crate) use activity::{Process, RunActivity, Spent, TimeLeft};
pub(crate) use json::{Breakdown, GroupObject, RunObject, Shares};
pub(super) use json::{ClassObject, LimitObject, PushObject, SessionObject, ToleranceObject};
pub(super) use text::label;

use std::{collections::BTreeMap, path::PathBuf};

use super::repeat::Repeat;
use crate::model::{
    CanaryStatus, Class, Counts, Delivery, Paused, RunId, RunState, Tally, TaskState, Timestamp,
};

/// Everything that is told of a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RunReport {
    /// The run's number.
    pub number: RunId,
    pub name: String,
    /// The manifest as it was named.
    pub manifest: String,
    /// The base URL, or the word `simulator`.
    pub target: String,
    /// The results database.
    pub database: PathBuf,
    /// The run's state.
    pub state: RunState,
    /// Who paused it, in state paused.
    pub paused: Option<Paused>,
    /// Who cancelled it, in state cancelled.
    pub cancelled_by: Option<String>,
    /// When it was staged.
    pub created_at: Timestamp,
    /// When it was first pushed.
    pub started_at: Option<Timestamp>,
    /// When it became complete or was cancelled.
    pub finished_at: Option<Timestamp>,
    /// How many tasks are in which state.
    pub counts: Counts,
    /// The devices that go first, if any do.
    pub canary: Option<CanaryStatus>,
    /// Its parts, when it has been divided.
    pub parts: Option<Parts>,
    /// How tasks have ended; adds up to the counts of the end states.
    pub endings: Vec<EndingLine>,
    /// How many accepted tasks have which delivery; adds up to the accepted ones.
    pub deliveries: Vec<(Delivery, u64)>,
    /// Sends that ended in doubt and were sent again, or will be.
    pub resends_in_doubt: u64,
    /// Other sends that did not settle their task, by class: those tasks were sent again, or will be.
    pub sends_again: Vec<(Class, u64)>,
    /// When the first waiting task becomes due.
    pub next_due: Option<Timestamp>,
    /// When the last waiting task becomes due.
    pub latest_due: Option<Timestamp>,
    /// Flags for the next command.
    pub repeat: Repeat,
    /// Where it stands beyond its counts, for whoever asks from outside.
    pub activity: Option<RunActivity>,
}

/// How the parts of a run stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parts {
    /// How many there are.
    pub all: u64,
    /// How many of them have ended.
    pub complete: u64,
    /// The processes that push one of them, each in its own words.
    pub workers: Vec<String>,
}

/// How many tasks ended in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EndingLine {
    /// The state they ended in.
    pub state: TaskState,
    /// The class of the outcome.
    pub class: Option<Class>,
    /// The code that decided.
    pub code: Option<i64>,
    /// What the code means, when it is known.
    pub text: Option<&'static str>,
    /// How many tasks.
    pub tasks: u64,
}

impl EndingLine {
    /// What these tasks are counted by, and how many they are.
    pub(crate) fn counted(&self) -> (Tally, u64) {
        let Self {
            state, class, code, ..
        } = *self;
        (Tally { state, class, code }, self.tasks)
    }

    /// Whether somebody has to look at tasks that ended so.
    pub(crate) fn is_trouble(&self) -> bool {
        matches!(self.state, TaskState::Failed | TaskState::InDoubt)
    }
}

impl RunReport {
    /// The state, and who brought it about: `paused by anna at 2026-11-23 05:00:01 UTC`. Names are as they came.
    pub(super) fn state_and_author(&self) -> String {
        let state = self.state.name();
        match (&self.paused, &self.cancelled_by) {
            (Some(paused), _) => format!("{state} {}", paused.words()),
            (None, Some(by)) => format!("{state} by {by}"),
            (None, None) => state.to_owned(),
        }
    }

    /// How many tasks have ended by being sent, whatever came of it.
    pub(crate) fn sent(&self) -> u64 {
        let unsent = |line: &&EndingLine| {
            line.state == TaskState::Skipped
                || matches!(line.class, Some(Class::Blocked | Class::Invalid))
        };
        let ended = self.endings.iter();
        ended
            .filter(|line| !unsent(line))
            .map(|line| line.tasks)
            .sum()
    }

    /// How many tasks have failed, by class.
    pub(super) fn failed_by_class(&self) -> BTreeMap<Class, u64> {
        let mut failed = BTreeMap::new();
        for line in &self.endings {
            if let (TaskState::Failed, Some(class)) = (line.state, line.class) {
                *failed.entry(class).or_default() += line.tasks;
            }
        }
        failed
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A complete run with failures of two classes, and one task in doubt.
    pub(in crate::ui) fn report() -> RunReport {
        let ending = |state, class, code, text, tasks| EndingLine {
            state,
            class: Some(class),
            code,
            text,
            tasks,
        };
        RunReport {
            number: RunId(3),
            name: "night-1".into(),
            manifest: "night.csv".into(),
            target: "https://iot-api.acceleronix.io".into(),
            database: "/data/fleetpush.db".into(),
            state: RunState::Complete,
            paused: None,
            cancelled_by: None,
            created_at: Timestamp(1_795_374_000_123),
            started_at: Some(Timestamp(1_795_374_001_123)),
            finished_at: Some(Timestamp(1_795_374_186_123)),
            counts: Counts {
                tasks: 12_345,
                accepted: 12_000,
                failed: 301,
                in_doubt: 4,
                skipped: 40,
                ..Counts::default()
            },
            canary: None,
            parts: None,
            endings: vec![
                ending(
                    TaskState::Accepted,
                    Class::Accepted,
                    Some(200),
                    Some("OK"),
                    12_000,
                ),
                ending(
                    TaskState::Failed,
                    Class::Offline,
                    Some(61002),
                    Some("Device offline"),
                    300,
                ),
                ending(TaskState::Failed, Class::Rejected, Some(12), None, 1),
                ending(TaskState::InDoubt, Class::InDoubt, None, None, 4),
                EndingLine {
                    state: TaskState::Skipped,
                    class: None,
                    code: None,
                    text: None,
                    tasks: 40,
                },
            ],
            deliveries: Vec::new(),
            resends_in_doubt: 7,
            sends_again: vec![(Class::Frequency, 10), (Class::Transient, 12)],
            next_due: None,
            latest_due: None,
            repeat: Repeat::default(),
            activity: None,
        }
    }
}
