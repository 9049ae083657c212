//! What a control request (pause, cancel) from another process means for a run, and how it changes the end of a push.

use crate::{
    model::{Control, ControlAction, RunState},
    store::{ControlRequest, Run},
};

/// What to do about a control request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ControlDecision {
    /// Do what it asks.
    Obey,
    /// Nothing: that has been done, or can no longer be done.
    Void,
    /// Nothing: it was meant for a run of another database, which stood here before.
    Foreign,
}

/// What to do about a control request, by what is known of its run.
pub(crate) fn decide(request: &ControlRequest, run: Option<&Run>) -> ControlDecision {
    let Some(run) = run.filter(|run| run.created_at == request.run.created_at) else {
        return ControlDecision::Foreign;
    };
    if run.last_control.as_ref() == Some(&request.control.id) {
        return ControlDecision::Void;
    }
    if is_possible(request.control.action, run.state) {
        ControlDecision::Obey
    } else {
        ControlDecision::Void
    }
}

/// Whether there is anything left to pause or to cancel. A run that was aborted sends nothing, and says why.
pub(crate) fn is_possible(action: ControlAction, state: RunState) -> bool {
    match action {
        ControlAction::Pause => matches!(state, RunState::Running | RunState::Stopped),
        ControlAction::Cancel => state.is_unfinished(),
    }
}

/// Which of two requests counts: the end of a run, whichever came first.
pub(crate) fn stronger(one: &Control, other: &Control) -> bool {
    one.action > other.action
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{RunId, Sizes, TaskId, Timestamp},
        store::{ControlledRun, NewRun},
    };

    fn control(action: ControlAction) -> Control {
        Control {
            action,
            by: "anna".into(),
            at: Timestamp(7),
            id: "1f".into(),
            asker: None,
        }
    }

    fn request(action: ControlAction) -> ControlRequest {
        ControlRequest {
            begun: false,
            run: ControlledRun {
                id: RunId(1),
                created_at: Timestamp(3),
            },
            control: control(action),
        }
    }

    fn run(state: RunState) -> Run {
        Run {
            id: RunId(1),
            about: NewRun {
                name: "night".into(),
                manifest: "night.csv".into(),
                manifest_path: None,
                manifest_sha256: String::new(),
                defaults: "{}".into(),
                base_url: "simulator".into(),
                identity: String::new(),
            },
            state,
            created_at: Timestamp(3),
            finished_at: None,
            paused: None,
            last_control: None,
            tasks: 0,
            first_task: TaskId(1),
            end_task: TaskId(1),
            ordered: false,
            sizes: Sizes {
                passed: 0,
                limit: None,
                hints: 0,
            },
            account: None,
            part: None,
        }
    }

    #[test]
    fn what_can_be_done_is_obeyed_and_nothing_else() {
        use ControlAction::{Cancel, Pause};
        for (state, pause, cancel) in [
            (RunState::Running, true, true),
            (RunState::Stopped, true, true),
            (RunState::Paused, false, true),
            (RunState::Aborted, false, true),
            (RunState::Cancelled, false, false),
            (RunState::Complete, false, false),
        ] {
            for (action, possible) in [(Pause, pause), (Cancel, cancel)] {
                let expected = if possible {
                    ControlDecision::Obey
                } else {
                    ControlDecision::Void
                };
                assert_eq!(
                    decide(&request(action), Some(&run(state))),
                    expected,
                    "{action:?} {state:?}"
                );
            }
        }
    }

    #[test]
    fn what_was_obeyed_or_meant_for_another_database_is_not_obeyed() {
        let pause = request(ControlAction::Pause);
        let obeyed = Run {
            last_control: Some("1f".into()),
            ..run(RunState::Stopped)
        };
        assert_eq!(decide(&pause, Some(&obeyed)), ControlDecision::Void);
        let other = Run {
            created_at: Timestamp(4),
            ..run(RunState::Stopped)
        };
        assert_eq!(decide(&pause, Some(&other)), ControlDecision::Foreign);
        assert_eq!(decide(&pause, None), ControlDecision::Foreign);
    }

    #[test]
    fn the_end_of_a_run_wins() {
        let [pause, cancel] = ControlAction::ALL.map(control);
        assert!(stronger(&cancel, &pause));
        assert!(!stronger(&pause, &cancel));
        // Of two that ask for the same, the first one counts.
        assert!(!stronger(&pause, &pause));
        assert!(!stronger(&cancel, &cancel));
    }
}
