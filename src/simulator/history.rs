//! A device's history (platform notes, "Delivery of a command"): the ledger as the platform shows it, late and with gaps if told so.

use hyper::{Method, Response, StatusCode, header};
use serde::Serialize;
use serde_json::json;

use super::{
    chance::Question,
    codes,
    ledger::Delivery,
    login::Query,
    platform::{Call, Platform},
    reply::{Reply, ReplyBody},
    respond::{self, Dropped},
    scenario::AuthRefusal,
    send,
};
use crate::model::Timestamp;

/// The entries on a page when the client does not say how many it wants.
const PAGE_SIZE: usize = 10;
/// `direction` of what goes to a device.
const DOWNLINK: &str = "2";
/// `sendStatus` of every entry: the simulator keeps no command back.
const SENT: i64 = 1;

/// An entry, with the fields of the vendor's example, and what was sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    product_key: String,
    device_key: String,
    ticket: String,
    send_status: i64,
    /// Milliseconds as text, as in the vendor's example.
    send_time: String,
    data: String,
}

/// Answers one question, or ends its connection.
pub(super) async fn answer(
    platform: &Platform,
    call: &Call,
) -> Result<Response<ReplyBody>, Dropped> {
    if call.head.method != Method::GET {
        let reply = Reply::html(StatusCode::METHOD_NOT_ALLOWED).with(header::ALLOW, "GET");
        return Ok(reply.into_response(ReplyBody::Whole));
    }
    let number = {
        let mut stats = platform.counters.lock();
        stats.histories += 1;
        stats.histories
    };
    respond::limited((platform, call), number, || None, || tell(platform, call)).await
}

fn tell(platform: &Platform, call: &Call) -> Reply {
    let scenario = &call.playing.scenario;
    let token = call.header(header::AUTHORIZATION);
    if let Err(code) = platform.tokens.check(token, scenario, call.now) {
        return match scenario.auth_refusal {
            AuthRefusal::Code => respond::whole(code),
            AuthRefusal::Status => Reply::html(StatusCode::UNAUTHORIZED),
        };
    }
    match Asked::parse(call.query()) {
        Ok(asked) => page(&asked, &shown(platform, call, &asked)),
        Err(code) => respond::whole(code),
    }
}

/// What a question asks for.
struct Asked {
    product_key: String,
    device_key: String,
    begin: i64,
    end: i64,
    downlinks: bool,
    status: Option<i64>,
    page: usize,
    page_size: usize,
}

impl Asked {
    /// Reads the query; the error is the code of the refusal.
    fn parse(text: &str) -> Result<Self, i64> {
        let query = Query::parse(text);
        let key = |name| match query.get(name) {
            Some(key) if !key.is_empty() => Ok(key.to_owned()),
            _ => Err(codes::KEY_EMPTY),
        };
        let number = |name| match query.get(name) {
            Some(text) => text
                .parse::<i64>()
                .map(Some)
                .map_err(|_| codes::PARAMETER_CHECK),
            None => Ok(None),
        };
        let count = |name, default: usize| match number(name)? {
            Some(n) => usize::try_from(n)
                .ok()
                .filter(|n| *n > 0)
                .ok_or(codes::PARAMETER_CHECK),
            None => Ok(default),
        };
        if !send::has_known_language(text) {
            return Err(codes::PARAMETER_CHECK);
        }
        Ok(Self {
            product_key: key("productKey")?,
            device_key: key("deviceKey")?,
            begin: number("beginDateTimp")?.unwrap_or(i64::MIN),
            end: number("endDateTimp")?.unwrap_or(i64::MAX),
            downlinks: query
                .get("direction")
                .is_none_or(|direction| direction == DOWNLINK),
            status: number("sendStatus")?,
            page: count("pageNum", 1)?,
            page_size: count("pageSize", PAGE_SIZE)?,
        })
    }
}

/// The entries that the device's history has at this moment.
fn shown(platform: &Platform, call: &Call, asked: &Asked) -> Vec<Entry> {
    let playing = &call.playing;
    let scenario = &playing.scenario;
    let lag = i64::try_from(scenario.history_lag_ms).unwrap_or(i64::MAX);
    let is_shown = |delivery: &Delivery| {
        let ticket: u64 = delivery.ticket.parse().unwrap_or_default();
        Timestamp(delivery.at_ms.saturating_add(lag)) <= call.now
            && !playing
                .chance
                .within(scenario.history_gap, Question::HistoryGap, ticket)
    };
    if !asked.downlinks || asked.status.is_some_and(|status| status != SENT) {
        return Vec::new();
    }
    let deliveries = platform.ledger().deliveries(Some(&asked.device_key));
    deliveries
        .into_iter()
        .filter(|delivery| delivery.product_key == asked.product_key && is_shown(delivery))
        .map(|delivery| {
            let time = delivery.at_ms.saturating_add(scenario.clock_skew_ms);
            (time, delivery)
        })
        .filter(|(time, _)| (asked.begin..=asked.end).contains(time))
        .map(|(time, delivery)| Entry {
            product_key: delivery.product_key,
            device_key: delivery.device_key,
            ticket: delivery.ticket,
            send_status: SENT,
            send_time: time.to_string(),
            data: delivery.data,
        })
        .collect()
}

fn page(asked: &Asked, entries: &[Entry]) -> Reply {
    let data = entries
        .chunks(asked.page_size)
        .nth(asked.page - 1)
        .unwrap_or_default();
    Reply::json(&json!({
        "code": codes::OK,
        "msg": codes::text(codes::OK),
        "data": data,
        "pageNum": asked.page,
        "pageSize": asked.page_size,
        "pages": entries.len().div_ceil(asked.page_size),
        "total": entries.len(),
    }))
}
