//! Which of a device's tasks a retry may send again, so that the device never ends up with an older value than it had.

use crate::model::{AfterFailure, Class, TaskId, TaskState};

/// What a retry may do beyond the rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leave {
    /// `--allow-stale`: also send what is older than what the device has accepted since.
    pub(crate) stale: bool,
    /// With `--after-failure continue` a task goes without the one that it was blocked by.
    pub(crate) after_failure: AfterFailure,
}

#[cfg(test)]
impl Leave {
    /// Whatever the filter chooses goes, however old; only what was blocked waits for its blocker.
    pub(crate) const STALE: Self = Self {
        stale: true,
        after_failure: AfterFailure::Block,
    };
}

/// A task among those of its device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceLine<'a> {
    pub(crate) task: TaskId,
    pub(crate) ended: Option<(TaskState, Option<Class>)>,
    /// Whether it is asked for.
    pub(crate) wanted: bool,
    /// Whether the device has accepted the same service from a younger run.
    pub(crate) overtaken: bool,
    /// The services that it calls; `None` stands for data whose services cannot be read.
    pub(crate) services: &'a [Option<String>],
}

/// What becomes of a task in a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryDecision {
    /// Nothing: it is not asked for, or has nothing to be sent again.
    Stays,
    /// It is sent again.
    Sent,
    /// It is sent again because the one that blocked it is.
    Along,
    /// It is left out: the device has accepted the same service since.
    Stale,
    /// It is left out: the one that blocked it has failed or is in doubt, and is not sent again.
    Waits,
}

/// Decides for all tasks of one device in one run, in the order of the manifest.
pub(crate) fn retry_decisions(lines: &[DeviceLine<'_>], leave: Leave) -> Vec<RetryDecision> {
    let mut decisions = Vec::with_capacity(lines.len());
    // Whether the task before has not succeeded and is not sent again.
    let mut in_the_way = false;
    // Whether the task before is sent again.
    let mut goes = false;
    let older = stale_lines(lines, leave);
    for (line, is_stale) in lines.iter().zip(older) {
        let Some((state, class)) = line.ended else {
            (in_the_way, goes) = (false, false);
            decisions.push(RetryDecision::Stays);
            continue;
        };
        // A duplicate was never to be sent, and stands for nothing.
        if state == TaskState::Skipped {
            decisions.push(RetryDecision::Stays);
            continue;
        }
        let has_failed = matches!(state, TaskState::Failed | TaskState::InDoubt);
        let was_blocked = class == Some(Class::Blocked);
        let along = was_blocked && goes && !line.wanted;
        let decision = if !(line.wanted || along) {
            RetryDecision::Stays
        } else if is_stale {
            RetryDecision::Stale
        } else if was_blocked && in_the_way && leave.after_failure == AfterFailure::Block {
            RetryDecision::Waits
        } else if along {
            RetryDecision::Along
        } else {
            RetryDecision::Sent
        };
        goes = matches!(decision, RetryDecision::Sent | RetryDecision::Along);
        in_the_way = has_failed && !goes;
        decisions.push(decision);
    }
    decisions
}

/// A command of a service to a device: of a run's task, or accepted.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Command<'a> {
    pub(crate) run: crate::model::RunId,
    pub(crate) base_url: &'a str,
    pub(crate) product_key: &'a str,
    pub(crate) device_key: &'a str,
    /// `None` stands for data whose services cannot be read.
    pub(crate) service: Option<&'a str>,
}

/// Whether a device that has accepted one command would go back by another: it is of an older run to the same platform, whichever was sent
/// first.
#[cfg(test)]
pub(crate) fn is_overtaken_by(command: &Command<'_>, accepted: &Command<'_>) -> bool {
    let alike = Command {
        run: accepted.run,
        ..*command
    };
    command.run < accepted.run && alike == *accepted
}

