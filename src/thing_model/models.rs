//! Which product has which model.

use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{ThingModel, Violation};

/// Where the model of a product comes from. It is asked once for each product, on the thread that reads the manifest, and may block.
pub(crate) trait ModelSource: Debug + Send + Sync {
    /// The model of `product_key`; `Ok(None)` when there is none, and the product's payloads are then not checked.
    fn model(&self, product_key: &str) -> Result<Option<Arc<ThingModel>>, NoModel>;
}

/// Why the model of a product cannot be had; the text says what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the thing model of product {product_key} is not available: {reason}")]
pub struct NoModel {
    pub(crate) product_key: Box<str>,
    /// What is wrong.
    pub(crate) reason: String,
    /// Why.
    pub(crate) cause: Cause,
}

/// Why a model cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// There is none.
    Absent,
    /// The platform refuses to tell anything.
    Refused,
    /// There is no answer just now.
    Unreachable,
}

/// The models of the products of one manifest, as far as they have been asked for.
#[derive(Debug, Clone)]
pub(crate) struct Models {
    source: Arc<dyn ModelSource>,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    models: HashMap<Box<str>, Option<Arc<ThingModel>>>,
    /// The first that could not be had. A manifest that meant to be checked is not to be pushed then.
    missing: Option<NoModel>,
}

impl Models {
    /// Models that come from `source` when they are first needed.
    pub(crate) fn new(source: Arc<dyn ModelSource>) -> Self {
        Self {
            source,
            known: Arc::default(),
        }
    }

    /// Everything about a command for devices of `product_key` that does not fit its model.
    pub(crate) fn check(&self, product_key: &str, data: &str) -> Vec<Violation> {
        self.model(product_key)
            .map_or_else(Vec::new, |model| model.check(data))
    }

    /// The products that were met and have no model, in alphabetical order.
    ///
    /// Fails when the model of one could not be had.
    pub(crate) fn unchecked(&self) -> Result<Vec<Box<str>>, NoModel> {
        let known = self.known();
        if let Some(missing) = &known.missing {
            return Err(missing.clone());
        }
        let mut products: Vec<_> = known
            .models
            .iter()
            .filter(|(_, model)| model.is_none())
            .map(|(product, _)| product.clone())
            .collect();
        products.sort_unstable();
        Ok(products)
    }

    /// The model of a product, which its source is asked for when it is first needed.
    pub(crate) fn model(&self, product_key: &str) -> Option<Arc<ThingModel>> {
        let mut known = self.known();
        if let Some(model) = known.models.get(product_key) {
            return model.clone();
        }
        let model = self.source.model(product_key).unwrap_or_else(|missing| {
            known.missing.get_or_insert(missing);
            None
        });
        known.models.insert(product_key.into(), model.clone());
        model
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
