//! Everything that the simulator can do to a push, at once: 200 small fleets whose trouble is drawn by seed from all faults, odd replies,
//! limits, refusals, token losses, outages and kills. Whatever happened, the ledger and the views agree in the end.
//!
//! `FLEETPUSH_TEST_SEED` repeats the choices of a run, and `FLEETPUSH_TEST_FLEET` plays one fleet of it; the machine's timing is its own.

mod trouble;

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use fleetpush::simulator::{Fault, Inventory, Quirk, Scenario};
use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use rustix::process::Signal;
use strum::VariantArray as _;

use self::trouble::trouble;
use crate::support::{Ended, Journal, Push, Sim, Site, agree, seed, wait_for, with_limit};

/// Fleets in one run of the test.
const FLEETS: u64 = 200;
/// Fleets at a time: they wait more than they work.
const AT_ONCE: usize = 24;
/// Starts of one push before the platform is well for good.
const TROUBLED_STARTS: usize = 3;
/// Starts that a push may need on a platform that is well: what a refusal has stopped or a threshold has ended goes on at the next.
const CALM_STARTS: usize = 4;
/// Open files that do for a few requests at a time, and not for the most that are asked for.
const FEW_FILES: &str = "-n 124";
/// How long a platform is ill after the first request of a start, at the most.
const ILL_FOR: Duration = Duration::from_millis(1500);
/// How long a start has for its first request before that counts from here.
const UNREACHED_FOR: Duration = Duration::from_secs(4);

