//! Which runs and tasks, for the commands that work on the results database.

use std::{path::PathBuf, time::Duration};

use super::{Database, Error, Push, source::Sources};
use crate::{
    cli::{
        CancelArgs, CodesArgs, PaceArgs, PushArgs, RecoveryArgs, ResolveArgs, ResultsArgs,
        ResumeArgs, RetryArgs, RolloutArgs, RunsArgs, ScheduleArgs, StatusArgs,
    },
    model::{Class, RowFormat, RunState, TaskState, TaskStatus},
};

/// `fleetpush resume`
#[derive(Debug, Clone)]
pub struct Resume {
    /// The run's name; without one, the only unfinished run.
    pub run: Option<String>,
    /// How to push.
    pub push: Push,
    /// The results database.
    pub database: Database,
}

/// `fleetpush retry`
#[derive(Debug, Clone)]
pub struct Retry {
    /// The run's name; without one, the latest run.
    pub run: Option<String>,
    /// Which tasks.
    pub selection: Selection,
    /// Whether only to say how many.
    pub dry_run: bool,
    /// Whether not to ask.
    pub yes: bool,
    /// How to push.
    pub push: Push,
    /// The results database.
    pub database: Database,
}

/// Which tasks: those that every list agrees with. An empty list agrees with all, but for the states, which are never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// How they ended: failed, in doubt, or either.
    pub states: Vec<TaskState>,
    /// The classes of their outcomes.
    pub classes: Vec<Class>,
    /// The platform's codes.
    pub codes: Vec<i64>,
    /// Their device keys.
    pub devices: Vec<String>,
}

/// `fleetpush resolve`
#[derive(Debug, Clone)]
pub struct Resolution {
    /// The run's name; without one, the latest run.
    pub run: Option<String>,
    /// Whether only to show what is found.
    pub dry_run: bool,
    /// How far the platform's clock may be from ours.
    pub tolerance: Duration,
    /// The form of the rows.
    pub format: RowFormat,
    /// Where and how fast to ask: as a push to the same platform would go.
    pub push: Push,
    /// The results database.
    pub database: Database,
}

/// The platform wants a login's clock within ten minutes, but machines that push keep time to the second as a rule; what is left is for
/// the way of a command through the platform. A wider window finds no more of them and makes more of them ambiguous.
const TOLERANCE: Duration = Duration::from_mins(1);

/// `fleetpush cancel`
#[derive(Debug, Clone)]
pub struct Cancel {
    /// The run's name.
    pub run: String,
    /// The results database.
    pub database: Database,
}

/// `fleetpush runs`
#[derive(Debug, Clone)]
pub struct Runs {
    /// Only runs in these states; empty: all.
    pub states: Vec<RunState>,
    /// The most runs to show.
    pub limit: Option<u64>,
    /// The form of the rows.
    pub format: RowFormat,
    /// The results database.
    pub database: Database,
}

/// `fleetpush status`
#[derive(Debug, Clone)]
pub struct Status {
    /// The run's name; without one, the latest run.
    pub run: Option<String>,
    /// The form of the rows.
    pub format: RowFormat,
    /// The results database.
    pub database: Database,
}

/// `fleetpush results`; an empty list leaves nothing out.
#[derive(Debug, Clone)]
pub struct Results {
    /// The run's name; without one, the latest run.
    pub run: Option<String>,
    /// Only tasks in these states.
    pub states: Vec<TaskStatus>,
    /// Only tasks of these classes.
    pub classes: Vec<Class>,
    /// Only tasks with these codes of the platform.
    pub codes: Vec<i64>,
    /// Only tasks of these devices.
    pub devices: Vec<String>,
    /// The most rows to show.
    pub limit: Option<u64>,
    /// The form of the rows.
    pub format: RowFormat,
    /// The results database.
    pub database: Database,
}

/// `fleetpush codes`
#[derive(Debug, Clone)]
pub struct Codes {
    /// The code to explain; without one, all.
    pub code: Option<i64>,
    /// The form of the rows.
    pub format: RowFormat,
}

impl Resume {
    pub(super) fn resolve(
        args: ResumeArgs,
        db: Option<PathBuf>,
        quiet: bool,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let ResumeArgs { run, push, owner } = args;
        let simulated = push.target.simulate.simulate;
        Ok(Self {
            run,
            push: Push::resolve(push, quiet, sources)?,
            database: Database::resolve(db, simulated, sources)?.owned(owner, sources)?,
        })
    }
}

