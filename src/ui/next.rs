//! The next command to type.

use super::report::{EndingLine, RunReport};
use crate::model::{Class, RunState};

/// Classes that `retry` sends again by default.
const RETRIED: [Class; 4] = [
    Class::Offline,
    Class::Frequency,
    Class::Quota,
    Class::Transient,
];

/// A command, and what it is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Suggestion {
    /// What to type.
    pub command: String,
    /// What it does here.
    pub purpose: &'static str,
}

/// The first push of a newcomer, and the one to try after it: a push that fails on purpose.
const SAMPLE: &str = "samples/fleet.csv";
const TROUBLED_SAMPLE: &str = "samples/troubled.csv";

/// What may be typed next about a run, the most useful first; nothing when all went well on a real platform.
pub(crate) fn suggestions(report: &RunReport) -> Vec<Suggestion> {
    let mut next = Vec::new();
    let mut suggest = |command: &str, flags: &str, purpose| {
        if report.repeat.of_copy && !matches!(command, "results" | "status") {
            return;
        }
        next.push(Suggestion {
            command: report
                .repeat
                .command(command, &report.name, &report.target, flags),
            purpose,
        });
    };
    match report.state {
        RunState::Running => match report.alive() {
            Some(true) => suggest("status", " --watch", "follow it"),
            Some(false) => suggest("resume", "", "continue"),
            None => suggest("resume", "", "continue, if no push of it is under way"),
        },
        RunState::Stopped | RunState::Paused => suggest("resume", "", "continue"),
        // The payload is the likely culprit: whoever has not looked is not offered to send more of it first.
        RunState::Aborted | RunState::Complete | RunState::Cancelled => {}
    }
    match (report.counts.failed, report.counts.in_doubt) {
        (0, 0) if report.state == RunState::Complete && report.target == "simulator" => {
            suggest("results", "", "see what happened to each device");
        }
        (0, 0) => {}
        (_, 0) => suggest("results", " --state failed", "see what failed and why"),
        (0, _) => suggest("results", " --state in_doubt", "see the tasks in doubt"),
        (_, _) => suggest(
            "results",
            " --state failed,in_doubt",
            "see what failed or is in doubt, and why",
        ),
    }
    if report.state == RunState::Aborted {
        suggest(
            "cancel",
            "",
            "end it if the payload is wrong, then push a corrected manifest",
        );
        suggest(
            "resume",
            " --override-abort",
            "send the rest anyway, if the payload is right",
        );
    }
    if report.state == RunState::Complete {
        if report.endings.iter().any(is_retried) {
            suggest("retry", "", "send again what may succeed now");
        }
        if report.counts.in_doubt > 0 {
            // The simulator inside the process has forgotten what it was sent.
            if !report.repeat.is_simulated(&report.target) {
                suggest(
                    "verify",
                    "",
                    "look for the tasks in doubt in the devices' histories",
                );
            }
            suggest(
                "retry",
                " --state in_doubt",
                "send the tasks in doubt again",
            );
        }
        if report.target == "simulator"
            && !report.repeat.of_copy
            && report.counts.failed == 0
            && report.manifest.ends_with(SAMPLE)
        {
            let manifest = report.manifest.replace(SAMPLE, TROUBLED_SAMPLE);
            next.push(Suggestion {
                command: report.repeat.command("run", &manifest, &report.target, ""),
                purpose: "next, try a push with deliberate failures",
            });
        }
    }
    next
}

