//! Whether so much of a run has gone wrong that it must not go on, or is no success.

use crate::model::{AbortIf, Class, Counted, LimitCount, Tally, TaskState, Tolerance, Tolerate};

/// Which tasks conditions are held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sample {
    /// All that have ended: a share counts when its minimum has ended.
    Fleet,
    /// Those of a canary that is over: it is small by intention, and every share counts.
    Canary,
}

/// What was counted, when one of the conditions is met by these ended tasks; `None` when the run may go on.
pub(crate) fn crossed(
    abort_if: &AbortIf,
    ended: &[(Tally, u64)],
    sample: Sample,
) -> Option<String> {
    abort_if.each().find_map(|condition| {
        let (part, whole) = count(condition.counted, ended);
        let (applied, remark) = match sample {
            Sample::Fleet => (condition, ""),
            Sample::Canary if condition.for_a_sample() == condition => (condition, ""),
            Sample::Canary => (condition.for_a_sample(), ", with min=1 for a canary"),
        };
        applied.is_met(part, whole).then(|| {
            let what = condition.counted.words();
            format!("{part} of {whole} ended tasks {what} (--abort-if '{condition}'{remark})")
        })
    })
}

/// Holds what a run came to against what is tolerated.
pub(crate) fn tolerance(tolerate: &Tolerate, ended: &[(Tally, u64)]) -> Tolerance {
    let limits = tolerate
        .each()
        .map(|limit| {
            let (part, whole) = count(limit.counted, ended);
            LimitCount { limit, part, whole }
        })
        .collect();
    let unlimited = Class::ALL
        .into_iter()
        .filter_map(|class| {
            let tasks = ended
                .iter()
                .filter(|(key, _)| {
                    matches!(key.state, TaskState::Failed | TaskState::InDoubt)
                        && key.class == Some(class)
                        && !tolerate
                            .each()
                            .any(|limit| limit.counted.counts(key.state, key.class))
                })
                .map(|(_, n)| n)
                .sum();
            (tasks > 0).then_some((class, tasks))
        })
        .collect();
    Tolerance { limits, unlimited }
}

/// How many are counted, and of how many.
fn count(counted: Counted, ended: &[(Tally, u64)]) -> (u64, u64) {
    let sum = |wanted: &dyn Fn(TaskState, Option<Class>) -> bool| {
        ended
            .iter()
            .filter(|(key, _)| wanted(key.state, key.class))
            .map(|(_, n)| n)
            .sum()
    };
    (
        sum(&|state, class| counted.counts(state, class)),
        sum(&|state, class| counted.is_of_the_whole(state, class)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    type Ended = (TaskState, Option<Class>, u64);

    fn tally(ended: &[Ended]) -> Vec<(Tally, u64)> {
        let code = None;
        let counted = |&(state, class, n): &Ended| (Tally { state, class, code }, n);
        ended.iter().map(counted).collect()
    }

    fn ended(rejected: u64) -> [Ended; 7] {
        [
            (TaskState::Accepted, Some(Class::Accepted), 50),
            (TaskState::Failed, Some(Class::Offline), 30),
            (TaskState::Failed, Some(Class::Blocked), 5),
            (TaskState::InDoubt, Some(Class::InDoubt), 5),
            (TaskState::Skipped, None, 1000),
            (TaskState::Failed, Some(Class::Invalid), 1000),
            (TaskState::Failed, Some(Class::Rejected), rejected),
        ]
    }

    fn crossed_by(text: &str, rejected: u64, sample: Sample) -> Option<String> {
        crossed(&text.parse().unwrap(), &tally(&ended(rejected)), sample)
    }

    #[test]
    fn offline_blocked_invalid_and_skipped_devices_are_no_failures() {
        let crossed = |rejected| crossed_by("failed>10%,min=100", rejected, Sample::Fleet);
        assert_eq!(crossed(10), None);
        assert_eq!(
            crossed(11).unwrap(),
            "11 of 101 ended tasks failed (--abort-if 'failed>10%,min=100')"
        );
        assert_eq!(crossed_by("never", 5000, Sample::Fleet), None);
    }

    #[test]
    fn the_first_condition_that_is_met_is_told() {
        let crossed =
            |text| crossed_by(text, 10, Sample::Fleet).unwrap_or_else(|| "goes on".to_owned());
        let told = [
            "offline>29%,min=100",
            "offline>30%,min=100",
            "rejected>10",
            "failed>50%;rejected>9;offline>1",
            "in_doubt>4",
            "invalid>900",
            "quota>0",
        ]
        .map(crossed);
        insta::assert_snapshot!(told.join("\n"), @r"
        30 of 100 ended tasks are offline (--abort-if 'offline>29%,min=100')
        goes on
        goes on
        10 of 100 ended tasks were rejected (--abort-if 'rejected>9')
        5 of 100 ended tasks are in doubt (--abort-if 'in_doubt>4')
        1000 of 1100 ended tasks are invalid (--abort-if 'invalid>900')
        goes on
        ");
    }

    #[test]
    fn a_canary_is_judged_however_small_it_is() {
        let conditions = "failed>9.5%,min=5000;rejected>10";
        assert_eq!(crossed_by(conditions, 9, Sample::Canary), None);
        assert_eq!(crossed_by(conditions, 10, Sample::Fleet), None);
        assert_eq!(
            crossed_by(conditions, 10, Sample::Canary).unwrap(),
            "10 of 100 ended tasks failed (--abort-if 'failed>9.5%,min=5000', with min=1 for a canary)"
        );
        assert_eq!(
            crossed_by("rejected>10", 11, Sample::Canary).unwrap(),
            "11 of 101 ended tasks were rejected (--abort-if 'rejected>10')"
        );
    }

    fn tolerated(text: &str, ended: &[Ended]) -> bool {
        tolerance(&text.parse().unwrap(), &tally(ended)).is_kept()
    }

    #[test]
    fn what_has_no_limit_is_not_tolerated() {
        let ended = [
            (TaskState::Accepted, Some(Class::Accepted), 94),
            (TaskState::Failed, Some(Class::Offline), 4),
            (TaskState::Failed, Some(Class::Rejected), 1),
            (TaskState::InDoubt, Some(Class::InDoubt), 1),
            (TaskState::Skipped, None, 7),
        ];
        assert!(!tolerated("nothing", &ended));
        assert!(!tolerated("offline<5%", &ended));
        assert!(!tolerated("offline<5%;failed<2%", &ended), "in doubt");
        assert!(tolerated("offline<5%;failed<2%;in_doubt<2", &ended));
        assert!(tolerated("offline<5%;rejected<2;in_doubt<2%", &ended));
        assert!(!tolerated("offline<4%;rejected<2;in_doubt<2%", &ended));
        assert_eq!(
            tolerance(&"offline<5%".parse().unwrap(), &tally(&ended)).unlimited,
            [(Class::InDoubt, 1), (Class::Rejected, 1)]
        );
        let well = &ended[..1];
        assert!(tolerated("nothing", well) && tolerated("offline<5%", well));
    }

    #[test]
    fn every_limit_must_be_kept() {
        let ended = [
            (TaskState::Accepted, Some(Class::Accepted), 90),
            (TaskState::Failed, Some(Class::Rejected), 10),
        ];
        assert!(tolerated("failed<20%", &ended));
        assert!(!tolerated("failed<20%;rejected<5%", &ended));
    }
}
