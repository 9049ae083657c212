//! `kill -9` at any moment, and a new start: nothing is lost, and nothing is guessed.
//!
//! Where a kill lands is left to chance, close to events that bring it everywhere: while staging, between claim and send, between send and
//! record, during a commit, while resuming. `FLEETPUSH_TEST_SEED` repeats the choices of a run; the machine's timing is its own.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
    panic::resume_unwind,
    process::Command,
    time::Duration,
};

use fleetpush::simulator::{Fault, Outage, Quirk, Scenario};
use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use rustix::process::Signal;

use crate::{
    owner::{hold_for, sqlite},
    support::{Ended, Journal, Push, Sim, Site, agree, seed, wait_for},
};

/// Kills of one fleet, before it is left to finish.
const KILLS: usize = 10;
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
                let mut toll = Toll::new();
                for number in 0..FLEETS {
                    let seed = seed.wrapping_add(2 * number + u64::from(in_doubt == "hold"));
                    Story::new(seed, in_doubt).survive(&mut toll);
                }
                toll
            })
        });
        halves.map(|half| half.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    let [resend, hold] = toll;
    eprintln!("resend: {resend:?}, hold: {hold:?}");
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
    /// Attempts that they left in doubt.
    doubts: usize,
    /// How soon the first kill of a fleet comes, at the latest: sooner whenever a fleet was staged by then.
    haste: Duration,
}

