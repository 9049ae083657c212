//! What can go wrong with one request, one fault at a time and all of them together: each costs time, and no device.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem::discriminant,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use fleetpush::simulator::{Fault, Outage, Quirk, Scenario, Stats};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng, seq::SliceRandom as _};

use crate::{
    order::steps,
    support::{
        Sim, Site, Store, Trouble, agree, devices, nothing_older_follows, seed, troubled, wait_for,
        with_each_store,
    },
};

/// A trouble of the platform, and what the attempts that meet it come to.
#[derive(Debug, Clone, Copy)]
enum Case {
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
const FAULTS: [(Fault, &str); 24] = [
    (Fault::ResetBefore, "in_doubt"),
    // What is small has been handed over whole by then.
    (Fault::ResetUnread, "in_doubt"),
    (Fault::TooLargeUnread, "rejected"),
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
const OTHERS: [(Case, &str); 12] = [
    (Case::Outage(Outage::Unavailable), "outage"),
    (Case::Outage(Outage::BadGateway), "in_doubt"),
    (Case::Outage(Outage::Page), "in_doubt"),
    (Case::Outage(Outage::HangUp), "in_doubt"),
    (Case::Outage(Outage::Silent), "in_doubt"),
    (Case::Outage(Outage::ServiceException), "transient"),
    (Case::Outage(Outage::HubUnavailable), "outage"),
    (Case::Limit("sliding-window:4,window=5s"), "outage"),
    (
        Case::Limit("sliding-window:4,window=5s,refuse=503"),
        "outage",
    ),
    (Case::NewTokens, "auth"),
    (Case::Outcast(50000), "transient"),
    (Case::DeviceLimit(4), "rejected"),
];

/// Cases at a time: they wait more than they work.
const AT_ONCE: usize = 6;

#[test]
fn each_fault_alone_costs_no_device() {
    let faults = FAULTS.map(|(fault, class)| (Case::Fault(fault), class));
    let quirks = QUIRKS.map(|(quirk, class)| (Case::Quirk(quirk), class));
    let cases: Vec<_> = faults.into_iter().chain(quirks).chain(OTHERS).collect();
    let cases = with_each_store(&cases, |(trouble, class)| (discriminant(trouble), *class));
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(&(store, (trouble, class))) =
                    cases.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    // Every case is told, not the first failure alone.
                    if std::panic::catch_unwind(|| survives(store, trouble, class)).is_err() {
                        failed.lock().unwrap().push((store, trouble));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{failed:?}");
}

/// Half of the requests meet the trouble until it has been met often enough; then the platform is well.
fn survives(store: Store, trouble: Case, class: &str) {
    let mut scenario = Scenario {
        seed: 7,
        latency_ms: 5,
        trickle_ms: 60_000,
        ..Scenario::default()
    };
    match trouble {
        Case::Fault(fault) => {
            scenario.faults.insert(fault, 0.5);
        }
        Case::Quirk(quirk) => {
            scenario.quirks.insert(quirk, 0.5);
        }
        Case::Outage(outage) => {
            scenario.outage = outage;
            scenario.outage_spares_logins = true;
        }
        Case::Limit(limit) => scenario.limit = Some(limit.parse().expect("a limit")),
        Case::NewTokens => {
            scenario.token_delay_ms = 100;
            scenario.token_requests = Some(3);
        }
        Case::Outcast(refusal) => {
            scenario.outcasts.insert("DK00007".to_owned(), refusal);
        }
        Case::DeviceLimit(devices) => scenario.device_limit = Some(devices),
    }
    let sim = Sim::start(scenario);
    let site = store.site(&devices(200));
    // Only a request for one device can be answered without an array.
    let chunk = match trouble {
        Case::Quirk(Quirk::DataObject) => "1",
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
            "3s",
        ],
    );
    wait_for("trouble", || {
        (met(trouble, &sim.stats()) >= 4 || push.has_ended()).then_some(())
    });
    sim.play(Scenario::default());
    let ended = push.ended();
    if ended.code == Some(1) && matches!(trouble, Case::Fault(Fault::TooLargeUnread)) {
        // A device whose request was refused alone has failed, until somebody sends to it again.
        site.push(&sim, &["retry", "--class", "rejected"]).expect(0);
    } else {
        ended.expect(0);
    }

    let met = met(trouble, &sim.stats());
    assert!(met >= 4, "{trouble:?} was met {met} times");
    let journal = site.journal();
    agree(&journal, &sim);
    assert_eq!(journal.run().accepted, 200, "{trouble:?}");
    let classes: BTreeSet<&str> = journal.outcomes().into_keys().collect();
    // What travels on a connection that dies just then is lost with it, be it a request or its reply.
    let may_be_lost = matches!(
        trouble,
        Case::Fault(Fault::DeadInPool | Fault::TooLargeUnread)
    );
    for &found in &classes {
        assert!(
            found == "accepted" || found == class || (may_be_lost && found == "in_doubt"),
            "{trouble:?} came to {found}"
        );
    }
    assert!(classes.contains(class), "{trouble:?}: {classes:?}");
}

/// How often anything out of the ordinary has been met.
fn met(trouble: Case, stats: &Stats) -> u64 {
    if matches!(trouble, Case::Outage(_)) {
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
fn each_trouble_of_the_world_costs_no_device() {
    std::thread::scope(|scope| {
        for (store, trouble) in Trouble::with_stores() {
            scope.spawn(move || {
                let (sim, site) = troubled(store, trouble, &devices(600), &[]);
                let journal = site.journal();
                agree(&journal, &sim);
                assert_eq!(journal.run().accepted, 600, "{trouble:?}");
                let expected: &[&str] = match trouble {
                    // What travels on a connection that dies is lost with it.
                    Trouble::NoFiles => &["accepted", "in_doubt", "outage"],
                    Trouble::DeadProxy | Trouble::ProxyPage => &["accepted", "outage"],
                    Trouble::ProxyWantsCredentials => &["accepted", "refused"],
                    _ => &["accepted"],
                };
                for class in journal.outcomes().keys() {
                    assert!(expected.contains(class), "{trouble:?} came to {class}");
                }
            });
        }
    });
}

/// A request that is too large for what lies between both sides is reset before it has gone: there is no doubt about it.
#[test]
fn a_body_that_is_cut_off_is_no_doubt() {
    // All of them until then: a connection that has carried a large request takes another one whole before anybody reads it.
    let sim = Sim::start(Scenario {
        faults: [(Fault::ResetUnread, 1.0)].into(),
        ..Scenario::default()
    });
    let site = Site::new();
    let row = format!(
        r#"{{"productKey":"PK0001","devices":["DK1","DK2","DK3","DK4"],"service":"fuwu","params":{{"raw1":"{}"}}}}"#,
        "A".repeat(3_900_000)
    );
    site.write("fleet.jsonl", row + "\n");
    let args = [
        "run",
        "fleet.jsonl",
        "--chunk-size",
        "1",
        "--max-attempts",
        "1",
    ];
    let push = site.start(&sim, &args);
    sim.wait_for_requests(4);
    sim.play(Scenario::default());
    push.ended().expect(0);
    let journal = site.journal();
    agree(&journal, &sim);
    assert!(sim.stats().faults[&Fault::ResetUnread] >= 4);
    let classes: Vec<&str> = journal.outcomes().into_keys().collect();
    assert_eq!(classes, ["accepted", "outage"]);
    assert_eq!(sim.deliveries().len(), 4, "each device once");
}

/// What fails or is in doubt is sent again in every way that there is, in an order of chance and while the fault lasts, and then once more.
#[test]
fn no_retry_sends_anything_older_after_what_was_accepted() {
    const WAYS: [&[&str]; 5] = [
        &[],
        &["--class", "blocked"],
        &["--class", "blocked", "--after-failure", "continue"],
        &["--state", "in_doubt"],
        &["--class", "transient"],
    ];
    let seed = seed();
    eprintln!("FLEETPUSH_TEST_SEED={seed}");
    let ill = [
        (Fault::ResetAfter, "in_doubt"),
        (Fault::ResetUnread, "in_doubt"),
        (Fault::BadGatewayActed, "in_doubt"),
        (Fault::ServiceException, "transient"),
    ];
    let cases = ill
        .into_iter()
        .flat_map(|(fault, class)| ["block", "continue"].map(|after| (fault, class, after)));
    let cases: Vec<_> = cases.collect();
    let cases = with_each_store(&cases, |(_, class, after)| (*class, *after));
    std::thread::scope(|scope| {
        for (number, (store, (fault, class, after_failure))) in (0..).zip(cases) {
            scope.spawn(move || {
                let mut random = SmallRng::seed_from_u64(seed.wrapping_add(number));
                let sim = Sim::start(Scenario {
                    seed: random.random(),
                    faults: [(fault, 0.3)].into(),
                    ..Scenario::default()
                });
                let site = store.site(&steps(40, 3));
                let push = |way: &[&str]| {
                    let flags = ["--chunk-size", "4", "--in-doubt", "hold"];
                    let few = ["--max-attempts", "1", "--abort-if", "never"];
                    let mut args = [way, &flags, &few].concat();
                    if !way.contains(&"--after-failure") {
                        args.extend(["--after-failure", after_failure]);
                    }
                    site.push(&sim, &args)
                };
                push(&["run", "fleet.csv", "--name", "steps"]).expect(1);
                let journal = site.journal();
                let failed = journal.tasks.iter();
                let met = failed.filter(|task| task.class.as_deref() == Some(class));
                assert!(met.count() > 0, "{fault}");
                let mut ways = WAYS;
                ways.shuffle(&mut random);
                for way in ways {
                    let ended = push(&[&["retry", "steps"], way].concat());
                    assert!(matches!(ended.code, Some(0..=2)), "{way:?}: {ended:?}");
                    let journal = site.journal();
                    agree(&journal, &sim);
                    nothing_older_follows(&journal, &sim);
                }
                sim.play(Scenario::default());
                push(&["retry", "steps", "--state", "failed,in_doubt"]);
                let journal = site.journal();
                agree(&journal, &sim);
                nothing_older_follows(&journal, &sim);
                // What was overtaken stays as it ended, and so may only be an earlier step.
                for task in journal.tasks.iter().filter(|task| task.line % 3 == 1) {
                    assert_eq!(task.state, "accepted", "{task:?}");
                }
                assert_eq!(sim.stats().overlaps, 0);
            });
        }
    });
}

#[test]
fn a_fleet_of_20000_survives_a_fault_in_every_fifth_request() {
    let share = 0.2 / (FAULTS.len() + 2) as f64;
    let mut faults: BTreeMap<Fault, f64> =
        FAULTS.iter().map(|(fault, _)| (*fault, share)).collect();
    // In the place of the first two an element or all elements are missing; what refuses a device for good is no fault that passes.
    for fault in [Fault::Oversized, Fault::Trickle, Fault::TooLargeUnread] {
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
