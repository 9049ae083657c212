//! A run from the beginning of its push to the end, through every loss of a server meanwhile, with those who listen to it.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::watch;

use super::{With, broken_off, regain::Lost};
use crate::{
    clock::Clock,
    commands::{
        canary::{Broken, Pushing},
        listeners::listen,
        session,
    },
    engine::{Options, Pushed},
    exit::Failure,
    gateway::Platform,
    journal::Journal,
    model::{Control, Counts, Deadline, RunState, Tally},
    store::{Run, Store, StoreError},
};

/// What a run is pushed with.
pub(super) struct Through<'a> {
    pub(super) with: With<'a>,
    pub(super) options: Options,
    pub(super) platform: Arc<Platform>,
    pub(super) clock: Clock,
    pub(super) control: watch::Receiver<Option<Control>>,
    pub(super) deadline: Option<Deadline>,
}

/// How a push went.
pub(super) struct Went {
    pub(super) store: Store,
    pub(super) run: Run,
    /// How many tasks were in which state before it.
    pub(super) before: Counts,
    pub(super) pushed: Result<Pushed, Broken>,
    /// The same after it.
    pub(super) after: Counts,
    pub(super) ended: Vec<(Tally, u64)>,
}

impl Through<'_> {
    /// Pushes the run, and waits until everybody has heard how that went.
    pub(super) async fn push(self, mut store: Store, mut run: Run) -> Result<Went, Failure> {
        let Self {
            with,
            options,
            platform,
            clock,
            control,
            deadline,
        } = self;
        let after_failure = with.push.recovery.after_failure;
        let journal = match Journal::open(&mut store, run.clone(), after_failure).await {
            Ok(journal) => journal,
            Err(error) => return Err(broken_off(store, error).await),
        };
        let before = journal.counts();
        let mode = with.push.progress;
        let mut shown = run.about.clone();
        if let Some(part) = run.part {
            shown.name = format!("{} part {part}", shown.name);
        }
        let is_one_of_many = run.part.is_some() || options.rollout.then_divide;
        let listening = listen(&shown, before, mode, is_one_of_many, clock, with.printer)
            .context("cannot show the progress")
            .map_err(Failure::usage);
        let (events, listeners) = match listening {
            Ok(listening) => listening,
            Err(failure) => {
                session::end_failed(&mut store, &failure).await;
                return Err(failure);
            }
        };
        let pushing = Pushing {
            with,
            platform,
            clock,
            events,
            control,
            deadline,
            options,
        };
        let mut leg = Box::pin(Leg::go(&pushing, journal)).await;
        let went = loop {
            let Leg {
                pushed,
                after,
                ended,
            } = leg;
            let error = match pushed {
                Err(Broken::Store(error)) if error.is_loss() && store.is_on_server() => error,
                pushed => {
                    break Ok(Went {
                        store,
                        run,
                        before,
                        pushed,
                        after,
                        ended,
                    });
                }
            };
            let row = store.session_row();
            // Its lease is given back, if the server still hears that.
            drop(store);
            let lost = Lost::of(&pushing, after);
            (store, run) = match Box::pin(lost.regain(&run, row, error)).await {
                Ok(regained) => regained,
                Err(failure) => break Err(failure),
            };
            let ended_elsewhere = Leg {
                pushed: Err(Broken::Elsewhere),
                after,
                ended,
            };
            leg = match Journal::open(&mut store, run.clone(), after_failure).await {
                _ if !goes_on(&run) => ended_elsewhere,
                Ok(journal) => Box::pin(Leg::go(&pushing, journal)).await,
                Err(error) => Leg {
                    pushed: Err(error.into()),
                    ..ended_elsewhere
                },
            };
        };
        drop(pushing);
        // They tell what led to an error, too.
        listeners.ended().await;
        went
    }
}

/// Whether nobody has ended or paused the run meanwhile.
fn goes_on(run: &Run) -> bool {
    matches!(run.state, RunState::Running | RunState::Stopped)
}

/// A part of a push in which the database was there.
struct Leg {
    pushed: Result<Pushed, Broken>,
    after: Counts,
    ended: Vec<(Tally, u64)>,
}

impl Leg {
    async fn go(pushing: &Pushing<'_>, mut journal: Journal<'_>) -> Self {
        let permission = journal.permission();
        let pushed = tokio::select! {
            biased;
            pushed = pushing.push(&mut journal) => pushed,
            // A connection that was cut without a word never answers.
            () = permission.ended() => Err(StoreError::Fenced.into()),
        };
        Self {
            pushed,
            after: journal.counts(),
            ended: journal.tally(),
        }
    }
}
