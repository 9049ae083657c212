//! What stands still for a while costs time and nothing else: a platform whose process is stopped, and a stderr that nobody reads.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use fleetpush::simulator::{Outage, Scenario, Stats};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Push, Sim, Site, agree, devices, wait_for};

/// The simulated platform as a process of its own.
struct Standalone {
    child: Child,
    base_url: String,
}

impl Standalone {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_fleetpush"))
            .args(["simulator", "--listen", "127.0.0.1:0", "--latency", "20"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let mut base_url = String::new();
        BufReader::new(child.stdout.take().expect("a pipe was asked for"))
            .read_line(&mut base_url)
            .expect("it tells its address");
        Self {
            child,
            base_url: base_url.trim().to_owned(),
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process is there");
    }

    /// What it has counted, asked over its own port.
    fn stats(&self) -> Stats {
        let host = self.base_url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).expect("it listens");
        write!(
            stream,
            "GET /__simulator/stats HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )
        .expect("it reads");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("it answers");
        let (_, body) = reply.split_once("\r\n\r\n").expect("a reply has a body");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {reply}"))
    }
}

impl Drop for Standalone {
    fn drop(&mut self) {
        // SIGKILL ends a stopped process too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A real stop may last 20 s; three are as good for what is looked at, since requests may wait for longer than either.
const STOPPED: Duration = Duration::from_secs(3);

#[test]
fn a_platform_that_is_stopped_for_a_while_costs_that_time_and_no_device() {
    let platform = Standalone::start();
    let site = Site::with(&devices(400));
    let started = Instant::now();
    let mut command = site.command(&[
        "run",
        "fleet.csv",
        "--chunk-size",
        "5",
        "--concurrency",
        "4",
        "--max-attempts",
        "1",
        "--request-timeout",
        "30s",
        "--rate",
        "unlimited",
        "--progress",
        "none",
    ]);
    command.args(["--base-url", &platform.base_url]);
    let mut push = Push::start(command);
    wait_for("requests", || {
        (platform.stats().requests >= 10).then_some(())
    });
    platform.signal(Signal::STOP);
    std::thread::sleep(STOPPED);
    assert!(!push.has_ended(), "nothing is done while it is stopped");
    platform.signal(Signal::CONT);
    push.ended().expect(0);
    assert!(started.elapsed() >= STOPPED);

    let journal = site.journal();
    assert_eq!(journal.run().accepted, 400);
    let outcomes = journal.outcomes();
    assert_eq!(outcomes["accepted"], 400);
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
    let stats = platform.stats();
    assert_eq!((stats.deliveries, stats.overlaps), (400, 0), "{stats:?}");
}

/// The replies arrive while the process is stopped, for longer than it would wait for them.
#[test]
fn what_arrives_while_the_push_is_stopped_is_read_before_a_time_out_counts() {
    for drains in [false, true] {
        let slow = Scenario {
            latency_ms: 700,
            ..Scenario::default()
        };
        let sim = Sim::start(slow);
        let site = Site::with(&devices(200));
        let args = [
            "run",
            "fleet.csv",
            "--chunk-size",
            "10",
            "--concurrency",
            "4",
            "--request-timeout",
            "2s",
            "--drain-timeout",
            "2s",
            "--in-doubt",
            "hold",
        ];
        let push = site.start(&sim, &args);
        sim.wait_for_requests(4);
        if drains {
            push.signal(Signal::TERM);
            wait_for("the drain", || {
                push.stderr()
                    .contains("a second signal stops at once")
                    .then_some(())
            });
        }
        push.signal(Signal::STOP);
        std::thread::sleep(STOPPED);
        push.signal(Signal::CONT);
        push.ended().expect(if drains { 3 } else { 0 });
        let journal = site.journal();
        agree(&journal, &sim);
        assert_eq!(journal.run().in_doubt, 0, "{:?}", journal.outcomes());
        assert_eq!(sim.deliveries().len() as i64, journal.run().accepted);
    }
}

/// Its patience is over when the push goes on, and it has not asked for as long: it asks once more.
#[test]
fn an_outage_during_which_the_push_was_stopped_is_probed_once_more() {
    let sim = Sim::start(Scenario {
        outage: Outage::Unavailable,
        ..Scenario::default()
    });
    let site = Site::with(&devices(20));
    let push = site.start(&sim, &["run", "fleet.csv", "--max-outage", "2500ms"]);
    wait_for("the pause", || {
        push.stderr().contains("paused").then_some(())
    });
    push.signal(Signal::STOP);
    sim.play(Scenario::default());
    std::thread::sleep(STOPPED);
    push.signal(Signal::CONT);
    push.ended().expect(0);
    agree(&site.journal(), &sim);
}

#[test]
fn a_stderr_that_nobody_reads_does_not_hold_up_a_push() {
    let sim = Sim::start(Scenario {
        latency_ms: 5,
        ..Scenario::default()
    });
    let site = Site::with(&devices(400));
    let (reader, pipe) = std::io::pipe().expect("a pipe can be made");
    // More than a pipe holds: from some point on nothing more goes in, and the test does not wait for that.
    let filler = {
        let mut pipe = pipe.try_clone().expect("a pipe can be shared");
        std::thread::spawn(move || while pipe.write_all(&[b'.'; 4096]).is_ok() {})
    };
    let mut command = site.push_command(
        &sim,
        &[
            "run",
            "fleet.csv",
            "--chunk-size",
            "1",
            "--progress",
            "lines",
            "-vvv",
        ],
    );
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(pipe)
        .spawn()
        .expect("the binary starts");
    // The command holds the other end of the pipe, too.
    drop(command);
    let status = wait_for("the end of the push", || {
        child.try_wait().expect("a child can be asked")
    });
    assert_eq!(status.code(), Some(0));
    drop(reader);
    filler.join().expect("the filler ends with the reader");
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().accepted, 400);
}
