//! The message broker of the platform: a node of `RabbitMQ` with its virtual host, its TLS, its headers exchanges and its logins, which are
//! checked as the vendor documents them. All tests of a process share one node, with a queue for each; it ends with the process, however
//! that ends.

use std::{
    fmt::Write as _,
    io::{Read, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use amqprs::{
    BasicProperties, FieldTable, FieldValue,
    channel::{
        BasicPublishArguments, Channel, ExchangeDeclareArguments, QueueBindArguments,
        QueueDeclareArguments, QueuePurgeArguments,
    },
    connection::{Connection, OpenConnectionArguments},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use fleetpush::testing::wall_now;
use rand::RngExt as _;
use sha2::{Digest as _, Sha256};
use tokio::runtime::Runtime;
use url::form_urlencoded;

/// Where the Debian package has it; the scripts in the path refuse to run for users.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
/// How long a start may take: some seconds, or half a minute on a machine with much else to do.
const START: Duration = Duration::from_secs(150);
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
        configure(&folder, ports, checking_logins());
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
            _children: Mutex::new(children),
        })
    }

    /// The address for a listener, with TLS.
    pub(crate) fn url(&self) -> String {
        format!("amqps://localhost:{}/{VIRTUAL_HOST}", self.tls_port)
    }

    /// The address without TLS.
    pub(crate) fn plain_url(&self) -> String {
        format!("amqp://127.0.0.1:{}/{VIRTUAL_HOST}", self.port)
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

/// A folder of this process. What processes left behind that are gone is deleted.
fn folder() -> PathBuf {
    static STARTED: Mutex<u32> = Mutex::new(0);
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("broker");
    std::fs::create_dir_all(&all).expect("a folder can be made");
    for entry in std::fs::read_dir(&all).expect("it is there").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.split('-').next().unwrap_or_default().to_owned();
        if !Path::new("/proc").join(&pid).exists() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let mut started = STARTED.lock().expect("nobody panics with it");
    *started += 1;
    let folder = all.join(format!("{}-{started}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    folder
}

/// Ports for AMQP, AMQP with TLS, the node, and its port mapper. They are below those that connections get, of which one may be taken
/// before the node has come so far.
fn free_ports() -> [u16; 4] {
    let mut taken = Vec::new();
    [(); 4].map(|()| {
        loop {
            let port = rand::rng().random_range(10_240..32_000);
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
                taken.push(listener);
                return port;
            }
        }
    })
}

fn configure(folder: &Path, [port, tls_port, ..]: [u16; 4], logins: u16) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])
        .expect("a certificate can be made");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).expect("a file can be written");
    };
    let pem = |label: &str, der: &[u8]| {
        let text = BASE64_STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    };
    write("certificate.pem", &pem("CERTIFICATE", made.cert.der()));
    write(
        "key.pem",
        &pem("PRIVATE KEY", &made.signing_key.serialize_der()),
    );
    write("plugins", "[rabbitmq_auth_backend_http].\n");
    let folder = folder.display();
    let mut config = format!(
        "listeners.tcp.1 = 127.0.0.1:{port}\n\
         listeners.ssl.1 = 127.0.0.1:{tls_port}\n\
         ssl_options.cacertfile = {folder}/certificate.pem\n\
         ssl_options.certfile = {folder}/certificate.pem\n\
         ssl_options.keyfile = {folder}/key.pem\n\
         ssl_options.verify = verify_none\n\
         ssl_options.fail_if_no_peer_cert = false\n\
         default_vhost = {VIRTUAL_HOST}\n\
         default_user = {PLATFORM}\n\
         default_pass = {PLATFORM}\n\
         disk_free_limit.absolute = 50MB\n\
         auth_backends.1 = internal\n\
         auth_backends.2 = http\n\
         auth_http.http_method = post\n"
    );
    for kind in ["user", "vhost", "resource", "topic"] {
        let _ = writeln!(
            config,
            "auth_http.{kind}_path = http://127.0.0.1:{logins}/{kind}"
        );
    }
    write("rabbitmq.conf", &config);
}

