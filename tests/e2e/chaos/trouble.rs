//! The troubles that are drawn.

use std::collections::BTreeSet;

use fleetpush::simulator::{
    AtFirst, AuthRefusal, Fault, History, HistoryForm, HistoryOrder, Inventory, Limit,
    ListedDevice, Messages, Outage, QueueStatus, Quirk, Scenario, TicketForm,
};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng, seq::IndexedRandom as _};
use strum::VariantArray as _;

/// A platform with several troubles at once.
pub(super) fn trouble(random: &mut SmallRng, well: &Scenario) -> Scenario {
    let mut ill = Scenario {
        trickle_ms: 60_000,
        gzip: random.random_bool(0.3),
        ..well.clone()
    };
    with_replies(random, &mut ill);
    with_devices(random, &mut ill);
    with_account(random, &mut ill);
    with_platform(random, &mut ill);
    with_history(random, &mut ill);
    with_inventory(random, &mut ill);
    with_messages(random, &mut ill);
    ill
}

/// Requests and logins that meet a fault, and odd replies.
fn with_replies(random: &mut SmallRng, ill: &mut Scenario) {
    for _ in 0..random.random_range(0..4) {
        let fault = *Fault::VARIANTS.choose(random).expect("there are some");
        ill.faults.insert(fault, random.random_range(0.02..0.2));
    }
    for _ in 0..random.random_range(0..4) {
        let quirk = *Quirk::VARIANTS.choose(random).expect("there are some");
        ill.quirks.insert(quirk, random.random_range(0.05..0.5));
    }
    if random.random_bool(0.2) {
        let fault = *Fault::VARIANTS.choose(random).expect("there are some");
        ill.login_faults.insert(fault, 0.3);
    }
}

