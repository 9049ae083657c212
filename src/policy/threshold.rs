//! Whether so much of a run has gone wrong that it must not go on.

use crate::model::{AbortIf, Class, TaskState};

/// What was counted, when `abort_if` is met by these ended tasks; `None` when the run may go on.
///
/// Offline and blocked tasks are no sign of a bad payload and do not count as failed. Skipped ones have not been pushed at all, nor have
/// invalid ones, which were recorded because `--skip-invalid` asks to go on without them.
pub fn crossed(
    abort_if: AbortIf,
    ended: impl Iterator<Item = (TaskState, Option<Class>, u64)>,
) -> Option<String> {
    let (mut failed, mut all) = (0, 0);
    for (state, class, n) in ended {
        if state == TaskState::Skipped || class == Some(Class::Invalid) {
            continue;
        }
        all += n;
        let counts = !matches!(class, Some(Class::Offline | Class::Blocked));
        if state == TaskState::Failed && counts {
            failed += n;
        }
    }
    abort_if
        .is_met(failed, all)
        .then(|| format!("{failed} of {all} ended tasks failed (--abort-if '{abort_if}')"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offline_blocked_invalid_and_skipped_devices_are_no_failures() {
        let abort_if = "failed>10%,min=100".parse().unwrap();
        let ended = |failed| {
            [
                (TaskState::Accepted, Some(Class::Accepted), 50),
                (TaskState::Failed, Some(Class::Offline), 30),
                (TaskState::Failed, Some(Class::Blocked), 5),
                (TaskState::InDoubt, Some(Class::InDoubt), 5),
                (TaskState::Skipped, None, 1000),
                (TaskState::Failed, Some(Class::Invalid), 1000),
                (TaskState::Failed, Some(Class::Rejected), failed),
            ]
            .into_iter()
        };
        assert_eq!(crossed(abort_if, ended(10)), None);
        assert_eq!(
            crossed(abort_if, ended(11)).unwrap(),
            "11 of 101 ended tasks failed (--abort-if 'failed>10%,min=100')"
        );
        assert_eq!(crossed(AbortIf::Never, ended(5000)), None);
    }
}
