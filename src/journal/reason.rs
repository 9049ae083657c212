//! Why a task was or was not sent, and what to do about it, as text.

use crate::{
    model::{Class, RunState, TaskState, TaskStatus, Timestamp},
    policy::codes::{self, Scope},
    store::ResultRow,
};

/// Why the task is where it is.
pub(crate) fn why(row: &ResultRow, run: RunState, now: Timestamp) -> String {
    let message = row.message.as_deref().unwrap_or("no reason was recorded");
    match row.status {
        TaskStatus::Ended(TaskState::Accepted) => {
            "accepted: the platform has the command, which does not mean that the device has it"
                .to_owned()
        }
        TaskStatus::Ended(TaskState::Skipped) => format!("not sent, skipped: {message}"),
        TaskStatus::Ended(TaskState::Failed) if row.class == Some(Class::Invalid) => {
            format!("not sent, the row of the manifest is wrong: {message}")
        }
        TaskStatus::Ended(TaskState::Failed) if row.request_id.is_none() => {
            let reason = message.strip_prefix("not sent: ").unwrap_or(message);
            format!("not sent, failed: {reason}")
        }
        TaskStatus::Ended(TaskState::Failed) => {
            format!("failed after {}: {}", sends(row.attempts), outcome(row))
        }
        TaskStatus::Ended(TaskState::InDoubt) => format!(
            "in doubt after {}: {message}; the device may have the command",
            sends(row.attempts)
        ),
        TaskStatus::InFlight => "in a request that has no reply yet".to_owned(),
        TaskStatus::Pending => waiting(row, run, now),
    }
}

fn waiting(row: &ResultRow, run: RunState, now: Timestamp) -> String {
    let stands = match run {
        RunState::Running => "",
        RunState::Stopped => "; the run is stopped",
        RunState::Paused => "; the run is paused",
        RunState::Aborted => "; the run is aborted",
        RunState::Cancelled | RunState::Complete => "; the run has ended",
    };
    match (row.due_at, row.class) {
        (Some(due), Some(class)) => format!(
            "pending after {}: {} ({}); {} {}{stands}",
            sends(row.attempts),
            outcome(row),
            class.name(),
            if due > now {
                "waits until"
            } else {
                "due since"
            },
            due.human(),
        ),
        (Some(due), None) if due > now => {
            format!("pending, not sent yet: waits until {}{stands}", due.human())
        }
        _ => format!("pending, not sent yet: its turn has not come{stands}"),
    }
}

fn sends(attempts: i64) -> String {
    match attempts {
        1 => "1 send".to_owned(),
        many => format!("{many} sends"),
    }
}

/// The code with its text, else the message.
fn outcome(row: &ResultRow) -> String {
    let message = row.message.as_deref();
    match row.code {
        Some(code) => {
            let text = codes::lookup(code).map(|info| info.text).or(message);
            format!("{code} {}", text.unwrap_or_default())
                .trim_end()
                .to_owned()
        }
        None => message.unwrap_or("no reason was recorded").to_owned(),
    }
}

