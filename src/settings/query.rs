//! Which runs and tasks, for the commands that work on the results database.

use std::{path::PathBuf, time::Duration};

use super::{Database, Error, Push, Readable, source::Sources};
use crate::{
    cli::{
        CodesArgs, FilterArgs, MessagesArgs, PaceArgs, PushArgs, RecoveryArgs, ResumeArgs,
        RetryArgs, RolloutArgs, RunsArgs, ScheduleArgs, SessionsArgs, StatusArgs, TargetArgs,
        VerifyingArgs,
    },
    model::{Age, Class, Dimension, RowFormat, RunState, Tags, TaskState},
};

/// `fleetpush resume`
#[derive(Debug, Clone)]
pub(crate) struct Resume {
    /// The run's name; without one, the only unfinished run.
    pub run: Option<String>,
    /// How to push.
    pub push: Push,
    /// The results database.
    pub database: Database,
}

/// `fleetpush retry`
#[derive(Debug, Clone)]
pub(crate) struct Retry {
    /// The run's name; without one, the latest run.
    pub run: Option<String>,
    /// How they ended: failed, in doubt, or either.
    pub states: Vec<TaskState>,
    pub filter: FilterArgs,
    /// Whether somebody has chosen, rather than the default.
    pub chosen: bool,
    /// How long ago what is sent when its device comes online may have failed, if only that is sent.
    pub offline_for: Option<Age>,
    /// Whether only to say how many.
    pub dry_run: bool,
    /// Whether not to ask.
    pub yes: bool,
    /// How to push.
    pub push: Push,
    /// The results database.
    pub database: Database,
}

/// `fleetpush runs`
#[derive(Debug, Clone)]
pub(crate) struct Runs {
    /// Only runs in these states; empty: all.
    pub states: Vec<RunState>,
    /// Whether those that have been pruned.
    pub pruned: bool,
    /// Only runs with all of these tags.
    pub tags: Tags,
    /// The most runs to show.
    pub limit: Option<u64>,
    /// The form of the rows.
    pub format: RowFormat,
    /// The results database.
    pub database: Readable,
}

/// `fleetpush sessions`
#[derive(Debug, Clone)]
pub(crate) struct Sessions {
    /// Only those of this run.
    pub run: Option<String>,
    /// The most sessions to show.
    pub limit: Option<u64>,
    /// The form of the rows.
    pub format: RowFormat,
    /// The results database.
    pub database: Readable,
}

/// `fleetpush status`
#[derive(Debug, Clone)]
pub(crate) struct Status {
    /// The run's name; without one, the latest run.
    pub run: Option<String>,
    /// What the tasks are broken down by.
    pub by: Vec<Dimension>,
    /// Whether to show it again until the run ends.
    pub watch: bool,
    /// The form of the rows.
    pub format: RowFormat,
    /// The results database.
    pub database: Readable,
}

/// `fleetpush codes`
#[derive(Debug, Clone)]
pub(crate) struct Codes {
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
        let push = Push::resolve(push, quiet, sources)?;
        Ok(Self {
            database: Database::of_push(db, &push, "resume", owner, sources)?,
            run,
            push,
        })
    }
}

/// What is older is no news to a device any more.
const OFFLINE_FOR: Age = Age::days(7);

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
            filter,
            when_online,
            offline_for,
            dry_run,
            yes,
            push,
            owner,
        } = args;
        let chosen = !state.is_empty() || !filter.is_empty();
        let push = Push::resolve(push, quiet, sources)?;
        let database = Database::of_push(db, &push, "retry", owner, sources)?;
        Ok(Self {
            run,
            states: retried_states(state, &filter),
            filter: if chosen { filter } else { retried_classes() },
            chosen,
            offline_for: when_online.then(|| offline_for.unwrap_or(OFFLINE_FOR)),
            dry_run,
            yes,
            push,
            database,
        })
    }
}

/// What may have been acted on already is sent again only when somebody says so.
fn retried_states(asked: Vec<TaskState>, filter: &FilterArgs) -> Vec<TaskState> {
    if !filter.delivery.is_empty() {
        vec![TaskState::Accepted]
    } else if !asked.is_empty() {
        asked
    } else if filter.class.contains(&Class::InDoubt) {
        vec![TaskState::Failed, TaskState::InDoubt]
    } else {
        vec![TaskState::Failed]
    }
}

/// What `retry` sends again when nothing is chosen: what may succeed now.
fn retried_classes() -> FilterArgs {
    FilterArgs {
        class: vec![
            Class::Offline,
            Class::Frequency,
            Class::Quota,
            Class::Transient,
        ],
        ..FilterArgs::default()
    }
}

/// The flags of a push that asks only.
pub(super) fn asking(target: TargetArgs, pace: PaceArgs, max_outage: Option<Duration>) -> PushArgs {
    PushArgs {
        target,
        pace,
        rollout: RolloutArgs::default(),
        recovery: RecoveryArgs {
            max_outage,
            ..RecoveryArgs::default()
        },
        schedule: ScheduleArgs::default(),
        messages: MessagesArgs::default(),
        verifying: VerifyingArgs::default(),
        allow_stale: false,
        format: None,
        progress: None,
        metrics_file: None,
        report: None,
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
            pruned,
            tag,
            limit,
            format,
            simulate,
        } = args;
        let tags = if tag.is_empty() {
            // All runs, also under a profile.
            Tags::default()
        } else {
            sources.tags(&tag)?
        };
        Ok(Self {
            states: state,
            pruned,
            tags,
            limit,
            format: format.unwrap_or(RowFormat::Table),
            database: Readable::resolve(db, simulate.simulate, sources)?,
        })
    }
}

impl Sessions {
    pub(super) fn resolve(
        args: SessionsArgs,
        db: Option<PathBuf>,
        sources: &Sources<'_>,
    ) -> Result<Self, Error> {
        let SessionsArgs {
            run,
            limit,
            format,
            simulate,
        } = args;
        Ok(Self {
            run,
            limit,
            format: format.unwrap_or(RowFormat::Table),
            database: Readable::resolve(db, simulate.simulate, sources)?,
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
            by,
            watch,
            format,
            simulate,
        } = args;
        Ok(Self {
            run,
            by,
            watch,
            format: format.unwrap_or(RowFormat::Table),
            database: Readable::resolve(db, simulate.simulate, sources)?,
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
