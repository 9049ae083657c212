//! Several workers on one run in parts, each of which can be killed, frozen for longer than its lease, stopped in order or cut off from the
//! server at any moment, while the server itself goes away or is restarted. Nothing is lost, and nothing is guessed.
//!
//! `FLEETPUSH_TEST_LONG` lets eight workers push 50,000 devices through 500 faults. `FLEETPUSH_TEST_SEED` repeats the choices of a run; the
//! machine's timing is its own.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::Write as _,
    thread::sleep,
    time::{Duration, Instant},
};

use fleetpush::simulator::{Fault, Scenario};
use rand::{
    RngExt as _, SeedableRng as _,
    rngs::SmallRng,
    seq::{IndexedRandom as _, SliceRandom as _},
};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{
    Cut, Ended, Push, Sim, Site, agree, is_long, nothing_older_follows, seed, wait_for,
};

/// How long a lease lasts.
const LEASE: Duration = Duration::from_millis(900);
/// How long faults wait for the run to get on, at the latest: what is in doubt, or whose owner is dead, takes its time.
const STALL: Duration = Duration::from_millis(400);
/// How long after that a fault comes, at the latest.
const DELAY: Duration = Duration::from_millis(60);
/// How all of them push.
const FLAGS: [&str; 10] = [
    "--chunk-size",
    "5",
    "--concurrency",
    "16",
    "--max-attempts",
    "100",
    "--abort-if",
    "never",
    "--request-timeout",
    "2s",
];

/// How much of it there is.
struct Size {
    workers: usize,
    devices: u32,
    parts: &'static str,
    faults: usize,
    latency_ms: u64,
}

const SHORT: Size = Size {
    workers: 3,
    devices: 700,
    parts: "3",
    faults: 9,
    latency_ms: 120,
};
const LONG: Size = Size {
    workers: 8,
    devices: 50_000,
    parts: "8",
    faults: 500,
    latency_ms: 60,
};

impl Size {
    /// A platform with a few troubles of its own.
    fn scenario(&self, seed: u64, is_slow: bool) -> Scenario {
        let latency_ms = if is_slow { 4 } else { 1 } * self.latency_ms;
        Scenario {
            seed,
            latency_ms,
            latency_jitter_ms: self.latency_ms,
            transient: 0.02,
            faults: [(Fault::ResetAfter, 0.01), (Fault::Unavailable, 0.02)].into(),
            ..Scenario::default()
        }
    }
}

/// What a worker, its connections or the server meet. Each comes once before any comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    /// A worker is killed, and another one comes.
    Killed,
    /// A worker stands still for longer than its lease, and another one comes meanwhile.
    Frozen,
    /// A worker stops in order, and another one comes.
    Stopped,
    /// The server ends one connection.
    OneCutOff,
    /// The server ends all of them.
    AllCutOff,
    /// A connection ends before the server has heard of a commit.
    CutBeforeCommit,
    /// It ends before the worker has heard of one.
    CutAfterCommit,
    /// The server takes no connections for a while.
    Closed,
    /// The server is stopped as `pg_ctl stop -m immediate` does, and started again.
    Restarted,
}

const TROUBLES: [Trouble; 9] = [
    Trouble::Killed,
    Trouble::Frozen,
    Trouble::Stopped,
    Trouble::OneCutOff,
    Trouble::AllCutOff,
    Trouble::CutBeforeCommit,
    Trouble::CutAfterCommit,
    Trouble::Closed,
    Trouble::Restarted,
];

#[test]
fn several_workers_on_one_run_lose_nothing_through_any_fault() {
    let seed = seed();
    eprintln!("FLEETPUSH_TEST_SEED={seed}");
    let size = if is_long() { LONG } else { SHORT };
    let Some(story) = Story::new(seed, size) else {
        return;
    };
    story.survive();
}

/// Devices with up to three commands each; what is sent tells the order.
fn manifest(random: &mut SmallRng, devices: u32) -> (String, u64) {
    let mut text = String::from("device_key,product_key,service,param.step\n");
    let mut rows = 0;
    for step in 1..=3 {
        for device in 1..=devices {
            if step == 1 || random.random_bool(0.2) {
                writeln!(text, "DK{device:05},PK0001,fuwu,{step}").expect("a string takes all");
                rows += 1;
            }
        }
    }
    (text, rows)
}

/// One run, those who push it, the platform, and what chance has in store for them.
struct Story {
    size: Size,
    seed: u64,
    /// Whether the platform answers slowly.
    is_slow: bool,
    random: SmallRng,
    site: Site,
    sim: Sim,
    rows: u64,
    workers: Vec<Push>,
    /// Workers that stand still, and when each wakes up.
    frozen: Vec<(Push, Instant)>,
    met: BTreeMap<Trouble, usize>,
    /// How those ended that ended by themselves.
    codes: BTreeMap<Option<i32>, usize>,
    began: Instant,
}