#[test]
fn whatever_happens_at_once_the_ledger_and_the_views_agree() {
    let seed = seed();
    eprintln!("FLEETPUSH_TEST_SEED={seed}");
    let only: Option<u64> = std::env::var("FLEETPUSH_TEST_FLEET")
        .ok()
        .map(|text| text.parse().expect("FLEETPUSH_TEST_FLEET is a number"));
    let next = AtomicU64::new(only.unwrap_or(0));
    let end = only.map_or(FLEETS, |fleet| fleet + 1);
    let met = Mutex::new(Met::default());
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let fleet = next.fetch_add(1, Ordering::Relaxed);
                    if fleet >= end {
                        return;
                    }
                    // Every fleet is played, also after a failure.
                    let played = std::panic::catch_unwind(|| Fleet::new(seed, fleet).survive());
                    match played {
                        Ok(stats) => met.lock().unwrap().add(&stats),
                        Err(_) => failed.lock().unwrap().push(fleet),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(
        failed.is_empty(),
        "FLEETPUSH_TEST_SEED={seed}: fleets {failed:?}"
    );
    if only.is_none() {
        met.into_inner().unwrap().check();
    }
}

/// What all fleets together have met.
#[derive(Default)]
struct Met {
    faults: BTreeMap<Fault, u64>,
    quirks: BTreeMap<Quirk, u64>,
    /// What else there are counts of.
    others: BTreeMap<&'static str, u64>,
}

impl Met {
    fn add(&mut self, stats: &fleetpush::simulator::Stats) {
        for (fault, times) in &stats.faults {
            *self.faults.entry(*fault).or_default() += times;
        }
        for (quirk, times) in &stats.quirks {
            *self.quirks.entry(*quirk).or_default() += times;
        }
        let device = |code| stats.refused_devices.get(&code).copied().unwrap_or(0);
        let request = |code| stats.refused_requests.get(&code).copied().unwrap_or(0);
        for (what, times) in [
            ("offline", device(61002)),
            ("rejected for good", device(61005) + device(70089)),
            ("transient", device(70095) + device(70051)),
            ("too frequent", device(61007)),
            ("quota used up", device(61006)),
            ("a product refused", request(80005)),
            ("a token not known", request(91001)),
            ("a token expired", request(91004)),
            ("a login refused", stats.logins_refused),
            ("a limit on requests", stats.too_many),
            ("a history", stats.histories),
        ] {
            *self.others.entry(what).or_default() += times;
        }
    }

    /// A fault that nobody met proves nothing.
    fn check(&self) {
        let missed: Vec<_> = Fault::VARIANTS
            .iter()
            .filter(|fault| !self.faults.contains_key(fault))
            .collect();
        assert!(missed.is_empty(), "never met: {missed:?}");
        let missed: Vec<_> = Quirk::VARIANTS
            .iter()
            .filter(|quirk| !self.quirks.contains_key(quirk))
            .collect();
        assert!(missed.is_empty(), "never met: {missed:?}");
        let missed = self.others.iter().filter(|(_, times)| **times == 0);
        let missed: Vec<_> = missed.map(|(what, _)| what).collect();
        assert!(missed.is_empty(), "never met: {missed:?}");
    }
}

/// One small fleet, its platform, and what chance has in store for them.
struct Fleet {
    number: u64,
    random: SmallRng,
    site: Site,
    sim: Sim,
    ill: Scenario,
    well: Scenario,
    flags: Vec<String>,
    has_few_files: bool,
}

impl Fleet {
    fn new(seed: u64, number: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed.wrapping_add(number));
        let well = Scenario {
            seed: random.random(),
            latency_ms: random.random_range(0..10),
            latency_jitter_ms: 10,
            refresh_after_ms: 0,
            ..Scenario::default()
        };
        let mut ill = trouble(&mut random, &well);
        // Every fault has its fleets, however slow the machine is.
        let kinds = Fault::VARIANTS.len() as u64;
        let own = Fault::VARIANTS[(number % kinds) as usize];
        ill.faults.insert(own, random.random_range(0.2..0.4));
        Self {
            number,
            site: Site::with(&manifest(&mut random)),
            sim: Sim::start(ill.clone()),
            flags: flags(&mut random),
            has_few_files: random.random_bool(0.1),
            random,
            ill,
            well,
        }
    }

    /// Starts the push again and again until it is complete, kills it now and then, and compares both sides in the end.
    fn survive(mut self) -> fleetpush::simulator::Stats {
        for _ in 0..TROUBLED_STARTS {
            self.sim.play(self.ill.clone());
            let mut push = self.start();
            let kill = self.random.random_bool(0.2);
            let stop = !kill && self.random.random_bool(0.2);
            let moment = self.random.random_range(Duration::ZERO..ILL_FOR);
            let before = self.sim.stats().requests;
            let begun = Instant::now();
            // From the first request on, however long a busy machine takes to get there; where none gets through, the wait is bounded.
            // A signal may come as early as it likes.
            let mut first = (kill || stop).then_some(begun);
            wait_for("the moment", || {
                if first.is_none()
                    && (self.sim.stats().requests > before || begun.elapsed() > UNREACHED_FOR)
                {
                    first = Some(Instant::now());
                }
                let is_over = first.is_some_and(|first| first.elapsed() >= moment);
                (push.has_ended() || is_over).then_some(())
            });
            if push.has_ended() {
                self.check_end(&push.ended());
                continue;
            }
            if kill {
                push.kill();
                continue;
            }
            if stop {
                push.signal(Signal::TERM);
                let ended = push.ended();
                // Before it listens to signals it has done nothing, and simply dies.
                if ended.code.is_some() {
                    self.check_end(&ended);
                }
            } else {
                self.sim.play(self.well.clone());
                self.check_end(&push.ended());
            }
        }
        if self.random.random_bool(0.15) {
            self.resolve();
        }
        if self.ill.inventory != Inventory::default() {
            self.list();
        }
        self.sim.play(self.well.clone());
        let mut last = None;
        for _ in 0..CALM_STARTS {
            let ended = self.start().ended();
            self.check_end(&ended);
            let is_complete = matches!(ended.code, Some(0 | 1));
            last = Some(ended);
            if is_complete {
                break;
            }
        }
        self.check(&last.expect("it was started"));
        self.sim.stats()
    }

    fn start(&self) -> Push {
        let mut args = vec!["run", "fleet.csv", "--name", "night", "--override-abort"];
        args.extend(self.flags.iter().map(String::as_str));
        let push = self.site.push_command(&self.sim, &args);
        Push::start(if self.has_few_files {
            with_limit(FEW_FILES, &push)
        } else {
            push
        })
    }

    /// Looks for what is in doubt in histories that are late and have gaps, if a run was staged.
    fn resolve(&self) {
        self.sim.play(Scenario {
            history_lag_ms: self.ill.history_lag_ms,
            history_gap: self.ill.history_gap,
            history: self.ill.history.clone(),
            ..self.well.clone()
        });
        let ended = self.site.run(&[
            "verify",
            "night",
            "--history-rate",
            "unlimited",
            "--base-url",
            self.sim.base_url(),
        ]);
        if self.site.path("push.db").exists() && !ended.stderr.contains("no run") {
            self.check_end(&ended);
        }
    }

    /// Reads the platform's device list, which changes meanwhile and has entries twice.
    fn list(&self) {
        self.sim.play(Scenario {
            inventory: self.ill.inventory.clone(),
            ..self.well.clone()
        });
        let list = ["inventory", "PK0001", "PK0002", "--rate", "unlimited"];
        let target = ["--base-url", self.sim.base_url()];
        self.check_end(&self.site.run(&[&list[..], &target].concat()));
    }

    /// Every end is one of those that the command line documents, and none is a fault of the program.
    fn check_end(&self, ended: &Ended) {
        assert!(
            matches!(ended.code, Some(0 | 1 | 3 | 4 | 5)),
            "fleet {}: {ended:?}\n{:#?}",
            self.number,
            self.ill
        );
        assert!(
            !ended.stderr.contains("panicked"),
            "fleet {}: {ended:?}",
            self.number
        );
    }

    fn check(&self, ended: &Ended) {
        let journal = self.site.journal();
        let run = journal.run();
        assert_eq!(
            run.state, "complete",
            "fleet {}: {ended:?}\n{:#?}",
            self.number, self.ill
        );
        assert_eq!(journal.unfinished, 0, "fleet {}", self.number);
        agree(&journal, &self.sim);
        self.check_order(&journal);
        let stats = self.sim.stats();
        assert_eq!(stats.overlaps, 0, "fleet {}: {stats:?}", self.number);
        // Complete is complete: the same command again sends nothing.
        let again = self.start().ended();
        assert_eq!(again.code, ended.code, "fleet {}", self.number);
        assert_eq!(self.sim.stats().requests, stats.requests);
    }

    /// A device's commands arrive in the order of the manifest; one that is in doubt may come again, but never after the next.
    fn check_order(&self, journal: &Journal) {
        // After a failure that does not block, a retry may send an earlier command again; none is retried here.
        let mut latest: HashMap<String, String> = HashMap::new();
        for delivery in self.sim.deliveries() {
            let last = latest
                .entry(delivery.device_key.clone())
                .or_insert_with(|| delivery.data.clone());
            assert!(
                *last <= delivery.data,
                "fleet {}: {} after {last}: {:?}",
                self.number,
                delivery.data,
                journal.outcomes()
            );
            *last = delivery.data;
        }
    }
}

