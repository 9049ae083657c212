//! A server that has gone while a push was under way: nothing is sent until it is back, and then the push goes on with what the database says.
//! What was in flight is in doubt, as after a crash.

use std::time::Duration;

use anyhow::anyhow;
use tokio::time::{Instant, timeout};

use crate::{
    commands::{canary::Pushing, open, session, verified::With},
    engine::{Event, Pause},
    exit::Failure,
    model::{Counts, RunState},
    store::{Run, Store, StoreError},
    ui::number::duration,
};

/// How long to wait before the server is asked again: doubled each time, up to the second one.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long one question may take: a network that is cut does not say so.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often those who listen to the push hear of it meanwhile.
const BEAT: Duration = Duration::from_secs(1);

/// A database that has to be this process's again before a push goes on.
pub(super) struct Lost<'a> {
    /// The push.
    of: &'a Pushing<'a>,
    /// Where its run stood.
    counts: Counts,
}

impl<'a> Lost<'a> {
    pub(super) fn of(push: &'a Pushing<'a>, counts: Counts) -> Self {
        Self { of: push, counts }
    }

    /// Waits until the database can be had again, and gives the run as it stands there. `error` is what the loss was noticed by, and `session` is
    /// the row of the session that goes on.
    pub(super) async fn regain(
        self,
        run: &Run,
        session: Option<i64>,
        error: StoreError,
    ) -> Result<(Store, Run), Failure> {
        let began = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut last = error;
        loop {
            self.tell(&last, began, pause);
            self.wait(pause, began).await?;
            pause = (pause * 2).min(LONGEST_PAUSE);
            match timeout(PATIENCE, self.take(run, session)).await {
                Ok(Ok(taken)) => {
                    let _ = self.of.events.try_send(Event::Resumed {
                        what: "the results database answers again",
                        after: began.elapsed(),
                    });
                    return Ok(taken);
                }
                // What this process could not give back ends by itself; whoever else has it pushes the run.
                Ok(Err(StoreError::RunHeld { holder, .. }))
                    if holder.to_string() != session::holder() =>
                {
                    return Err(StoreError::Fenced.into());
                }
                Ok(Err(error)) if error.is_loss() || passes(&error) => last = error,
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => {}
            }
            if began.elapsed() >= self.of.options.max_outage {
                return Err(self.given_up(last));
            }
        }
    }

    /// Makes the run this process's own again.
    async fn take(&self, before: &Run, session: Option<i64>) -> Result<(Store, Run), StoreError> {
        let With {
            database, printer, ..
        } = self.of.with;
        let mut store = open(database, printer).await?;
        if let Some(row) = session {
            store.continue_session(row).await?;
        }
        let run = store.run_by_id(before.id).await?.ok_or_else(|| {
            StoreError::Damaged("the run is not there any more that was pushed before".into())
        })?;
        if let Some(part) = before.part {
            let held = store.hold_part(&run, part).await?;
            if let Some(run) = &held {
                store.register(run).await?;
            }
            store.keep_to_runs().await?;
            // Whoever had it meanwhile has ended it, or the run.
            return Ok((
                store,
                held.unwrap_or(Run {
                    state: RunState::Complete,
                    ..run
                }),
            ));
        }
        store.hold_run(&run).await?;
        // As whoever has had it meanwhile has left it.
        let run = store.run_by_id(run.id).await?.unwrap_or(run);
        store.register(&run).await?;
        store.keep_to_runs().await?;
        Ok((store, run))
    }

    /// Waits so long, unless something stops the push. Whoever watches it sees that it lives.
    async fn wait(&self, pause: Duration, began: Instant) -> Result<(), Failure> {
        let left = self.of.options.max_outage.saturating_sub(began.elapsed());
        let end = Instant::now() + pause.min(left);
        while let Some(rest) = end
            .checked_duration_since(Instant::now())
            .filter(|rest| !rest.is_zero())
        {
            if let Some(deadline) = &self.of.deadline
                && self.of.clock.now() >= deadline.at
            {
                return Err(self.stopped(&format!("by {}", deadline.what)));
            }
            if self.of.with.interrupt.stopped_within(rest.min(BEAT)).await {
                return Err(self.stopped("by a signal"));
            }
            let _ = self.of.events.try_send(Event::Progress {
                counts: self.counts,
                requests: 0,
                latest_due: None,
                found: None,
            });
        }
        Ok(())
    }

    fn tell(&self, error: &StoreError, began: Instant, pause: Duration) {
        let now = self.of.clock.now();
        let left = self.of.options.max_outage.saturating_sub(began.elapsed());
        let _ = self.of.events.try_send(Event::Paused(Pause {
            reason: format!("the results database does not answer ({})", cause(error)),
            probe_at: now.after(pause.min(left)),
            give_up_at: now.after(left),
        }));
    }

    fn stopped(&self, why: &str) -> Failure {
        Failure::stopped(anyhow!(
            "stopped {why} while the results database {} does not answer: what was in flight when it was lost is in doubt; start the same command \
             again when it is back",
            self.of.with.database.place
        ))
    }

    fn given_up(&self, last: StoreError) -> Failure {
        Failure::database(anyhow::Error::new(last).context(format!(
            "the results database {} was lost during the push and has not come back within {} (--max-outage): nothing was sent meanwhile, and \
             what was in flight is in doubt; start the same command again when it is back",
            self.of.with.database.place,
            duration(self.of.options.max_outage)
        )))
    }
}

/// What an error comes to, in few words.
fn cause(error: &StoreError) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// Whether it may be over soon that a database cannot be had.
fn passes(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Leased { .. } | StoreError::RunHeld { .. } | StoreError::Server(_)
    )
}
