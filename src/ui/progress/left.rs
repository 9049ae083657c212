//! The time left of a push, or that it cannot be estimated yet. Pure code over events; the caller passes the time.
//!
//! A push takes its time in two ways. While there are devices that can be sent to, the number that end each second gives the time left.
//! When the rest waits for throttled devices, it goes in rounds: each device gets its next command when its pause is over. Then neither the
//! earlier pace of the fleet nor the number that ended in the middle of a round says anything.

use std::time::Duration;

use super::rate::RateWindow;
use crate::model::{Counts, Timestamp};

/// No time is told before so much of the push has been seen: what ends in the first moments is an accident.
const LEAST: Duration = Duration::from_secs(3);

/// The pace is that of the slower of these: a push that becomes slower is seen soon, and one good moment promises nothing.
const SPANS: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(30)];

/// A push that has sent nothing for so long, though it could, waits for throttled devices.
const IDLE: Duration = Duration::from_secs(1);

/// How long a push still takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// Nothing yet says how long.
    Unknown,
    /// About so long.
    About(Duration),
    /// No less than about so long: throttled devices may put what is left off again.
    AtLeast(Duration),
}

/// What the time left is told by.
#[derive(Debug, Default)]
pub(super) struct Estimate {
    counts: Counts,
    latest_due: Option<Timestamp>,
    /// Since the first task ended, so that a login and the first reply are no part of the pace.
    window: Option<RateWindow>,
    /// When a task ended last.
    last_end: Option<Timestamp>,
    rounds: Option<Rounds>,
    /// Since when nothing is in flight, though there is something to send.
    idle: Option<Timestamp>,
    /// Since when nothing waits.
    calm: Option<Timestamp>,
}

impl Estimate {
    /// An estimate for a push, or the rest of one, that begins with these counts.
    pub(super) fn new(counts: Counts) -> Self {
        Self {
            counts,
            ..Self::default()
        }
    }

    /// Takes in where the push stands.
    pub(super) fn take(
        &mut self,
        now: Timestamp,
        counts: Counts,
        requests: u64,
        latest_due: Option<Timestamp>,
    ) {
        if counts.ended() > self.counts.ended() {
            self.last_end = Some(now);
        }
        if self.last_end.is_some() && self.window.is_none() {
            self.window = Some(RateWindow::new(now, counts.ended()));
        }
        if let Some(window) = &mut self.window {
            window.add(now, counts.ended(), requests);
        }
        self.counts = counts;
        self.latest_due = latest_due;
        self.begin_or_end_rounds(now);
        let is_idle = self.is_idle(now);
        let last_end = self.last_end.unwrap_or(now);
        if let Some(rounds) = &mut self.rounds {
            rounds.take(now, counts, until(now, latest_due), last_end, is_idle);
        }
    }

    /// How long the push still takes.
    pub(super) fn left(&self, now: Timestamp) -> Left {
        let Counts {
            pending, snoozing, ..
        } = self.counts;
        let waiting = until(now, self.latest_due);
        if pending == 0 {
            return Left::About(Duration::ZERO);
        }
        if let Some(rounds) = &self.rounds {
            return Left::AtLeast(rounds.left(now, pending, waiting));
        }
        // With nothing but waiting tasks left there is no pace, and no need of one.
        if pending == snoozing {
            return Left::AtLeast(waiting);
        }
        let Some(sending) = self.sending(now) else {
            return Left::Unknown;
        };
        let left = sending.max(waiting);
        // The few that always wait are no reason to hedge.
        if 100 * snoozing >= pending {
            Left::AtLeast(left)
        } else {
            Left::About(left)
        }
    }

    fn is_idle(&self, now: Timestamp) -> bool {
        self.idle.is_some_and(|idle| idle.until(now) >= IDLE)
    }

