//! What `run` does, according to what the database has of the push. No I/O.

use crate::{
    model::{RepeatAfter, RunState, Timestamp},
    settings::OtherVersions,
};

/// The latest run of the same push.
#[derive(Debug, Clone, Copy)]
pub(super) struct Earlier<R> {
    pub(super) run: R,
    pub(super) state: RunState,
    /// When it became complete or was cancelled.
    pub(super) finished_at: Option<Timestamp>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunFlags {
    /// `--again`
    pub(super) again: bool,
    /// `--override-abort`
    pub(super) override_abort: bool,
    /// `--repeat-after`
    pub(super) repeat_after: RepeatAfter,
    /// `--supersede` or `--alongside`
    pub(super) other_versions: OtherVersions,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision<R> {
    /// Stage it as a new run.
    Stage,
    /// Continue the earlier run.
    Continue(R),
    /// Send nothing. An aborted run waits for somebody to look at it, a paused one for `resume`; one that has ended is pushed anew at that time, if ever.
    Nothing { run: R, anew_at: Option<Timestamp> },
    /// Stage and send nothing: runs of other versions of the manifest are unfinished, and nobody has said what becomes of them.
    Undecided,
}

/// Decides; `others` is whether runs of other versions of the manifest are unfinished.
///
/// They stand in the way of a new run only. One that exists has been allowed beside them, or was staged by a `--supersede` that a crash
/// kept from cancelling them.
pub(super) fn decide<R>(
    earlier: Option<Earlier<R>>,
    others: bool,
    flags: RunFlags,
    now: Timestamp,
) -> Decision<R> {
    let stage = if others && flags.other_versions == OtherVersions::Refuse {
        Decision::Undecided
    } else {
        Decision::Stage
    };
    let Some(Earlier {
        run,
        state,
        finished_at,
    }) = earlier
    else {
        return stage;
    };
    match state {
        RunState::Running | RunState::Stopped => Decision::Continue(run),
        RunState::Aborted if flags.override_abort => Decision::Continue(run),
        RunState::Paused | RunState::Aborted => Decision::Nothing { run, anew_at: None },
        RunState::Complete | RunState::Cancelled if flags.again => stage,
        // Whoever cancels tonight's push has not cancelled tomorrow's.
        RunState::Complete | RunState::Cancelled => {
            match finished_at.and_then(|finished| flags.repeat_after.from(finished)) {
                Some(at) if at <= now => stage,
                // It cannot end later than now. A clock that was ahead by more than the pause could keep it from being sent for long.
                Some(at) if is_beyond(finished_at, at, now) => stage,
                anew_at => Decision::Nothing { run, anew_at },
            }
        }
    }
}

/// Whether an end lies further ahead of `now` than the pause after it takes, which ends at `anew_at`.
fn is_beyond(finished_at: Option<Timestamp>, anew_at: Timestamp, now: Timestamp) -> bool {
    finished_at.is_some_and(|finished| now.until(finished) > finished.until(anew_at))
}

#[cfg(test)]
mod tests {
    use OtherVersions::{Alongside, Refuse, Supersede};
    use RunState::{Aborted, Cancelled, Complete, Paused, Running, Stopped};

    use super::*;

    const FINISHED: Timestamp = Timestamp(1_000_000);
    /// An hour, in milliseconds.
    const HOUR: i64 = 3_600_000;

    const CONTINUE: Decision<()> = Decision::Continue(());
    const NOTHING: Decision<()> = Decision::Nothing {
        run: (),
        anew_at: None,
    };

    const PLAIN: RunFlags = RunFlags {
        again: false,
        override_abort: false,
        repeat_after: RepeatAfter::NEVER,
        other_versions: Refuse,
    };

    fn after(state: RunState, others: bool, flags: RunFlags, hours: i64) -> Decision<()> {
        let finished_at = (!state.is_unfinished()).then_some(FINISHED);
        let now = Timestamp(FINISHED.0 + hours * HOUR);
        let earlier = Earlier {
            run: (),
            state,
            finished_at,
        };
        decide(Some(earlier), others, flags, now)
    }

    #[test]
    fn a_rerun_is_right_in_every_state() {
        let again = RunFlags {
            again: true,
            ..PLAIN
        };
        let insist = RunFlags {
            override_abort: true,
            ..PLAIN
        };
        for (state, plainly, asked_again, insisting) in [
            (Running, CONTINUE, CONTINUE, CONTINUE),
            (Stopped, CONTINUE, CONTINUE, CONTINUE),
            (Aborted, NOTHING, NOTHING, CONTINUE),
            (Paused, NOTHING, NOTHING, NOTHING),
            (Cancelled, NOTHING, Decision::Stage, NOTHING),
            (Complete, NOTHING, Decision::Stage, NOTHING),
        ] {
            for (flags, expected) in [(PLAIN, plainly), (again, asked_again), (insist, insisting)] {
                assert_eq!(
                    after(state, false, flags, 1),
                    expected,
                    "{state:?} {flags:?}"
                );
            }
        }
        assert_eq!(decide::<()>(None, false, PLAIN, FINISHED), Decision::Stage);
    }

    #[test]
    fn what_has_ended_is_repeated_after_its_time_and_not_before() {
        let nightly = RunFlags {
            repeat_after: "20h".parse().unwrap(),
            ..PLAIN
        };
        let later = Decision::Nothing {
            run: (),
            anew_at: Some(Timestamp(FINISHED.0 + 20 * HOUR)),
        };
        for state in [Complete, Cancelled] {
            assert_eq!(after(state, false, nightly, 0), later, "{state:?}");
            assert_eq!(after(state, false, nightly, 19), later, "{state:?}");
            assert_eq!(
                after(state, false, nightly, 20),
                Decision::Stage,
                "{state:?}"
            );
            // By a clock that has been set back it has only just ended.
            assert_eq!(after(state, false, nightly, -5), later, "{state:?}");
        }
        // An end that lies further ahead is the clock's mistake, and holds nothing up.
        for hours in [-21, -30 * 24] {
            assert_eq!(after(Complete, false, nightly, hours), Decision::Stage);
        }
        assert_eq!(after(Complete, false, PLAIN, -30 * 24), NOTHING);
        for state in [Running, Stopped] {
            assert_eq!(after(state, false, nightly, 99), CONTINUE);
        }
        assert_eq!(
            after(Aborted, false, nightly, 99),
            NOTHING,
            "somebody has to look at it"
        );
    }

    #[test]
    fn other_versions_stand_in_the_way_of_a_new_run_alone() {
        let nightly = |other_versions| RunFlags {
            other_versions,
            repeat_after: "20h".parse().unwrap(),
            ..PLAIN
        };
        let first = |flags| decide::<()>(None, true, flags, FINISHED);
        assert_eq!(first(nightly(Refuse)), Decision::Undecided);
        assert_eq!(first(nightly(Supersede)), Decision::Stage);
        assert_eq!(first(nightly(Alongside)), Decision::Stage);
        assert_eq!(
            after(Complete, true, nightly(Refuse), 20),
            Decision::Undecided
        );
        assert_eq!(
            after(Complete, true, nightly(Supersede), 20),
            Decision::Stage
        );
        for other_versions in [Refuse, Supersede, Alongside] {
            let flags = nightly(other_versions);
            assert_eq!(after(Stopped, true, flags, 20), CONTINUE);
            assert!(matches!(
                after(Complete, true, flags, 1),
                Decision::Nothing { .. }
            ));
        }
    }
}
