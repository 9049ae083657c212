//! Signals and closed pipes: a stop in good order leaves nothing in doubt, and nobody has to watch a push.

use std::{
    fmt::Write as _,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use fleetpush::simulator::{Fault, Scenario};
use rustix::process::Signal;
use sqlx::{ConnectOptions, Connection, Executor, sqlite::SqliteConnectOptions};

use crate::support::{PATIENCE, Push, Sim, Site, agree, devices, wait_for};

const PUSH: [&str; 6] = [
    "run",
    "fleet.csv",
    "--chunk-size",
    "5",
    "--concurrency",
    "4",
];

fn slow(latency_ms: u64) -> Scenario {
    Scenario {
        latency_ms,
        ..Scenario::default()
    }
}

/// Takes sends, and never answers.
fn deaf() -> Scenario {
    Scenario {
        faults: [(Fault::HangActed, 1.0)].into(),
        ..Scenario::default()
    }
}

/// Whether this process, and so each push that it starts, ignores SIGHUP.
fn hangups_are_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let ignored = status
                .lines()
                .find_map(|line| line.strip_prefix("SigIgn:"))?;
            u64::from_str_radix(ignored.trim(), 16).ok()
        })
        .is_some_and(|ignored| ignored & 1 == 1)
}

#[test]
fn a_signal_drains_and_the_next_push_continues() {
    for signal in [
        Signal::INT,
        Signal::TERM,
        Signal::HUP,
        Signal::QUIT,
        Signal::USR1,
    ] {
        if signal == Signal::HUP && hangups_are_ignored() {
            // As under nohup: the push inherits that, and goes on.
            continue;
        }
        let sim = Sim::start(slow(150));
        let site = Site::with(&devices(300));
        let push = site.start(&sim, &PUSH);
        sim.wait_for_requests(5);
        push.signal(signal);
        push.ended()
            .expect(3)
            .says(&["stopping after the requests in flight", "fleetpush resume"]);

        assert_eq!(sim.stats().concurrent, 0, "a request was abandoned");
        let journal = site.journal();
        agree(&journal, &sim);
        let run = journal.run();
        assert_eq!(run.state, "stopped");
        assert!(run.accepted > 0 && run.pending > 0, "{run:?}");
        assert_eq!((run.in_flight, run.in_doubt), (0, 0), "{run:?}");
        assert_eq!(run.accepted as usize, sim.deliveries().len());
        assert_eq!(journal.outcomes().len(), 1, "{:?}", journal.outcomes());

        sim.play(Scenario::default());
        site.push(&sim, &PUSH).expect(0);
        agree(&site.journal(), &sim);
        assert_eq!(sim.deliveries().len(), 300, "each device once");
    }
}

#[test]
fn a_second_signal_leaves_at_once_and_what_was_under_way_is_in_doubt() {
    let sim = Sim::start(deaf());
    let site = Site::with(&devices(20));
    let push = site.start(&sim, &PUSH);
    sim.wait_for_requests(4);
    push.signal(Signal::TERM);
    wait_for("the drain", || {
        push.stderr()
            .contains("a second signal stops at once")
            .then_some(())
    });
    let asked = Instant::now();
    push.signal(Signal::TERM);
    push.ended().expect(3).says(&["pending   20"]);
    assert!(asked.elapsed() < PATIENCE / 6, "it drained all the same");
    let journal = site.journal();
    let left = journal.run();
    assert_eq!(left.state, "stopped");
    assert_eq!((left.in_flight, left.pending), (0, 20), "{left:?}");

    sim.play(Scenario::default());
    site.push(&sim, &PUSH).expect(0);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.outcomes()["in_doubt"], 20);
    assert_eq!(journal.run().accepted, 20);
}

#[test]
fn a_drain_is_bounded() {
    let sim = Sim::start(deaf());
    let site = Site::with(&devices(100));
    let mut args = PUSH.to_vec();
    args.extend(["--drain-timeout", "200ms", "--in-doubt", "hold"]);
    let push = site.start(&sim, &args);
    sim.wait_for_requests(4);
    push.signal(Signal::INT);
    push.ended().expect(3);
    let journal = site.journal();
    agree(&journal, &sim);
    let run = journal.run();
    // Four requests of five devices were under way; what had been claimed beyond them may or may not have been sent.
    assert!(run.in_doubt >= 20 && run.pending > 0, "{run:?}");
    assert_eq!((run.accepted, run.in_flight), (0, 0), "{run:?}");
}

#[test]
fn a_signal_before_anything_is_sent_stops_too() {
    let sim = Sim::start(Scenario {
        login_faults: [(Fault::Hang, 1.0)].into(),
        ..Scenario::default()
    });
    let site = Site::with(&devices(10));
    let mut args = PUSH.to_vec();
    args.extend(["--drain-timeout", "200ms"]);
    let push = site.start(&sim, &args);
    wait_for("the login", || {
        (!sim.stats().faults.is_empty()).then_some(())
    });
    push.signal(Signal::INT);
    push.ended().expect(3);
    agree(&site.journal(), &sim);
    assert_eq!(sim.stats().requests, 0);
}