impl Retry {
    pub(super) fn resolve(
        args: RetryArgs,
        db: Option<PathBuf>,
        quiet: bool,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let RetryArgs {
            run,
            state,
            class,
            code,
            device,
            dry_run,
            yes,
            push,
            owner,
        } = args;
        let simulated = push.target.simulate.simulate;
        Ok(Self {
            run,
            selection: Selection::new(state, class, code, device),
            dry_run,
            yes,
            push: Push::resolve(push, quiet, sources)?,
            database: Database::resolve(db, simulated, sources)?.owned(owner, sources)?,
        })
    }
}

impl Selection {
    /// What the filters of `retry` select. What may have been acted on already is sent again only when a filter says so.
    fn new(
        states: Vec<TaskState>,
        classes: Vec<Class>,
        codes: Vec<i64>,
        devices: Vec<String>,
    ) -> Self {
        let unfiltered =
            states.is_empty() && classes.is_empty() && codes.is_empty() && devices.is_empty();
        Self {
            states: if !states.is_empty() {
                states
            } else if classes.contains(&Class::InDoubt) {
                vec![TaskState::Failed, TaskState::InDoubt]
            } else {
                vec![TaskState::Failed]
            },
            classes: if unfiltered {
                vec![
                    Class::Offline,
                    Class::Frequency,
                    Class::Quota,
                    Class::Transient,
                ]
            } else {
                classes
            },
            codes,
            devices,
        }
    }
}

impl Resolution {
    pub(super) fn resolve(
        args: ResolveArgs,
        db: Option<PathBuf>,
        quiet: bool,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let ResolveArgs {
            run,
            dry_run,
            tolerance,
            format,
            target,
            concurrency,
            rate,
            max_outage,
            owner,
        } = args;
        let simulated = target.simulate.simulate;
        let push = PushArgs {
            target,
            pace: PaceArgs {
                chunk_size: None,
                concurrency,
                rate,
                device_rate: None,
            },
            rollout: RolloutArgs::default(),
            recovery: RecoveryArgs {
                max_outage,
                ..RecoveryArgs::default()
            },
            schedule: ScheduleArgs::default(),
            allow_stale: false,
            format: None,
            progress: None,
            metrics_file: None,
        };
        Ok(Self {
            run,
            dry_run,
            tolerance: tolerance.unwrap_or(TOLERANCE),
            format: format.unwrap_or(RowFormat::Table),
            push: Push::resolve(push, quiet, sources)?,
            database: Database::resolve(db, simulated, sources)?.owned(owner, sources)?,
        })
    }
}

impl Cancel {
    pub(super) fn resolve(
        args: CancelArgs,
        db: Option<PathBuf>,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let CancelArgs {
            run,
            simulate,
            owner,
        } = args;
        Ok(Self {
            run,
            database: Database::resolve(db, simulate.simulate, sources)?.owned(owner, sources)?,
        })
    }
}

impl Runs {
    pub(super) fn resolve(
        args: RunsArgs,
        db: Option<PathBuf>,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let RunsArgs {
            state,
            limit,
            format,
            simulate,
        } = args;
        Ok(Self {
            states: state,
            limit,
            format: format.unwrap_or(RowFormat::Table),
            database: Database::resolve(db, simulate.simulate, sources)?,
        })
    }
}

impl Status {
    pub(super) fn resolve(
        args: StatusArgs,
        db: Option<PathBuf>,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let StatusArgs {
            run,
            format,
            simulate,
        } = args;
        Ok(Self {
            run,
            format: format.unwrap_or(RowFormat::Table),
            database: Database::resolve(db, simulate.simulate, sources)?,
        })
    }
}

impl Results {
    pub(super) fn resolve(
        args: ResultsArgs,
        db: Option<PathBuf>,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let ResultsArgs {
            run,
            state,
            class,
            code,
            device,
            limit,
            format,
            simulate,
        } = args;
        Ok(Self {
            run,
            states: state,
            classes: class,
            codes: code,
            devices: device,
            limit,
            format: format.unwrap_or(RowFormat::Table),
            database: Database::resolve(db, simulate.simulate, sources)?,
        })
    }
}

impl Codes {
    pub(super) fn resolve(args: CodesArgs) -> Self {
        let CodesArgs { code, format } = args;
        Self {
            code,
            format: format.unwrap_or(RowFormat::Table),
        }
    }
}
