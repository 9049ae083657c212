//! `kill -9` at any moment, and a new start: nothing is lost, and nothing is guessed.
//!
//! Where a kill lands is left to chance, close to events that bring it everywhere: while staging, between claim and send, between send and
//! record, during a commit, while resuming, and while the world around it is in trouble. `FLEETPUSH_TEST_SEED` repeats the choices of a run; the machine's timing is its own.

mod ill;

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
    panic::resume_unwind,
    time::Duration,
};

use fleetpush::simulator::{Fault, Scenario};
use rand::{
    RngExt, SeedableRng,
    rngs::SmallRng,
    seq::{IndexedRandom, SliceRandom},
};
use rustix::process::Signal;
use strum::VariantArray as _;

use self::ill::ill;
use crate::{
    owner::{hold_for, sqlite},
    support::{
        Ended, Journal, Push, Sim, Site, Task, Trouble, agree, nothing_older_follows, seed,
        wait_for,
    },
};

/// Starts of one fleet that are killed, but for those that end before, until it is left to finish.
const KILLS: usize = 12;
/// Fleets for each kind of push; each thread takes one kind.
const FLEETS: u64 = 6;
/// How long after the event that it waited for a kill comes, at the latest.
const DELAY: Duration = Duration::from_millis(60);

#[test]
fn killed_at_any_moment_it_loses_nothing() {
    let seed = seed();
    eprintln!("FLEETPUSH_TEST_SEED={seed}");
    let toll = std::thread::scope(|scope| {
        let halves = ["resend", "hold"].map(|in_doubt| {
            scope.spawn(move || {
                let mut toll = Toll::new(seed);
                for number in 0..FLEETS {
                    let seed = seed.wrapping_add(2 * number + u64::from(in_doubt == "hold"));
                    // Half of them behind a proxy, and half of them with retries among their starts.
                    Story::new(seed, in_doubt, (number % 2 == 0, number >= FLEETS / 2))
                        .survive(&mut toll);
                }
                toll
            })
        });
        halves.map(|half| half.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    let [resend, hold] = toll;
    eprintln!("resend: {resend:?}, hold: {hold:?}");
    let unmet: Vec<_> = Trouble::VARIANTS
        .iter()
        .filter(|trouble| !resend.met.contains(trouble) && !hold.met.contains(trouble))
        .collect();
    assert!(unmet.is_empty(), "never met: {unmet:?}");
    assert!(
        resend.retries > 0 && hold.retries > 0,
        "no retry was killed"
    );
    for toll in [resend, hold] {
        assert!(toll.kills >= 50, "too few kills: {toll:?}");
        assert!(toll.before_staged > 0, "none while staging: {toll:?}");
        assert!(toll.doubts > 0, "none while sending: {toll:?}");
    }
}

/// What the kills of one thread have met.
#[derive(Debug)]
struct Toll {
    kills: usize,
    /// Kills before there was a run.
    before_staged: usize,
    /// Kills of a `retry`.
    retries: usize,
    /// What the world has done to a push that was killed then or ended by it.
    met: HashSet<Trouble>,
    /// What it has in store, in an order of chance.
    deck: Vec<Trouble>,
    /// Attempts that they left in doubt.
    doubts: usize,
    /// How soon the first kill of a fleet comes, at the latest: sooner whenever a fleet was staged by then.
    haste: Duration,
}

impl Toll {
    fn new(seed: u64) -> Self {
        let mut deck = Trouble::VARIANTS.to_vec();
        deck.shuffle(&mut SmallRng::seed_from_u64(seed));
        Self {
            retries: 0,
            met: HashSet::new(),
            deck,
            kills: 0,
            before_staged: 0,
            doubts: 0,
            haste: DELAY,
        }
    }
}

/// Devices with up to three commands each, in an order that the test knows, so that what is sent can tell it.
fn manifest(random: &mut SmallRng, devices: u32) -> String {
    let mut text = String::from("device_key,product_key,service,param.step\n");
    for step in 1..=3 {
        for device in 1..=devices {
            if step == 1 || random.random_bool(0.2) {
                writeln!(text, "DK{device:05},PK0001,fuwu,{step}").expect("a string takes all");
            }
        }
    }
    text
}

/// One fleet, the platform, and what chance has in store for them.
struct Story {
    random: SmallRng,
    in_doubt: &'static str,
    site: Site,
    sim: Sim,
    is_behind_a_proxy: bool,
    /// Whether `retry` is among its starts.
    retries: bool,
    after_failure: &'static str,
    calm: Scenario,
    /// The trouble that this fleet meets until the last start, if any.
    ill: Option<Scenario>,
}

impl Story {
    fn new(seed: u64, in_doubt: &'static str, (proxy, retries): (bool, bool)) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let calm = Scenario {
            seed,
            latency_ms: random.random_range(0..20),
            latency_jitter_ms: 30,
            ..Scenario::default()
        };
        // A crash must not hide behind other trouble, nor other trouble behind a crash.
        let mut ill = random.random_bool(0.6).then(|| ill(&mut random, &calm));
        let mut after_failure = "continue";
        if retries {
            // There is something to retry.
            let ill = ill.get_or_insert_with(|| calm.clone());
            ill.offline = 0.05;
            ill.faults.insert(Fault::TooLargeUnread, 0.02);
            after_failure = ["block", "continue"].choose(&mut random).expect("two");
        }
        let scenario = ill.clone().unwrap_or_else(|| calm.clone());
        Self {
            site: Site::with(&manifest(&mut random, 1500)),
            sim: if proxy {
                Sim::behind_a_proxy(scenario)
            } else {
                Sim::start(scenario)
            },
            is_behind_a_proxy: proxy,
            retries,
            after_failure,
            random,
            in_doubt,
            calm,
            ill,
        }
    }

    fn playing(&self) -> &Scenario {
        self.ill.as_ref().unwrap_or(&self.calm)
    }

    fn push(&self, what: &[&'static str]) -> Vec<&'static str> {
        let flags = [
            "--chunk-size",
            "5",
            "--concurrency",
            "8",
            "--in-doubt",
            self.in_doubt,
            "--max-attempts",
            "100",
            "--abort-if",
            "never",
        ];
        let mut args = [what, &flags].concat();
        if !what.contains(&"--after-failure") {
            args.extend(["--after-failure", self.after_failure]);
        }
        args
    }

    fn run(&self) -> Vec<&'static str> {
        self.push(&["run", "fleet.csv", "--name", "night"])
    }

    /// Another way to send than to start the same push again.
    fn retry(&mut self) -> Vec<&'static str> {
        const WAYS: [&[&str]; 4] = [
            &[],
            &["--state", "failed,in_doubt"],
            &["--class", "blocked"],
            &["--class", "blocked", "--after-failure", "continue"],
        ];
        let way = WAYS.choose(&mut self.random).expect("there are some");
        self.push(&[&["retry", "night", "--yes"], *way].concat())
    }

    /// Kills until it has been enough, then lets the push end.
    fn survive(&mut self, toll: &mut Toll) {
        let mut pending = None;
        for kill in 0..KILLS {
            if let Some(ill) = &self.ill
                && self.random.random_bool(0.3)
            {
                // Its outage begins anew.
                self.sim.play(ill.clone());
            }
            let is_staged = pending.is_some();
            // A push that is soon at its end meets nothing any more.
            if kill % 2 == 1 && pending > Some(500) && self.meet_trouble(toll) {
                continue;
            }
            let is_retry = self.retries && is_staged && self.random.random_bool(0.5);
            let args = if is_retry { self.retry() } else { self.run() };
            let mut push = self.site.start(&self.sim, &args);
            // A fleet is staged once, so that is aimed at until a push has got through it, and first of all.
            let (moments, delay) = match (kill, is_staged) {
                (0, _) => (1, toll.haste),
                (_, false) => (4, DELAY),
                (_, true) => (8, DELAY),
            };
            self.wait_for_a_moment(moments, &mut push);
            if !push.has_ended() {
                self.meddle(&push);
            }
            std::thread::sleep(self.random.random_range(Duration::ZERO..delay));
            if push.has_ended() {
                if is_retry {
                    continue;
                }
                break;
            }
            push.kill();
            toll.kills += 1;
            toll.retries += usize::from(is_retry);
            if self.site.path("push.db").exists() && self.random.random_bool(0.2) {
                // Whoever is the last to close the database moves the log into it.
                sqlite(
                    &self.site.path("push.db"),
                    "SELECT count(*) FROM sqlite_schema",
                );
            }
            pending = self.pending();
            toll.before_staged += usize::from(pending.is_none());
            if kill == 0 && pending.is_some() {
                toll.haste /= 2;
            }
        }
        self.sim.play(self.calm.clone());
        let mut ended = self.site.push(&self.sim, &self.run());
        if self.retries {
            let all = ["retry", "night", "--yes", "--state", "failed,in_doubt"];
            self.site.push(&self.sim, &self.push(&all));
            ended = self.site.push(&self.sim, &self.run());
        }
        let journal = self.site.journal();
        toll.doubts += journal.outcomes().get("in_doubt").unwrap_or(&0);
        self.check(&ended, &journal);
    }

    /// Waits for one of these moments in the life of a push.
    fn wait_for_a_moment(&mut self, moments: usize, push: &mut Push) {
        let before = self.sim.stats();
        let after: u64 = self.random.random_range(1..30);
        match self.random.random_range(0..moments) {
            // While it starts, stages or recovers.
            0 => {}
            1 => wait_for("the lock", || {
                let is_owner = std::fs::read_to_string(self.site.path("push.db.lock"))
                    .is_ok_and(|text| text.contains(&format!("pid {} ", push.pid())));
                (is_owner || push.has_ended()).then_some(())
            }),
            // While it logs in, claims or sends.
            2 => wait_for("a login", || {
                (self.sim.stats().logins > before.logins || push.has_ended()).then_some(())
            }),
            // While it sends, records and claims.
            3..6 => wait_for("requests", || {
                (self.sim.stats().requests >= before.requests + after || push.has_ended())
                    .then_some(())
            }),
            _ => wait_for("deliveries", || {
                (self.sim.stats().deliveries >= before.deliveries + 3 * after || push.has_ended())
                    .then_some(())
            }),
        }
    }

    /// Lets a push meet the next trouble of the world that this fleet can meet, and kills it if that does not end it, or before it does;
    /// false if there is none.
    fn meet_trouble(&mut self, toll: &mut Toll) -> bool {
        let can_meet = |trouble: &Trouble| self.is_behind_a_proxy || !trouble.is_of_a_proxy();
        let Some(at) = toll.deck.iter().position(can_meet) else {
            return false;
        };
        let trouble = toll.deck.remove(at);
        let playing = self.playing().clone();
        let push = trouble.meet(&self.site, &self.sim, &playing, &self.run());
        toll.met.insert(trouble);
        let ends = trouble.ends_with().filter(|_| self.random.random_bool(0.5));
        if let Some(code) = ends {
            push.ended().expect(code);
        } else {
            std::thread::sleep(self.random.random_range(Duration::ZERO..DELAY));
            push.kill();
            toll.kills += 1;
        }
        trouble.put_right(&self.site, &self.sim, &playing);
        true
    }

    /// What others on the machine do to a push now and then: they stop its process for a moment, delete its lock file, or hold a write
    /// transaction.
    fn meddle(&mut self, push: &Push) {
        match self.random.random_range(0..12) {
            0 => {
                push.signal(Signal::STOP);
                std::thread::sleep(self.random.random_range(Duration::ZERO..DELAY));
                push.signal(Signal::CONT);
            }
            1 => {
                // It is made when the push starts, so that it may not be there yet. In the middle of a seal it holds the note by which a
                // log that somebody moved into the database is told from a log that is lost: without it the program asks.
                let lock = self.site.path("push.db.lock");
                if std::fs::read_to_string(&lock).is_ok_and(|text| !text.ends_with("sealing\n")) {
                    let _ = std::fs::remove_file(lock);
                }
            }
            2 if self.site.path("push.db").exists() => {
                let moment = self.random.random_range(Duration::ZERO..2 * DELAY);
                hold_for(&self.site.path("push.db"), moment);
            }
            _ => {}
        }
    }

    /// How many tasks are pending, if there is a run; a reader must be able to tell, whatever the kill has left.
    fn pending(&self) -> Option<u64> {
        let ended = self.site.run(&["runs", "--format", "jsonl"]);
        if ended.code == Some(2) {
            ended.says(&["no results database at"]);
            return None;
        }
        // Killed between two migrations of a new database, which the next push goes on with.
        if ended.code == Some(6) {
            ended.says(&["has the old schema", "run or resume a push with it once"]);
            return None;
        }
        let runs = ended.expect(0).json_lines();
        assert!(runs.len() <= 1, "{runs:?}");
        let pending = &runs.first()?["pending"];
        Some(pending.as_u64().expect("a number"))
    }

    fn check(&self, ended: &Ended, journal: &Journal) {
        let run = journal.run();
        assert_eq!(run.state, "complete", "{ended:?}");
        assert_eq!(journal.unfinished, 0);
        agree(journal, &self.sim);
        let expected = i32::from(run.accepted < run.tasks);
        assert_eq!(ended.code, Some(expected), "{ended:?} {run:?}");
        nothing_older_follows(journal, &self.sim);
        if self.retries {
            // Only what was overtaken stays as it ended.
            let mut last: HashMap<&str, &Task> = HashMap::new();
            for task in &journal.tasks {
                last.insert(&task.device_key, task);
            }
            for task in last.values() {
                assert_eq!(task.state, "accepted", "{task:?}");
            }
        } else if self.in_doubt == "hold" {
            let mut delivered = HashSet::new();
            for delivery in self.sim.deliveries() {
                assert!(
                    delivered.insert((delivery.device_key.clone(), delivery.data.clone())),
                    "delivered twice: {delivery:?}"
                );
            }
        } else {
            assert_eq!(run.accepted, run.tasks, "{run:?}");
            self.check_order();
        }
        let stats = self.sim.stats();
        assert_eq!(stats.overlaps, 0, "two in flight for one device");

        let again = self.site.push(&self.sim, &self.run());
        assert_eq!(again.code, Some(expected), "{again:?}");
        assert_eq!(self.sim.stats().requests, stats.requests);
    }

    /// A device's commands arrive in the order of the manifest; one that is in doubt may come again, but never after the next.
    fn check_order(&self) {
        let mut latest = HashMap::new();
        for delivery in self.sim.deliveries() {
            let last = latest
                .entry(delivery.device_key)
                .or_insert_with(|| delivery.data.clone());
            // The payloads differ in one digit, which grows.
            assert!(*last <= delivery.data, "{} after {last}", delivery.data);
            *last = delivery.data;
        }
    }
}
