//! What a page shows.

use crate::{
    model::{Change, Counts, Course, Dimension, Latency, TaskState, Timestamp},
    ui::report::RunReport,
};

/// How much of a run a page shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    /// All of it.
    Whole,
    /// The tasks that these flags choose.
    Part {
        /// How many tasks the run has.
        of: u64,
        /// The flags of states, classes and codes, each with a blank before it.
        of_outcome: String,
        /// The other flags.
        others: String,
    },
}

impl Shown {
    /// The flags that choose what is shown, each with a blank before it.
    pub(super) fn flags(&self) -> String {
        match self {
            Self::Whole => String::new(),
            Self::Part {
                of_outcome, others, ..
            } => format!("{of_outcome}{others}"),
        }
    }

    /// The same without those that the end of a task implies.
    pub(super) fn other_flags(&self) -> &str {
        match self {
            Self::Whole => "",
            Self::Part { others, .. } => others,
        }
    }
}

/// What a page shows.
#[derive(Debug)]
pub(crate) struct Content<'c> {
    /// How the run stands.
    pub report: &'c RunReport,
    /// How much of the run is shown; the report's counts and endings are those of this part.
    pub shown: Shown,
    /// Its course; none before its first request has ended.
    pub course: Option<&'c Course>,
    /// Its tasks by what they have in common.
    pub breakdowns: Vec<Breakdown>,
    /// What changed since the run before.
    pub changes: Option<Changes>,
    /// How long its requests took.
    pub latency: Option<Latency>,
    /// How many tasks were sent once, twice and so on.
    pub times_sent: &'c [(u64, u64)],
    /// A few devices for each of the report's endings that have failed or are in doubt, in their order.
    pub examples: &'c [Vec<String>],
    /// Devices that need a hand, as many as may be shown.
    pub devices: Vec<Device>,
    /// When the page is made.
    pub made_at: Timestamp,
}

/// The tasks of a run by one thing, such as their product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Breakdown {
    /// What that is, as `status --by` takes it.
    pub by: Dimension,
    /// The groups that are shown, and how many tasks each has in which state.
    pub groups: Vec<(String, Counts)>,
    /// How many more groups there are.
    pub more: usize,
}

/// What changed from one run to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changes {
    /// The name of the earlier run.
    pub since: String,
    /// How many devices each change has.
    pub counts: Vec<(Change, u64)>,
}

/// A task that has failed or is in doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    /// The device.
    pub key: String,
    pub product: String,
    /// How the task ended.
    pub state: TaskState,
    /// The code that decided.
    pub code: Option<i64>,
    /// The platform's words, or ours.
    pub message: String,
    /// How often it was sent.
    pub sends: i64,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    pub labels: Vec<(String, String)>,
}
