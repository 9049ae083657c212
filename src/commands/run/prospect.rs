//! What `run` would do with a results database in its present state. Reads beside its owner and changes nothing.

use super::{
    decision::{Decision, Earlier, RunFlags, decide},
    must_own_name, stage, versions,
};
use crate::{
    clock,
    commands::reading::{presence_at, reader_of},
    exit::{Exit, Failure},
    model::{RunState, Timestamp},
    settings::{AskedPush, ManifestInput, OtherVersions},
    store::{NewRun, Presence, ReadError, Reader, Run},
    ui::{
        number::{counted, grouped},
        repeat::quoted,
    },
};

/// What `run` would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum Does {
    /// Stage a new run and push it.
    Stage,
    /// Continue an unfinished one.
    Continue,
    /// Send nothing.
    Nothing,
    /// Fail with this exit code.
    Refuse(Exit),
}

impl Does {
    /// Its name for programs.
    pub(in crate::commands) fn name(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Continue => "continue",
            Self::Nothing => "nothing",
            Self::Refuse(_) => "refuse",
        }
    }
}

/// What `run` would do, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commands) struct Prospect {
    pub(in crate::commands) does: Does,
    /// The run that there is, or the name of the new one.
    pub(in crate::commands) run: Option<String>,
    pub(in crate::commands) state: Option<RunState>,
    /// Its tasks that are pending.
    pub(in crate::commands) pending: Option<u64>,
    /// Whether there is a database.
    pub(in crate::commands) has_database: bool,
    /// The same in words: lower case, no full stop.
    pub(in crate::commands) words: String,
}

/// What `run` would do with the push that is asked for.
pub(in crate::commands) async fn prospect(
    asked: &AskedPush,
    about: &NewRun,
    input: &ManifestInput,
) -> Result<Prospect, Failure> {
    let place = &asked.database.place;
    let mut reader = match reader_of(place).await {
        Ok(reader) => reader,
        Err(ReadError::Missing(_)) => {
            return Ok(Prospect {
                has_database: false,
                ..staged(about.name.clone(), "")
            });
        }
        Err(error) => return Err(error.into()),
    };
    let decided = of_database(&mut reader, asked, about, input).await;
    reader.close().await?;
    let prospect = match decided {
        Ok(prospect) => prospect,
        Err(failure) if failure.exit() == Exit::Database => return Err(failure),
        Err(failure) => Prospect {
            does: Does::Refuse(failure.exit()),
            run: None,
            state: None,
            pending: None,
            has_database: true,
            words: format!("fail: {}", failure.message()),
        },
    };
    Ok(
        match (
            prospect.does,
            presence_at(&asked.database.clone().into()).await,
        ) {
            (Does::Stage | Does::Continue, Presence::Owned { owner }) => Prospect {
                does: Does::Refuse(Exit::Locked),
                words: format!(
                    "fail: another process ({owner}) owns the database; once it has ended, {}",
                    prospect.words
                ),
                ..prospect
            },
            _ => prospect,
        },
    )
}

