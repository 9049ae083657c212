//! From an outcome to what follows for the task: it ends, or it is sent again at a certain time.

use std::time::Duration;

use rand::{Rng, RngExt};

use crate::model::{Class, History, InDoubt, Outcome, TaskState, Timestamp};

/// The limits that the user sets for a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// `--max-attempts`, the first send included.
    pub(crate) max_attempts: u32,
    /// `--max-snooze`: the most pause that one task may have planned for throttling.
    pub(crate) max_snooze: Duration,
    /// `--in-doubt`.
    pub(crate) in_doubt: InDoubt,
    /// `--retry-offline`: how often a task is sent again because its device was offline.
    pub(crate) retry_offline: u32,
    /// `--offline-delay`: the pause before that.
    pub(crate) offline_delay: Duration,
}

/// What follows for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// The task has ended.
    End(TaskState),
    /// The task is sent again.
    Again {
        /// Not before this time.
        due_at: Timestamp,
    },
}

/// The least step in which retries become due, so that they come together and chunks refill.
const SLOT_MS: i64 = 250;

/// The first pause of a device that is sent too much at a time, and the longest, before jitter.
const FREQUENCY_SNOOZES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(1));

/// The longest pause that is planned for a throttled device, before jitter.
const LONGEST_SNOOZE: Duration = Duration::from_mins(15);
/// The share of a snooze that chance adds at most.
const SNOOZE_JITTER: f64 = 0.1;

/// What follows from `outcome` for a task whose sends before this one were `history`. Gives the history with this send in it.
pub(crate) fn dispose(
    outcome: &Outcome,
    history: History,
    now: Timestamp,
    rules: &Rules,
    random: &mut impl Rng,
) -> (Disposition, History) {
    let mut next = History {
        sends: history.sends + 1,
        ..history
    };
    let again = |pause: Duration| Disposition::Again {
        due_at: next_slot(now.after(pause)),
    };
    let end = Disposition::End(TaskState::Failed);
    let disposition = match outcome.class {
        Class::Accepted => Disposition::End(TaskState::Accepted),
        Class::Frequency | Class::Quota => {
            let (first, most) = if outcome.class == Class::Frequency {
                FREQUENCY_SNOOZES
            } else {
                (Duration::from_secs(30), LONGEST_SNOOZE)
            };
            let base = doubled(first, history.throttles, most);
            let pause = base + base.mul_f64(random.random_range(0.0..SNOOZE_JITTER));
            next.throttles += 1;
            next.snoozed += pause;
            if next.snoozed > rules.max_snooze {
                end
            } else {
                again(pause)
            }
        }
        Class::Transient => {
            next.attempts += 1;
            if next.attempts >= rules.max_attempts {
                end
            } else {
                let most = doubled(
                    Duration::from_secs(2),
                    next.attempts - 1,
                    Duration::from_mins(5),
                );
                again(most.mul_f64(random.random_range(0.0..=1.0)))
            }
        }
        Class::InDoubt => match rules.in_doubt {
            InDoubt::Hold => Disposition::End(TaskState::InDoubt),
            InDoubt::Resend => {
                next.attempts += 1;
                if next.attempts >= rules.max_attempts {
                    Disposition::End(TaskState::InDoubt)
                } else {
                    again(doubt_pause(next.attempts - 1))
                }
            }
        },
        Class::Offline => {
            if history.offline_retries < rules.retry_offline {
                next.offline_retries += 1;
                again(rules.offline_delay)
            } else {
                end
            }
        }
        // The request did not count: what holds the task back now is the pause or the new rate of the whole run.
        Class::Outage | Class::Auth | Class::Refused => again(Duration::ZERO),
        Class::Rejected | Class::Blocked | Class::Invalid | Class::Unchanged => end,
    };
    (disposition, next)
}

/// Before when a device's next task is not sent, after this outcome of a task whose last one was `last` and whose sends before this one
/// were `history`; `None` for at once.
///
/// A device that took a message only after a pause wants the same pause before the next. A quota is no such thing: it is full or not.
pub(crate) fn next_task_at(
    outcome: &Outcome,
    last: Option<Class>,
    history: History,
    now: Timestamp,
) -> Option<Timestamp> {
    let paused =
        outcome.class == Class::Accepted && last == Some(Class::Frequency) && history.throttles > 0;
    paused.then(|| {
        let (first, most) = FREQUENCY_SNOOZES;
        // No slot: what was accepted together becomes due together.
        now.after(doubled(first, history.throttles - 1, most))
    })
}

/// What follows for a task whose request had no end when the process did. Uses no attempt.
pub(crate) fn after_crash(
    history: History,
    now: Timestamp,
    in_doubt: InDoubt,
) -> (Disposition, History) {
    let next = History {
        sends: history.sends + 1,
        ..history
    };
    let disposition = match in_doubt {
        InDoubt::Hold => Disposition::End(TaskState::InDoubt),
        InDoubt::Resend => Disposition::Again {
            due_at: next_slot(now.after(doubt_pause(0))),
        },
    };
    (disposition, next)
}

/// The pause before the probe after `failed` failed ones: 1 s doubling to 60 s, or what the platform asked for, at most 5 min.
pub(crate) fn probe_delay(failed: u32, retry_after: Option<Duration>) -> Duration {
    match retry_after {
        Some(asked) => asked.clamp(Duration::from_secs(1), Duration::from_mins(5)),
        None => doubled(Duration::from_secs(1), failed, Duration::from_mins(1)),
    }
}

/// The longest pause between two sends of a task that these rules plan. A task that is due later than that from now was put off by a
/// clock that was ahead, or by rules that no longer hold.
pub(crate) fn longest_pause(rules: &Rules) -> Duration {
    // Every other pause is shorter than a quota's.
    let snooze = LONGEST_SNOOZE + LONGEST_SNOOZE.mul_f64(SNOOZE_JITTER);
    snooze.max(rules.offline_delay) + Duration::from_millis(SLOT_MS.unsigned_abs())
}

/// The beginning of the first slot that is not before `time`.
pub(crate) fn next_slot(time: Timestamp) -> Timestamp {
    let Timestamp(ms) = time;
    match ms.rem_euclid(SLOT_MS) {
        0 => time,
        over => Timestamp(ms.saturating_add(SLOT_MS - over)),
    }
}

/// Before an in-doubt send is repeated: 1 s doubling to 30 s.
fn doubt_pause(earlier: u32) -> Duration {
    doubled(Duration::from_secs(1), earlier, Duration::from_secs(30))
}

/// `first`, doubled `times` times, at most `most`.
fn doubled(first: Duration, times: u32, most: Duration) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(times)).min(most)
}

#[cfg(test)]
mod tests;
