//! The thing model that the simulator's products have.

use serde_json::Value;

use super::scenario::Scenario;

/// What every product of the simulator has, unless the scenario says otherwise: a model that fits the samples.
pub(super) const MODEL: &str = include_str!("../../samples/thing-model.json");

/// The model of every product.
pub(super) fn served(scenario: &Scenario) -> Value {
    let usual = || serde_json::from_str::<Value>(MODEL).unwrap_or_default();
    scenario.thing_model.clone().unwrap_or_else(usual)
}