/// Up to forty devices with up to three commands each; the payloads of a device differ in one digit, which grows.
fn manifest(random: &mut SmallRng) -> String {
    let devices = random.random_range(1..=40);
    let mut text = String::from("device_key,product_key,service,param.step\n");
    for step in 1..=3 {
        for device in 1..=devices {
            if step == 1 || random.random_bool(0.15) {
                let product = device % 2 + 1;
                writeln!(text, "DK{device:05},PK000{product},fuwu,{step}")
                    .expect("a string takes all");
            }
        }
    }
    text
}

/// What the push is told. Attempts suffice for any trouble that passes, and pauses are cut short where a flag can.
fn flags(random: &mut SmallRng) -> Vec<String> {
    let chunk = *[1, 3, 10, 100].choose(random).expect("there are some");
    let concurrency = *[1, 4, 16].choose(random).expect("there are some");
    let mut flags = vec![
        format!("--chunk-size={chunk}"),
        format!("--concurrency={concurrency}"),
        "--max-attempts=50".to_owned(),
        "--request-timeout=500ms".to_owned(),
        "--max-outage=20s".to_owned(),
        "--drain-timeout=2s".to_owned(),
        "--max-snooze=5s".to_owned(),
    ];
    if random.random_bool(0.3) {
        flags.push("--in-doubt=hold".to_owned());
    }
    if random.random_bool(0.3) {
        flags.push("--after-failure=continue".to_owned());
    }
    if random.random_bool(0.5) {
        flags.push("--abort-if=never".to_owned());
    }
    if random.random_bool(0.2) {
        flags.push("--canary=3".to_owned());
    }
    flags
}
