//! Reads the histories of devices: all pages of a time range, at a pace, and again if the platform does not answer.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::sync::watch;

use super::{QuestionOptions, Questions, Stop};
use crate::{
    gateway::{HistoryClient, HistoryPage, HistoryQuery, HistoryReply},
    journal::{HistoryPages, NextPage},
    model::{TimeRange, Trace},
};

/// How to ask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HistoryOptions {
    /// Questions at a time, at least 1.
    pub(crate) concurrency: usize,
    /// The most questions a second, if there is a limit.
    pub(crate) rate: Option<f64>,
    /// How far the platform's clock may be from ours, with the time that a command waits within the platform.
    pub(crate) tolerance: Duration,
    /// The longest that a question is repeated because the platform does not answer.
    pub(crate) max_outage: Duration,
}

/// Asks for the history of devices.
#[derive(Debug)]
pub(crate) struct HistoryAsker<H> {
    history_client: Arc<H>,
    questions: Questions,
    options: HistoryOptions,
}

impl<H: HistoryClient> HistoryAsker<H> {
    /// Asks this platform until `stop` says that somebody has asked for a stop.
    pub(crate) fn new(
        history_client: Arc<H>,
        options: HistoryOptions,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let asked = QuestionOptions {
            concurrency: options.concurrency,
            rate: options.rate,
            max_outage: options.max_outage,
        };
        Self {
            history_client,
            questions: Questions::new(asked, stop),
            options,
        }
    }

    /// How it asks.
    pub(crate) fn options(&self) -> HistoryOptions {
        self.options
    }

    /// Whether an entry tells the command that was sent.
    pub(crate) fn is_same(&self, product_key: &str, told: &Value, sent: &Value) -> bool {
        self.history_client.is_same(product_key, told, sent)
    }

    /// What the platform tells of a device in these stretches of time; the inner error is its refusal to tell it.
    pub(crate) async fn trace(
        &self,
        device: (&str, &str),
        windows: impl IntoIterator<Item = TimeRange>,
    ) -> Result<Result<Trace, String>, Stop> {
        let mut trace = Trace::default();
        for window in windows {
            match self.pages(device, window).await? {
                Ok(told) => {
                    trace.entries.extend(told.entries);
                    trace.cut |= told.cut;
                }
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        Ok(Ok(trace))
    }

    async fn pages(
        &self,
        (product_key, device_key): (&str, &str),
        window: TimeRange,
    ) -> Result<Result<Trace, String>, Stop> {
        let mut pages = HistoryPages::new();
        let mut next = NextPage::Ask(1);
        while let NextPage::Ask(page) = next {
            let query = HistoryQuery {
                product_key,
                device_key,
                window,
                page,
            };
            next = match self.page(query).await? {
                Ok(told) => pages.add(told.entries, told.more, told.total),
                Err(refusal) => return Ok(Err(refusal)),
            };
        }
        Ok(Ok(pages.into_trace()))
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