impl Story {
    fn new(seed: u64, size: Size) -> Option<Self> {
        let mut random = SmallRng::seed_from_u64(seed);
        let (manifest, rows) = manifest(&mut random, size.devices);
        Some(Self {
            site: Site::on_own_cut_server(&manifest)?,
            sim: Sim::start(size.scenario(seed, false)),
            seed,
            is_slow: false,
            random,
            size,
            rows,
            workers: Vec::new(),
            frozen: Vec::new(),
            met: BTreeMap::new(),
            codes: BTreeMap::new(),
            began: Instant::now(),
        })
    }

    fn survive(mut self) {
        let stage = ["run", "fleet.csv", "--name", "night", "--parts"];
        let first = self.start(&[&stage[..], &[self.size.parts]].concat());
        self.workers.push(first);
        wait_for("parts", || (self.parts().len() > 1).then_some(()));
        let mut deck = Vec::new();
        for fault in 0..self.size.faults {
            self.tend();
            self.wait_for_a_moment(fault);
            if self.is_complete() {
                break;
            }
            if deck.is_empty() {
                deck = TROUBLES.to_vec();
                deck.shuffle(&mut self.random);
            }
            let trouble = deck.pop().expect("there are some");
            self.meet(trouble);
            *self.met.entry(trouble).or_default() += 1;
        }
        self.sim.play(Scenario::default());
        self.finish();
        self.check();
    }

    /// Starts a process whose lease ends soon after it has died.
    fn start(&self, what: &[&str]) -> Push {
        let args = [what, &FLAGS].concat();
        let mut command = self.site.push_command(&self.sim, &args);
        command.env("FLEETPUSH_TEST_LEASE_MS", LEASE.as_millis().to_string());
        Push::start(command)
    }

    /// Wakes up whose time has come, takes leave of those who have ended, and starts others in their place.
    fn tend(&mut self) {
        for at in (0..self.frozen.len()).rev() {
            if self.frozen[at].1 <= Instant::now() {
                let (worker, _) = self.frozen.swap_remove(at);
                worker.signal(Signal::CONT);
                self.workers.push(worker);
            }
        }
        for at in (0..self.workers.len()).rev() {
            if self.workers[at].has_ended() {
                let ended = self.workers.swap_remove(at).ended();
                self.take_leave(&ended);
            }
        }
        while self.workers.len() < self.size.workers {
            self.workers.push(self.start(&["worker"]));
        }
    }

    /// A worker ends by itself when there is nothing left, by a signal, or because it has lost its lease or its server.
    fn take_leave(&mut self, ended: &Ended) {
        assert!(matches!(ended.code, Some(0 | 3 | 6 | 7)), "{ended:?}");
        *self.codes.entry(ended.code).or_default() += 1;
    }

    /// Waits until as much of the run is done as leaves enough for the faults that are to come. A platform that answers slowly holds up a run
    /// that is ahead of them.
    fn wait_for_a_moment(&mut self, fault: usize) {
        let step = self.rows * 3 / 4 / self.size.faults as u64;
        let due = step * fault as u64;
        let is_slow = self.sim.stats().deliveries > due + 2 * step;
        if is_slow != self.is_slow {
            self.is_slow = is_slow;
            self.sim.play(self.size.scenario(self.seed, is_slow));
        }
        let until = due + self.random.random_range(0..2 * step);
        let deadline = Instant::now() + STALL;
        wait_for("commands", || {
            (self.sim.stats().deliveries >= until || Instant::now() >= deadline).then_some(())
        });
        sleep(self.random.random_range(Duration::ZERO..DELAY));
    }

    /// Takes a worker out of those who are awake: one that has a part, if there is any.
    fn draw(&mut self) -> Push {
        let holders = self.holders();
        let has_a_part = |worker: &Push| holders.contains(&format!("pid {} ", worker.pid()));
        let mut of: Vec<usize> = (0..self.workers.len())
            .filter(|at| has_a_part(&self.workers[*at]))
            .collect();
        if of.is_empty() {
            of = (0..self.workers.len()).collect();
        }
        let at = *of.choose(&mut self.random).expect("there are workers");
        self.workers.swap_remove(at)
    }

