//! Derives from what was read of a run whether a process works on it, how long it will take, and how fast it is. No I/O except for the name
//! of this machine.

use std::time::Duration;

use crate::{
    model::{Counts, Latency, RunState, Timestamp},
    store::{OpenPause, Presence, RecentThroughput, SessionRow},
    ui::{
        number::{duration, pace_words},
        report::{Process, RunActivity, RunReport, Spent, TimeLeft},
    },
};

/// Over less than this no rate is told: it would be an accident.
const LEAST: Duration = Duration::from_secs(1);

/// What is seen of a run from outside.
pub(super) struct Seen<'s> {
    pub(super) sessions: &'s [SessionRow],
    /// Whether somebody owns the database.
    pub(super) presence: &'s Presence,
    /// The pause of the session that has no end.
    pub(super) pause: Option<OpenPause>,
    pub(super) latency: Option<Latency>,
    /// How fast it has been of late, when it is in state running.
    pub(super) throughput: Option<RecentThroughput>,
    /// This machine.
    pub(super) host: &'s str,
    pub(super) now: Timestamp,
}

/// The name of this machine.
pub(super) fn host() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    host.trim().to_owned()
}

/// Where the run stands.
pub(super) fn of(report: &RunReport, seen: &Seen<'_>) -> RunActivity {
    let open = seen.sessions.iter().rfind(|session| session.is_open);
    let alive = match (report.state, seen.presence) {
        // An earlier version of fleetpush, which notes no session, may be at work.
        (RunState::Running, Presence::Owned { .. }) if seen.sessions.is_empty() => None,
        (RunState::Running, Presence::Owned { .. }) => Some(open.is_some()),
        (RunState::Running, Presence::Unknown) => None,
        (_, _) => Some(false),
    };
    let working = open.filter(|_| alive == Some(true));
    let milliseconds =
        |part: fn(&SessionRow) -> i64| seen.sessions.iter().map(part).sum::<i64>().unsigned_abs();
    RunActivity {
        alive,
        process: working.map(|session| Process {
            pid: session.pid,
            host: (session.host != seen.host).then(|| session.host.clone()),
        }),
        paused: working
            .and(seen.pause.as_ref())
            .map(|pause| (pause.since, pause.reason.clone())),
        left: working
            .and(seen.throughput)
            .and_then(|throughput| time_left(report, throughput, seen.now)),
        spent: Spent {
            staging: Duration::from_millis(milliseconds(|session| session.staging_ms)),
            canary: Duration::from_millis(milliseconds(|session| session.canary_ms)),
            sending: Duration::from_millis(milliseconds(|session| session.sending_ms)),
            paused: Duration::from_millis(milliseconds(|session| session.paused_ms)),
        },
        sessions: seen
            .sessions
            .iter()
            .filter(|session| session.sends > 0)
            .count() as u64,
        latency: seen.latency,
    }
}

/// How long what is pending takes at the pace of late, and no less than until the last waiting task becomes due.
fn time_left(report: &RunReport, throughput: RecentThroughput, now: Timestamp) -> Option<TimeLeft> {
    let Counts {
        pending, snoozing, ..
    } = report.counts;
    let waiting = report
        .latest_due
        .map_or(Duration::ZERO, |due| now.until(due));
    // With nothing but waiting tasks left there is no pace, and no need of one.
    let about = if pending == snoozing {
        waiting
    } else {
        let seconds = pending as f64 / throughput.devices;
        Duration::try_from_secs_f64(seconds).ok()?.max(waiting)
    };
    Some(TimeLeft {
        about,
        at_least: 100 * snoozing >= pending,
    })
}

/// A line about a run's pace: of late while somebody works on it, over all the time that sessions pushed when it has ended.
pub(super) fn pace(
    report: &RunReport,
    activity: &RunActivity,
    throughput: Option<RecentThroughput>,
    now: Timestamp,
) -> Option<String> {
    let started = report.started_at?;
    let counts = report.counts;
    if let Some(finished) = report.finished_at {
        let pushed = activity.spent.pushing();
        // Runs of earlier versions have no sessions.
        let took = if pushed.is_zero() {
            started.until(finished)
        } else {
            pushed
        };
        let sent = counts.accepted + counts.failed + counts.in_doubt;
        return Some(if took < LEAST {
            duration(took)
        } else {
            pace_words(took, sent as f64 / took.as_secs_f64(), None)
        });
    }
    let throughput = throughput.filter(|_| activity.alive != Some(false))?;
    Some(format!(
        "{} in the last {}",
        pace_words(
            started.until(now),
            throughput.devices,
            Some(throughput.requests)
        ),
        duration(throughput.over)
    ))
}
