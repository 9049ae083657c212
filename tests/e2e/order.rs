//! Several commands of one device go out in the order of the manifest, never two at a time, whatever happens to them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use fleetpush::simulator::{AtFirst, Delivery, Fault, Outage, Quirk, Scenario};
use rustix::process::Signal;

use crate::support::{Sim, Store, agree, each_store, seed, with_each_store};

mod failed;
mod troubles;

/// `steps` commands for each of `devices` devices; what is sent tells the step.
pub(super) fn steps(devices: u32, steps: u32) -> String {
    let mut text = String::from("device_key,product_key,service,param.step\n");
    for device in 1..=devices {
        for step in 1..=steps {
            writeln!(text, "DK{device:05},PK0001,fuwu,{step}").expect("a string takes all");
        }
    }
    text
}

/// The step of a delivery.
fn step(delivery: &Delivery) -> u32 {
    delivery
        .data
        .chars()
        .find_map(|letter| letter.to_digit(10))
        .expect("the data tells the step")
}

/// The steps that reached each device, in order of arrival.
fn arrivals(sim: &Sim) -> BTreeMap<String, Vec<u32>> {
    let mut arrivals: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for delivery in sim.deliveries() {
        let step = step(&delivery);
        arrivals.entry(delivery.device_key).or_default().push(step);
    }
    arrivals
}

#[test]
fn order_holds_through_faults_snoozes_retries_and_resumes() {
    let scenario = Scenario {
        seed: 11,
        latency_ms: 5,
        latency_jitter_ms: 30,
        transient: 0.05,
        frequency_at_first: AtFirst {
            share: 0.2,
            sends: 1,
        },
        faults: [
            (Fault::ResetAfter, 0.03),
            (Fault::BadGatewayActed, 0.03),
            (Fault::ServiceException, 0.03),
        ]
        .into(),
        quirks: [(Quirk::LeftOut, 0.03)].into(),
        ..Scenario::default()
    };
    each_store(|store| {
        holds(
            store,
            &scenario,
            "7",
            &["frequency", "transient", "in_doubt"],
        );
    });
}

/// The same with what answers in the platform's place, and with replies that have to be understood first.
#[test]
fn order_holds_through_outages_limits_new_tokens_and_odd_keys() {
    let seed = seed();
    eprintln!("FLEETPUSH_TEST_SEED={seed}");
    let slow = Scenario {
        seed,
        latency_ms: 100,
        latency_jitter_ms: 100,
        ..Scenario::default()
    };
    let away = |outage| Scenario {
        outage,
        outage_spares_logins: true,
        ..slow.clone()
    };
    let limited = |limit: &str| Scenario {
        limit: Some(limit.parse().expect("a limit")),
        ..slow.clone()
    };
    let odd = |quirk, share| Scenario {
        quirks: [(quirk, share)].into(),
        faults: [(Fault::Page, 0.05), (Fault::ResetAfter, 0.05)].into(),
        ..slow.clone()
    };
    let cases = [
        (away(Outage::Page), "in_doubt"),
        (away(Outage::HangUp), "in_doubt"),
        (away(Outage::ServiceException), "transient"),
        (away(Outage::HubUnavailable), "outage"),
        (limited("in-flight:2,refuse=503"), "outage"),
        (limited("sliding-window:4,window=2s"), "outage"),
        (
            Scenario {
                token_delay_ms: 100,
                token_requests: Some(12),
                ..slow.clone()
            },
            "accepted",
        ),
        (
            Scenario {
                outcasts: [("DK00007".to_owned(), 503)].into(),
                ..slow.clone()
            },
            "outage",
        ),
        (
            Scenario {
                device_limit: Some(4),
                ..slow.clone()
            },
            "rejected",
        ),
        (odd(Quirk::KeyLower, 0.3), "accepted"),
        (odd(Quirk::KeyPadded, 0.3), "accepted"),
        // Few: a device that is in doubt again and again is waited for longer each time, and five unusable replies in a row are an outage. And
        // so many that some are met in 120 requests, whatever the seed.
        (
            Scenario {
                quirks: [(Quirk::CodeUnreadable, 0.1)].into(),
                ..slow.clone()
            },
            "in_doubt",
        ),
        (
            Scenario {
                faults: [(Fault::ResetUnread, 0.1)].into(),
                ..slow.clone()
            },
            "in_doubt",
        ),
    ];
    let cases = cases.each_ref();
    let cases = with_each_store(&cases, |(_, met)| *met);
    std::thread::scope(|scope| {
        for (store, (scenario, met)) in cases {
            let chunk = if *met == "in_doubt" { "2" } else { "7" };
            scope.spawn(move || holds(store, scenario, chunk, &[met]));
        }
    });
}

/// Pushes four steps to 60 devices, in chunks of this size, stopped twice; these classes have to be met. An outage ends with the first stop, and so does what
/// dislikes a device.
fn holds(store: Store, scenario: &Scenario, chunk: &str, met: &[&str]) {
    let sim = Sim::start(scenario.clone());
    let site = store.site(&steps(60, 4));
    let args = [
        "run",
        "fleet.csv",
        "--chunk-size",
        chunk,
        "--max-attempts",
        "50",
    ];
    for requests in [5, 8] {
        let before = sim.stats().requests;
        let push = site.start(&sim, &args);
        sim.wait_for_requests(before + requests);
        push.signal(Signal::TERM);
        push.ended().expect(3);
        agree(&site.journal(), &sim);
        sim.play(Scenario {
            outage: Outage::None,
            outcasts: BTreeMap::new(),
            ..scenario.clone()
        });
    }
    site.push(&sim, &args).expect(0);

    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().accepted, 240, "{scenario:?}");
    // Each start logs in once, and again when its token is used up.
    let stats = sim.stats();
    assert!(scenario.token_requests.is_none() || stats.logins > 3);
    assert_eq!(stats.overlaps, 0, "two in flight for one device");
    let arrivals = arrivals(&sim);
    assert_eq!(arrivals.len(), 60);
    for (device, steps) in arrivals {
        assert!(steps.is_sorted(), "{device}: {steps:?} {scenario:?}");
        let different: BTreeSet<u32> = steps.into_iter().collect();
        assert_eq!(different, BTreeSet::from([1, 2, 3, 4]), "{device}");
    }
    for quirk in scenario.quirks.keys() {
        assert!(stats.quirks.contains_key(quirk), "{stats:?}");
    }
    let outcomes = journal.outcomes();
    for class in met {
        assert!(outcomes.contains_key(class), "{outcomes:?} {scenario:?}");
    }
}