    fn meet(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Killed => self.draw().kill(),
            Trouble::Frozen => {
                let worker = self.draw();
                worker.signal(Signal::STOP);
                let time = self.random.random_range(2 * LEASE..4 * LEASE);
                self.frozen.push((worker, Instant::now() + time));
            }
            Trouble::Stopped => {
                let worker = self.draw();
                worker.signal(Signal::TERM);
                let ended = worker.ended();
                // One that has not yet a handler of the signal is ended by it.
                if ended.code.is_some() {
                    self.take_leave(&ended);
                }
            }
            Trouble::OneCutOff => {
                let backends = self.site.server().backends();
                if let Some(backend) = backends.choose(&mut self.random) {
                    let end = format!("SELECT pg_terminate_backend({backend})");
                    self.site.server().execute(&end);
                }
            }
            Trouble::AllCutOff => self.site.server().execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
            ),
            Trouble::CutBeforeCommit => self.cut(Cut::Before),
            Trouble::CutAfterCommit => self.cut(Cut::After),
            Trouble::Closed => {
                self.site.server().close();
                sleep(self.random.random_range(Duration::ZERO..2 * LEASE));
                self.site.server().open();
            }
            Trouble::Restarted => {
                let server = self.site.server().server();
                server.end_by(Signal::QUIT);
                sleep(self.random.random_range(Duration::ZERO..LEASE));
                server.start_again();
            }
        }
    }

    fn cut(&mut self, cut: Cut) {
        self.site.way().cut_next(cut);
        let deadline = Instant::now() + 4 * STALL;
        wait_for("a commit", || {
            (!self.site.way().is_to_cut() || Instant::now() >= deadline).then_some(())
        });
        self.site.way().cut_none();
    }

    /// Those who push a part of the run now.
    fn holders(&self) -> String {
        self.ask("SELECT coalesce(string_agg(holder, ' '), '') FROM fleetpush.lease WHERE name LIKE 'run %' AND ends_at > clock_timestamp()")
    }

    /// Whether anybody has a lease of anything.
    fn is_held(&self) -> bool {
        self.ask("SELECT count(*) > 0 FROM fleetpush.lease WHERE ends_at > clock_timestamp()")
    }

    fn is_complete(&self) -> bool {
        self.ask("SELECT count(*) > 0 FROM fleetpush.runs WHERE state = 'complete'")
    }

    /// The one value that a statement yields.
    fn ask<T>(&self, sql: &'static str) -> T
    where
        T: Send + Unpin + sqlx::Type<sqlx::Postgres> + for<'r> sqlx::Decode<'r, sqlx::Postgres>,
    {
        self.site.server().on(async |connection| {
            sqlx::query_scalar(sql)
                .fetch_one(connection)
                .await
                .expect("the leases and the run can be read")
        })
    }

    fn parts(&self) -> Vec<Value> {
        let select = "SELECT * FROM parts ORDER BY part";
        self.site
            .run(&["sql", select, "--format", "jsonl"])
            .expect(0)
            .json_lines()
    }

    /// Lets the workers do the rest.
    fn finish(&mut self) {
        while !self.is_complete() {
            self.tend();
            let before = self.sim.stats().deliveries;
            wait_for("the run to get on", || {
                self.tend();
                (self.sim.stats().deliveries > before || self.is_complete()).then_some(())
            });
        }
        let frozen = std::mem::take(&mut self.frozen);
        for (worker, _) in frozen {
            worker.signal(Signal::CONT);
            self.workers.push(worker);
        }
        for worker in std::mem::take(&mut self.workers) {
            let ended = worker.ended();
            assert!(matches!(ended.code, Some(0 | 6)), "{ended:?}");
            self.take_leave(&ended);
        }
    }

    fn check(&self) {
        // Those of the dead end by themselves.
        wait_for("the end of all leases", || (!self.is_held()).then_some(()));
        let journal = self.site.journal();
        let run = journal.run();
        let stats = self.sim.stats();
        let doubts = journal.outcomes().get("in_doubt").copied().unwrap_or(0);
        let doubles = stats.deliveries.saturating_sub(self.rows);
        let faults: usize = self.met.values().sum();
        let _ = writeln!(
            std::io::stderr(),
            "{faults} faults in {:.0?}: {:?}; ends by exit code: {:?}; {} tasks, {doubts} sends in doubt, {doubles} commands sent again",
            self.began.elapsed(),
            self.met,
            self.codes,
            run.tasks
        );
        assert_eq!(run.state, "complete");
        assert_eq!(run.tasks.unsigned_abs(), self.rows);
        assert_eq!(run.accepted, run.tasks);
        assert_eq!(journal.unfinished, 0);
        // Each command that came twice is explained by a doubt, or both sides would not agree.
        agree(&journal, &self.sim);
        nothing_older_follows(&journal, &self.sim);
        assert_eq!(stats.overlaps, 0, "two in flight for one device");
        let parts = self.parts();
        for part in &parts {
            assert_eq!(part["state"], "complete", "{part}");
            assert_eq!(part["worker"], Value::Null, "{part}");
        }
        let sum = |column: &str| -> i64 {
            let values = parts.iter().map(|part| part[column].as_i64());
            values.map(|value| value.expect("a number")).sum()
        };
        let sums = [
            "tasks", "accepted", "failed", "in_doubt", "skipped", "pending",
        ]
        .map(sum);
        let of_run = [
            run.tasks,
            run.accepted,
            run.failed,
            run.in_doubt,
            run.skipped,
            run.pending,
        ];
        assert_eq!(sums, of_run, "{parts:?}");
        self.start(&["worker"])
            .ended()
            .expect(0)
            .says(&["no part of a run is left to push"]);
        assert_eq!(self.sim.stats().requests, stats.requests);
        assert_eq!(faults, self.size.faults, "the run was over before");
    }
}