    /// How long what is pending takes at the pace of the last seconds.
    fn sending(&self, now: Timestamp) -> Option<Duration> {
        let window = self.window.as_ref()?;
        if window.begun().until(now) < LEAST {
            return None;
        }
        let devices = SPANS
            .iter()
            .map(|span| window.pace_over(now, *span).devices)
            .filter(|devices| *devices > 0.0)
            .reduce(f64::min)?;
        Duration::try_from_secs_f64(self.counts.pending as f64 / devices).ok()
    }

    /// Notes whether what is left waits for throttled devices: most of it does so itself, or nothing can be sent, since the rest are later
    /// tasks of these devices. That ends when nothing has waited for long.
    fn begin_or_end_rounds(&mut self, now: Timestamp) {
        let Counts {
            pending,
            snoozing,
            in_flight,
            ..
        } = self.counts;
        let can_send = in_flight > 0 || snoozing == 0;
        self.idle = (!can_send).then(|| self.idle.unwrap_or(now));
        let waits = pending > 0 && 2 * snoozing >= pending;
        if self.rounds.is_none() && (waits || self.is_idle(now)) {
            // The first round began when the last one could be sent to.
            let since = self.last_end.unwrap_or(now);
            self.rounds = Some(Rounds::new(since, self.counts.ended()));
        }
        self.calm = (snoozing == 0).then(|| self.calm.unwrap_or(now));
        let calm = self.calm.map_or(Duration::ZERO, |calm| calm.until(now));
        self.rounds
            .take_if(|rounds| calm >= rounds.longest.max(SPANS[0]));
    }
}

/// Tasks of throttled devices: each device has one that waits or is under way, and the others stand behind it.
#[derive(Debug)]
struct Rounds {
    since: Timestamp,
    ended_before: u64,
    /// The most devices that were waiting or under way.
    devices: u64,
    /// The longest pause.
    longest: Duration,
    /// When the last round ends, and when that was reckoned.
    end: Option<(Timestamp, Timestamp)>,
}

impl Rounds {
    fn new(since: Timestamp, ended_before: u64) -> Self {
        Self {
            since,
            ended_before,
            devices: 0,
            longest: Duration::ZERO,
            end: None,
        }
    }

    fn take(
        &mut self,
        now: Timestamp,
        counts: Counts,
        waiting: Duration,
        last_end: Timestamp,
        is_idle: bool,
    ) {
        self.longest = self.longest.max(waiting);
        self.devices = self.devices.max(counts.snoozing + counts.in_flight);
        let ended = counts.ended().saturating_sub(self.ended_before);
        // Almost: the last devices of a round may have been caught twice.
        let is_round = ended > 0 && 20 * ended >= 19 * self.devices;
        // In the middle of a round too few have ended for the time that it has taken. Between two, nothing ends and nearly all wait.
        let is_between =
            last_end.until(now) >= IDLE && (is_idle || 10 * counts.snoozing >= 9 * self.devices);
        // Pauses double, so that all those of a round take no longer than twice the last of them: after three times as long there are no
        // rounds to wait for.
        let reckoned = self.end.map_or(self.since, |(_, reckoned)| reckoned);
        let is_old = reckoned.until(now) > 3 * self.longest;
        if is_round && (is_between || is_old) {
            let each = self.since.until(last_end).as_secs_f64() / ended as f64;
            self.end = Duration::try_from_secs_f64(counts.pending as f64 * each)
                .ok()
                .map(|left| (last_end.after(left), now));
        }
    }

    /// Before a round has been seen: the present pauses, and for each further round the longest that has been.
    fn left(&self, now: Timestamp, pending: u64, waiting: Duration) -> Duration {
        if let Some((end, _)) = self.end {
            return now.until(end).max(waiting);
        }
        let rounds = pending as f64 / self.devices.max(1) as f64;
        let further =
            Duration::try_from_secs_f64(self.longest.as_secs_f64() * (rounds - 1.0).max(0.0));
        further.unwrap_or(Duration::MAX).saturating_add(waiting)
    }
}

fn until(now: Timestamp, due: Option<Timestamp>) -> Duration {
    due.map_or(Duration::ZERO, |due| now.until(due))
}

#[cfg(test)]
mod tests;
