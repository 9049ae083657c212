//! Waiting for a database that another process has locked. Nothing is sent meanwhile, no reply is lost, and a signal takes effect at once.

use std::{pin::pin, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use tracing::warn;

use super::{senders::Senders, stop::StopState, wakeups::Wakeups};
use crate::{
    engine::{Options, sender::Gate},
    store::StoreError,
};

/// A commit that takes longer than this waits for somebody.
const NOTICE: Duration = Duration::from_secs(1);

/// How long to wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waits {
    /// How long what is under way is waited for from the moment that a stop is asked for.
    drain_timeout: Duration,
    /// When a connection counts as lost; `None` for a file, which is locked for as long as somebody writes.
    patience: Option<Duration>,
}

impl Waits {
    pub(super) fn new(options: &Options, patience: Option<Duration>) -> Self {
        Self {
            drain_timeout: options.drain_timeout,
            patience,
        }
    }

    /// A wait that begins now; what is under way is waited for until the drain timeout has passed, when a stop has begun or from when it
    /// begins.
    pub(super) fn begin<'w>(
        self,
        senders: &'w Senders,
        wakeups: &Wakeups,
        stop: &StopState,
    ) -> LockWait<'w> {
        LockWait {
            gate: senders.gate(),
            stop: wakeups.signal(),
            deadline: stop
                .has_begun()
                .then(|| Instant::now() + self.drain_timeout),
            times: self,
        }
    }
}

/// What a wait looks at.
pub(super) struct LockWait<'w> {
    gate: &'w watch::Sender<Gate>,
    stop: watch::Receiver<bool>,
    /// When what is under way is no longer waited for, once a stop has begun.
    deadline: Option<Instant>,
    times: Waits,
}

impl LockWait<'_> {
    /// Waits for work on the database. Replies that come meanwhile stay in the writer's channel, which has a place for each.
    pub(super) async fn until<T>(
        mut self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let mut work = pin!(work);
        let mut lost = pin!(after(self.times.patience));
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = sleep(NOTICE) => {}
        }
        warn!(
            "the results database does not answer: another process may hold a write transaction; nothing is sent until it ends"
        );
        let before = self.gate.send_replace(Gate::Closed);
        let mut give_up = self.deadline;
        loop {
            let late = async {
                match give_up {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                done = &mut work => {
                    self.gate.send_replace(before);
                    if done.is_ok() {
                        warn!("the results database answers again");
                    }
                    return done;
                }
                Ok(_) = self.stop.wait_for(|stop| *stop), if give_up.is_none() => {
                    give_up = Some(Instant::now() + self.times.drain_timeout);
                }
                // The lease is prolonged over another connection, so that this one alone may be dead.
                () = &mut lost => return Err(StoreError::Silent),
                () = late => return Err(StoreError::Busy),
            }
        }
    }
}

/// Waits so long, or for ever.
async fn after(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => std::future::pending().await,
    }
}
