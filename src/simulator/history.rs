//! A device's history (platform notes, "Delivery of a command"): the ledger as the platform shows it, late and with gaps if told so.

use hyper::Response;
use serde::Serialize;

use super::{
    chance::Question,
    codes,
    ledger::Delivery,
    login::Query,
    platform::{Call, Platform},
    question::{self, Paging},
    reply::ReplyBody,
    respond::{self, Dropped},
    send,
};
use crate::model::Timestamp;

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
    let respond_with = |_| match Asked::parse(call.query()) {
        Ok(asked) => {
            let entries = shown(platform, call, &asked);
            asked
                .paging
                .reply(&asked.paging.of(&entries), entries.len())
        }
        Err(code) => respond::whole(code),
    };
    question::answer(platform, call, |stats| &mut stats.histories, respond_with).await
}

/// What a question asks for.
struct Asked {
    product_key: String,
    device_key: String,
    begin: i64,
    end: i64,
    downlinks: bool,
    status: Option<i64>,
    paging: Paging,
}

impl Asked {
    /// Reads the query; the error is the code of the refusal.
    fn parse(text: &str) -> Result<Self, i64> {
        let query = Query::parse(text);
        let key = |name| match query.get(name) {
            Some(key) if !key.is_empty() => Ok(key.to_owned()),
            _ => Err(codes::KEY_EMPTY),
        };
        let number = |name| question::number(&query, name);
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
            paging: Paging::parse(&query)?,
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
