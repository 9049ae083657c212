//! The end of a push at any moment when its results are on a server: killed, cut off from the server for a moment, in a commit or for longer, frozen for
//! longer than its lease while another one takes over, or stopped in order. Nothing is lost, and nothing is guessed.
//!
//! `FLEETPUSH_TEST_LONG` lets it meet 500 ends. `FLEETPUSH_TEST_SEED` repeats the choices of a run; the machine's timing is its own.

use std::{
    fmt::Write as _,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread::sleep,
    time::Duration,
};

use fleetpush::simulator::{Fault, Scenario};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng, seq::SliceRandom as _};
use rustix::process::Signal;

use crate::support::{
    Cut, Ended, Push, Sim, Site, agree, is_long, nothing_older_follows, seed, wait_for,
};

/// Pushes of one fleet that come to an end before it is left alone.
const ENDS: usize = 10;
/// How many ends all fleets together meet at least: usually, and in a long test.
const FEW: usize = 25;
const MANY: usize = 500;
/// How long a lease lasts.
const LEASE: Duration = Duration::from_millis(900);
/// How long after the event that it waited for an end comes, at the latest.
const DELAY: Duration = Duration::from_millis(60);
const RUN: [&str; 15] = [
    "run",
    "fleet.csv",
    "--name",
    "night",
    "--chunk-size",
    "5",
    "--concurrency",
    "8",
    "--max-attempts",
    "100",
    "--abort-if",
    "never",
    "--request-timeout",
    "2s",
    "--allow-stale",
];

/// What a push says that has lost its server.
const LOST: &str = "the results database does not answer";

/// How a push ends. After the first one each fleet meets each of them before any comes again.
enum End {
    Killed,
    CutOff,
    CutInCommit(Cut),
    Lost,
    Frozen,
    Stopped,
}

/// What the ends of pushes were, and what they have left.
#[derive(Debug, Default, Clone, Copy)]
struct Toll {
    fleets: usize,
    killed: usize,
    cut_off: usize,
    cut_in_commit: usize,
    lost: usize,
    frozen: usize,
    stopped: usize,
    /// Sends that were in doubt.
    doubts: usize,
    /// Commands that came more than once.
    doubles: usize,
}

impl Toll {
    fn all(&self) -> usize {
        self.killed + self.cut_off + self.cut_in_commit + self.lost + self.frozen + self.stopped
    }

    fn add(&mut self, other: Self) {
        self.fleets += other.fleets;
        self.killed += other.killed;
        self.cut_off += other.cut_off;
        self.cut_in_commit += other.cut_in_commit;
        self.lost += other.lost;
        self.frozen += other.frozen;
        self.stopped += other.stopped;
        self.doubts += other.doubts;
        self.doubles += other.doubles;
    }
}

#[test]
fn a_push_to_a_server_that_ends_at_any_moment_loses_nothing() {
    let seed = seed();
    eprintln!("FLEETPUSH_TEST_SEED={seed}");
    let wanted = if is_long() { MANY } else { FEW };
    let (next, met) = (AtomicU64::new(0), Mutex::new(Toll::default()));
    std::thread::scope(|scope| {
        // What a fleet begins with comes while it has much to send.
        for first in [End::Frozen, End::CutOff, End::Lost] {
            scope.spawn(|| {
                let mut ends = vec![first];
                while met.lock().unwrap().all() < wanted {
                    let seed = seed.wrapping_add(next.fetch_add(1, Ordering::Relaxed));
                    let Some(story) = Story::new(seed) else {
                        return;
                    };
                    let toll = story.survive(std::mem::take(&mut ends));
                    let mut met = met.lock().unwrap();
                    met.add(toll);
                    eprintln!("{met:?}");
                }
            });
        }
    });
    let met = met.into_inner().unwrap();
    if met.fleets == 0 {
        return;
    }
    for (what, met) in [
        ("killed", met.killed),
        ("cut off", met.cut_off),
        ("cut off in a commit", met.cut_in_commit),
        ("without its server", met.lost),
        ("frozen", met.frozen),
    ] {
        assert!(met > 0, "none was {what}");
    }
}