impl Toll {
    fn new() -> Self {
        Self {
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

/// Trouble beside the kills: faults and odd replies that leave doubt, a limit on requests, tokens that are not known yet, an outage that
/// answers, a device that something dislikes, and a limit of devices in a request.
fn trouble(random: &mut SmallRng, calm: &Scenario) -> Scenario {
    const FAULTS: [Fault; 6] = [
        Fault::Page,
        Fault::NotJson,
        Fault::ServiceException,
        Fault::Unavailable,
        Fault::BadGatewayActed,
        Fault::DeadInPool,
    ];
    const QUIRKS: [Quirk; 4] = [
        Quirk::KeyLower,
        Quirk::KeyPadded,
        Quirk::CodeUnreadable,
        Quirk::Reordered,
    ];
    const OUTAGES: [Outage; 6] = [
        Outage::BadGateway,
        Outage::Page,
        Outage::HangUp,
        Outage::ServiceException,
        Outage::HubUnavailable,
        Outage::Unavailable,
    ];
    const LIMITS: [&str; 3] = [
        "token-bucket:300,burst=20",
        "fixed-window:60,window=250ms,refuse=503",
        "in-flight:4,refuse=503",
    ];
    const OUTCAST: [i64; 7] = [401, 403, 429, 502, 503, 50000, 70000];
    let mut ill = Scenario {
        faults: [(Fault::ResetAfter, 0.02), (Fault::BadGateway, 0.02)].into(),
        quirks: [(Quirk::LeftOut, 0.02)].into(),
        transient: 0.01,
        ..calm.clone()
    };
    let fault = FAULTS.choose(random).expect("there are some");
    ill.faults.insert(*fault, 0.02);
    let quirk = QUIRKS.choose(random).expect("there are some");
    ill.quirks.insert(*quirk, 0.1);
    if random.random_bool(0.3) {
        ill.token_delay_ms = random.random_range(20..300);
    }
    if random.random_bool(0.3) {
        ill.outage = *OUTAGES.choose(random).expect("there are some");
        ill.outage_ms = Some(random.random_range(50..400));
        ill.outage_spares_logins = random.random_bool(0.5);
    }
    if random.random_bool(0.3) {
        let limit = LIMITS.choose(random).expect("there are some");
        ill.limit = Some(limit.parse().expect("a limit"));
    }
    if random.random_bool(0.3) {
        let refusal = OUTCAST.choose(random).expect("there are some");
        let device = random.random_range(1..=200);
        ill.outcasts.insert(format!("DK{device:05}"), *refusal);
    }
    if random.random_bool(0.2) {
        ill.device_limit = Some(random.random_range(1..5));
    }
    ill
}

/// One fleet, the platform, and what chance has in store for them.
struct Story {
    random: SmallRng,
    in_doubt: &'static str,
    site: Site,
    sim: Sim,
    calm: Scenario,
    /// The trouble that this fleet meets until the last start, if any.
    ill: Option<Scenario>,
}

impl Story {
    fn new(seed: u64, in_doubt: &'static str) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let calm = Scenario {
            seed,
            latency_ms: random.random_range(0..20),
            latency_jitter_ms: 30,
            ..Scenario::default()
        };
        // A crash must not hide behind other trouble, nor other trouble behind a crash.
        let ill = random.random_bool(0.6).then(|| trouble(&mut random, &calm));
        let scenario = ill.clone().unwrap_or_else(|| calm.clone());
        Self {
            site: Site::with(&manifest(&mut random, 1500)),
            sim: Sim::start(scenario),
            random,
            in_doubt,
            calm,
            ill,
        }
    }

    fn push(&self) -> Command {
        self.site.push_command(
            &self.sim,
            &[
                "run",
                "fleet.csv",
                "--name",
                "night",
                "--chunk-size",
                "5",
                "--concurrency",
                "8",
                "--in-doubt",
                self.in_doubt,
                "--after-failure",
                "continue",
                "--max-attempts",
                "100",
                "--abort-if",
                "never",
            ],
        )
    }

    /// Kills until it has been enough, then lets the push end.
    fn survive(&mut self, toll: &mut Toll) {
        let mut is_staged = false;
        for kill in 0..KILLS {
            if let Some(ill) = &self.ill
                && self.random.random_bool(0.3)
            {
                // Its outage begins anew.
                self.sim.play(ill.clone());
            }
            let mut push = Push::start(self.push());
            let before = self.sim.stats();
            let after: u64 = self.random.random_range(1..30);
            // A fleet is staged once, so that is aimed at until a push has got through it, and first of all.
            let (moments, delay) = match (kill, is_staged) {
                (0, _) => (1, toll.haste),
                (_, false) => (4, DELAY),
                (_, true) => (8, DELAY),
            };
            match self.random.random_range(0..moments) {
                // While it starts, stages or recovers.
                0 => {}
                1 => wait_for("the lock", || {
                    std::fs::read_to_string(self.site.path("push.db.lock"))
                        .is_ok_and(|text| text.contains(&format!("pid {} ", push.pid())))
                        .then_some(())
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
                    (self.sim.stats().deliveries >= before.deliveries + 3 * after
                        || push.has_ended())
                    .then_some(())
                }),
            }
            self.meddle(&push);
            std::thread::sleep(self.random.random_range(Duration::ZERO..delay));
            if push.has_ended() {
                break;
            }
            push.kill();
            toll.kills += 1;
            if self.site.path("push.db").exists() && self.random.random_bool(0.2) {
                // Whoever is the last to close the database moves the log into it.
                sqlite(
                    &self.site.path("push.db"),
                    "SELECT count(*) FROM sqlite_schema",
                );
            }
            is_staged = self.is_staged();
            toll.before_staged += usize::from(!is_staged);
            if kill == 0 && is_staged {
                toll.haste /= 2;
            }
        }
        self.sim.play(self.calm.clone());
        let ended = Push::start(self.push()).ended();
        let journal = self.site.journal();
        toll.doubts += journal.outcomes().get("in_doubt").unwrap_or(&0);
        self.check(&ended, &journal);
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
                // It is made when the push starts, so that it may not be there yet.
                let _ = std::fs::remove_file(self.site.path("push.db.lock"));
            }
            2 if self.site.path("push.db").exists() => {
                let moment = self.random.random_range(Duration::ZERO..2 * DELAY);
                hold_for(&self.site.path("push.db"), moment);
            }
            _ => {}
        }
    }

    /// Whether there is a run; a reader must be able to tell, whatever the kill has left.
    fn is_staged(&self) -> bool {
        let ended = self.site.run(&["runs", "--format", "jsonl"]);
        if ended.code == Some(2) {
            ended.says(&["no results database at"]);
            return false;
        }
        // Killed between two migrations of a new database, which the next push goes on with.
        if ended.code == Some(6) {
            ended.says(&["has the old schema", "run a push with it once"]);
            return false;
        }
        let runs = ended.expect(0).json_lines();
        assert!(runs.len() <= 1, "{runs:?}");
        !runs.is_empty()
    }

    fn check(&self, ended: &Ended, journal: &Journal) {
        let run = journal.run();
        assert_eq!(run.state, "complete", "{ended:?}");
        assert_eq!(journal.unfinished, 0);
        agree(journal, &self.sim);
        let expected = i32::from(run.accepted < run.tasks);
        assert_eq!(ended.code, Some(expected), "{ended:?} {run:?}");
        if self.in_doubt == "hold" {
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

        let again = Push::start(self.push()).ended();
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
