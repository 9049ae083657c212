//! How the command before this one ended. The metrics file carries it from one command to the next.

use crate::model::Timestamp;

pub(super) const EXIT: &str = "fleetpush_last_exit_code";
pub(super) const EXIT_AT: &str = "fleetpush_last_exit_timestamp_seconds";
pub(super) const SUCCESS_AT: &str = "fleetpush_last_success_timestamp_seconds";

/// What outlives a command: it is read from the file that the one before has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct LastEnd {
    /// The exit code of the last command that ended.
    pub(super) exit: Option<u8>,
    /// When it ended.
    pub(super) exit_at: Option<Timestamp>,
    /// When the last one ended with exit code 0.
    pub(super) success_at: Option<Timestamp>,
}

impl LastEnd {
    /// Reads them from a metrics file; what is not there or cannot be read is not known. No time is later than `now`: an alert that
    /// compares one with the present would be blind until a clock that was ahead is caught up with.
    pub(super) fn read(text: &str, now: Timestamp) -> Self {
        let value = |name: &str| {
            text.lines()
                .find(|line| {
                    line.strip_prefix(name)
                        .is_some_and(|rest| rest.starts_with('{'))
                })
                .and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        };
        let time =
            |name| value(name).map(|seconds| Timestamp((seconds * 1000.0).round() as i64).min(now));
        Self {
            exit: value(EXIT).map(|code| code as u8),
            exit_at: time(EXIT_AT),
            success_at: time(SUCCESS_AT),
        }
    }
}
