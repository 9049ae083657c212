//! What the world around a push does to it: its machine, what stands between it and the platform, and whoever else works on its files. One
//! list for the crash harness, the fault matrix and the order tests; what the platform does is the simulator's.

use std::{fs, thread::sleep, time::Duration};

use fleetpush::simulator::{Fault, Outage, Scenario};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use strum::VariantArray;

use super::{Push, Sim, Site, Store, wait_for, with_limit};
use crate::owner::hold_while;

/// One thing that the world does to a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, VariantArray)]
pub(crate) enum Trouble {
    /// It starts with fewer open files than the requests that it may have in flight need.
    FewFiles,
    /// No file can be opened any more, while connections break.
    NoFiles,
    /// Nobody listens where its proxy should be.
    DeadProxy,
    /// Its proxy answers with a page of HTML.
    ProxyPage,
    /// Its proxy begins to ask for credentials.
    ProxyWantsCredentials,
    /// Its process stands still for longer than `--request-timeout`.
    Stopped,
    /// Its `.lock` is deleted, and somebody starts the same push once more.
    LockDeleted,
    /// Somebody else holds a write transaction.
    Held,
    /// The database is moved away.
    DatabaseMoved,
    /// The database is moved away, and another file is in its place.
    DatabaseReplaced,
}

/// How long a push that meets [`Trouble::Stopped`] waits for a reply, which is longer than a busy machine takes, and longer than that.
const REQUEST_TIMEOUT: (&str, Duration) = ("1500ms", Duration::from_secs(2));

impl Trouble {
    /// Whether it comes from a proxy, so that the platform has to be [behind one](Sim::behind_a_proxy).
    pub(crate) fn is_of_a_proxy(self) -> bool {
        matches!(
            self,
            Self::DeadProxy | Self::ProxyPage | Self::ProxyWantsCredentials
        )
    }

    /// Whether it comes from somebody who works on the file that has the results.
    fn is_of_a_file(self) -> bool {
        matches!(
            self,
            Self::LockDeleted | Self::Held | Self::DatabaseMoved | Self::DatabaseReplaced
        )
    }

    /// Each of them with each store that can meet it.
    pub(crate) fn with_stores() -> Vec<(Store, Self)> {
        let all = Store::all().into_iter();
        let all = all.flat_map(|store| Self::VARIANTS.iter().map(move |trouble| (store, *trouble)));
        all.filter(|(store, trouble)| *store == Store::File || !trouble.is_of_a_file())
            .collect()
    }

    /// Starts a push that meets it, and gives it back when it has: by its own words, or by what the system says of it. The platform plays
    /// `playing`, and something else where that is the trouble.
    pub(crate) fn meet(self, site: &Site, sim: &Sim, playing: &Scenario, args: &[&str]) -> Push {
        let mut command = site.push_command(sim, &self.flags(args));
        let before = sim.stats().requests;
        match self {
            Self::FewFiles => command = with_limit("-n 110", &command),
            Self::DeadProxy => {
                command.env("HTTP_PROXY", "http://127.0.0.1:1");
            }
            Self::ProxyPage => sim.play(Scenario {
                outage: Outage::Page,
                outage_ms: None,
                outage_spares_logins: false,
                ..playing.clone()
            }),
            _ => {}
        }
        let mut push = Push::start(command);
        if self.comes_while_it_sends() {
            wait_for("requests", || {
                (sim.stats().requests >= before + 3 || push.has_ended()).then_some(())
            });
            assert!(
                !push.has_ended(),
                "{self:?} came too late: {}",
                push.stderr()
            );
        }
        self.strike(site, sim, playing, &push, args);
        push
    }

