//! A device's history, in both directions: the ledger as the platform shows it, late and with gaps if told so (page "Query Device
//! Historical Uplink/Downlink Data Logs").

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hyper::Response;
use serde_json::{Value, json};

use super::{
    chance::{self, Question},
    codes,
    delivery_state::{ANSWER_MS, delivery_state},
    entry::EncodedCommand,
    ledger::Delivery,
    login::Query,
    platform::{Call, Platform},
    question::{self, Paging},
    reply::ReplyBody,
    respond::{self, Dropped},
    scenario::{DeliveryState, HistoryForm, HistoryOrder},
    send, served_model,
};

/// `direction` of what comes from a device and of what goes to it.
const UP: i64 = 1;
const DOWN: i64 = 2;

/// An entry before it is written.
struct Entry {
    direction: i64,
    ticket: String,
    status: i64,
    at_ms: i64,
    told: EncodedCommand,
}

/// Answers one question, or ends its connection.
pub(super) async fn answer(
    platform: &Platform,
    call: &Call,
) -> Result<Response<ReplyBody>, Dropped> {
    let respond_with = |number| match Asked::parse(call.query()) {
        Ok(asked) if is_refused(call, &asked) => respond::whole(codes::UNAUTHORIZED),
        Ok(asked) => {
            let entries = shown(platform, call, &asked, number);
            let page: Vec<Value> = asked
                .paging
                .of(&entries)
                .iter()
                .map(|entry| written(entry, &asked, call.playing.scenario.history.form))
                .collect();
            asked.paging.reply(&page, entries.len())
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
    direction: Option<i64>,
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
            direction: number("direction")?,
            status: number("sendStatus")?,
            paging: Paging::parse(&query)?,
        })
    }
}

/// Whether the platform tells nothing of this device.
fn is_refused(call: &Call, asked: &Asked) -> bool {
    let playing = &call.playing;
    let device = chance::hash(&asked.device_key);
    playing.chance.within(
        playing.scenario.history.refused,
        Question::HistoryRefused,
        device,
    )
}

/// The entries that the device's history has at this moment, in the order in which they are told.
fn shown(platform: &Platform, call: &Call, asked: &Asked, number: u64) -> Vec<Entry> {
    let playing = &call.playing;
    let scenario = &playing.scenario;
    let history = &scenario.history;
    let lag = i64::try_from(scenario.history_lag_ms).unwrap_or(i64::MAX);
    let is_shown = |delivery: &Delivery| {
        let ticket = chance::hash(&delivery.ticket);
        delivery.at_ms.saturating_add(lag) <= call.now.0
            && !playing
                .chance
                .within(scenario.history_gap, Question::HistoryGap, ticket)
    };
    let model = served_model::served(scenario);
    let report = |n: u64, at_ms| Entry {
        direction: UP,
        ticket: format!("{:024x}", chance::hash(&format!("{}{n}", asked.device_key))),
        status: 1,
        at_ms,
        told: EncodedCommand::report(),
    };
    let mut entries = Vec::new();
    let deliveries = platform.ledger().deliveries(Some(&asked.device_key));
    for delivery in deliveries {
        if delivery.product_key != asked.product_key || !is_shown(&delivery) {
            continue;
        }
        let at_ms = delivery.at_ms.saturating_add(scenario.clock_skew_ms);
        for n in 0..history.reports.into() {
            let behind = i64::try_from(n).unwrap_or_default() + 1;
            entries.push(report(n + chance::hash(&delivery.ticket), at_ms + behind));
        }
        let delivery_state = delivery_state(history, playing.chance, &delivery.ticket);
        if delivery_state == DeliveryState::Answered {
            entries.push(Entry {
                direction: UP,
                ticket: delivery.ticket.clone(),
                status: 1,
                at_ms: at_ms + ANSWER_MS,
                told: EncodedCommand::report(),
            });
        }
        entries.push(Entry {
            direction: DOWN,
            status: match delivery_state {
                DeliveryState::Queued => 0,
                DeliveryState::SendFailed => -1,
                DeliveryState::Sent | DeliveryState::Answered => 1,
            },
            at_ms,
            told: EncodedCommand::of(&model, &delivery.data),
            ticket: delivery.ticket,
        });
    }
    entries.sort_by_key(|entry| entry.at_ms);
    let latest = entries.last().map_or(call.now.0, |entry| entry.at_ms);
    entries.extend((0..number * u64::from(history.growth)).map(|n| report(n, latest)));
    entries.retain(|entry| {
        (asked.begin..=asked.end).contains(&entry.at_ms)
            && asked.direction.is_none_or(|one| one == entry.direction)
            && asked.status.is_none_or(|one| one == entry.status)
    });
    let is_repeated = |entry: &Entry| {
        let subject = chance::hash(&entry.ticket) ^ entry.direction.unsigned_abs();
        playing
            .chance
            .within(history.repeated, Question::Repeated, subject)
    };
    let mut told: Vec<Entry> = Vec::new();
    for entry in entries {
        if is_repeated(&entry) {
            told.push(Entry {
                ticket: entry.ticket.clone(),
                told: entry.told.clone(),
                ..entry
            });
        }
        told.push(entry);
    }
    match history.order {
        HistoryOrder::Newest => told.reverse(),
        HistoryOrder::Oldest => {}
        HistoryOrder::Unstable => told.sort_by_key(|entry| {
            let subject = chance::hash(&entry.ticket) ^ entry.direction.unsigned_abs();
            chance::mix(number ^ subject)
        }),
    }
    told
}

/// An entry with all the fields of the vendor's example.
fn written(entry: &Entry, asked: &Asked, form: HistoryForm) -> Value {
    // Milliseconds as text, as in the vendor's example, where all three are equal.
    let time = entry.at_ms.to_string();
    let payload = match form {
        HistoryForm::Nothing => Value::Null,
        _ => BASE64_STANDARD.encode(&entry.told.payload).into(),
    };
    let mut written = json!({
        "id": null, "deviceId": null, "productId": null, "extData": null,
        "ticket": entry.ticket,
        "direction": entry.direction,
        "msgType": if entry.direction == UP { "up" } else { "down" },
        // Which command of the device protocol a service call is, no page shows.
        "cmd": null,
        "sendStatus": entry.status,
        "sendTime": time, "createTime": time, "updateTime": time,
        "dataType": "BASE64",
        "data": payload,
        "dmData": null,
        "sourceType": "MODE",
        "deviceKey": asked.device_key,
        "productKey": asked.product_key,
    });
    let values = entry.told.dm_data.to_string();
    match form {
        HistoryForm::DmData => written["dmData"] = values.into(),
        HistoryForm::ThingModelData => written["thingModelData"] = values.into(),
        HistoryForm::Bytes | HistoryForm::Nothing => {}
    }
    written
}
