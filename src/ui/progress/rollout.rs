//! The words of a careful start.

use crate::{
    engine::{RolloutPhase, RolloutStep},
    model::CanaryVerdict,
    ui::number::{counted, grouped, rate},
};

/// Where the start stands, for a line of the progress; nothing when the fleet goes freely.
pub(super) fn phase_words(phase: RolloutPhase) -> Option<String> {
    match phase {
        RolloutPhase::Canary { ended, devices } => Some(format!(
            "canary: {} of {} ended",
            grouped(ended),
            counted(devices, "device")
        )),
        RolloutPhase::Ramp { ceiling } => Some(format!("ramp at {} requests/s", rate(ceiling))),
        RolloutPhase::Rest => None,
    }
}

/// The phase that follows from a step, if it changes it.
pub(super) fn phase_after(step: &RolloutStep) -> Option<RolloutPhase> {
    match *step {
        RolloutStep::CanaryChosen { devices } => Some(RolloutPhase::Canary { ended: 0, devices }),
        RolloutStep::CanaryGoesOn { ended, devices } | RolloutStep::Canary { ended, devices } => {
            Some(RolloutPhase::Canary { ended, devices })
        }
        RolloutStep::Ramp {
            ceiling: Some(ceiling),
            is_top: false,
            ..
        } => Some(RolloutPhase::Ramp { ceiling }),
        RolloutStep::CanaryOver { .. } | RolloutStep::Ramp { .. } => Some(RolloutPhase::Rest),
        RolloutStep::CanaryOfAll { .. } | RolloutStep::CanaryTooLate => None,
    }
}

/// What is said of a step.
pub(super) fn step_words(step: &RolloutStep) -> Option<String> {
    Some(match step {
        RolloutStep::CanaryChosen { devices } => format!(
            "canary: {} first, the others if these succeed",
            goes(*devices)
        ),
        RolloutStep::CanaryGoesOn { ended, devices } => format!(
            "canary: {} first, {} of them ended before",
            goes(*devices),
            grouped(*ended)
        ),
        RolloutStep::CanaryOfAll { devices } => format!(
            "no canary: the fleet has only {}, and is sent as a whole",
            counted(*devices, "device")
        ),
        RolloutStep::CanaryTooLate => "no canary: the run began without one".to_owned(),
        RolloutStep::Canary { .. } => return None,
        RolloutStep::CanaryOver { went, verdict } => match verdict {
            CanaryVerdict::Passed => format!("{went}; the other devices follow"),
            CanaryVerdict::Failed => {
                format!("{went}; it did not pass, and nothing is left to send")
            }
            CanaryVerdict::Overridden => format!(
                "{went}; it did not pass, and the other devices follow because of --override-abort"
            ),
        },
        RolloutStep::Ramp {
            accepted,
            ceiling,
            is_top,
        } => {
            let most = ceiling.map_or_else(
                || "no limit".to_owned(),
                |ceiling| format!("at most {} requests/s", rate(ceiling)),
            );
            let until = if *is_top { " from now on" } else { "" };
            format!(
                "ramp: {} accepted, {most}{until}",
                counted(*accepted, "command")
            )
        }
    })
}

/// `1 device goes`, `50 devices go`.
fn goes(devices: u64) -> String {
    let verb = if devices == 1 { "goes" } else { "go" };
    format!("{} {verb}", counted(devices, "device"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_has_its_words() {
        let steps = [
            RolloutStep::CanaryChosen { devices: 50 },
            RolloutStep::CanaryChosen { devices: 1 },
            RolloutStep::CanaryGoesOn {
                ended: 12,
                devices: 50,
            },
            RolloutStep::CanaryOfAll { devices: 40 },
            RolloutStep::CanaryTooLate,
            RolloutStep::CanaryOver {
                went: "canary of 50 devices: 49 accepted, 1 offline".into(),
                verdict: CanaryVerdict::Passed,
            },
            RolloutStep::CanaryOver {
                went: "canary of 50 devices: 50 rejected".into(),
                verdict: CanaryVerdict::Failed,
            },
            RolloutStep::CanaryOver {
                went: "canary of 50 devices: 50 rejected".into(),
                verdict: CanaryVerdict::Overridden,
            },
            RolloutStep::Ramp {
                accepted: 0,
                ceiling: Some(1.0),
                is_top: false,
            },
            RolloutStep::Ramp {
                accepted: 2500,
                ceiling: Some(25.0),
                is_top: true,
            },
            RolloutStep::Ramp {
                accepted: 12_500,
                ceiling: None,
                is_top: true,
            },
        ];
        let words: Vec<_> = steps.iter().filter_map(step_words).collect();
        assert_eq!(words.len(), steps.len());
        insta::assert_snapshot!(words.join("\n"), @r"
        canary: 50 devices go first, the others if these succeed
        canary: 1 device goes first, the others if these succeed
        canary: 50 devices go first, 12 of them ended before
        no canary: the fleet has only 40 devices, and is sent as a whole
        no canary: the run began without one
        canary of 50 devices: 49 accepted, 1 offline; the other devices follow
        canary of 50 devices: 50 rejected; it did not pass, and nothing is left to send
        canary of 50 devices: 50 rejected; it did not pass, and the other devices follow because of --override-abort
        ramp: 0 commands accepted, at most 1.00 requests/s
        ramp: 2,500 commands accepted, at most 25.0 requests/s from now on
        ramp: 12,500 commands accepted, no limit from now on
        ");
    }

    #[test]
    fn a_phase_lasts_until_the_next() {
        let mut phase = RolloutPhase::Rest;
        let mut take = |step| {
            phase = phase_after(&step).unwrap_or(phase);
            phase_words(phase)
        };
        let (devices, went) = (50, String::new());
        let said = [
            take(RolloutStep::CanaryTooLate),
            take(RolloutStep::CanaryChosen { devices }),
            take(RolloutStep::Canary { ended: 40, devices }),
            take(RolloutStep::CanaryOver {
                went,
                verdict: CanaryVerdict::Passed,
            }),
            take(RolloutStep::Ramp {
                accepted: 500,
                ceiling: Some(2.0),
                is_top: false,
            }),
            take(RolloutStep::Ramp {
                accepted: 9000,
                ceiling: Some(25.0),
                is_top: true,
            }),
        ]
        .map(Option::unwrap_or_default);
        assert_eq!(
            said,
            [
                "",
                "canary: 0 of 50 devices ended",
                "canary: 40 of 50 devices ended",
                "",
                "ramp at 2.00 requests/s",
                ""
            ]
        );
    }
}
