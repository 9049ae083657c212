//! The simulated platform, in the test's process: its ledger and its counts are at hand, and its scenario can change.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    process::Command,
};

use fleetpush::simulator::{
    Delivery, DeliveryState, MessageKind, Outage, Scenario, Simulator, Stats,
};
use tokio::runtime::{Builder, Runtime};

use super::wait_for;

/// A simulated platform with threads of its own.
pub(crate) struct Sim {
    // Before the runtime, which it needs to stop.
    simulator: Simulator,
    _runtime: Runtime,
    base_url: String,
    proxy: Option<String>,
}

impl Sim {
    /// Starts one on a free port.
    pub(crate) fn start(scenario: Scenario) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let simulator = runtime
            .block_on(Simulator::start(
                SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                scenario,
            ))
            .expect("the simulator starts");
        Self {
            base_url: simulator.base_url(),
            proxy: None,
            simulator,
            _runtime: runtime,
        }
    }

    /// One that is reached through a proxy alone: it is the proxy itself, since that hears the same words, and answers for a name.
    pub(crate) fn behind_a_proxy(scenario: Scenario) -> Self {
        let sim = Self::start(scenario);
        Self {
            proxy: Some(sim.base_url),
            base_url: "http://platform.example".to_owned(),
            ..sim
        }
    }

    /// One that takes so long to answer.
    pub(crate) fn slow(latency_ms: u64) -> Self {
        Self::start(Scenario {
            latency_ms,
            ..Scenario::default()
        })
    }

    /// One at which some devices are offline, always the same ones.
    pub(crate) fn some_offline() -> Self {
        Self::start(Scenario {
            seed: 9,
            offline: 0.15,
            ..Scenario::default()
        })
    }

    /// One that is away as a whole, with 503.
    pub(crate) fn away() -> Self {
        Self::start(Scenario {
            outage: Outage::Unavailable,
            ..Scenario::default()
        })
    }

    /// One without faults.
    pub(crate) fn healthy() -> Self {
        Self::start(Scenario::default())
    }

    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// What a push needs to be told beside the base URL.
    pub(super) fn tell_the_way(&self, command: &mut Command) {
        if let Some(proxy) = &self.proxy {
            command.arg("--insecure-http").env("HTTP_PROXY", proxy);
        }
    }

    /// What it has counted so far.
    pub(crate) fn stats(&self) -> Stats {
        self.simulator.stats()
    }

    /// All that it has acted on.
    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.simulator.deliveries()
    }

    /// The delivery of every command that it has acted on, by its ticket.
    pub(crate) fn known_deliveries(&self) -> BTreeMap<String, String> {
        let word = |delivery_state| match delivery_state {
            DeliveryState::Queued => "queued",
            DeliveryState::SendFailed => "send_failed",
            DeliveryState::Sent => "sent",
            DeliveryState::Answered => "answered",
        };
        let deliveries = self.deliveries().into_iter();
        deliveries
            .map(|one| {
                let delivery_state = word(self.simulator.delivery_state(&one.ticket));
                (one.ticket, delivery_state.to_owned())
            })
            .collect()
    }

    /// The kinds of message that are published about a command by the scenario that it plays.
    pub(crate) fn messages(&self, ticket: &str) -> Vec<MessageKind> {
        self.simulator.messages(ticket)
    }

    /// Plays another scenario from now on.
    pub(crate) fn play(&self, scenario: Scenario) {
        self.simulator
            .play(scenario)
            .expect("the scenario can be played");
    }

    /// Waits until this many sends have arrived, since the beginning.
    pub(crate) fn wait_for_requests(&self, requests: u64) {
        wait_for("requests", || {
            (self.stats().requests >= requests).then_some(())
        });
    }
}
