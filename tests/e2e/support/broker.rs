//! The message broker of the platform: a node of `RabbitMQ` with its virtual host, its TLS, its headers exchanges and its logins, which are
//! checked as the vendor documents them. All tests of a process share one node, with a queue for each; it ends with the process, however
//! that ends.

mod node;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use amqprs::{
    BasicProperties, FieldTable, FieldValue,
    channel::{
        BasicPublishArguments, Channel, ExchangeDeclareArguments, QueueBindArguments,
        QueueDeclareArguments, QueuePurgeArguments,
    },
    connection::{Connection, OpenConnectionArguments},
};
use fleetpush::simulator::Scenario;
use tokio::runtime::Runtime;

use self::node::{configure, folder, free_ports, is_up, spawn};
use super::Sim;

/// Where the Debian package has it; the scripts in the path refuse to run for users.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
/// Ports are found before they are used, and may be gone by then.
const STARTS: usize = 5;
/// The virtual host, and who may do everything in it.
const VIRTUAL_HOST: &str = "quec-open";
const PLATFORM: &str = "platform";
/// The exchanges, by the type of message.
pub(crate) const EXCHANGES: [&str; 3] = [
    "quec.device.online",
    "quec.device.reqack",
    "quec.model.serv",
];

/// A node that is running.
pub(crate) struct Broker {
    port: u16,
    tls_port: u16,
    certificate: PathBuf,
    runtime: Runtime,
    /// One asks at a time: the client takes answers for the first question of their kind.
    channel: Mutex<Channel>,
    _connection: Connection,
    /// Checks the logins.
    _logins: Sim,
    // Its shell reads them, and ends when they do.
    _children: Mutex<Vec<Child>>,
}

impl Broker {
    /// The node of this process; none where no broker is installed, which is said.
    pub(crate) fn shared() -> Option<&'static Self> {
        static NODE: OnceLock<Option<Broker>> = OnceLock::new();
        NODE.get_or_init(|| {
            if !Path::new(SERVER).exists() {
                return leave_out("there is no rabbitmq-server");
            }
            if Command::new("setpriv").arg("--version").output().is_err() {
                return leave_out("there is no setpriv");
            }
            let started = (0..STARTS).find_map(|_| Self::start());
            Some(started.expect("the broker starts"))
        })
        .as_ref()
    }

    fn start() -> Option<Self> {
        let folder = folder();
        let ports = free_ports();
        let certificate = folder.join("certificate.pem");
        let logins = Sim::start(Scenario {
            access_key: Some("key".to_owned()),
            access_secret: Some("secret".to_owned()),
            ..Scenario::default()
        });
        configure(&folder, ports, logins.base_url());
        let mut children = spawn(folder.clone(), ports);
        let [port, tls_port, ..] = ports;
        if !is_up(port, &mut children) {
            for mut child in children {
                let _ = child.kill();
                let _ = child.wait();
            }
            let log = std::fs::read_to_string(folder.join("output")).unwrap_or_default();
            say(&format!("the broker has not started: {log}"));
            return None;
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let (connection, channel) = runtime.block_on(async {
            let arguments = OpenConnectionArguments::new("127.0.0.1", port, PLATFORM, PLATFORM)
                .virtual_host(VIRTUAL_HOST)
                .finish();
            let connection = Connection::open(&arguments).await.expect("a connection");
            let channel = connection.open_channel(None).await.expect("a channel");
            for exchange in EXCHANGES {
                let arguments = ExchangeDeclareArguments::new(exchange, "headers")
                    .durable(true)
                    .finish();
                channel
                    .exchange_declare(arguments)
                    .await
                    .expect("an exchange");
            }
            (connection, channel)
        });
        Some(Self {
            port,
            tls_port,
            certificate,
            runtime,
            channel: Mutex::new(channel),
            _connection: connection,
            _logins: logins,
            _children: Mutex::new(children),
        })
    }

    /// The address for a listener, with TLS.
    pub(crate) fn url(&self) -> String {
        format!("amqps://localhost:{}/{VIRTUAL_HOST}", self.tls_port)
    }

    /// The address without TLS.
    pub(crate) fn plain_url(&self) -> String {
        Self::plain_url_at(self.port)
    }

    /// The address without TLS behind what passes connections on to it.
    pub(crate) fn plain_url_at(port: u16) -> String {
        format!("amqp://127.0.0.1:{port}/{VIRTUAL_HOST}")
    }

    /// The address without TLS for the platform, which publishes.
    pub(crate) fn platform_url(&self) -> String {
        format!(
            "amqp://{PLATFORM}:{PLATFORM}@127.0.0.1:{}/{VIRTUAL_HOST}",
            self.port
        )
    }

    /// The port without TLS.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The certificate, as a file that a client can be told to trust.
    pub(crate) fn certificate(&self) -> &Path {
        &self.certificate
    }

    fn channel(&self) -> MutexGuard<'_, Channel> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a queue of this name, which gets what is published for it.
    pub(crate) fn queue(&self, name: &str) {
        let guard = self.channel();
        let channel = &*guard;
        self.runtime.block_on(async {
            let arguments = QueueDeclareArguments::durable_client_named(name);
            channel.queue_declare(arguments).await.expect("a queue");
            channel
                .queue_purge(QueuePurgeArguments::new(name))
                .await
                .expect("it is empty");
            for exchange in EXCHANGES {
                let mut headers = FieldTable::new();
                for (header, value) in [("queue", name), ("x-match", "all")] {
                    headers.insert(
                        header.try_into().expect("a short name"),
                        FieldValue::S(value.try_into().expect("a text")),
                    );
                }
                let arguments = QueueBindArguments::new(name, exchange, "")
                    .arguments(headers)
                    .finish();
                channel.queue_bind(arguments).await.expect("a binding");
            }
        });
    }

    /// Publishes messages for a queue, and waits until the broker has them.
    pub(crate) fn publish(&self, queue: &str, bodies: impl IntoIterator<Item = Vec<u8>>) {
        let guard = self.channel();
        let channel = &*guard;
        self.runtime.block_on(async {
            for body in bodies {
                let mut headers = FieldTable::new();
                headers.insert(
                    "queue".try_into().expect("a short name"),
                    FieldValue::S(queue.try_into().expect("a text")),
                );
                let properties = BasicProperties::default()
                    .with_headers(headers)
                    .with_delivery_mode(2)
                    .finish();
                let arguments = BasicPublishArguments::new(EXCHANGES[1], "");
                channel
                    .basic_publish(properties, body, arguments)
                    .await
                    .expect("it is taken");
            }
        });
        drop(guard);
        self.standing(queue);
    }

    /// The messages of a queue that wait to be handed out, and how many consume it.
    pub(crate) fn standing(&self, queue: &str) -> (u32, u32) {
        let guard = self.channel();
        let channel = &*guard;
        self.runtime.block_on(async {
            let arguments = QueueDeclareArguments::new(queue).passive(true).finish();
            let counted = channel.queue_declare(arguments).await;
            let (_, waiting, consumers) = counted.expect("a queue").expect("an answer");
            (waiting, consumers)
        })
    }
}

/// Says why there is no broker, whatever the harness does with the output of tests that pass.
fn leave_out(reason: &str) -> Option<Broker> {
    say(&format!(
        "NOT TESTED: the listener with a broker, since {reason}"
    ));
    None
}

fn say(words: &str) {
    let _ = writeln!(std::io::stderr(), "{words}");
}