    /// The flags of a push that is to meet it soon.
    fn flags<'a>(self, args: &[&'a str]) -> Vec<&'a str> {
        let (flag, value) = match self {
            Self::FewFiles => ("--concurrency", "100"),
            Self::DeadProxy | Self::ProxyPage => ("--max-outage", "1s"),
            Self::Stopped => ("--request-timeout", REQUEST_TIMEOUT.0),
            _ => return args.to_vec(),
        };
        let mut args = args.to_vec();
        match args.iter().position(|arg| *arg == flag) {
            Some(at) => args[at + 1] = value,
            None => args.extend([flag, value]),
        }
        args
    }

    fn comes_while_it_sends(self) -> bool {
        !matches!(self, Self::FewFiles | Self::DeadProxy | Self::ProxyPage)
    }

    fn strike(self, site: &Site, sim: &Sim, playing: &Scenario, push: &Push, args: &[&str]) {
        let says = |words: &str| {
            wait_for(words, || push.stderr().contains(words).then_some(()));
        };
        match self {
            Self::FewFiles => says("requests at a time and not for --concurrency 100"),
            Self::DeadProxy => says("the proxy http://127.0.0.1:1 (HTTP_PROXY)"),
            Self::ProxyPage => says("a page of HTML"),
            Self::NoFiles => {
                let usual = limit_files(push, Some(0));
                sim.play(Scenario {
                    faults: [(Fault::DeadInPool, 0.9)].into(),
                    ..playing.clone()
                });
                says("this process cannot open more files");
                limit_files(push, usual);
                sim.play(playing.clone());
            }
            Self::ProxyWantsCredentials => {
                sim.play(Scenario {
                    refuse_status: Some(407),
                    ..playing.clone()
                });
                says("asks for credentials (HTTP 407)");
            }
            Self::Stopped => stop_for(push, || sleep(REQUEST_TIMEOUT.1)),
            // It cannot end meanwhile, so that the second one finds an owner.
            Self::LockDeleted => stop_for(push, || {
                fs::remove_file(site.path("push.db.lock")).expect("a push has its lock file");
                site.push(sim, args).expect(7).says(&["owns the database"]);
            }),
            Self::Held => hold_while(&site.path("push.db"), || says("does not answer")),
            Self::DatabaseMoved | Self::DatabaseReplaced => {
                fs::rename(site.path("push.db"), site.path("moved.db")).expect("it is there");
                if self == Self::DatabaseReplaced {
                    site.write("push.db", "somebody else's");
                }
                says("was deleted or replaced");
            }
        }
    }

    /// The exit code of a push that meets it; none if the push goes on.
    pub(crate) fn ends_with(self) -> Option<i32> {
        match self {
            Self::FewFiles | Self::NoFiles | Self::Stopped | Self::LockDeleted | Self::Held => None,
            Self::DeadProxy | Self::ProxyPage => Some(3),
            Self::ProxyWantsCredentials => Some(5),
            Self::DatabaseMoved | Self::DatabaseReplaced => Some(6),
        }
    }

    /// Puts right what it has left, once the push has ended: a database that was moved comes back, with all that was recorded in it.
    pub(crate) fn put_right(self, site: &Site, sim: &Sim, playing: &Scenario) {
        match self {
            Self::ProxyPage | Self::ProxyWantsCredentials => sim.play(playing.clone()),
            Self::DatabaseMoved | Self::DatabaseReplaced => {
                if self == Self::DatabaseReplaced {
                    let other = fs::read_to_string(site.path("push.db")).expect("it is there");
                    assert_eq!(other, "somebody else's", "it was left alone");
                }
                fs::rename(site.path("moved.db"), site.path("push.db")).expect("it was moved");
                // Somebody who has the database back does not need what was saved of it, if the push came so far.
                let _ = fs::remove_file(site.path("push.db.saved"));
            }
            _ => {}
        }
    }
}

/// Pushes a manifest through a trouble, and starts the push again when it was stopped by it; each end is the one that is documented.
pub(crate) fn troubled(
    store: Store,
    trouble: Trouble,
    manifest: &str,
    flags: &[&str],
) -> (Sim, Site) {
    let slow = Scenario {
        latency_ms: 40,
        ..Scenario::default()
    };
    let sim = if trouble.is_of_a_proxy() {
        Sim::behind_a_proxy(slow.clone())
    } else {
        Sim::start(slow.clone())
    };
    let site = store.site(manifest);
    let args = [
        "run",
        "fleet.csv",
        "--chunk-size",
        "5",
        "--concurrency",
        "8",
    ];
    let args = [&args, flags].concat();
    let push = trouble.meet(&site, &sim, &slow, &args);
    match trouble.ends_with() {
        None => {
            push.ended().expect(0);
        }
        Some(code) => {
            push.ended().expect(code);
            trouble.put_right(&site, &sim, &slow);
            site.push(&sim, &args).expect(0);
        }
    }
    (sim, site)
}

/// Stops the process of a push while something is done.
fn stop_for(push: &Push, then: impl FnOnce()) {
    push.signal(Signal::STOP);
    let stat = format!("/proc/{}/stat", push.pid());
    wait_for("the process to stand still", || {
        let stat = fs::read_to_string(&stat).expect("the process is there");
        let (_, after_name) = stat.rsplit_once(')').expect("a name in parentheses");
        after_name.starts_with(" T").then_some(())
    });
    then();
    push.signal(Signal::CONT);
}

/// Sets the soft limit of the open files of a push; gives what it was.
fn limit_files(push: &Push, current: Option<u64>) -> Option<u64> {
    let pid = Pid::from_raw(push.pid() as i32);
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit { current, maximum };
    prlimit(pid, Resource::Nofile, limit)
        .expect("a limit of one's own child can be set")
        .current
}