/// Started is not sent: what waits for a login is neither waited for nor in doubt.
#[test]
fn what_waits_for_a_login_that_hangs_is_released_at_once() {
    let sim = Sim::start(Scenario {
        login_faults: [(Fault::Hang, 1.0)].into(),
        ..Scenario::default()
    });
    let site = Site::with(&devices(2000));
    let args = [
        "run",
        "fleet.csv",
        "--chunk-size",
        "50",
        "--concurrency",
        "16",
        "--in-doubt",
        "hold",
        "--drain-timeout",
        "1h",
        "--request-timeout",
        "1h",
    ];
    let push = site.start(&sim, &args);
    wait_for("the login", || {
        (!sim.stats().faults.is_empty()).then_some(())
    });
    push.signal(Signal::TERM);
    push.ended().expect(3);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().pending, 2000);
    assert!(journal.attempts.is_empty());

    sim.play(Scenario::default());
    site.push(&sim, &args).expect(0);
    assert_eq!(sim.deliveries().len(), 2000, "each device once");
}

#[test]
fn a_closed_terminal_does_not_abort_a_push() {
    let sim = Sim::start(slow(50));
    let site = Site::with(&devices(100));
    let mut command = site.push_command(
        &sim,
        &[
            "run",
            "fleet.csv",
            "--chunk-size",
            "5",
            "--progress",
            "lines",
            "--format",
            "json",
            "-vv",
        ],
    );
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    let status = wait_for("the end", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().accepted, 100);
}

#[test]
fn a_second_signal_leaves_at_once_whatever_is_waited_for() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(10));
    site.push(&sim, &["run", "fleet.csv"]).expect(0);
    // Somebody else writes to the database, so that the next command waits before it has begun to push.
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
    let mut push = site.start(&sim, &["run", "fleet.csv", "--again"]);
    wait_for("the database to be opened", || {
        let owner = std::fs::read_to_string(site.path("push.db.lock")).unwrap_or_default();
        owner
            .starts_with(&format!("pid {} ", push.pid()))
            .then_some(())
    });
    push.signal(Signal::TERM);
    wait_for("the first signal", || {
        push.stderr()
            .contains("a second signal stops at once")
            .then_some(())
    });
    assert!(!push.has_ended(), "it waits for the database");
    let asked = Instant::now();
    push.signal(Signal::TERM);
    push.ended().expect(3);
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "it waited all the same"
    );
    runtime.block_on(writer.close()).unwrap();
    site.push(&sim, &["run", "fleet.csv", "--again"]).expect(0);
    agree(&site.journal(), &sim);
}

/// The binary started by a shell that does this first.
fn after(preparation: &str, mut command: Command) -> Push {
    let program = command.get_program().to_owned();
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(format!("{preparation}; exec \"$0\" \"$@\""))
        .arg(program)
        .args(command.get_args())
        .env_clear();
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    command.stdin(Stdio::null());
    Push::start(shell)
}

#[test]
fn a_push_that_was_started_to_outlive_its_terminal_does() {
    let sim = Sim::start(slow(100));
    let site = Site::with(&devices(100));
    let push = after("trap '' HUP", site.push_command(&sim, &PUSH));
    sim.wait_for_requests(2);
    push.signal(Signal::HUP);
    push.ended().expect(0);
    assert_eq!(site.journal().run().accepted, 100);
}

#[test]
fn a_file_that_reaches_its_limit_is_a_full_disk() {
    let sim = Sim::healthy();
    let site = Site::with(&devices(20_000));
    let limited = after("ulimit -f 400", site.push_command(&sim, &PUSH));
    limited.ended().expect(6);
    site.push(&sim, &["run", "fleet.csv"]).expect(0);
    agree(&site.journal(), &sim);
    assert_eq!(site.journal().run().accepted, 20_000);
}

#[test]
fn a_signal_is_heard_while_very_many_tasks_of_a_device_are_blocked() {
    const TASKS: usize = 20_000;
    let sim = Sim::start(Scenario {
        offline: 1.0,
        ..Scenario::default()
    });
    let mut manifest = String::from("device_key,product_key,service,param.raw1\n");
    for number in 0..TASKS {
        writeln!(manifest, "DK,PK0001,fuwu,{}", ["AA", "BB"][number % 2]).unwrap();
    }
    let site = Site::with(&manifest);
    let push = site.start(&sim, &PUSH);
    sim.wait_for_requests(1);
    push.signal(Signal::TERM);
    push.ended().expect(3);
    let journal = site.journal();
    let run = journal.run();
    assert_eq!(run.state, "stopped");
    assert!(run.pending > 0, "it was heard only at the end: {run:?}");
    assert_eq!((run.failed + run.pending) as usize, TASKS);
    site.push(&sim, &PUSH).expect(1);
    let journal = site.journal();
    let run = journal.run();
    assert_eq!((run.failed as usize, run.pending), (TASKS, 0));
    assert_eq!(sim.stats().requests, 1, "what is blocked is not sent");
}
