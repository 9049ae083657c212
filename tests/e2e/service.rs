//! The service manager, played by the test: what it is told of a push, and that only a push that is alive feeds its watchdog.

mod listener;

use std::{
    os::unix::net::UnixDatagram,
    process::Command,
    time::{Duration, Instant},
};

use fleetpush::simulator::{Fault, Scenario};
use rustix::process::Signal;
use sqlx::{ConnectOptions, Connection, Executor, sqlite::SqliteConnectOptions};

use crate::support::{PATIENCE, Push, Sim, Site, devices};

/// The socket that a service manager listens on.
struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    fn listen(site: &Site) -> Self {
        let socket = UnixDatagram::bind(site.path("notify")).expect("a socket can be bound");
        Self { socket }
    }

    /// The command, started as a service.
    fn service(&self, mut command: Command) -> Command {
        let address = self.socket.local_addr().expect("it is bound");
        command.env("NOTIFY_SOCKET", address.as_pathname().expect("to a path"));
        command
    }

    /// The lines of the next message that comes within this time.
    fn hear(&self, within: Duration) -> Option<Vec<String>> {
        self.socket
            .set_read_timeout(Some(within))
            .expect("a timeout can be set");
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).ok()?;
        let text = str::from_utf8(&message[..length]).expect("messages are text");
        Some(text.lines().map(str::to_owned).collect())
    }

    /// Waits for a line that begins with this, and gives all lines until then.
    fn wait_for(&self, line: &str) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut heard = Vec::new();
        while Instant::now() < deadline {
            heard.extend(self.hear(Duration::from_secs(1)).unwrap_or_default());
            if heard.iter().any(|heard| heard.starts_with(line)) {
                return heard;
            }
        }
        panic!("waited in vain for {line}: {heard:?}");
    }

    /// All that has been told and not heard yet.
    fn rest(&self) -> Vec<String> {
        let mut heard = Vec::new();
        while let Some(lines) = self.hear(Duration::from_millis(50)) {
            heard.extend(lines);
        }
        heard
    }
}

fn place(heard: &[String], line: &str) -> Option<usize> {
    heard.iter().position(|heard| heard == line)
}

const PUSH: [&str; 6] = [
    "run",
    "fleet.csv",
    "--chunk-size",
    "5",
    "--concurrency",
    "4",
];

#[test]
fn a_push_is_ready_when_it_begins_and_tells_how_it_ended() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(40));
    let manager = Manager::listen(&site);
    // Complete, and the second time with nothing to send.
    for _ in 0..2 {
        Push::start(manager.service(site.push_command(&sim, &PUSH)))
            .ended()
            .expect(0);
        let heard = manager.rest();
        let ready = place(&heard, "READY=1").expect("ready");
        let stopping = place(&heard, "STOPPING=1").expect("stopping");
        assert!(ready < stopping, "{heard:?}");
        assert!(
            place(&heard, "STATUS=ended with exit code 0").is_some(),
            "{heard:?}"
        );
        assert_eq!(place(&heard, "WATCHDOG=1"), None, "nobody asked for it");
    }
}

#[test]
fn a_start_that_fails_is_never_ready() {
    let sim = Sim::healthy();
    let site = Site::with("device_key\n");
    let manager = Manager::listen(&site);
    Push::start(manager.service(site.push_command(&sim, &PUSH)))
        .ended()
        .expect(2);
    let heard = manager.rest();
    assert_eq!(place(&heard, "READY=1"), None, "{heard:?}");
    assert!(
        place(&heard, "STATUS=ended with exit code 2").is_some(),
        "{heard:?}"
    );
}

#[test]
fn a_stop_is_told_when_it_begins() {
    let sim = Sim::start(Scenario {
        latency_ms: 150,
        ..Scenario::default()
    });
    let site = Site::with(&devices(300));
    let manager = Manager::listen(&site);
    let push = Push::start(manager.service(site.push_command(&sim, &PUSH)));
    manager.wait_for("READY=1");
    sim.wait_for_requests(3);
    push.signal(Signal::TERM);
    manager.wait_for("STATUS=stopping: waiting up to");
    push.ended().expect(3);
}

#[test]
fn the_watchdog_is_fed_in_idleness_too() {
    // The platform takes requests, and never answers.
    let sim = Sim::start(Scenario {
        faults: [(Fault::HangActed, 1.0)].into(),
        ..Scenario::default()
    });
    let site = Site::with(&devices(10));
    let manager = Manager::listen(&site);
    let mut command = manager.service(site.push_command(&sim, &PUSH));
    command
        .args(["--drain-timeout", "0s", "--request-timeout", "1h"])
        .env("WATCHDOG_USEC", "4000000");
    let push = Push::start(command);
    sim.wait_for_requests(2);
    for _ in 0..2 {
        manager.wait_for("WATCHDOG=1");
    }
    push.signal(Signal::TERM);
    push.ended().expect(3);
}

#[test]
fn a_push_that_is_stuck_does_not_feed_the_watchdog() {
    let sim = Sim::start(Scenario {
        latency_ms: 100,
        ..Scenario::default()
    });
    let site = Site::with(&devices(400));
    let manager = Manager::listen(&site);
    let mut command = manager.service(site.push_command(&sim, &PUSH));
    command.env("WATCHDOG_USEC", "2000000");
    let push = Push::start(command);
    manager.wait_for("WATCHDOG=1");

    // Somebody else holds the database, so that nothing can be recorded.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let writer = runtime.block_on(async {
        let mut writer = SqliteConnectOptions::new()
            .filename(site.path("push.db"))
            .connect()
            .await
            .unwrap();
        writer.execute("BEGIN IMMEDIATE").await.unwrap();
        writer
    });
    // What was told before that may still have to be heard; a timer would go on.
    let silence = Duration::from_secs(2);
    let since = Instant::now();
    while manager.hear(silence).is_some() {
        assert!(since.elapsed() < PATIENCE / 3, "it is fed all the same");
    }
    runtime.block_on(writer.close()).unwrap();
    manager.wait_for("WATCHDOG=1");
    push.signal(Signal::TERM);
    push.ended().expect(3);
}

#[test]
fn a_pause_is_told_with_who_asked_for_it() {
    let sim = Sim::start(Scenario {
        latency_ms: 50,
        ..Scenario::default()
    });
    let site = Site::with(&devices(400));
    let manager = Manager::listen(&site);
    let push = Push::start(manager.service(site.push_command(&sim, &PUSH)));
    sim.wait_for_requests(4);
    site.run(&["pause"]).expect(0);
    push.ended().expect(3);
    let heard = manager.rest();
    let told = heard.iter().any(|line| {
        line.starts_with("STATUS=paused by ") && line.ends_with("; ended with exit code 3")
    });
    assert!(told, "{heard:?}");
}