/// Devices with up to three commands each; what is sent tells the order.
fn manifest(random: &mut SmallRng) -> String {
    let mut text = String::from("device_key,product_key,service,param.step\n");
    for step in 1..=3 {
        for device in 1..=1200 {
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
    site: Site,
    sim: Sim,
    toll: Toll,
}

impl Story {
    fn new(seed: u64) -> Option<Self> {
        let mut random = SmallRng::seed_from_u64(seed);
        let site = Site::on_cut_server(&manifest(&mut random))?;
        let sim = Sim::start(Scenario {
            seed,
            latency_ms: random.random_range(0..20),
            latency_jitter_ms: 30,
            transient: 0.02,
            faults: [(Fault::ResetAfter, 0.01), (Fault::Unavailable, 0.02)].into(),
            ..Scenario::default()
        });
        Some(Self {
            random,
            site,
            sim,
            toll: Toll {
                fleets: 1,
                ..Toll::default()
            },
        })
    }

    fn survive(mut self, mut ends: Vec<End>) -> Toll {
        for _ in 0..ENDS {
            let mut push = self.start();
            self.wait_for_a_moment(&mut push);
            if push.has_ended() {
                if push.ended().code == Some(0) {
                    break;
                }
                continue;
            }
            if ends.is_empty() {
                ends = vec![
                    End::Killed,
                    End::CutOff,
                    End::CutInCommit(Cut::Before),
                    End::CutInCommit(Cut::After),
                    End::Lost,
                    End::Frozen,
                    End::Stopped,
                ];
                ends.shuffle(&mut self.random);
            }
            match ends.pop().expect("there are some") {
                End::Killed => {
                    push.kill();
                    self.toll.killed += 1;
                }
                End::CutOff => {
                    self.cut_off();
                    self.toll.cut_off += 1;
                    self.let_come_back(push);
                }
                End::CutInCommit(cut) => {
                    self.site.way().cut_next(cut);
                    wait_for("a commit", || {
                        (!self.site.way().is_to_cut() || push.has_ended()).then_some(())
                    });
                    self.site.way().cut_none();
                    self.toll.cut_in_commit += 1;
                    self.let_come_back(push);
                }
                End::Lost => {
                    self.site.server().close();
                    wait_for("notice of the loss", || {
                        let tells = push.stderr().contains(LOST);
                        (tells || push.has_ended()).then_some(())
                    });
                    sleep(self.random.random_range(Duration::ZERO..2 * LEASE));
                    self.site.server().open();
                    self.toll.lost += 1;
                    self.let_come_back(push);
                }
                End::Frozen => self.freeze(push),
                End::Stopped => {
                    push.signal(Signal::TERM);
                    let ended = push.ended();
                    assert!(matches!(ended.code, Some(0 | 3 | 6 | 7)), "{ended:?}");
                    self.toll.stopped += 1;
                }
            }
        }
        self.sim.play(Scenario::default());
        let ended = self.finish();
        self.check(&ended);
        self.toll
    }

    /// Pushes to the end as soon as nobody holds the lease any more, with a lease of the usual length.
    fn finish(&self) -> Ended {
        wait_for("the end of the lease", || {
            let ended = self.site.push(&self.sim, &RUN);
            (ended.code != Some(7)).then_some(ended)
        })
    }

    /// Starts the push as soon as nobody holds the lease any more, with one that ends soon.
    fn start(&self) -> Push {
        wait_for("the end of the lease", || {
            let mut command = self.site.push_command(&self.sim, &RUN);
            command.env("FLEETPUSH_TEST_LEASE_MS", LEASE.as_millis().to_string());
            let mut push = Push::start(command);
            let owns = wait_for("an owner", || {
                if push.has_ended() {
                    return Some(None);
                }
                let holder = format!("pid {} ", push.pid());
                self.holder().contains(&holder).then_some(Some(()))
            });
            if owns.is_some() {
                return Some(push);
            }
            let ended = push.ended();
            if ended.code == Some(7) {
                assert!(ended.stderr.contains("another process"), "{ended:?}");
                return None;
            }
            // It was over before anybody looked.
            Some(Push::start(self.site.push_command(&self.sim, &RUN)))
        })
    }

    fn holder(&self) -> String {
        self.site.server().on(async |connection| {
            sqlx::query_scalar("SELECT coalesce(string_agg(holder, ' '), '') FROM fleetpush.lease")
                .fetch_one(connection)
                .await
                .expect("the lease can be read")
        })
    }

    /// Waits for a moment in the life of a push.
    fn wait_for_a_moment(&mut self, push: &mut Push) {
        let before = self.sim.stats();
        let after: u64 = self.random.random_range(1..40);
        if self.random.random_bool(0.8) {
            wait_for("requests", || {
                (self.sim.stats().requests >= before.requests + after || push.has_ended())
                    .then_some(())
            });
        }
        sleep(self.random.random_range(Duration::ZERO..DELAY));
    }

    /// Lets a push go on that has lost its server, and kills it then.
    fn let_come_back(&mut self, mut push: Push) {
        wait_for("the push to go on", || {
            let tells = push.stderr().contains("the results database answers again");
            (tells || push.has_ended()).then_some(())
        });
        if push.has_ended() {
            // It was at its end, or had only begun.
            let ended = push.ended();
            assert!(matches!(ended.code, Some(0 | 6 | 7)), "{ended:?}");
            return;
        }
        self.wait_for_a_moment(&mut push);
        push.kill();
        self.toll.killed += 1;
    }

    /// Ends every connection to the database but this one.
    fn cut_off(&self) {
        self.site.server().on(async |connection| {
            sqlx::query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            .execute(connection)
            .await
            .expect("connections can be ended");
        });
    }

    /// Stops the process for longer than its lease. Another one takes over and goes on; then the first one wakes up, and can do nothing more.
    fn freeze(&mut self, push: Push) {
        push.signal(Signal::STOP);
        let mut other = self.start();
        self.wait_for_a_moment(&mut other);
        push.signal(Signal::CONT);
        let ended = push.ended();
        // It may have been at its end already.
        if ended.code == Some(6) {
            let tells = |words: &str| ended.stderr.contains(words);
            // While it opens the database or stages it does not look at its lease.
            assert!(
                tells("no longer owns")
                    || tells("the results database failed")
                    || tells("nothing of the last step was kept"),
                "{ended:?}"
            );
        }
        self.toll.frozen += 1;
        other.kill();
        self.toll.killed += 1;
    }

    fn check(&mut self, ended: &Ended) {
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let journal = self.site.journal();
        assert_eq!(journal.run().state, "complete");
        assert_eq!(journal.run().accepted, journal.run().tasks);
        assert_eq!(journal.unfinished, 0);
        agree(&journal, &self.sim);
        nothing_older_follows(&journal, &self.sim);
        let stats = self.sim.stats();
        assert_eq!(stats.overlaps, 0, "two in flight for one device");
        self.toll.doubts += journal.outcomes().get("in_doubt").copied().unwrap_or(0);
        // Each of them is explained by a doubt, or both sides would not agree.
        self.toll.doubles += stats.deliveries as usize - journal.tasks.len();
        let again = self.finish();
        assert_eq!(again.code, Some(0), "{again:?}");
        assert_eq!(self.sim.stats().requests, stats.requests);
    }
}
