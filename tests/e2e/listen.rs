//! The listener and a real message broker: what comes is on the disk before it is acknowledged, whatever happens to either.

mod itself;
mod kept;
mod losses;
mod published;
mod standing;

use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
};

use fleetpush::simulator::Scenario;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Post, Push, Sim, Site, wait_for};

fn reqack(ticket: usize) -> Value {
    json!({"type": "REQACK", "productKey": "PK", "deviceKey": format!("DK{ticket:05}"), "createdAt": 1_750_000_000_000_i64 + ticket as i64,
        "ticket": format!("{}", 1_380_000_000_000_000_000_i64 + ticket as i64), "data": {"sentAt": 1, "status": "succ"}})
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
    assert!(again.stderr.contains("already listens"), "{}", again.stderr);

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
        .says(&["no queue is given", "--queue"]);
    listen(&["--queue", "a.1.q", "--base-url", "http://127.0.0.1:9"])
        .expect(2)
        .says(&["no message broker is given", "--amqp-url"]);
    listen(&["--queue", "a 1", "--region", "europe"])
        .expect(2)
        .says(&["write the full name of a queue"]);
    let leaking = listen(&[
        "--queue",
        "a.1.q",
        "--region",
        "europe",
        "--amqp-url",
        "amqp://broker.example/quec-open",
    ]);
    leaking.expect(2).says(&["without encryption"]);
    assert!(!site.path("push.db.inbox").exists());
}