/// Devices and products that fail, for a while or for good.
fn with_devices(random: &mut SmallRng, ill: &mut Scenario) {
    if random.random_bool(0.2) {
        ill.offline = 0.1;
    }
    if random.random_bool(0.2) {
        ill.rejected = 0.1;
        ill.rejected_codes = vec![61005, 70091, 70089];
    }
    if random.random_bool(0.3) {
        ill.transient = 0.1;
        ill.transient_codes = vec![70000, 50000, 70095, 70051];
    }
    if random.random_bool(0.2) {
        ill.failing_products = vec!["PK0002".to_owned()];
    }
    if random.random_bool(0.2) {
        ill.frequency_at_first = AtFirst {
            share: 0.2,
            sends: 1,
        };
    }
    if random.random_bool(0.1) {
        ill.quota_at_first = AtFirst {
            share: 0.1,
            sends: 1,
        };
    }
    if random.random_bool(0.1) {
        ill.frequency_limit = Some(Limit {
            messages: 1,
            window_ms: 500,
        });
    }
    if random.random_bool(0.1) {
        ill.poison = 0.05;
        ill.poison_code = *[61005, 61002, 50005]
            .choose(random)
            .expect("there are some");
    }
    if random.random_bool(0.1) {
        ill.device_limit = Some(random.random_range(1..20));
        ill.device_limit_code = *[50005, 400, 413, 502, 61002]
            .choose(random)
            .expect("there are some");
    }
    if random.random_bool(0.1) {
        ill.quota_limit = Some(Limit {
            messages: 1,
            window_ms: 500,
        });
    }
    if random.random_bool(0.05) {
        ill.refused_data = Some(r#""step":"2""#.to_owned());
        ill.refused_data_code = *[70091, 70083, 71028].choose(random).expect("three");
    }
    if random.random_bool(0.05) {
        ill.refused_products = vec!["PK0001".to_owned()];
    }
    if random.random_bool(0.15) {
        // Something in front of the platform dislikes one or two devices.
        for _ in 0..random.random_range(1..=2) {
            let refusal = [401, 403, 429, 502, 503, 50000, 61006, 61007, 70000]
                .choose(random)
                .copied()
                .expect("there are some");
            let device = random.random_range(1..=20);
            ill.outcasts.insert(format!("DK{device:05}"), refusal);
        }
    }
}

/// Logins, tokens and clocks.
fn with_account(random: &mut SmallRng, ill: &mut Scenario) {
    if random.random_bool(0.05) {
        // The right one, and one that no login is signed with.
        ill.access_key = Some("key".to_owned());
        ill.access_secret = random.random_bool(0.5).then(|| "another".to_owned());
    }
    if random.random_bool(0.1) {
        ill.ready_token = Some("QJWT ready".to_owned());
    }
    if random.random_bool(0.1) {
        ill.refresh_after_ms = 60_000;
    }
    if random.random_bool(0.05) {
        ill.access_key_disabled = true;
    }
    if random.random_bool(0.05) {
        ill.clock_skew_ms = *[-86_400_000, 86_400_000]
            .choose(random)
            .expect("there are some");
    }
    if random.random_bool(0.1) {
        ill.token_lifetime_ms = Some(random.random_range(50..500));
    }
    if random.random_bool(0.1) {
        ill.expires_in = *[0, 1, u64::MAX].choose(random).expect("there are some");
    }
    if random.random_bool(0.2) {
        ill.token_requests = Some(random.random_range(1..20));
    }
    if random.random_bool(0.2) {
        ill.auth_refusal = AuthRefusal::Status;
    }
    if random.random_bool(0.15) {
        ill.token_delay_ms = random.random_range(20..400);
    }
}

/// Limits on all requests, and outages.
fn with_platform(random: &mut SmallRng, ill: &mut Scenario) {
    if random.random_bool(0.1) {
        let texts = ["0", "1", "-5", "soon", "Thu, 01 Jan 1970 00:00:00 GMT"];
        ill.retry_after = texts.choose(random).map(|&text| text.to_owned());
    }
    if random.random_bool(0.05) {
        ill.refuse_code = [61006, 61007, 50000, 70000, 91001, 91006]
            .choose(random)
            .copied();
    }
    if random.random_bool(0.05) {
        ill.refuse_status = [401, 403, 404, 429, 503].choose(random).copied();
    }
    if random.random_bool(0.3) {
        let limits = [
            "token-bucket:40,burst=5",
            "fixed-window:20,window=1s",
            "sliding-window:20,window=1s,refuse=503",
            "leaky-bucket:40,queue=2,retry-after=yes",
            "in-flight:2,refuse=503",
        ];
        let text = *limits.choose(random).expect("there are some");
        ill.limit = Some(text.parse().expect("a limit"));
    } else if random.random_bool(0.1) {
        ill.rate_limit = Some(random.random_range(20.0..60.0));
        ill.rate_burst = random.random_range(1.0..10.0);
    }
    if random.random_bool(0.15) {
        ill.outage = *Outage::VARIANTS.choose(random).expect("there are some");
        ill.outage_ms = Some(random.random_range(50..800));
        ill.outage_spares_logins = random.random_bool(0.5);
    }
}

/// What a history shows, what a product's commands have to fit, and the size of what is too large.
fn with_history(random: &mut SmallRng, ill: &mut Scenario) {
    if random.random_bool(0.3) {
        ill.history_lag_ms = random.random_range(1..2000);
        ill.history_gap = 0.3;
    }
    if random.random_bool(0.5) {
        // A history that grows and repeats itself never adds up: each device is then read for as many pages as there may be, which takes
        // longer than a test has.
        let growth = random.random_range(0..3);
        let (repeated, reports) = if growth > 0 { (0.0, 5) } else { (0.1, 30) };
        ill.history = History {
            queued: 0.1,
            send_failed: 0.1,
            answered: 0.3,
            reports: random.random_range(0..reports),
            form: *HistoryForm::VARIANTS
                .choose(random)
                .expect("there are some"),
            order: *HistoryOrder::VARIANTS
                .choose(random)
                .expect("there are some"),
            repeated,
            growth,
            refused: 0.1,
        };
    }
    if random.random_bool(0.1) {
        ill.oversized_bytes = 9_000_000;
    }
    if random.random_bool(0.05) {
        // No command that is sent here fits it.
        ill.thing_model = Some(serde_json::json!({"properties": [], "services": [], "events": []}));
    }
}

/// A device list that shows some devices of the fleet, and is read while it changes.
fn with_inventory(random: &mut SmallRng, ill: &mut Scenario) {
    if random.random_bool(0.2) {
        let device = |number| ListedDevice {
            device_key: format!("DK{number:05}"),
            product_key: format!("PK000{}", number % 2 + 1),
            ..ListedDevice::default()
        };
        ill.inventory = Inventory {
            devices: Some((1..=20).map(device).collect()),
            more: random.random_range(0..100),
            inactive: 0.1,
            raw: 0.1,
            page_limit: random.random_range(5..100),
            duplicates: 0.2,
            changes: random.random_range(0..4),
            total_off: random.random_range(-1..=1),
            foreign: random.random_range(0..2),
            refusals: random.random_range(0..3),
            refusal_code: *[61007, 429, 70000].choose(random).expect("there are some"),
        };
    }
}

/// Tickets of any form, and a queue without a broker behind it, which is no push's concern.
fn with_messages(random: &mut SmallRng, ill: &mut Scenario) {
    ill.tickets = *TicketForm::VARIANTS.choose(random).expect("there are some");
    if random.random_bool(0.2) {
        ill.messages = Messages {
            queue_status: *QueueStatus::VARIANTS
                .choose(random)
                .expect("there are some"),
            missing: 0.1,
            repeated: 0.1,
            ..Messages::default()
        };
    }
}

/// A field that no fleet ever meets proves nothing: whoever adds one to the scenario draws it here, too.
#[test]
fn every_field_of_a_scenario_is_drawn() {
    // Drawn for each fleet whether it is ill or well, and the test's own eyes.
    const OTHERS: [&str; 5] = [
        "seed",
        "latency_ms",
        "latency_jitter_ms",
        "ledger",
        "watch_order",
    ];
    // Serde's complaint about an unknown field lists the known ones, also those that are left out when they are absent.
    let complaint = serde_json::from_str::<Scenario>(r#"{"?":0}"#).unwrap_err();
    let complaint = complaint.to_string();
    let fields: BTreeSet<&str> = complaint.split('`').skip(3).step_by(2).collect();
    assert!(fields.len() > 50, "{complaint}");
    let as_json = |scenario: &Scenario| serde_json::to_value(scenario).expect("an object");
    let well = Scenario {
        refresh_after_ms: 0,
        ..Scenario::default()
    };
    let usual = as_json(&well);
    let mut drawn = BTreeSet::new();
    for seed in 0..400 {
        let ill = trouble(&mut SmallRng::seed_from_u64(seed), &well);
        ill.validate().expect("it can be played");
        let ill = as_json(&ill);
        let fields = ill.as_object().expect("an object").iter();
        let other = fields.filter(|(field, value)| usual.get(field) != Some(value));
        drawn.extend(other.map(|(field, _)| field.clone()));
    }
    let missed: Vec<&&str> = fields
        .iter()
        // Another name of `quirks`.
        .filter(|field| **field != "oddities")
        .filter(|field| !OTHERS.contains(field) && !drawn.contains(**field))
        .collect();
    assert!(missed.is_empty(), "never drawn: {missed:?}");
}
