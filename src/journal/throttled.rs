//! How long a device rests after the platform has throttled it.

use std::sync::Arc;

use super::request::{Next, Settlement};
use crate::{
    model::{Class, Payload, Timestamp},
    store::{DeviceThrottle, Due, Member},
};

/// Whether this last outcome of a task says that the platform throttles its device.
pub(super) fn is_throttled(class: Option<Class>) -> bool {
    matches!(class, Some(Class::Frequency | Class::Quota))
}

/// What a settled send says of its device, when it was throttled; `alone` tells whether it was the only one in its request.
pub(super) fn throttle_of(
    payload: &Arc<Payload>,
    member: &Member,
    alone: bool,
    settlement: &Settlement,
    now: Timestamp,
) -> Option<DeviceThrottle> {
    let class = settlement.outcome.class;
    let until = match settlement.next {
        _ if !is_throttled(Some(class)) => return None,
        Next::Again {
            keep_bundle: true, ..
        } if !alone => return None,
        Next::Again { due_at, .. } => due_at,
        // The pause was too much for the task, and the device needs it all the same.
        Next::End(_) => now.after(
            settlement
                .history
                .snoozed
                .saturating_sub(member.history.snoozed),
        ),
        // Said of several devices together, it is not known to be true of this one.
        Next::Split { .. } => return None,
    };
    Some(DeviceThrottle {
        device_key: Arc::clone(&member.device_key),
        payload: Arc::clone(payload),
        class,
        until,
    })
}

/// Whether a device rests that was throttled then, and is left alone until then. A throttle of the future is a clock's that was ahead.
#[cfg(test)]
pub(crate) fn is_resting(throttled_at: Timestamp, until: Timestamp, now: Timestamp) -> bool {
    until > now && throttled_at <= now
}

/// Defers tasks that become due while their devices rest; `until` tells how long those rest that do.
pub(crate) fn defer_throttled(
    due: &mut [Due],
    until: impl Fn(crate::model::TaskId) -> Option<Timestamp>,
) {
    for due in due {
        if let Some(until) = until(due.task) {
            due.not_before = due.not_before.max(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{History, Outcome, TaskId, TaskState};

    const NOW: Timestamp = Timestamp(1_000_000);

    fn throttle(class: Class, next: Next, alone: bool) -> Option<i64> {
        let payload = Arc::new(Payload::plain("PK", "[]"));
        let before = Duration::from_secs(5);
        let member = Member {
            history: History {
                snoozed: before,
                ..History::default()
            },
            ..Member::never_sent(TaskId(1), "DK".into())
        };
        let settlement = Settlement {
            outcome: Outcome {
                class,
                code: None,
                message: None,
                ticket: None,
            },
            history: History {
                snoozed: before + Duration::from_secs(30),
                ..History::default()
            },
            next,
            next_task_at: None,
        };
        throttle_of(&payload, &member, alone, &settlement, NOW).map(|found| found.until.0 - NOW.0)
    }

    fn again(keep_bundle: bool) -> Next {
        Next::Again {
            due_at: Timestamp(NOW.0 + 7_000),
            keep_bundle,
        }
    }

    #[test]
    fn what_is_said_of_one_device_is_remembered_of_it() {
        for class in [Class::Frequency, Class::Quota] {
            assert_eq!(throttle(class, again(false), false), Some(7_000));
            assert_eq!(throttle(class, again(true), true), Some(7_000));
            // The pause that was planned last, and not those before it.
            let end = Next::End(TaskState::Failed);
            assert_eq!(throttle(class, end, false), Some(30_000));
        }
    }

    #[test]
    fn what_is_said_of_several_devices_or_is_no_throttle_is_not() {
        for class in [Class::Frequency, Class::Quota] {
            assert_eq!(throttle(class, again(true), false), None);
            for second_half in [false, true] {
                assert_eq!(throttle(class, Next::Split { second_half }, true), None);
            }
        }
        for class in [
            Class::Transient,
            Class::Offline,
            Class::InDoubt,
            Class::Rejected,
        ] {
            assert_eq!(throttle(class, again(false), true), None);
        }
    }

    #[test]
    fn a_pause_defers_and_never_brings_forward() {
        let due = |task| Due {
            task: TaskId(task),
            payload: crate::model::PayloadId(1),
            bundle: None,
            not_before: NOW,
            class: None,
            history: History::default(),
        };
        let mut rows = [due(1), due(2), due(3)];
        defer_throttled(&mut rows, |task| match task.0 {
            1 => Some(Timestamp(NOW.0 + 1)),
            2 => Some(Timestamp(NOW.0 - 1)),
            _ => None,
        });
        let at: Vec<i64> = rows.iter().map(|due| due.not_before.0 - NOW.0).collect();
        assert_eq!(at, [1, 0, 0]);
    }
}
