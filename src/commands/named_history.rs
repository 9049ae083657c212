//! The history of devices, translated to the names of a thing model if there is one.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    gateway::{HistoryClient, HistoryQuery, HistoryReply},
    thing_model::Models,
};

/// A history whose entries tell names and not numeric ids. Without a model of the product they stay as the platform tells them.
#[derive(Debug)]
pub(super) struct NamedHistory<H> {
    history_client: Arc<H>,
    models: Models,
}

impl<H> NamedHistory<H> {
    pub(super) fn new(history_client: Arc<H>, models: Models) -> Self {
        Self {
            history_client,
            models,
        }
    }
}

impl<H: HistoryClient> HistoryClient for NamedHistory<H> {
    async fn page(&self, query: HistoryQuery<'_>) -> HistoryReply {
        let mut reply = self.history_client.page(query).await;
        let HistoryReply::Page(page) = &mut reply else {
            return reply;
        };
        let Some(model) = self.models.model(query.product_key) else {
            return reply;
        };
        for entry in &mut page.entries {
            let named = entry.dm_data.as_ref().map(|by_id| model.named(by_id));
            let whole = named.as_ref().filter(|named| named.is_whole);
            // What `dmData` leaves open, raw bytes for example, the binary payload may tell.
            entry.named = whole.map(|named| named.data.clone()).or_else(|| {
                let payload = entry.payload.as_deref()?;
                model.named_payload(payload)
            });
            if let Some(named) = named {
                entry.dm_data = Some(named.data);
            }
        }
        reply
    }

    fn is_same(&self, product_key: &str, told: &Value, sent: &Value) -> bool {
        match self.models.model(product_key) {
            Some(model) => model.is_same(told, sent),
            None => told == sent,
        }
    }
}