/// What a person can do about it; nothing where there is nothing to do.
pub(crate) fn advice(row: &ResultRow) -> Option<&'static str> {
    let scope = row.code.and_then(codes::lookup).and_then(|info| info.scope);
    let class = row.class?;
    match row.status {
        TaskStatus::Ended(TaskState::InDoubt) => Some(
            "look for it in the device's history with verify, or send it again if a second delivery does no harm",
        ),
        TaskStatus::Ended(TaskState::Failed) => Some(match (class, scope) {
            (Class::Offline, _) => {
                "send it again when the device is online, or give --retry-offline"
            }
            (Class::Frequency | Class::Quota, _) => {
                "send it again later, or let the push wait longer with --max-snooze"
            }
            (Class::Transient | Class::Outage | Class::InDoubt, _) => "send it again",
            (Class::Blocked, _) => "fix the earlier command of the device, and send both again",
            (Class::Invalid, _) => "correct the row, and push the manifest again",
            (Class::Unchanged, _) => "push it without --skip-unchanged to send it anyway",
            (Class::Auth | Class::Refused, _) | (_, Some(Scope::Account)) => {
                "check the permission for this device, and send it again"
            }
            (_, Some(Scope::Payload)) => {
                "correct the payload by the product's thing model, and push it anew: the platform would refuse the same payload again"
            }
            (_, Some(Scope::Product)) => "ask the platform why it refuses the product",
            (Class::Rejected | Class::Accepted, _) => {
                "see that the device is known to the platform in this product, and that its account may use it"
            }
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(status: TaskStatus, class: Option<Class>, code: Option<i64>) -> ResultRow {
        ResultRow {
            id: 1,
            line: 2,
            product_key: Some("PK".into()),
            device_key: "DK".into(),
            status,
            class,
            code,
            message: Some("said so".into()),
            ticket: None,
            attempts: 2,
            request_id: Some(7),
            due_at: None,
            finished_at: None,
            data: None,
            labels: None,
            qos: None,
            is_cache: None,
            cache_time: None,
            is_cover: None,
            extend_para: None,
            delivery: None,
            delivery_at: None,
        }
    }

    #[test]
    fn each_state_has_a_reason() {
        let failed = TaskStatus::Ended(TaskState::Failed);
        let due = |at: i64, class: Option<Class>| ResultRow {
            due_at: Some(Timestamp(at)),
            ..row(TaskStatus::Pending, class, class.map(|_| 61007))
        };
        let unsent = ResultRow {
            request_id: None,
            ..row(failed, Some(Class::Blocked), None)
        };
        let told: Vec<String> = [
            row(
                TaskStatus::Ended(TaskState::Accepted),
                Some(Class::Accepted),
                Some(200),
            ),
            row(failed, Some(Class::Offline), Some(61002)),
            row(failed, Some(Class::Rejected), Some(12345)),
            row(failed, Some(Class::Invalid), None),
            unsent,
            row(
                TaskStatus::Ended(TaskState::InDoubt),
                Some(Class::InDoubt),
                None,
            ),
            row(TaskStatus::Ended(TaskState::Skipped), None, None),
            row(TaskStatus::InFlight, None, None),
            due(2000, Some(Class::Frequency)),
            due(500, Some(Class::Frequency)),
            due(2000, None),
            due(1000, None),
            due(500, None),
            row(TaskStatus::Pending, None, None),
        ]
        .iter()
        .map(|row| why(row, RunState::Stopped, Timestamp(1000)))
        .collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        accepted: the platform has the command, which does not mean that the device has it
        failed after 2 sends: 61002 Device offline
        failed after 2 sends: 12345 said so
        not sent, the row of the manifest is wrong: said so
        not sent, failed: said so
        in doubt after 2 sends: said so; the device may have the command
        not sent, skipped: said so
        in a request that has no reply yet
        pending after 2 sends: 61007 Device message frequency is limited (frequency); waits until 1970-01-01 00:00:02 UTC; the run is stopped
        pending after 2 sends: 61007 Device message frequency is limited (frequency); due since 1970-01-01 00:00:00 UTC; the run is stopped
        pending, not sent yet: waits until 1970-01-01 00:00:02 UTC; the run is stopped
        pending, not sent yet: its turn has not come; the run is stopped
        pending, not sent yet: its turn has not come; the run is stopped
        pending, not sent yet: its turn has not come; the run is stopped
        ");
    }

    #[test]
    fn what_failed_or_is_in_doubt_has_advice_and_nothing_else() {
        for class in Class::ALL {
            for code in [None, Some(61002), Some(70091), Some(80005), Some(91005)] {
                for state in TaskState::ALL {
                    let has = advice(&row(TaskStatus::Ended(state), Some(class), code)).is_some();
                    let wants = matches!(state, TaskState::Failed | TaskState::InDoubt);
                    assert_eq!(has, wants, "{state:?} {class:?} {code:?}");
                }
            }
        }
    }
}
