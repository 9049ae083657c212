//! What can go wrong with one request, one fault at a time and all of them together: each costs time, and no device.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use fleetpush::simulator::{Fault, Outage, Quirk, Scenario, Stats};

use crate::support::{Sim, Site, agree, devices, wait_for};

/// A trouble of the platform, and what the attempts that meet it come to.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    Fault(Fault),
    Quirk(Quirk),
    /// The platform is away; logins work.
    Outage(Outage),
    /// A limit on requests.
    Limit(&'static str),
    /// Tokens that are not known yet, and soon used up.
    NewTokens,
    /// Something refuses each request that names this one device, with this number.
    Outcast(i64),
    /// A request takes so many devices at the most.
    DeviceLimit(usize),
}

/// Each fault alone, and the class of the attempts that meet it. Sent and without a readable reply is in doubt, whether the platform has
/// acted or not: a client cannot tell.
const FAULTS: [(Fault, &str); 22] = [
    (Fault::ResetBefore, "in_doubt"),
    (Fault::ResetAfter, "in_doubt"),
    (Fault::Cut, "in_doubt"),
    (Fault::Hang, "in_doubt"),
    (Fault::HangActed, "in_doubt"),
    (Fault::RequestTimeout, "in_doubt"),
    (Fault::TooManyRequests, "outage"),
    (Fault::InternalError, "in_doubt"),
    (Fault::InternalErrorActed, "in_doubt"),
    (Fault::BadGateway, "in_doubt"),
    (Fault::BadGatewayActed, "in_doubt"),
    (Fault::Unavailable, "outage"),
    (Fault::Page, "in_doubt"),
    (Fault::GatewayTimeout, "in_doubt"),
    (Fault::GatewayTimeoutActed, "in_doubt"),
    (Fault::ServiceException, "transient"),
    (Fault::HubUnavailable, "outage"),
    (Fault::Trickle, "in_doubt"),
    (Fault::Oversized, "in_doubt"),
    // The reply is whole and readable, whatever it calls itself.
    (Fault::WrongType, "accepted"),
    (Fault::NotJson, "in_doubt"),
    // The reply came before the connection died.
    (Fault::DeadInPool, "accepted"),
];

/// The same for replies that are odd: only silence about a device is doubt.
const QUIRKS: [(Quirk, &str); 15] = [
    (Quirk::LeftOut, "in_doubt"),
    (Quirk::Doubled, "accepted"),
    (Quirk::Stray, "accepted"),
    (Quirk::Reordered, "accepted"),
    (Quirk::DataNull, "in_doubt"),
    (Quirk::DataMissing, "in_doubt"),
    (Quirk::DataObject, "accepted"),
    (Quirk::CodeText, "accepted"),
    (Quirk::TicketNumber, "accepted"),
    (Quirk::TicketNull, "accepted"),
    (Quirk::MsgNull, "accepted"),
    (Quirk::MsgObject, "accepted"),
    (Quirk::KeyLower, "accepted"),
    (Quirk::KeyPadded, "accepted"),
    (Quirk::CodeUnreadable, "in_doubt"),
];

/// The same for what concerns every request.
const OTHERS: [(Trouble, &str); 12] = [
    (Trouble::Outage(Outage::Unavailable), "outage"),
    (Trouble::Outage(Outage::BadGateway), "in_doubt"),
    (Trouble::Outage(Outage::Page), "in_doubt"),
    (Trouble::Outage(Outage::HangUp), "in_doubt"),
    (Trouble::Outage(Outage::Silent), "in_doubt"),
    (Trouble::Outage(Outage::ServiceException), "transient"),
    (Trouble::Outage(Outage::HubUnavailable), "outage"),
    (Trouble::Limit("sliding-window:4,window=1s"), "outage"),
    (
        Trouble::Limit("sliding-window:4,window=1s,refuse=503"),
        "outage",
    ),
    (Trouble::NewTokens, "auth"),
    (Trouble::Outcast(50000), "transient"),
    (Trouble::DeviceLimit(4), "rejected"),
];

/// Cases at a time: they wait more than they work.
const AT_ONCE: usize = 6;