/// Which of the lines are older than what the device has accepted since. A later line that was accepted and is sent again comes after
/// them all the same.
fn stale_lines(lines: &[DeviceLine<'_>], leave: Leave) -> Vec<bool> {
    let mut stale = vec![false; lines.len()];
    if leave.stale {
        return stale;
    }
    // Accepted lines behind the present one that stay as they are.
    let mut stand: Vec<&DeviceLine<'_>> = Vec::new();
    for (line, is_stale) in lines.iter().zip(&mut stale).rev() {
        *is_stale = line.overtaken || stand.iter().any(|later| share_a_service(line, later));
        let is_accepted = matches!(line.ended, Some((TaskState::Accepted, _)));
        if is_accepted && (!line.wanted || *is_stale) {
            stand.push(line);
        }
    }
    stale
}

fn share_a_service(one: &DeviceLine<'_>, other: &DeviceLine<'_>) -> bool {
    let mut services = one.services.iter();
    services.any(|service| other.services.contains(service))
}

#[cfg(test)]
mod tests {
    use RetryDecision::{Along, Sent, Stale, Stays, Waits};
    use proptest::prelude::*;

    use super::*;

    const RULE: Leave = Leave {
        stale: false,
        after_failure: AfterFailure::Block,
    };

    /// A device's tasks in the order of the manifest, one a character: `a` accepted, `f` failed, `d` in doubt, `b` blocked, `s` skipped,
    /// `.` pending; a capital is asked for.
    fn lines<'a>(text: &str, services: &'a [Option<String>]) -> Vec<DeviceLine<'a>> {
        let line = |(letter, task): (char, i64)| DeviceLine {
            task: TaskId(task),
            ended: match letter.to_ascii_lowercase() {
                'a' => Some((TaskState::Accepted, Some(Class::Accepted))),
                'f' => Some((TaskState::Failed, Some(Class::Offline))),
                'd' => Some((TaskState::InDoubt, Some(Class::InDoubt))),
                'b' => Some((TaskState::Failed, Some(Class::Blocked))),
                's' => Some((TaskState::Skipped, None)),
                _ => None,
            },
            wanted: letter.is_ascii_uppercase(),
            overtaken: false,
            services,
        };
        text.chars().zip(1..).map(line).collect()
    }

    fn decide(text: &str, leave: Leave) -> Vec<RetryDecision> {
        retry_decisions(&lines(text, &[Some("fuwu".into())]), leave)
    }

    #[test]
    fn an_older_value_never_follows_a_newer_one() {
        for (device, expected) in [
            ("F", vec![Sent]),
            // What the summary of a run with --after-failure continue suggests.
            ("Fa", vec![Stale, Stays]),
            ("Da", vec![Stale, Stays]),
            ("FaF", vec![Stale, Stays, Sent]),
            ("aF", vec![Stays, Sent]),
            ("Fsa", vec![Stale, Stays, Stays]),
            ("Ff", vec![Sent, Stays]),
            // What was accepted and not delivered.
            ("A", vec![Sent]),
            ("aA", vec![Stays, Sent]),
            ("Aa", vec![Stale, Stays]),
            ("AA", vec![Sent, Sent]),
            ("AAa", vec![Stale, Stale, Stays]),
            ("FA", vec![Sent, Sent]),
            // What it had blocked before a doubt was resolved.
            ("Ab", vec![Sent, Along]),
        ] {
            assert_eq!(decide(device, RULE), expected, "{device}");
        }
    }

    #[test]
    fn what_was_blocked_goes_with_its_blocker_and_not_without() {
        for (device, expected) in [
            ("Fbb", vec![Sent, Along, Along]),
            ("dB", vec![Stays, Waits]),
            ("fBB", vec![Stays, Waits, Waits]),
            ("fsB", vec![Stays, Stays, Waits]),
            ("FB", vec![Sent, Sent]),
            ("DBb", vec![Sent, Sent, Along]),
            // What a doubt had blocked, when the doubt has been resolved.
            ("aB", vec![Stays, Sent]),
            // The blocker is under way already.
            (".B", vec![Stays, Sent]),
            // The blocker is stale, and so left out.
            ("FBa", vec![Stale, Stale, Stays]),
        ] {
            assert_eq!(decide(device, RULE), expected, "{device}");
        }
    }

    #[test]
    fn somebody_may_insist() {
        let stale = Leave {
            stale: true,
            ..RULE
        };
        assert_eq!(decide("Fa", stale), [Sent, Stays]);
        let alone = Leave {
            after_failure: AfterFailure::Continue,
            ..RULE
        };
        assert_eq!(decide("dB", alone), [Stays, Sent]);
        assert_eq!(decide("Da", alone), [Stale, Stays]);
    }

    #[test]
    fn another_service_is_another_matter_and_a_younger_run_is_not() {
        let (fuwu, both) = (
            [Some("fuwu".into())],
            [Some("boot".into()), Some("fuwu".into())],
        );
        let boot = [Some("boot".into())];
        let unknown = [None];
        for (earlier, later, decision) in [
            (&fuwu[..], &boot[..], Sent),
            (&fuwu, &both, Stale),
            (&both, &boot, Stale),
            (&unknown, &unknown, Stale),
            (&unknown, &fuwu, Sent),
        ] {
            let mut device = lines("Fa", earlier);
            device[1].services = later;
            assert_eq!(
                retry_decisions(&device, RULE)[0],
                decision,
                "{earlier:?} {later:?}"
            );
        }
        let mut device = lines("F", &fuwu);
        device[0].overtaken = true;
        assert_eq!(retry_decisions(&device, RULE), [Stale]);
    }

    proptest! {
        /// Whatever has happened and whatever is asked for: nothing is sent that a later accepted line follows, and nothing that was
        /// blocked without what blocked it.
        #[test]
        fn the_order_survives_every_retry(device in "[afdbsAFDBS.]{1,8}") {
            let decisions = decide(&device, RULE);
            let letters: Vec<char> = device.to_ascii_lowercase().chars().collect();
            for (place, decision) in decisions.iter().enumerate() {
                let goes = |decision: &RetryDecision| matches!(decision, Sent | Along);
                if !goes(decision) {
                    continue;
                }
                prop_assert!("afdb".contains(letters[place]));
                for later in place + 1..letters.len() {
                    prop_assert!(letters[later] != 'a' || goes(&decisions[later]));
                }
                let before = (0..place).rev().find(|earlier| letters[*earlier] != 's');
                if let Some(before) = before && letters[place] == 'b' {
                    prop_assert!(goes(&decisions[before]) || "a.".contains(letters[before]));
                }
            }
        }
    }
}
