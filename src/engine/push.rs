//! A push from its beginning to its end: it settles what a crash has left, runs the writer, and records how it ended.

use std::{sync::Arc, time::Duration};

use rand::rngs::SmallRng;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use super::{
    Event, Pushed, RolloutOptions, Stop, pace, recovery::recover, rollout::choose_canary,
    writer::write,
};
use crate::{
    clock::Clock,
    gateway::Gateway,
    journal::Journal,
    model::{AbortIf, CanaryVerdict, Control, ControlAction, Deadline, RunState, Timestamp},
    policy::{self, Rules},
    store::{KeptRate, StoreError},
    throttle::Ceilings,
};

/// How a run is pushed.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// `--chunk-size`: devices in one request.
    pub(crate) chunk_size: u32,
    /// `--concurrency`: requests in flight.
    pub(crate) concurrency: usize,
    /// `--rate` and `--device-rate`.
    pub(crate) ceilings: Ceilings,
    /// How it begins.
    pub(crate) rollout: RolloutOptions,
    /// What follows from outcomes.
    pub(crate) rules: Rules,
    /// `--max-outage`.
    pub(crate) max_outage: Duration,
    /// How long a request may take, from its beginning to the end of its reply.
    pub(crate) request_timeout: Duration,
    /// `--drain-timeout`.
    pub(crate) drain_timeout: Duration,
    /// `--abort-if`.
    pub(crate) abort_if: AbortIf,
    /// `--override-abort`: what had failed before this push does not count.
    pub(crate) override_abort: bool,
}

/// What a push needs of the world around it.
#[derive(Debug)]
pub(crate) struct Context<G> {
    /// The platform.
    pub(crate) gateway: Arc<G>,
    /// The time.
    pub(crate) clock: Clock,
    /// The random source of pauses.
    pub(crate) random: SmallRng,
    /// Where events go.
    pub(crate) events: mpsc::Sender<Event>,
    /// Becomes true when the push is to stop.
    pub(crate) stop: watch::Receiver<bool>,
    /// Becomes true when what is under way is not to be waited for any longer.
    pub(crate) leave: watch::Receiver<bool>,
    /// What somebody asks of the run from outside.
    pub(crate) control: watch::Receiver<Option<Control>>,
    /// The time from which on nothing is sent, if there is one; the push stops then.
    pub(crate) deadline: Option<Deadline>,
}

/// Pushes a run until it is complete or something stops it, and notes in the journal how it ended.
///
/// An error means that the journal failed: sending stops at once, and what is on the disk stays right, as after a crash.
pub(crate) async fn push<G: Gateway>(
    journal: &mut Journal<'_>,
    options: &Options,
    mut context: Context<G>,
) -> Result<Pushed, StoreError> {
    let clock = context.clock;
    let in_doubt = options.rules.in_doubt;
    let control = context.control.clone();
    let now = clock.now();
    journal.begin(now).await?;
    // Times on the disk are those of an earlier process's wall clock, which may have been ahead of this one.
    let brought_forward = journal
        .clamp_due(now.after(policy::longest_pause(&options.rules)))
        .await?;
    if brought_forward > 0 {
        warn!(
            tasks = brought_forward,
            "due later than the rules put off anything: a clock was ahead, and they are brought forward"
        );
    }
    journal.take_back(options.request_timeout, now).await?;
    let under_way_for = journal.others_are_under_way_for(options.request_timeout);
    let found = recover(journal, in_doubt, under_way_for, clock.now()).await?;
    if found > 0 {
        info!(
            tasks = found,
            "claimed when the last push ended, and in doubt"
        );
    }
    let chosen = choose_canary(journal, &options.rollout, &mut context.random, clock.now()).await?;
    if let Some(step) = chosen {
        // Nobody has to listen.
        let _ = context.events.try_send(Event::Rollout(step));
    }
    let left_alone = journal.defer_throttled(clock.now()).await?;
    if left_alone > 0 {
        info!(
            tasks = left_alone,
            "their devices were throttled recently, and wait until their pauses end"
        );
    }
    let known = journal.found_rate().await?;
    if let Some(known) = known {
        let KeptRate { rate, span, .. } = known;
        if pace::is_worth_it(&known, clock.now()) {
            info!(rate, "begins at the rate that an earlier push found");
        } else {
            info!(
                rate,
                ?span,
                "does not begin at the rate that an earlier push found: it was measured for less than 10 s, or long ago"
            );
        }
    }
    journal.wait_for_others(options.max_outage).await?;
    let Pushed {
        stop,
        requests,
        phase,
        found,
    } = write(journal, options, known, context).await?;
    journal.wait_as_usual().await?;
    if let Some(rate) = found {
        info!(rate, "rate that the platform takes");
    }
    journal
        .take_back(options.request_timeout, clock.now())
        .await?;
    // What is still under way when the drain times out is in doubt, as after a crash.
    recover(journal, in_doubt, Duration::ZERO, clock.now()).await?;
    // Also what was asked while it stopped for another reason.
    let control = control.borrow().clone();
    let ended = end(journal, stop.clone(), control, clock.now()).await?;
    // Only now: a crash before this stops for the look once more.
    if matches!(stop, Stop::Canary { .. }) && !matches!(ended, Stop::Cancelled { .. }) {
        journal
            .end_canary(CanaryVerdict::Passed, clock.now())
            .await?;
    }
    let stop = ended;
    Ok(Pushed {
        stop,
        requests,
        phase,
        found,
    })
}

/// Notes how the push ended; gives why, as it is to be told.
async fn end(
    journal: &mut Journal<'_>,
    stop: Stop,
    control: Option<Control>,
    now: Timestamp,
) -> Result<Stop, StoreError> {
    // The last task may have ended while a stop was under way.
    if journal.counts().pending == 0 {
        journal.end(RunState::Complete, now).await?;
        return Ok(Stop::Complete);
    }
    // What is asked of the run is done when nobody has a part of it any more.
    let is_part = journal.run().part.is_some();
    match (control, &stop) {
        (Some(_), stop)
            if is_part && !matches!(stop, Stop::Aborted { .. } | Stop::Refused { .. }) =>
        {
            return Ok(Stop::Elsewhere);
        }
        (Some(control), _) if control.action == ControlAction::Cancel => {
            journal.end_cancelled(&control, now).await?;
            let reason = control.words();
            return Ok(Stop::Cancelled { reason });
        }
        // Whoever aborted it has more to say.
        (None, _) | (_, Stop::Aborted { .. }) => {}
        (Some(control), _) => {
            journal.pause(&control).await?;
            let reason = control.words();
            return Ok(match stop {
                Stop::Refused { .. } => stop,
                _ => Stop::Paused { reason },
            });
        }
    }
    // The same push goes on with the proof, or with a part.
    if matches!(stop, Stop::Unproved { .. } | Stop::Divide | Stop::Elsewhere) {
        return Ok(stop);
    }
    let state = match &stop {
        Stop::Complete => RunState::Complete,
        Stop::Aborted { .. } => RunState::Aborted,
        _ => RunState::Stopped,
    };
    journal.end(state, now).await?;
    Ok(stop)
}
