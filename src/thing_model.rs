//! The thing model of a product: which services its devices have, and what the parameters of each may be. With it a payload is checked
//! before anything is sent.
//!
//! A model comes from the platform's export (page "Query Latest Product Thing Model (JSON Format)"). What an export says that is not
//! understood here is remarked on once and refuses nothing: a model may only ever refuse what the platform surely refuses.
//!
//! | file | holds |
//! |---|---|
//! | `export` | the export's text becomes a model |
//! | `kind` | the types, and whether a scalar fits one |
//! | `call` | the wire string becomes a tree |
//! | `check` | a tree against a model |
//! | `dm_data` | what a device's history tells by numeric ids becomes a tree by names |
//! | `ttlv` | the binary payload of a history becomes numeric ids and values |
//! | `models` | which product has which model |
//! | `example` | values that fit, for a template |

mod call;
mod check;
mod dm_data;
mod example;
mod export;
mod kind;
mod models;
mod ttlv;

use std::collections::HashMap;

pub(crate) use check::Violation;
pub(crate) use export::read;
pub(crate) use models::{Cause, ModelSource, Models, NoModel};

use kind::Kind;

/// The thing model of one product.
#[derive(Debug, Clone, Default)]
pub(crate) struct ThingModel {
    /// `profile.productKey`, when the export names it.
    product_key: Option<Box<str>>,
    services: HashMap<Box<str>, Service>,
    /// The properties, by their codes.
    properties: HashMap<Box<str>, Element>,
    /// What was not understood, each told once.
    remarks: Vec<String>,
}

/// A service that can be called.
#[derive(Debug, Clone, PartialEq)]
struct Service {
    /// `id`, by which the history names it.
    id: Option<Box<str>>,
    inputs: Vec<Element>,
    /// Whether an input was not understood, so that a code that is unknown here may be known to the platform.
    is_open: bool,
}

/// A parameter of a service, or a member of a struct.
#[derive(Debug, Clone, PartialEq)]
struct Element {
    code: Box<str>,
    /// `id`, by which the history names it.
    id: Option<Box<str>>,
    kind: Kind,
    /// Whether it is a property (by `$ref`) whose `subType` is R.
    is_read_only: bool,
}

impl ThingModel {
    /// The product that the export names itself, when it does.
    pub(crate) fn product_key(&self) -> Option<&str> {
        self.product_key.as_deref()
    }

    /// What of the export was not understood; nothing of it is checked.
    pub(crate) fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// The codes of the services, in alphabetical order.
    pub(crate) fn services(&self) -> Vec<&str> {
        let mut codes: Vec<_> = self.services.keys().map(AsRef::as_ref).collect();
        codes.sort_unstable();
        codes
    }
}

#[cfg(test)]
mod tests;