/// Starts the node and its port mapper. Each is killed when the thread that has started it ends, so that one does it that never ends
/// before the process.
fn spawn(folder: PathBuf, [_, _, dist, mapper]: [u16; 4]) -> Vec<Child> {
    let (started, children) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let bound = |program: &str| {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL", program]);
            command
        };
        let output = || std::fs::File::create(folder.join("output")).expect("a file can be made");
        let mut epmd = bound("epmd");
        epmd.args(["-port", &mapper.to_string(), "-address", "127.0.0.1"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut node = bound(SERVER);
        node.env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", &folder)
            .env("LANG", "C.UTF-8")
            .env("ERL_EPMD_PORT", mapper.to_string())
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins"))
            .env("RABBITMQ_MNESIA_BASE", folder.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_PID_FILE", folder.join("pid"))
            .env("RABBITMQ_NODENAME", format!("fleetpush{dist}@localhost"))
            .env("RABBITMQ_DIST_PORT", dist.to_string())
            // The script becomes the node, instead of starting one.
            .env("RABBITMQ_ALLOW_INPUT", "1")
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1} +S 2:2",
            )
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(output())
            .stderr(output());
        let both = vec![
            epmd.spawn().expect("epmd starts"),
            node.spawn().expect("the node starts"),
        ];
        started.send(both).expect("somebody waits for them");
        loop {
            thread::park();
        }
    });
    children.recv().expect("they are started")
}

/// Waits until the broker greets; in vain when one of its processes ends.
fn is_up(port: u16, children: &mut [Child]) -> bool {
    let deadline = Instant::now() + START;
    while Instant::now() < deadline {
        if greets(port).is_ok() {
            return true;
        }
        let has_ended = |child: &mut Child| child.try_wait().is_ok_and(|status| status.is_some());
        if children.iter_mut().any(has_ended) {
            return false;
        }
        thread::sleep(Duration::from_millis(100));
    }
    false
}

fn greets(port: u16) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"AMQP\0\0\x09\x01")?;
    stream.read_exact(&mut [0; 8])
}

/// Answers the broker's questions who may do what: a login is the platform's, signed with the key and the secret of the tests, and may read
/// from queues and nothing else.
fn checking_logins() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let _ = answer(stream);
            });
        }
    });
    port
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    let (head, body) = loop {
        let count = stream.read(&mut buffer)?;
        request.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .and_then(|(_, value)| value.trim().parse::<usize>().ok())
                .unwrap_or(0);
            if body.len() >= length {
                break (head.to_owned(), body.to_owned());
            }
        }
        if count == 0 {
            return Ok(());
        }
    };
    let fields: Vec<(String, String)> = form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    let field = |name: &str| {
        let found = fields.iter().find(|(field, _)| field == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    let path = head.split(' ').nth(1).unwrap_or_default();
    let is_allowed = match path {
        "/user" => is_login(field("username"), field("password")),
        "/vhost" => field("vhost") == VIRTUAL_HOST,
        "/resource" => field("resource") == "queue" && field("permission") == "read",
        _ => false,
    };
    let word = if is_allowed { "allow" } else { "deny" };
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{word}",
        word.len()
    )
}

/// Whether this is a login as the vendor documents it, with the credentials of the tests.
fn is_login(username: &str, password: &str) -> bool {
    let prefix = "ver=1&auth_mode=accessKey&sign_method=sha256&access_key=key&timestamp=";
    let now = wall_now().0;
    let is_fresh = username
        .strip_prefix(prefix)
        .and_then(|time| time.parse::<i64>().ok())
        .is_some_and(|time| time.abs_diff(now) < 600_000);
    let digest = Sha256::digest(format!("{username}secret"));
    let signature = digest.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    is_fresh && signature == password
}