async fn of_database(
    reader: &mut Reader,
    asked: &AskedPush,
    about: &NewRun,
    input: &ManifestInput,
) -> Result<Prospect, Failure> {
    let runs = reader.pushes().await?;
    let earlier = runs
        .iter()
        .rfind(|run| run.about.identity == about.identity)
        .cloned();
    if let Some(run) = &earlier {
        stage::expected(run.tasks, input, &about.manifest)?;
    }
    let of_this_name = runs.iter().find(|run| run.about.name == about.name);
    must_own_name(of_this_name, about, earlier.as_ref(), asked.other_versions)?;
    let mut name = about.name.clone();
    for number in 2.. {
        if !runs.iter().any(|run| run.about.name == name) {
            break;
        }
        name = format!("{}-{number}", about.name);
    }
    let others = versions::unfinished_among(runs, about);
    let flags = RunFlags {
        again: asked.again,
        override_abort: asked.override_abort,
        repeat_after: asked.repeat_after,
        other_versions: asked.other_versions,
    };
    let now = clock::wall_now();
    let pruned = match earlier {
        Some(_) => None,
        None => reader.pruned_push(&about.identity).await?,
    };
    if let Some(run) = pruned {
        let (state, finished_at) = (run.state, Some(run.finished_at));
        let earlier = Earlier {
            run,
            state,
            finished_at,
        };
        if let Decision::Nothing { run, anew_at } =
            decide(Some(earlier), !others.is_empty(), flags, now)
        {
            let words = ended(&run.name, run.state, finished_at, anew_at, " and pruned");
            return Ok(nothing(run.name, run.state, None, words));
        }
    }
    let pending = match &earlier {
        Some(run) => Some(reader.find_run(Some(&run.about.name)).await?.counts.pending),
        None => None,
    };
    let earlier = earlier.map(|run| Earlier {
        state: run.state,
        finished_at: run.finished_at,
        run,
    });
    Ok(match decide(earlier, !others.is_empty(), flags, now) {
        Decision::Undecided => {
            return Err(versions::in_the_way_of(reader, &others, about).await?);
        }
        Decision::Stage => {
            let names: Vec<_> = others
                .iter()
                .map(|run| format!("'{}'", run.about.name))
                .collect();
            let also = match asked.other_versions {
                OtherVersions::Supersede if !names.is_empty() => {
                    format!(", and cancel {}", names.join(", "))
                }
                _ => String::new(),
            };
            staged(name, &also)
        }
        Decision::Continue(run) => {
            let words = format!(
                "continue run '{}', which is {}: {} of {} are pending",
                run.about.name,
                run.state.name(),
                grouped(pending.unwrap_or_default()),
                counted(run.tasks, "task"),
            );
            Prospect {
                does: Does::Continue,
                ..nothing(run.about.name, run.state, pending, words)
            }
        }
        Decision::Nothing { run, anew_at } => {
            let words = why_nothing(&run, anew_at);
            nothing(run.about.name, run.state, pending, words)
        }
    })
}

/// Why a run that is there sends nothing.
fn why_nothing(run: &Run, anew_at: Option<Timestamp>) -> String {
    let name = &run.about.name;
    let word = quoted(name);
    match (&run.paused, run.state) {
        (Some(paused), _) => format!(
            "send nothing: run '{name}' is paused {}; fleetpush resume {word} continues it",
            paused.words()
        ),
        (None, RunState::Aborted) => format!(
            "send nothing: run '{name}' is aborted, because too many tasks failed; see why (fleetpush status {word}), then continue it \
                     with --override-abort"
        ),
        (None, state) => ended(name, state, run.finished_at, anew_at, ""),
    }
}

fn staged(name: String, also: &str) -> Prospect {
    Prospect {
        does: Does::Stage,
        words: format!("push it as a new run '{name}'{also}"),
        run: Some(name),
        state: None,
        pending: None,
        has_database: true,
    }
}

fn nothing(name: String, state: RunState, pending: Option<u64>, words: String) -> Prospect {
    Prospect {
        does: Does::Nothing,
        run: Some(name),
        state: Some(state),
        pending,
        has_database: true,
        words,
    }
}

/// Of a run that has ended: since when, and how it is pushed anew.
fn ended(
    name: &str,
    state: RunState,
    finished_at: Option<Timestamp>,
    anew_at: Option<Timestamp>,
    pruned: &str,
) -> String {
    let since = finished_at.map_or_else(String::new, |at| format!(" since {}", at.human()));
    let anew = anew_at.map_or_else(String::new, |at| {
        format!(", and --repeat-after from {} on", at.human())
    });
    format!(
        "send nothing: run '{name}' is {}{pruned}{since}; --again pushes it again{anew}",
        state.name()
    )
}
