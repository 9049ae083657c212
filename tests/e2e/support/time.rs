//! A time of the test's choice, for a push and for the platform that it logs in to.

use std::process::Command;

use fleetpush::{
    simulator::Scenario,
    testing::{TEST_NOW, wall_now},
};

use super::{Sim, Site};

/// The scenario on a platform whose clock shows `now` (RFC 3339), as that of a push at [`push_at`]: a login needs the two together.
pub(crate) fn clock_at(now: &str, scenario: Scenario) -> Scenario {
    let now: jiff::Timestamp = now.parse().expect("a time");
    Scenario {
        clock_skew_ms: now.as_millisecond() - wall_now().0,
        ..scenario
    }
}

/// A command that sends, in a process whose wall clock starts at `now`.
pub(crate) fn push_at(site: &Site, sim: &Sim, now: &str, args: &[&str]) -> Command {
    let mut command = site.push_command(sim, args);
    command.env(TEST_NOW, now);
    command
}
