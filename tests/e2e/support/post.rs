//! A listener with its queue, and its inbox as a reader sees it.

use std::{path::PathBuf, process::Command, time::Duration};

use rustix::process::Signal;
use serde_json::Value;
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};
use tokio::runtime::Runtime;

use super::{Broker, Push, Sim, Site, wait_for};

/// A site with a listener of its own, and a queue of its own at the broker.
pub(crate) struct Post {
    pub(crate) site: Site,
    pub(crate) sim: Sim,
    pub(crate) broker: &'static Broker,
    pub(crate) queue: String,
}

impl Post {
    /// None where no broker is installed.
    pub(crate) fn open(name: &str) -> Option<Self> {
        let broker = Broker::shared()?;
        let queue = format!("a.1.{name}");
        broker.queue(&queue);
        Some(Self {
            site: Site::new(),
            sim: Sim::healthy(),
            broker,
            queue,
        })
    }

    pub(crate) fn command(&self, url: &str) -> Command {
        let args = ["listen", "--queue", &self.queue, "--amqp-url", url];
        let mut command = self.site.command(&args);
        command
            .args(["--base-url", self.sim.base_url()])
            .env("SSL_CERT_FILE", self.broker.certificate());
        command
    }

    pub(crate) fn start(&self) -> Push {
        Push::start(self.command(&self.broker.plain_url()))
    }

    pub(crate) fn publish(&self, messages: impl IntoIterator<Item = Value>) {
        let bodies = messages
            .into_iter()
            .map(|message| message.to_string().into_bytes());
        self.broker.publish(&self.queue, bodies);
    }

    pub(crate) fn inbox(&self) -> Inbox {
        Inbox {
            path: self.site.path("push.db.inbox"),
            runtime: Runtime::new().expect("a runtime"),
        }
    }

    /// Listens until every message is acknowledged. A listener that stops gives back what it has not looked at.
    pub(crate) fn empty(&self) {
        wait_for("a queue without messages", || {
            let listener = self.start();
            listener.wait_until_it_catches(Signal::TERM);
            wait_for("a consumer", || {
                (self.broker.standing(&self.queue).1 == 1).then_some(())
            });
            self.wait_until_empty();
            listener.signal(Signal::TERM);
            listener.ended().expect(0);
            (self.broker.standing(&self.queue) == (0, 0)).then_some(())
        });
    }

    /// Waits until nothing waits in the queue: what was handed out and is not acknowledged does not.
    pub(crate) fn wait_until_empty(&self) {
        wait_for("an empty queue", || {
            (self.broker.standing(&self.queue).0 == 0).then_some(())
        });
    }
}

/// The inbox as a reader sees it.
pub(crate) struct Inbox {
    path: PathBuf,
    runtime: Runtime,
}

impl Inbox {
    /// The first column of the rows, as text.
    pub(crate) fn column(&self, query: &'static str) -> Vec<String> {
        self.runtime.block_on(async {
            let connected = SqliteConnectOptions::new()
                .filename(&self.path)
                .read_only(true)
                .busy_timeout(Duration::from_secs(30))
                .connect()
                .await;
            let Ok(mut connection) = connected else {
                return Vec::new();
            };
            let rows = sqlx::query_scalar(query).fetch_all(&mut connection).await;
            connection.close().await.expect("it closes");
            rows.unwrap_or_default()
        })
    }

    /// Changes the inbox of a listener that has ended.
    pub(crate) fn change(&self, statement: &'static str) {
        self.runtime.block_on(async {
            let options = SqliteConnectOptions::new().filename(&self.path);
            let mut connection = options.connect().await.expect("an inbox");
            let changed = sqlx::query(statement).execute(&mut connection).await;
            changed.expect("a change");
            connection.close().await.expect("it closes");
        });
    }

    pub(crate) fn tickets(&self) -> Vec<String> {
        self.column("SELECT ticket FROM message ORDER BY id")
    }

    pub(crate) fn wait_for(&self, messages: usize) {
        wait_for("messages in the inbox", || {
            (self.tickets().len() >= messages).then_some(())
        });
    }
}
