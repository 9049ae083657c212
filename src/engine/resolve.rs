//! Resolves tasks in doubt by the platform's own history, a batch at a time: reads them, asks, weighs what is told, and records what it
//! proves before anybody hears of it.
//!
//! Only tasks that have ended in doubt are asked about. Those that wait to be sent again are the push's affair: a ticket found for one of
//! them would have to stop a send that may be under way.
//!
//! A question changes nothing at the platform, so a lost one is asked again. Questions go out at the pace of a push.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use serde_json::Value;
use tokio::sync::watch;

use super::{QuestionOptions, Questions, Stop};
use crate::{
    clock::Clock,
    gateway::{HistoryClient, HistoryPage, HistoryQuery, HistoryReply},
    model::{InDoubtTask, TaskId, TimeRange, Trace},
    policy::{self, Evidence, Match, Verdict},
    store::{Adoption, Run, Store, StoreError},
};

/// Tasks that are asked about before anything is recorded.
const BATCH: u32 = 128;
/// Pages of one device's history that are read for one stretch of time.
const MOST_PAGES: u32 = 20;

/// How to ask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResolveOptions {
    /// Questions at a time, at least 1.
    pub(crate) concurrency: usize,
    /// The most questions a second, if there is a limit.
    pub(crate) rate: Option<f64>,
    /// How far the platform's clock may be from ours, with the time that a command waits within the platform.
    pub(crate) tolerance: Duration,
    /// The longest that a question is repeated because the platform does not answer.
    pub(crate) max_outage: Duration,
    /// Whether to record nothing.
    pub(crate) dry_run: bool,
}

/// Resolves the tasks in doubt of one run.
#[derive(Debug)]
pub(crate) struct Resolver<'s, H> {
    store: &'s mut Store,
    run: Run,
    asker: Asker<H>,
    options: ResolveOptions,
    clock: Clock,
    /// The last task that was asked about.
    after: TaskId,
    stopped: Option<Stop>,
}

/// One task in doubt, and what was found.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) doubt: InDoubtTask,
    /// What was found, or why the platform tells nothing of this device.
    pub(crate) found: Result<Evidence, String>,
}

/// What a batch came to. All that was adopted is on the disk.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The tasks, in the order of their ids.
    pub(crate) resolved: Vec<Resolved>,
    /// How many of them are accepted now.
    pub(crate) adopted: u64,
    /// Later tasks of their devices that were blocked by them, and stay so.
    pub(crate) blocked: u64,
}

impl<'s, H: HistoryClient> Resolver<'s, H> {
    /// Begins with the run's first task in doubt.
    pub(crate) fn new(
        store: &'s mut Store,
        run: Run,
        history_client: Arc<H>,
        options: ResolveOptions,
        clock: Clock,
        stop: watch::Receiver<bool>,
    ) -> Self {
        Self {
            store,
            run,
            asker: Asker::new(history_client, options, stop),
            options,
            clock,
            after: TaskId(0),
            stopped: None,
        }
    }

    /// Asks about the next tasks in doubt and records what that proves; `None` when there are no more, or when something has stopped it.
    pub(crate) async fn next_batch(&mut self) -> Result<Option<Batch>, StoreError> {
        if self.stopped.is_some() {
            return Ok(None);
        }
        let doubts = self.store.doubts(&self.run, self.after, BATCH).await?;
        if doubts.is_empty() {
            self.stopped = Some(Stop::Complete);
            return Ok(None);
        }
        let mut batch = Batch::default();
        let (asker, tolerance) = (&self.asker, self.options.tolerance);
        let mut answers = stream::iter(doubts)
            .map(|doubt| async move {
                let found = asker.ask(&doubt, tolerance).await?;
                Ok(Resolved { doubt, found })
            })
            .buffered(self.options.concurrency);
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(resolved) => {
                    self.after = resolved.doubt.task;
                    batch.resolved.push(resolved);
                }
                Err(stop) => {
                    self.stopped = Some(stop);
                    break;
                }
            }
        }
        drop(answers);
        let adoptions: Vec<Adoption> = batch.resolved.iter().filter_map(adoption).collect();
        batch.adopted = adoptions.len() as u64;
        if !adoptions.is_empty() && !self.options.dry_run {
            batch.blocked = self
                .store
                .adopt(&self.run, &adoptions, self.clock.now())
                .await?;
        }
        Ok(Some(batch))
    }

    /// Why it ended: once no batch is left.
    pub(crate) fn stop(&self) -> Stop {
        self.stopped.clone().unwrap_or(Stop::Complete)
    }
}

