//! A platform that is ill while pushes are killed.

use fleetpush::simulator::{Fault, Outage, Quirk, Scenario};
use rand::{RngExt as _, rngs::SmallRng, seq::IndexedRandom as _};

/// A platform with trouble beside the kills: faults and odd replies that leave doubt, a limit on requests, tokens that are not known yet, an outage that
/// answers, a device that something dislikes, and a limit of devices in a request.
pub(super) fn ill(random: &mut SmallRng, calm: &Scenario) -> Scenario {
    const FAULTS: [Fault; 7] = [
        Fault::ResetUnread,
        Fault::Page,
        Fault::NotJson,
        Fault::ServiceException,
        Fault::Unavailable,
        Fault::BadGatewayActed,
        Fault::DeadInPool,
    ];
    const QUIRKS: [Quirk; 4] = [
        Quirk::KeyLower,
        Quirk::KeyPadded,
        Quirk::CodeUnreadable,
        Quirk::Reordered,
    ];
    const OUTAGES: [Outage; 6] = [
        Outage::BadGateway,
        Outage::Page,
        Outage::HangUp,
        Outage::ServiceException,
        Outage::HubUnavailable,
        Outage::Unavailable,
    ];
    const LIMITS: [&str; 3] = [
        "token-bucket:300,burst=20",
        "fixed-window:60,window=250ms,refuse=503",
        "in-flight:4,refuse=503",
    ];
    const OUTCAST: [i64; 7] = [401, 403, 429, 502, 503, 50000, 70000];
    let mut ill = Scenario {
        faults: [(Fault::ResetAfter, 0.02), (Fault::BadGateway, 0.02)].into(),
        quirks: [(Quirk::LeftOut, 0.02)].into(),
        transient: 0.01,
        ..calm.clone()
    };
    let fault = FAULTS.choose(random).expect("there are some");
    ill.faults.insert(*fault, 0.02);
    let quirk = QUIRKS.choose(random).expect("there are some");
    ill.quirks.insert(*quirk, 0.1);
    if random.random_bool(0.3) {
        ill.token_delay_ms = random.random_range(20..300);
    }
    if random.random_bool(0.3) {
        ill.outage = *OUTAGES.choose(random).expect("there are some");
        ill.outage_ms = Some(random.random_range(50..400));
        ill.outage_spares_logins = random.random_bool(0.5);
    }
    if random.random_bool(0.3) {
        let limit = LIMITS.choose(random).expect("there are some");
        ill.limit = Some(limit.parse().expect("a limit"));
    }
    if random.random_bool(0.3) {
        let refusal = OUTCAST.choose(random).expect("there are some");
        let device = random.random_range(1..=200);
        ill.outcasts.insert(format!("DK{device:05}"), *refusal);
    }
    if random.random_bool(0.2) {
        ill.device_limit = Some(random.random_range(1..5));
    }
    ill
}
