//! What the topics share: a folder with a database, the binary as a process, a simulated platform, and the truth about both.

mod broker;
mod browser;
mod commits;
mod cutter;
mod fleet;
mod journal;
mod post;
mod postgres;
mod process;
mod server;
mod sim;
mod steady;
mod store;
mod stub;
mod terminal;
mod time;
mod trouble;
mod truth;
mod way;

use std::time::{Duration, Instant};

use rand::RngExt as _;
use serde_json::Value;

pub(crate) use broker::Broker;
pub(crate) use browser::Browser;
pub(crate) use commits::{Commits, Cut};
pub(crate) use cutter::Cutter;
pub(crate) use fleet::{DATA, Site, devices};
pub(crate) use journal::{Attempt, Journal, Task};
pub(crate) use post::{Inbox, Post};
pub(crate) use postgres::{migrate, with_server};
pub(crate) use process::{Ended, Push, with_limit};
pub(crate) use server::{Database, PASSWORD, Postgres, USER};
pub(crate) use sim::Sim;
pub(crate) use steady::steady;
pub(crate) use store::{Store, each_store, is_long, with_each_store};
pub(crate) use stub::Stub;
pub(crate) use terminal::at_terminal;
pub(crate) use time::{clock_at, push_at};
pub(crate) use trouble::{Trouble, troubled};
pub(crate) use truth::{agree, nothing_older_follows};
pub(crate) use way::Way;

/// How long a test waits for anything before it calls it missing: far longer than a busy machine needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Looks again and again until `seen` gives something; fails the test when that never happens.
pub(crate) fn wait_for<T>(what: &str, mut seen: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = seen() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// These fields of an object, in this order.
pub(crate) fn fields(object: &Value, names: &[&str]) -> Value {
    names.iter().map(|name| object[*name].clone()).collect()
}

/// What the chance of a test follows from: `FLEETPUSH_TEST_SEED`, so that a run can be repeated, or else anything.
pub(crate) fn seed() -> u64 {
    match std::env::var("FLEETPUSH_TEST_SEED") {
        Ok(text) => text.parse().expect("FLEETPUSH_TEST_SEED is a number"),
        Err(_) => rand::rng().random(),
    }
}
