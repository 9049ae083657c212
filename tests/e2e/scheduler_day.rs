//! Three nights of a scheduler: one command, started each night, whatever the night has in store.

use std::collections::HashMap;

use fleetpush::simulator::{AtFirst, Scenario};

use crate::support::{Journal, Push, Sim, Site, agree, clock_at, devices, push_at};

const FLEET: usize = 100;

/// The command of the timer's unit.
const NIGHTLY: [&str; 12] = [
    "run",
    "fleet.csv",
    "--window",
    "22:00-05:00 Europe/Oslo",
    "--repeat-after",
    "20h",
    "--chunk-size",
    "1",
    "--concurrency",
    "2",
    "--in-doubt",
    "resend",
];

#[test]
fn three_nights_and_the_fleet_is_complete() {
    // So slow that no night but one without end is long enough.
    let slow = Scenario {
        latency_ms: 80,
        ..Scenario::default()
    };
    let sim = Sim::healthy();
    let site = Site::with(&devices(FLEET));
    let start = |now: &str, scenario: Scenario| {
        sim.play(clock_at(now, scenario));
        Push::start(push_at(&site, &sim, now, &NIGHTLY))
    };

    // The first night: what little is left of the window is over before the fleet is.
    start("2026-11-23T03:59:58Z", slow.clone())
        .ended()
        .expect(3);
    let journal = site.journal();
    agree(&journal, &sim);
    let first = journal.run();
    assert_eq!((first.state.as_str(), first.in_doubt), ("stopped", 0));
    assert!(first.pending > 0, "{first:?}");

    // The second night: the machine goes down in the middle.
    let push = start("2026-11-24T03:59:50Z", slow);
    sim.wait_for_requests(first.accepted as u64 + 10);
    push.kill();
    let journal = site.journal();
    let second = journal.run();
    assert_eq!(second.state, "running", "nobody was left to note the end");
    assert!(second.accepted > first.accepted && second.pending > 0);

    // The third night: the platform throttles, as a whole and by device.
    let throttled = Scenario {
        rate_limit: Some(15.0),
        rate_burst: 20.0,
        frequency_at_first: AtFirst {
            share: 0.2,
            sends: 1,
        },
        ..Scenario::default()
    };
    start("2026-11-24T21:00:00Z", throttled.clone())
        .ended()
        .expect(0);
    let stats = sim.stats();
    assert!(
        stats.too_many > 0 && stats.refused_devices.contains_key(&61007),
        "{stats:?}"
    );
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().state, "complete");
    each_accepted_once(&journal, &sim);

    // And once more by mistake.
    start("2026-11-24T22:00:00Z", throttled).ended().expect(0);
    assert_eq!(sim.stats().requests, stats.requests);
}

/// Every device has one acceptance in the database, and a second delivery only where a send is in doubt: whatever was under way in the
/// crash may have arrived, and has been sent again.
fn each_accepted_once(journal: &Journal, sim: &Sim) {
    let count = |outcome: &str| {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for attempt in &journal.attempts {
            if attempt.outcome == outcome {
                *counts.entry(&attempt.device_key).or_default() += 1;
            }
        }
        counts
    };
    let (accepted, doubtful) = (count("accepted"), count("in_doubt"));
    assert_eq!(accepted.len(), FLEET);
    assert!(accepted.values().all(|times| *times == 1), "{accepted:?}");
    // No more than was claimed when the machine went down.
    assert!((1..=4).contains(&doubtful.len()), "{doubtful:?}");
    let mut delivered: HashMap<String, usize> = HashMap::new();
    for delivery in sim.deliveries() {
        *delivered.entry(delivery.device_key).or_default() += 1;
    }
    assert_eq!(delivered.len(), FLEET);
    for (device, times) in delivered {
        let most = 1 + doubtful.get(device.as_str()).copied().unwrap_or(0);
        assert!(times <= most, "{device} got it {times} times");
    }
}
