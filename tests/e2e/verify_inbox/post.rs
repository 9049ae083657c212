//! A platform, its queue, and somebody who listens to it.

use std::{collections::BTreeMap, process::Command};

use fleetpush::simulator::Scenario;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Broker, Ended, Push, Sim, Site, wait_for};

/// A site with a queue of its own at the broker.
pub(super) struct Post {
    pub(super) site: Site,
    pub(super) sim: Sim,
    pub(super) broker: &'static Broker,
    pub(super) queue: String,
}

/// Makes one by the name of its queue, its manifest, and what the platform does. What is done with it is the same in a file and on a server.
pub(super) type Open = fn(&str, &str, Scenario) -> Option<Post>;

impl Post {
    /// None where no broker is installed.
    pub(super) fn open(name: &str, manifest: &str, scenario: Scenario) -> Option<Self> {
        Self::at(Site::with(manifest), name, scenario)
    }

    /// The same with results on a server; none where no server is installed.
    pub(super) fn on_server(name: &str, manifest: &str, scenario: Scenario) -> Option<Self> {
        Self::at(
            Site::on_server(manifest)?,
            &format!("{name}.server"),
            scenario,
        )
    }

    fn at(site: Site, name: &str, scenario: Scenario) -> Option<Self> {
        let broker = Broker::shared()?;
        let queue = format!("a.2.{name}");
        broker.queue(&queue);
        Some(Self {
            site,
            sim: Sim::start(scenario),
            broker,
            queue,
        })
    }

    pub(super) fn listener(&self) -> Push {
        self.listener_at(&self.broker.plain_url())
    }

    pub(super) fn listener_at(&self, url: &str) -> Push {
        let mut command = self
            .site
            .command(&["listen", "--queue", &self.queue, "--amqp-url", url]);
        command.args(["--base-url", self.sim.base_url()]);
        Push::start(command)
    }

    pub(super) fn publish(&self, messages: impl IntoIterator<Item = Value>) {
        let bodies = messages
            .into_iter()
            .map(|message| message.to_string().into_bytes());
        self.broker.publish(&self.queue, bodies);
    }

    /// Publishes messages and has them received.
    pub(super) fn receive(&self, messages: impl IntoIterator<Item = Value>) {
        self.publish(messages);
        self.empty();
    }

    /// Listens until every message is acknowledged.
    pub(super) fn empty(&self) {
        wait_for("a queue without messages", || {
            let listener = self.listener();
            listener.wait_until_it_catches(Signal::TERM);
            wait_for("a consumer", || {
                (self.broker.standing(&self.queue).1 == 1).then_some(())
            });
            wait_for("an empty queue", || {
                (self.broker.standing(&self.queue).0 == 0).then_some(())
            });
            listener.signal(Signal::TERM);
            listener.ended().expect(0);
            (self.broker.standing(&self.queue) == (0, 0)).then_some(())
        });
    }

    pub(super) fn command(&self, args: &[&str]) -> Command {
        let base = ["verify", "--base-url", self.sim.base_url()];
        let form = ["--format", "jsonl", "--history-rate", "unlimited"];
        self.site.command(&[&base[..], &form, args].concat())
    }

    pub(super) fn verify(&self, args: &[&str]) -> Ended {
        Push::start(self.command(args)).ended()
    }

    /// The rows of a query, as JSON.
    pub(super) fn sql(&self, query: &str) -> Vec<Value> {
        let told = self.site.run(&["sql", query, "--format", "jsonl"]);
        told.expect(0).json_lines()
    }

    /// What the database says of each ticket by messages, and by which.
    pub(super) fn recorded(&self) -> BTreeMap<String, (String, String)> {
        let rows = self
            .sql("SELECT ticket, delivery, evidence FROM deliveries WHERE evidence <> 'history'");
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or("-").to_owned();
        rows.iter()
            .map(|row| {
                let pair = (text(row, "delivery"), text(row, "evidence"));
                (text(row, "ticket"), pair)
            })
            .collect()
    }
}
