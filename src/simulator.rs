//! A simulator of the platform: its API over HTTP on loopback, with devices, limits and faults on demand, and a ledger of all that it
//! has acted on.
//!
//! It is the other side of the wire, for `fleetpush simulator`, `run --simulate`, tests and benchmarks. It is written from the vendor's
//! specification alone and shares no table or parser with the client, so that a misreading on one side is seen on the other.

mod admin;
mod broker_access;
mod chance;
mod codes;
mod command;
mod delivery_state;
mod elements;
mod entry;
mod fleet;
mod history;
mod inventory;
mod ledger;
pub(crate) mod limiter;
mod login;
mod messages;
mod platform;
mod publisher;
mod question;
mod queues;
mod reply;
mod respond;
mod router;
mod scenario;
mod send;
mod served_model;
mod server;
mod stats;
#[cfg(test)]
mod tests;
mod thing_model;
mod tokens;
mod wire;

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{
    sync::oneshot,
    task::{JoinHandle, JoinSet},
};

pub use ledger::Delivery;
pub use limiter::{LimitError, LimitKind, RequestLimit};
pub use messages::MessageKind;
pub use scenario::{
    AtFirst, AuthRefusal, DeliveryState, Fault, History, HistoryForm, HistoryOrder, Inventory,
    Limit, ListedDevice, Messages, Outage, QueueStatus, Quirk, Scenario, ScenarioError, TicketForm,
};
pub use stats::Stats;
#[cfg(test)]
pub(crate) use thing_model::check as check_thing_model;

use platform::Platform;
use publisher::Line;

/// A simulator that is running. Dropping it closes its port and all its connections.
pub struct Simulator {
    addr: SocketAddr,
    platform: Arc<Platform>,
    // Dropping the sender is what stops the server.
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
    // Ends when it is dropped.
    _publisher: JoinSet<()>,
}

impl Simulator {
    /// Starts on the current Tokio runtime; port 0 takes a free one.
    ///
    /// Fails if the scenario cannot be played, if the address is not a loopback address, if the port cannot be opened, or if the
    /// scenario names a message broker that cannot be reached.
    pub async fn start(addr: SocketAddr, scenario: Scenario) -> io::Result<Self> {
        scenario
            .validate()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let line = Line::open(&scenario.messages)
            .await
            .map_err(io::Error::other)?;
        let listener = server::listen(addr, &scenario).await?;
        let addr = listener.local_addr()?;
        let platform = Arc::new(Platform::new(scenario));
        let mut publisher = JoinSet::new();
        publisher.spawn(publisher::publish(Arc::clone(&platform), line));
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(server::run(listener, addr, Arc::clone(&platform), stopped));
        Ok(Self {
            addr,
            platform,
            stop,
            server,
            _publisher: publisher,
        })
    }

    /// The address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What a client takes as base URL, without a slash at the end.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Stops at once, as a crash would: whatever is being answered is cut off. The port is free when this returns.
    pub async fn stop(self) {
        drop(self.stop);
        // The server ends in an error only when its runtime is being torn down, and then it has stopped too.
        let _ = self.server.await;
    }

    /// Every command that it has acted on, in order; empty when the scenario keeps no ledger.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.platform.ledger().deliveries(None)
    }

    /// What has become of a command, by the scenario that it plays.
    pub fn delivery_state(&self, ticket: &str) -> DeliveryState {
        let playing = self.platform.playing();
        delivery_state::delivery_state(&playing.scenario.history, playing.chance, ticket)
    }

    /// The kinds of message that are published about a command, by the scenario that it plays, if that names a broker.
    pub fn messages(&self, ticket: &str) -> Vec<MessageKind> {
        let playing = self.platform.playing();
        messages::kinds(&playing.scenario, playing.chance, ticket)
    }

    /// What it has counted so far.
    pub fn stats(&self) -> Stats {
        self.platform.counters.lock().clone()
    }

    /// The scenario that it plays, without an outage that is over.
    pub fn scenario(&self) -> Scenario {
        self.platform.scenario()
    }

    /// Plays another scenario from now on. Tokens, limits in use, the ledger and the counts stay.
    pub fn play(&self, scenario: Scenario) -> Result<(), ScenarioError> {
        scenario.validate()?;
        self.platform.play(scenario);
        Ok(())
    }
}