#[test]
fn each_fault_alone_costs_no_device() {
    let faults = FAULTS.map(|(fault, class)| (Trouble::Fault(fault), class));
    let quirks = QUIRKS.map(|(quirk, class)| (Trouble::Quirk(quirk), class));
    let cases: Vec<_> = faults.into_iter().chain(quirks).chain(OTHERS).collect();
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(&(trouble, class)) = cases.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    // Every case is told, not the first failure alone.
                    if std::panic::catch_unwind(|| survives(trouble, class)).is_err() {
                        failed.lock().unwrap().push(trouble);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{failed:?}");
}

/// Half of the requests meet the trouble until it has been met often enough; then the platform is well.
fn survives(trouble: Trouble, class: &str) {
    let mut scenario = Scenario {
        seed: 7,
        latency_ms: 5,
        trickle_ms: 60_000,
        ..Scenario::default()
    };
    match trouble {
        Trouble::Fault(fault) => {
            scenario.faults.insert(fault, 0.5);
        }
        Trouble::Quirk(quirk) => {
            scenario.quirks.insert(quirk, 0.5);
        }
        Trouble::Outage(outage) => {
            scenario.outage = outage;
            scenario.outage_spares_logins = true;
        }
        Trouble::Limit(limit) => scenario.limit = Some(limit.parse().expect("a limit")),
        Trouble::NewTokens => {
            scenario.token_delay_ms = 100;
            scenario.token_requests = Some(3);
        }
        Trouble::Outcast(refusal) => {
            scenario.outcasts.insert("DK00007".to_owned(), refusal);
        }
        Trouble::DeviceLimit(devices) => scenario.device_limit = Some(devices),
    }
    let sim = Sim::start(scenario);
    let site = Site::with(&devices(200));
    // Only a request for one device can be answered without an array.
    let chunk = match trouble {
        Trouble::Quirk(Quirk::DataObject) => "1",
        _ => "10",
    };
    let mut push = site.start(
        &sim,
        &[
            "run",
            "fleet.csv",
            "--chunk-size",
            chunk,
            "--concurrency",
            "8",
            "--request-timeout",
            "1500ms",
        ],
    );
    wait_for("trouble", || {
        (met(trouble, &sim.stats()) >= 4 || push.has_ended()).then_some(())
    });
    sim.play(Scenario::default());
    push.ended().expect(0);

    let met = met(trouble, &sim.stats());
    assert!(met >= 4, "{trouble:?} was met {met} times");
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().accepted, 200, "{trouble:?}");
    let classes: BTreeSet<&str> = journal.outcomes().into_keys().collect();
    // What travels on a connection that dies just then is lost with it.
    let may_be_lost = matches!(trouble, Trouble::Fault(Fault::DeadInPool));
    for &found in &classes {
        assert!(
            found == "accepted" || found == class || (may_be_lost && found == "in_doubt"),
            "{trouble:?} came to {found}"
        );
    }
    assert!(classes.contains(class), "{trouble:?}: {classes:?}");
}

/// How often anything out of the ordinary has been met.
fn met(trouble: Trouble, stats: &Stats) -> u64 {
    if matches!(trouble, Trouble::Outage(_)) {
        // Every request meets it.
        return stats.requests;
    }
    let refused = stats.refused_requests.values().sum::<u64>();
    let faults = stats.faults.values().sum::<u64>();
    let quirks = stats.quirks.values().sum::<u64>();
    let new_tokens = stats.logins.saturating_sub(1);
    faults + quirks + stats.too_many + refused + new_tokens
}

#[test]
fn a_fleet_of_20000_survives_a_fault_in_every_fifth_request() {
    let share = 0.2 / (FAULTS.len() + 2) as f64;
    let mut faults: BTreeMap<Fault, f64> =
        FAULTS.iter().map(|(fault, _)| (*fault, share)).collect();
    // In the place of these two an element or all elements are missing.
    for fault in [Fault::Oversized, Fault::Trickle] {
        faults.remove(&fault);
    }
    let quirks = [
        (Quirk::LeftOut, 2.0 * share),
        (Quirk::DataNull, 2.0 * share),
    ];
    let sim = Sim::start(Scenario {
        seed: 20_000,
        faults,
        quirks: quirks.into(),
        token_requests: Some(100),
        ..Scenario::default()
    });
    let site = Site::with(&devices(20_000));
    site.push(
        &sim,
        &[
            "run",
            "fleet.csv",
            "--chunk-size",
            "50",
            "--max-attempts",
            "20",
            "--request-timeout",
            "3s",
        ],
    )
    .expect(0);
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().accepted, 20_000);
    let stats = sim.stats();
    let met = stats.faults.values().sum::<u64>() + stats.quirks.values().sum::<u64>();
    assert!(met * 6 >= stats.requests, "{stats:?}");
}

#[test]
fn keys_that_nobody_can_match_stop_the_push_and_their_tickets_are_kept() {
    let sim = Sim::start(Scenario {
        quirks: [(Quirk::KeyForeign, 1.0)].into(),
        ..Scenario::default()
    });
    let site = Site::with(&devices(300));
    let args = [
        "run",
        "fleet.csv",
        "--chunk-size",
        "5",
        "--concurrency",
        "2",
    ];
    site.push(&sim, &args)
        .expect(5)
        .says(&["\"0000DK00", "\"DK00", "5 requests in a row"]);
    let journal = site.journal();
    agree(&journal, &sim);
    assert!(journal.run().pending >= 200, "{:?}", journal.run());
    let errors = journal.errors.join("\n");
    for delivery in sim.deliveries() {
        assert!(errors.contains(&delivery.ticket), "{delivery:?}");
    }
}
