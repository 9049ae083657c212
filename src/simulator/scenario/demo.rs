//! The platform of `run --simulate`: what a newcomer meets first.

use std::collections::BTreeMap;

use super::{AtFirst, Fault, Scenario};

/// The product whose devices fail in the scenario of `run --simulate`: that of `samples/troubled.csv`.
const DEMO_FAILING_PRODUCT: &str = "PK0013";

impl Scenario {
    /// The scenario of `run --simulate`: throttling, failures in passing and lost replies, all of which a push gets over within
    /// seconds, and one product whose devices fail. Which request meets a fault follows from the seed: with this one the reply to the
    /// fourth is lost, and then none for a long time.
    pub fn demo() -> Self {
        Self {
            seed: 61_328,
            latency_ms: 60,
            latency_jitter_ms: 60,
            offline: 0.2,
            rejected: 0.15,
            rejected_codes: vec![61005, 70091, 70092],
            failing_products: vec![DEMO_FAILING_PRODUCT.to_owned()],
            transient: 0.02,
            frequency_at_first: AtFirst {
                share: 0.05,
                sends: 1,
            },
            faults: BTreeMap::from([(Fault::ResetAfter, 0.03)]),
            ..Self::default()
        }
    }
}