fn is_retried(ending: &EndingLine) -> bool {
    ending.class.is_some_and(|class| RETRIED.contains(&class))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Counts, TaskState},
        ui::{repeat::Repeat, report::tests::report},
    };

    fn commands(report: &RunReport) -> Vec<String> {
        suggestions(report)
            .into_iter()
            .map(|next| next.command)
            .collect()
    }

    #[test]
    fn a_run_gets_the_commands_that_help_it() {
        let all_well = RunReport {
            state: RunState::Complete,
            counts: Counts {
                tasks: 1,
                accepted: 1,
                ..Counts::default()
            },
            endings: Vec::new(),
            ..report()
        };
        assert_eq!(commands(&all_well), Vec::<String>::new());
        assert_eq!(
            commands(&RunReport {
                state: RunState::Stopped,
                ..all_well.clone()
            }),
            ["fleetpush resume night-1 --region europe"]
        );
        assert_eq!(
            commands(&report()),
            [
                "fleetpush results night-1 --state failed,in_doubt",
                "fleetpush retry night-1 --region europe",
                "fleetpush verify night-1 --region europe",
                "fleetpush retry night-1 --state in_doubt --region europe"
            ]
        );
        assert_eq!(
            commands(&RunReport {
                state: RunState::Aborted,
                ..report()
            }),
            [
                "fleetpush results night-1 --state failed,in_doubt",
                "fleetpush cancel night-1",
                "fleetpush resume night-1 --override-abort --region europe"
            ]
        );
    }

    #[test]
    fn what_a_plain_retry_would_leave_out_is_no_reason_to_suggest_it() {
        let rejected = EndingLine {
            state: TaskState::Failed,
            class: Some(Class::Rejected),
            code: Some(70091),
            text: None,
            tasks: 1,
        };
        let report = RunReport {
            counts: Counts {
                tasks: 1,
                failed: 1,
                ..Counts::default()
            },
            endings: vec![rejected],
            ..report()
        };
        assert_eq!(
            commands(&report),
            ["fleetpush results night-1 --state failed"]
        );
    }

    #[test]
    fn a_platform_of_no_region_is_named_by_its_url() {
        let report = RunReport {
            target: "https://iot.example".into(),
            state: RunState::Stopped,
            counts: Counts::default(),
            ..report()
        };
        assert_eq!(
            commands(&report),
            ["fleetpush resume night-1 --base-url https://iot.example"]
        );
    }

    #[test]
    fn a_simulated_run_stays_simulated_when_its_database_was_named() {
        let report = RunReport {
            target: "simulator".into(),
            repeat: Repeat {
                db: Some("/data/simulated.db".into()),
                ..Repeat::default()
            },
            ..report()
        };
        let commands = commands(&report);
        assert!(!commands.is_empty());
        for command in commands {
            assert!(command.ends_with(" --simulate"), "{command}");
            assert!(!command.contains("--base-url"), "{command}");
            assert!(!command.contains("verify"), "{command}");
        }
    }

    #[test]
    fn of_a_server_a_simulated_run_is_read_without_the_flag() {
        let report = RunReport {
            target: "simulator".into(),
            repeat: Repeat {
                db: Some("postgres://fleet@db.example/fleet".into()),
                of_copy: true,
                ..Repeat::default()
            },
            ..report()
        };
        let commands = commands(&report);
        assert!(!commands.is_empty());
        for command in commands {
            assert!(command.ends_with("db.example/fleet"), "{command}");
        }
    }

    #[test]
    fn the_first_push_of_a_newcomer_leads_to_the_second() {
        let report = RunReport {
            target: "simulator".into(),
            manifest: "samples/fleet.csv".into(),
            counts: Counts {
                tasks: 1,
                accepted: 1,
                ..Counts::default()
            },
            endings: Vec::new(),
            repeat: Repeat {
                simulate: true,
                ..Repeat::default()
            },
            ..report()
        };
        assert_eq!(
            commands(&report),
            [
                "fleetpush results night-1 --simulate",
                "fleetpush run samples/troubled.csv --simulate"
            ]
        );
        let other = RunReport {
            manifest: "night.csv".into(),
            ..report
        };
        assert_eq!(commands(&other), ["fleetpush results night-1 --simulate"]);
    }

    #[test]
    fn flags_are_repeated_and_quoted() {
        let report = RunReport {
            name: "it's night".into(),
            state: RunState::Cancelled,
            repeat: Repeat {
                db: Some("/data/my runs.db".into()),
                simulate: true,
                of_copy: false,
                program: Some("target/release/fleetpush".into()),
            },
            ..report()
        };
        assert_eq!(
            commands(&report),
            [
                r"target/release/fleetpush results 'it'\''s night' --state failed,in_doubt --db '/data/my runs.db' --simulate"
            ]
        );
    }

    #[test]
    fn of_a_copy_nothing_is_changed() {
        let report = RunReport {
            repeat: Repeat {
                of_copy: true,
                ..Repeat::default()
            },
            ..report()
        };
        assert_eq!(
            commands(&report),
            ["fleetpush results night-1 --state failed,in_doubt"]
        );
    }
}
