//! The states of tasks and runs, under the names that the views use.

use super::Class;

/// How a task ended. A task without one of these is pending or in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum TaskState {
    /// The platform took the command and, as a rule, gave a ticket.
    Accepted = 1,
    /// Refused, given up, blocked or invalid.
    Failed = 2,
    /// Sent, and what came of it is not known.
    InDoubt = 3,
    /// Never to be sent: a duplicate of the device's row before it, or cancelled.
    Skipped = 4,
}

impl TaskState {
    /// Every end state.
    pub const ALL: [Self; 4] = [Self::Accepted, Self::Failed, Self::InDoubt, Self::Skipped];

    /// The name in the views and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Failed => "failed",
            Self::InDoubt => "in_doubt",
            Self::Skipped => "skipped",
        }
    }

    /// The state that this number stands for in the database.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as i64 == number)
    }
}

/// What tasks are counted by once they have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tally {
    /// How they ended.
    pub state: TaskState,
    /// The class; skipped tasks have none.
    pub class: Option<Class>,
    /// The code that decided, when there was one.
    pub code: Option<i64>,
}

/// The status of a task: the state of the view `results`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskStatus {
    /// Waiting, snoozing or due again.
    Pending,
    /// A member of a request that has no end yet.
    InFlight,
    Ended(TaskState),
}

impl TaskStatus {
    /// Every status.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::InFlight,
        Self::Ended(TaskState::Accepted),
        Self::Ended(TaskState::Failed),
        Self::Ended(TaskState::InDoubt),
        Self::Ended(TaskState::Skipped),
    ];

    /// The name in the view and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InFlight => "in_flight",
            Self::Ended(state) => state.name(),
        }
    }
}

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunState {
    /// Being pushed, or left so by a crash.
    Running,
    /// Stopped before the end by a signal, an outage or a refusal; the next start continues it.
    Stopped,
    /// Stopped by `pause`: only `resume` continues it.
    Paused,
    /// Stopped by a threshold.
    Aborted,
    /// Ended by `cancel`.
    Cancelled,
    /// Every task has ended.
    Complete,
}

impl RunState {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Running,
        Self::Stopped,
        Self::Paused,
        Self::Aborted,
        Self::Cancelled,
        Self::Complete,
    ];

    /// The name in the views.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Paused => "paused",
            Self::Aborted => "aborted",
            Self::Cancelled => "cancelled",
            Self::Complete => "complete",
        }
    }

    /// The state of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether there is something left to push.
    pub fn is_unfinished(self) -> bool {
        matches!(
            self,
            Self::Running | Self::Stopped | Self::Paused | Self::Aborted
        )
    }
}

/// How many tasks of a run are in which state.
///
/// `accepted + failed + in_doubt + skipped + pending = tasks`, always; `snoozing` and `in_flight` are parts of `pending`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Counts {
    /// Manifest rows.
    pub(crate) tasks: u64,
    /// Tasks that the platform accepted.
    pub(crate) accepted: u64,
    /// Tasks that failed.
    pub(crate) failed: u64,
    /// Tasks that ended in doubt.
    pub(crate) in_doubt: u64,
    /// Tasks skipped: duplicates, unchanged, or cancelled.
    pub(crate) skipped: u64,
    /// Tasks that have not ended.
    pub(crate) pending: u64,
    /// Pending tasks that wait because the platform throttled their device.
    pub(crate) snoozing: u64,
    /// Pending tasks that are claimed by a request.
    pub(crate) in_flight: u64,
}

impl Counts {
    /// Tasks that have ended, whatever they ended as.
    pub(crate) fn ended(&self) -> u64 {
        self.accepted + self.failed + self.in_doubt + self.skipped
    }
}