/// The ticket that the evidence gives a task.
fn adoption(resolved: &Resolved) -> Option<Adoption> {
    let Ok(Evidence {
        verdict: Verdict::Adopt {
            ticket,
            sent_at,
            by,
        },
        ..
    }) = &resolved.found
    else {
        return None;
    };
    let by = match by {
        Match::TimeAlone => ", matched by its time alone",
        _ => "",
    };
    Some(Adoption {
        task: resolved.doubt.task,
        ticket: ticket.clone(),
        message: format!("adopted from the device's history: sent at {sent_at}{by}").into(),
    })
}

/// Asks for the history of devices.
#[derive(Debug)]
struct Asker<H> {
    history_client: Arc<H>,
    questions: Questions,
}

impl<H: HistoryClient> Asker<H> {
    fn new(history_client: Arc<H>, options: ResolveOptions, stop: watch::Receiver<bool>) -> Self {
        let options = QuestionOptions {
            concurrency: options.concurrency,
            rate: options.rate,
            max_outage: options.max_outage,
        };
        Self {
            history_client,
            questions: Questions::new(options, stop),
        }
    }

    /// What the platform tells of a task's device around the task's sends; the inner error is the platform's refusal to tell it.
    async fn ask(
        &self,
        doubt: &InDoubtTask,
        tolerance: Duration,
    ) -> Result<Result<Evidence, String>, Stop> {
        let mut trace = Trace::default();
        for window in policy::spans(doubt, tolerance) {
            let device = (&*doubt.product_key, &*doubt.device_key);
            if let Err(refusal) = self.pages(device, window, &mut trace).await? {
                return Ok(Err(refusal));
            }
        }
        let is_same = |told: &Value, sent: &Value| {
            self.history_client.is_same(&doubt.product_key, told, sent)
        };
        Ok(Ok(policy::weigh(doubt, trace, tolerance, is_same)))
    }

    /// Adds what the platform tells of a device in a stretch of time, or gives its refusal to tell it.
    async fn pages(
        &self,
        (product_key, device_key): (&str, &str),
        window: TimeRange,
        trace: &mut Trace,
    ) -> Result<Result<(), String>, Stop> {
        for page in 1..=MOST_PAGES {
            let query = HistoryQuery {
                product_key,
                device_key,
                window,
                page,
            };
            match self.page(query).await? {
                Ok(told) => {
                    trace.downlinks.extend(told.downlinks);
                    if !told.more {
                        return Ok(Ok(()));
                    }
                }
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        trace.cut = true;
        Ok(Ok(()))
    }

    /// One page of a device's history, or the platform's refusal to tell it.
    async fn page(&self, query: HistoryQuery<'_>) -> Result<Result<HistoryPage, String>, Stop> {
        let ask = async || match self.history_client.page(query).await {
            HistoryReply::Page(page) => Ok(page),
            HistoryReply::NoPage(result) => Err(result),
        };
        self.questions.ask(ask).await
    }
}

/// What the platform tells of a device in a stretch of time; the inner error is its refusal to tell it. Nothing is recorded.
pub(crate) async fn device_history<H: HistoryClient>(
    history_client: Arc<H>,
    device: (&str, &str),
    window: TimeRange,
    options: ResolveOptions,
    stop: watch::Receiver<bool>,
) -> Result<Result<Trace, String>, Stop> {
    let asker = Asker::new(history_client, options, stop);
    let mut trace = Trace::default();
    let told = asker.pages(device, window, &mut trace).await?;
    Ok(told.map(|()| trace))
}

#[cfg(test)]
mod tests;
