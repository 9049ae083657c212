//! What somebody asks of a run from outside its push: to pause, or to end.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// What is asked of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ControlAction {
    /// Send nothing more until somebody resumes the run.
    Pause,
    /// End the run.
    Cancel,
}

impl ControlAction {
    /// Every action.
    pub const ALL: [Self; 2] = [Self::Pause, Self::Cancel];

    /// The command that asks for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Cancel => "cancel",
        }
    }
}

/// A request to pause or to cancel a run: who made it, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Control {
    /// What is asked.
    pub(crate) action: ControlAction,
    /// The name of the user.
    pub(crate) by: String,
    /// The time of the command.
    pub(crate) at: Timestamp,
    /// What tells it from every other one: random, in hex.
    pub(crate) id: String,
    /// The command that made it, where another process carries it out and notes its session.
    pub(crate) asker: Option<Asker>,
}

/// The command that made a request, as its session tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asker {
    /// What stood on its command line.
    pub(crate) arguments: Vec<String>,
    /// `--note`
    pub(crate) note: Option<String>,
    /// The machine.
    pub(crate) host: String,
    /// The process.
    pub(crate) pid: u32,
    /// The version of the program.
    pub(crate) version: String,
}

impl Control {
    /// `by anna at 2026-11-23 05:00:01 UTC`
    pub(crate) fn words(&self) -> String {
        by_words(&self.by, self.at)
    }
}

/// Who paused a run, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paused {
    /// The name of the user.
    pub(crate) by: String,
    /// The time of the command.
    pub(crate) at: Timestamp,
}

impl Paused {
    /// `by anna at 2026-11-23 05:00:01 UTC`
    pub(crate) fn words(&self) -> String {
        by_words(&self.by, self.at)
    }
}

fn by_words(by: &str, at: Timestamp) -> String {
    format!("by {by} at {}", at.human())
}
