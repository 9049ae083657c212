//! The listener and a real message broker: what comes is on the disk before it is acknowledged, whatever happens to either.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use fleetpush::simulator::Scenario;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rustix::process::Signal;
use serde_json::{Value, json};
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};
use tokio::runtime::Runtime;

use crate::support::{Broker, Push, Sim, Site, seed, wait_for, with_limit};

/// A site with a listener of its own, and a queue of its own at the broker.
struct Post {
    site: Site,
    sim: Sim,
    broker: &'static Broker,
    queue: String,
}

impl Post {
    /// None where no broker is installed.
    fn open(name: &str) -> Option<Self> {
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

    fn command(&self, url: &str) -> Command {
        let args = ["listen", "--queue", &self.queue, "--amqp-url", url];
        let mut command = self.site.command(&args);
        command
            .args(["--base-url", self.sim.base_url()])
            .env("SSL_CERT_FILE", self.broker.certificate());
        command
    }

    fn start(&self) -> Push {
        Push::start(self.command(&self.broker.plain_url()))
    }

    fn publish(&self, messages: impl IntoIterator<Item = Value>) {
        let bodies = messages
            .into_iter()
            .map(|message| message.to_string().into_bytes());
        self.broker.publish(&self.queue, bodies);
    }

    fn inbox(&self) -> Inbox {
        Inbox {
            path: self.site.path("push.db.inbox"),
            runtime: Runtime::new().expect("a runtime"),
        }
    }

    /// Listens until every message is acknowledged. A listener that stops gives back what it has not looked at.
    fn empty(&self) {
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
    fn wait_until_empty(&self) {
        wait_for("an empty queue", || {
            (self.broker.standing(&self.queue).0 == 0).then_some(())
        });
    }
}

/// The inbox as a reader sees it.
struct Inbox {
    path: std::path::PathBuf,
    runtime: Runtime,
}

impl Inbox {
    /// The first column of the rows, as text.
    fn column(&self, query: &'static str) -> Vec<String> {
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

    fn tickets(&self) -> Vec<String> {
        self.column("SELECT ticket FROM message ORDER BY id")
    }

    fn wait_for(&self, messages: usize) {
        wait_for("messages in the inbox", || {
            (self.tickets().len() >= messages).then_some(())
        });
    }
}

fn reqack(ticket: usize) -> Value {
    json!({"type": "REQACK", "productKey": "PK", "deviceKey": format!("DK{ticket:05}"), "createdAt": 1_750_000_000_000_i64 + ticket as i64,
        "ticket": format!("{}", 1_380_000_000_000_000_000_i64 + ticket as i64), "data": {"sentAt": 1, "status": "succ"}})
}

/// How often something is to go wrong.
fn troubles(usual: usize) -> usize {
    std::env::var("FLEETPUSH_TEST_TROUBLES").map_or(usual, |text| text.parse().expect("a number"))
}

fn each_once(inbox: &Inbox, messages: usize) {
    let tickets = inbox.tickets();
    let distinct: BTreeSet<&String> = tickets.iter().collect();
    assert_eq!(distinct.len(), messages, "none is lost");
    assert_eq!(tickets.len(), messages, "none is there twice");
}

#[test]
fn messages_are_in_the_inbox_and_acknowledged() {
    let Some(post) = Post::open("all") else {
        return;
    };
    post.publish((0..20).map(reqack));
    post.publish([
        json!({"type": "MSERV", "subtype": "INPUT", "productKey": "PK", "deviceKey": "D", "createdAt": 7, "ticket": "65a1b2c3d4e5f60718293a4b",
            "data": {"packetId": 3, "code": "reboot", "kv": {"delay": "5"}}}),
        json!({"type": "ONLINE", "productKey": "PK", "deviceKey": "D", "createdAt": 8, "ticket": "T", "data": {"value": 1}}),
        json!({"type": "MATTR", "subtype": "REPORT", "deviceKey": "D", "data": {}}),
    ]);
    // Over TLS, with metrics.
    let mut command = post.command(&post.broker.url());
    command.args(["--metrics-file", "listen.prom"]);
    let listener = Push::start(command);
    let inbox = post.inbox();
    inbox.wait_for(21);
    post.publish((20..40).map(reqack));
    inbox.wait_for(41);
    assert_eq!(post.broker.standing(&post.queue).1, 1);
    wait_for("a count", || {
        (inbox.column("SELECT kind FROM other") == ["MATTR"]).then_some(())
    });
    listener.signal(Signal::TERM);
    let ended = listener.ended().expect(0).says(&[
        "listening to a.1.all",
        "23 messages wait",
        "messages of type MATTR are counted and not kept",
    ]);
    assert!(!ended.stderr.contains("secret"), "{}", ended.stderr);
    assert_eq!(post.broker.standing(&post.queue), (0, 0));
    let kept = inbox.column("SELECT kind || ' ' || ticket || ' ' || device_key || ' ' || code || ' ' || kv || ' ' || at FROM message WHERE kind = 'input'");
    assert_eq!(
        kept,
        [r#"input 65a1b2c3d4e5f60718293a4b D reboot {"delay":"5"} 7"#]
    );
    assert_eq!(
        inbox.column("SELECT device_key || online_at FROM presence"),
        ["D8"]
    );
    let metrics = std::fs::read_to_string(post.site.path("listen.prom")).unwrap();
    for line in [
        "fleetpush_listen_messages_total{push=\"listen\"} 43",
        "fleetpush_listen_recorded_total{push=\"listen\"} 41",
        "fleetpush_listen_backlog{push=\"listen\"} 23",
        "fleetpush_last_exit_code{push=\"listen\"} 0",
    ] {
        assert!(
            metrics.lines().any(|have| have == line),
            "no {line} in\n{metrics}"
        );
    }
}

#[test]
fn what_is_no_message_of_use_is_counted_and_acknowledged() {
    let Some(post) = Post::open("odd") else {
        return;
    };
    let nested = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let bodies = [
        Vec::new(),
        b"\xff\xfe not text".to_vec(),
        vec![b'x'; 10 << 20],
        nested.into_bytes(),
        br#"{"type":"REQACK","deviceKey":"D","data":{"status":"succ"}}"#.to_vec(),
        reqack(1).to_string().into_bytes(),
    ];
    post.broker.publish(&post.queue, bodies);
    let listener = post.start();
    let inbox = post.inbox();
    inbox.wait_for(1);
    listener.signal(Signal::TERM);
    listener
        .ended()
        .expect(0)
        .says(&["a message is not as the platform documents it: (not JSON)"]);
    assert_eq!(post.broker.standing(&post.queue), (0, 0));
    assert_eq!(
        inbox.column("SELECT kind || ' ' || messages FROM other ORDER BY kind"),
        [
            "(larger than 1 MiB) 1",
            "(no type) 1",
            "(not JSON) 2",
            "REQACK (no ticket or device) 1"
        ]
    );
}

/// How often the listener is killed, unless `FLEETPUSH_TEST_TROUBLES` says another number.
const KILLS: usize = 40;

#[test]
fn a_listener_that_is_killed_at_any_moment_loses_no_message_and_doubles_none() {
    let Some(post) = Post::open("killed") else {
        return;
    };
    let seed = seed();
    println!("FLEETPUSH_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut sent = 0;
    for _ in 0..troubles(KILLS) {
        let more = random.random_range(1..60);
        post.publish((sent..sent + more).map(reqack));
        sent += more;
        let listener = post.start();
        let wanted = random.random_range(0..3);
        if wanted > 0 {
            // Somewhere between the first message and the end of what it does.
            let inbox = post.inbox();
            let before = inbox.tickets().len();
            wait_for("a sign of the listener", || {
                (inbox.tickets().len() > before || post.broker.standing(&post.queue).0 == 0)
                    .then_some(())
            });
        }
        thread::sleep(Duration::from_micros(random.random_range(0..40_000)));
        listener.kill();
    }
    post.empty();
    each_once(&post.inbox(), sent);
}

/// How often the connection is cut, unless `FLEETPUSH_TEST_TROUBLES` says another number.
const CUTS: usize = 40;
/// Bytes that a listener has sent, about, when it begins to acknowledge.
const HANDSHAKE: usize = 550;

/// Passes connections on to a port, and cuts each when the client has said so much.
struct Cutter {
    port: u16,
    cuts: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
}

impl Cutter {
    fn before(target: u16, mut random: StdRng) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let (cuts, is_over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let cutter = Self {
            port,
            cuts: Arc::clone(&cuts),
            is_over: Arc::clone(&is_over),
        };
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (
                    client.expect("a connection"),
                    TcpStream::connect(("127.0.0.1", target)).expect("a broker"),
                );
                let limit = HANDSHAKE + random.random_range(0..250);
                let (mut from, mut to) = (
                    server.try_clone().expect("a stream"),
                    client.try_clone().expect("a stream"),
                );
                thread::spawn(move || std::io::copy(&mut from, &mut to));
                let (cuts, is_over) = (Arc::clone(&cuts), Arc::clone(&is_over));
                thread::spawn(move || pass_until(limit, client, server, &cuts, &is_over));
            }
        });
        cutter
    }
}

fn pass_until(
    limit: usize,
    mut client: TcpStream,
    mut server: TcpStream,
    cuts: &AtomicUsize,
    is_over: &AtomicBool,
) {
    let (mut passed, mut buffer) = (0, [0; 4096]);
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        let room = if is_over.load(Ordering::Relaxed) {
            count
        } else {
            count.min(limit.saturating_sub(passed))
        };
        passed += count;
        // In the middle of a frame as a rule.
        if server.write_all(&buffer[..room]).is_err() || room < count {
            break;
        }
    }
    cuts.fetch_add(1, Ordering::Relaxed);
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

#[test]
fn a_connection_that_is_cut_while_messages_are_acknowledged_loses_and_doubles_none() {
    let Some(post) = Post::open("cut") else {
        return;
    };
    let seed = seed();
    println!("FLEETPUSH_TEST_SEED={seed}");
    let cutter = Cutter::before(post.broker.port(), StdRng::seed_from_u64(seed));
    let listener =
        Push::start(post.command(&format!("amqp://127.0.0.1:{}/quec-open", cutter.port)));
    let mut sent = 0;
    let cuts = || cutter.cuts.load(Ordering::Relaxed);
    while cuts() < troubles(CUTS) {
        let before = cuts();
        post.publish((sent..sent + 10).map(reqack));
        sent += 10;
        wait_for("messages that are handed out, or a cut", || {
            (post.broker.standing(&post.queue).0 == 0 || cuts() > before).then_some(())
        });
    }
    cutter.is_over.store(true, Ordering::Relaxed);
    let inbox = post.inbox();
    inbox.wait_for(sent);
    listener.signal(Signal::TERM);
    let ended = listener.ended().expect(0);
    assert!(
        ended.stderr.contains("connecting again"),
        "{}",
        ended.stderr
    );
    post.empty();
    each_once(&inbox, sent);
}

#[test]
fn a_login_that_is_refused_and_a_queue_that_is_unknown_say_what_to_do() {
    let Some(post) = Post::open("refused") else {
        return;
    };
    let url = post.broker.plain_url();
    let mut command = post.command(&url);
    command.env("FLEETPUSH_ACCESS_SECRET", "another");
    Push::start(command)
        .ended()
        .expect(5)
        .says(&["refuses the login", "check FLEETPUSH_ACCESS_KEY"]);

    let mut command = post
        .site
        .command(&["listen", "--queue", "a.1.unknown", "--amqp-url", &url]);
    command.args(["--base-url", post.sim.base_url()]);
    Push::start(command).ended().expect(5).says(&[
        "has no queue 'a.1.unknown'",
        "NOT_FOUND",
        "docs/delivery.md",
    ]);

    let elsewhere = url.replace("quec-open", "elsewhere");
    Push::start(post.command(&elsewhere))
        .ended()
        .expect(5)
        .says(&["refuses access", "check the path of --amqp-url"]);

    // Its certificate is nobody's that the system trusts.
    let mut command = post.command(&post.broker.url());
    command.env_remove("SSL_CERT_FILE");
    Push::start(command)
        .ended()
        .expect(5)
        .says(&["certificate", "is not trusted"]);
}

#[test]
fn two_who_share_a_queue_or_an_inbox_are_told() {
    let Some(post) = Post::open("shared") else {
        return;
    };
    let first = post.start();
    wait_for("a consumer", || {
        (post.broker.standing(&post.queue).1 == 1).then_some(())
    });
    let again = post.start().ended().expect(7);
    assert!(again.stderr.contains("listens already"), "{}", again.stderr);

    let other = Post {
        site: Site::new(),
        sim: Sim::start(Scenario::default()),
        broker: post.broker,
        queue: post.queue.clone(),
    };
    let second = other.start();
    wait_for("a second consumer", || {
        (post.broker.standing(&post.queue).1 == 2).then_some(())
    });
    second.signal(Signal::TERM);
    second
        .ended()
        .expect(0)
        .says(&["somebody else consumes the queue a.1.shared as well"]);
    first.signal(Signal::TERM);
    first.ended().expect(0);
}

#[test]
fn a_disk_that_is_full_ends_the_listener_and_what_was_not_recorded_comes_again() {
    let Some(post) = Post::open("full") else {
        return;
    };
    let large = "x".repeat(60_000);
    let message = |ticket: usize| {
        let mut message = reqack(ticket);
        message["type"] = json!("MSERV");
        message["subtype"] = json!("OUTPUT");
        message["data"] = json!({"code": "c", "kv": {"large": large}});
        message
    };
    post.publish((0..100).map(message));
    // Blocks of 512 bytes or of 1 KiB: less than the messages have in any case.
    let limited = with_limit("-f 3000", &post.command(&post.broker.plain_url()));
    Push::start(limited).ended().expect(6).says(&[
        "are not acknowledged, and come again",
        "make room on the disk",
    ]);
    let listener = post.start();
    let inbox = post.inbox();
    inbox.wait_for(100);
    post.wait_until_empty();
    listener.signal(Signal::TERM);
    listener.ended().expect(0);
    each_once(&inbox, 100);
}

#[test]
fn a_broker_that_is_out_of_reach_is_an_error_at_the_start() {
    let site = Site::new();
    let sim = Sim::healthy();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let command = |url: &str| {
        let mut command = site.command(&["listen", "--queue", "a.1.fleet", "--amqp-url", url]);
        command.args(["--base-url", sim.base_url()]);
        command
    };
    Push::start(command(&format!("amqp://127.0.0.1:{port}")))
        .ended()
        .expect(3)
        .says(&["cannot be reached", "refused"]);

    // Whoever answers there may be anything.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 8]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    Push::start(command(&format!("amqp://127.0.0.1:{port}")))
        .ended()
        .expect(5)
        .says(&["does not speak AMQP 0.9.1"]);
}

#[test]
fn what_is_missing_or_would_leak_is_refused_before_anything_is_asked() {
    let site = Site::new();
    let listen = |args: &[&str]| {
        let mut command = site.command(&["listen"]);
        command.args(args);
        Push::start(command).ended()
    };
    listen(&["--region", "europe"])
        .expect(2)
        .says(&["no queue is named", "--queue"]);
    listen(&["--queue", "a.1.q", "--base-url", "http://127.0.0.1:9"])
        .expect(2)
        .says(&["no message broker is named", "--amqp-url"]);
    listen(&["--queue", "a 1", "--region", "europe"])
        .expect(2)
        .says(&["write the whole name of a queue"]);
    let leaking = listen(&[
        "--queue",
        "a.1.q",
        "--region",
        "europe",
        "--amqp-url",
        "amqp://broker.example/quec-open",
    ]);
    leaking.expect(2).says(&["in the clear"]);
    assert!(!site.path("push.db.inbox").exists());
}
