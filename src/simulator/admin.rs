//! The simulator's own endpoints, under `/__simulator/`: what it has seen, and what it is to be like. Not part of the platform's API.

use hyper::{Method, StatusCode};
use url::form_urlencoded;

use super::{
    broker_access,
    ledger::Delivery,
    platform::{Call, Platform},
    reply::Reply,
    scenario::ScenarioError,
};

/// Answers a call of the operator; `endpoint` is what follows the prefix in its path.
pub(super) fn answer(platform: &Platform, call: &Call, endpoint: &str) -> Reply {
    match (&call.head.method, endpoint) {
        (&Method::GET, "deliveries") => deliveries(platform, call),
        (&Method::GET, "stats") => Reply::json(&*platform.counters.lock()),
        (&Method::GET, "scenario") => Reply::json(&platform.scenario()),
        (&Method::POST, "scenario") => change(platform, call),
        (_, asked) if asked.starts_with("broker/") => {
            broker_access::answer(call, asked.trim_start_matches("broker/"))
        }
        (_, "deliveries" | "stats" | "scenario") => Reply::html(StatusCode::METHOD_NOT_ALLOWED),
        _ => Reply::html(StatusCode::NOT_FOUND),
    }
}

/// JSON lines, one a delivery, in the order acted on; `?device=KEY` chooses a device.
fn deliveries(platform: &Platform, call: &Call) -> Reply {
    if !call.playing.scenario.ledger {
        let text = "the ledger is off: set the scenario's field `ledger` to true";
        return Reply::text(StatusCode::CONFLICT, "text/plain", text);
    }
    let device = form_urlencoded::parse(call.query().as_bytes())
        .find_map(|(name, value)| (name == "device").then_some(value));
    let found: Vec<Delivery> = platform.ledger().deliveries(device.as_deref());
    let mut lines = Vec::new();
    for delivery in &found {
        if serde_json::to_writer(&mut lines, delivery).is_ok() {
            lines.push(b'\n');
        }
    }
    Reply::text(StatusCode::OK, "application/x-ndjson", lines)
}

/// Replaces a part of the scenario (JSON merge patch), and answers with the whole of it.
fn change(platform: &Platform, call: &Call) -> Reply {
    let changed = serde_json::from_slice(&call.body)
        .map_err(ScenarioError::Change)
        .and_then(|change| platform.scenario().changed(change));
    match changed {
        Ok(scenario) => {
            let reply = Reply::json(&scenario);
            platform.play(scenario);
            reply
        }
        Err(error) => {
            let reason = std::error::Error::source(&error)
                .map(|source| format!(": {source}"))
                .unwrap_or_default();
            let text = format!("{error}{reason}\n");
            Reply::text(StatusCode::BAD_REQUEST, "text/plain", text)
        }
    }
}
