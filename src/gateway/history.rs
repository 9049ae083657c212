//! The history of a device: what the platform has sent to it and received from it (page "Query Device Historical Uplink/Downlink Data
//! Logs").
//!
//! The page shows a property read and its answer. The entry of a service call is not documented, so every field is read on its own.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;

use super::lenient::{self, Field};
use crate::model::{Direction, HistoryEntry, SendResult, Ticket, TimeRange, Timestamp};

/// The path of the call.
pub(super) const HISTORY_PATH: &str = "/v2/quecdatastorage/r1/openapi/device/data/history";
/// Entries asked for at a time.
const PAGE_SIZE: usize = 100;

/// A question about one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HistoryQuery<'a> {
    pub(crate) product_key: &'a str,
    pub(crate) device_key: &'a str,
    /// The time asked about.
    pub(crate) window: TimeRange,
    /// Which page, from 1.
    pub(crate) page: u32,
}

impl HistoryQuery<'_> {
    /// The parameters of the query; times in milliseconds, the names as the vendor spells them. No `direction`: it would hide answers.
    pub(super) fn parameters(&self) -> Vec<(&'static str, String)> {
        vec![
            ("productKey", self.product_key.to_owned()),
            ("deviceKey", self.device_key.to_owned()),
            ("beginDateTimp", self.window.from.0.to_string()),
            ("endDateTimp", self.window.to.0.to_string()),
            ("pageNum", self.page.to_string()),
            ("pageSize", PAGE_SIZE.to_string()),
        ]
    }
}

/// What the platform said to a question.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum HistoryReply {
    Page(HistoryPage),
    /// No history, and why. Nothing has been changed by asking, whatever it is.
    NoPage(SendResult),
}

/// One page of a device's history.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct HistoryPage {
    /// The entries, as they came.
    pub(crate) entries: Vec<HistoryEntry>,
    /// Whether another page follows.
    pub(crate) more: bool,
    /// How many entries there are on all pages, where the platform counts them.
    pub(crate) total: Option<u64>,
}

/// Reads the `page`th page from a reply that has code 200. What is no entry at all becomes one that tells nothing, since it may be any.
pub(super) fn read(body: &[u8], page: u32) -> HistoryPage {
    let text = String::from_utf8_lossy(body);
    let (mut data, mut pages, mut page_size, mut total) = (None, None, None, None);
    lenient::fields(
        text.trim_start_matches('\u{feff}'),
        |key, value| match key {
            Field::Data => data = Some(value),
            Field::Pages => pages = lenient::integer(value),
            Field::PageSize => page_size = lenient::integer(value),
            Field::Total => total = lenient::integer(value),
            _ => {}
        },
    );
    let mut entries = Vec::new();
    if let Some(data) = data {
        if data.starts_with('{') {
            entries.push(entry(data));
        } else {
            lenient::items(data, |item| entries.push(entry(item)));
        }
    }
    // A platform that gives fewer entries at a time than it was asked for says so, and where it does not count pages, a full one may be
    // followed by another.
    let full = page_size
        .and_then(|size| usize::try_from(size).ok())
        .filter(|size| *size > 0)
        .unwrap_or(PAGE_SIZE);
    HistoryPage {
        more: match pages {
            Some(pages) => i64::from(page) < pages,
            None => entries.len() >= full,
        },
        total: total.and_then(|total| u64::try_from(total).ok()),
        entries,
    }
}

fn entry(json: &str) -> HistoryEntry {
    let mut entry = HistoryEntry::default();
    let (mut by_number, mut by_name) = (None, None);
    let (mut sent_at, mut other_time) = (None, None);
    let is_object = lenient::fields(json, |key, value| match key {
        Field::Ticket => entry.ticket = lenient::id(value).and_then(|text| Ticket::new(&text)),
        Field::Direction => by_number = direction(value, "1", "2"),
        Field::MsgType => by_name = direction(value, "up", "down"),
        Field::SendTime => sent_at = lenient::integer(value),
        Field::CreateTime | Field::UpdateTime => {
            other_time = other_time.or_else(|| lenient::integer(value));
        }
        Field::SendStatus => entry.status = lenient::integer(value),
        Field::Data => entry.payload = entry.payload.take().or_else(|| bytes(value)),
        Field::DmData => entry.dm_data = entry.dm_data.take().or_else(|| content(value)),
        _ => {}
    });
    if !is_object {
        return HistoryEntry::default();
    }
    entry.direction = by_number.or(by_name);
    entry.sent_at = sent_at.or(other_time).map(Timestamp);
    entry
}

fn direction(value: &str, up: &str, down: &str) -> Option<Direction> {
    let text = lenient::id(value)?;
    if text.eq_ignore_ascii_case(up) {
        Some(Direction::Up)
    } else if text.eq_ignore_ascii_case(down) {
        Some(Direction::Down)
    } else {
        None
    }
}

/// The binary payload. The vendor's example has no other `dataType` than `BASE64`.
fn bytes(value: &str) -> Option<Box<[u8]>> {
    let text = lenient::id(value)?;
    let bytes = BASE64_STANDARD.decode(text.as_bytes()).ok()?;
    (!bytes.is_empty()).then(|| bytes.into())
}

/// Values, written as JSON or as text that holds JSON.
fn content(value: &str) -> Option<Value> {
    let told: Value = serde_json::from_str(value).ok()?;
    let told = match &told {
        Value::String(text) => serde_json::from_str(text).ok()?,
        _ => told,
    };
    matches!(told, Value::Array(_) | Value::Object(_)).then_some(told)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(body: &Value) -> HistoryPage {
        read(body.to_string().as_bytes(), 1)
    }

    fn only(entry: &Value) -> HistoryEntry {
        let read = page(&json!({"code": 200, "data": [entry]}));
        assert_eq!(read.entries.len(), 1);
        read.entries[0].clone()
    }

    /// A property read and the answer to it, as the vendor's page shows them: all fields, newest first.
    fn vendors_page() -> Value {
        let entry = |direction: u8, cmd: &str, time: &str, data: &str, dm_data: &str| {
            json!({
                "id": null, "deviceId": null, "productId": null, "extData": null,
                "ticket": "1380000000000000001", "direction": direction,
                "msgType": if direction == 1 { "up" } else { "down" }, "cmd": cmd, "sendStatus": 1,
                "sendTime": time, "createTime": time, "updateTime": time,
                "dataType": "BASE64", "data": data, "dmData": dm_data,
                "sourceType": "MODE", "deviceKey": "D7", "productKey": "pX1",
            })
        };
        let answer = r#"[{"id":5,"value":true},{"id":6,"value":[{"id":1,"value":"20"}]}]"#;
        json!({
            "code": 200, "msg": "", "pageNum": 1, "pageSize": 10, "pages": 1, "total": 2,
            "data": [
                entry(1, "0012", "1750000000169", "ACkANAABAAoAFA==", answer),
                entry(2, "0011", "1750000000100", "AAUABg==", r#"["5","6"]"#),
            ],
        })
    }

    #[test]
    fn the_vendors_page_is_read_in_both_directions() {
        let read = page(&vendors_page());
        assert_eq!((read.more, read.total), (false, Some(2)));
        let [answer, command] = &read.entries[..] else {
            panic!("{read:?}")
        };
        let ticket = Ticket::new("1380000000000000001");
        assert_eq!((&answer.ticket, &command.ticket), (&ticket, &ticket));
        assert_eq!(
            (answer.direction, command.direction),
            (Some(Direction::Up), Some(Direction::Down))
        );
        assert_eq!(
            (answer.sent_at, command.sent_at),
            (
                Some(Timestamp(1_750_000_000_169)),
                Some(Timestamp(1_750_000_000_100))
            )
        );
        assert_eq!((answer.status, command.status), (Some(1), Some(1)));
        assert_eq!(command.payload.as_deref(), Some(&[0, 5, 0, 6][..]));
        assert_eq!(command.dm_data, Some(json!(["5", "6"])));
        assert_eq!(
            answer.dm_data,
            Some(json!([{"id": 5, "value": true}, {"id": 6, "value": [{"id": 1, "value": "20"}]}]))
        );
        assert!(command.may_be_command() && command.is_read());
        assert!(!answer.may_be_command() && !answer.is_read());
    }

    #[test]
    fn an_entry_is_read_whichever_way_it_is_typed() {
        let expected = HistoryEntry {
            ticket: Ticket::new("1335004867605954561"),
            direction: Some(Direction::Down),
            sent_at: Some(Timestamp(1_763_838_149_123)),
            status: Some(-1),
            payload: Some([1, 2].into()),
            ..HistoryEntry::default()
        };
        for entry in [
            json!({"ticket": "1335004867605954561", "sendStatus": -1, "sendTime": "1763838149123", "data": "AQI=", "direction": 2}),
            json!({"ticket": 1_335_004_867_605_954_561_u64, "sendStatus": "-1", "sendTime": 1_763_838_149_123_u64, "data": "AQI=", "direction": "2"}),
            json!({"ticket": "1335004867605954561", "sendStatus": -1, "createTime": "1763838149123", "data": "AQI=", "msgType": "DOWN"}),
            json!({"ticket": "1335004867605954561", "sendStatus": -1, "updateTime": "1763838149123", "sendTime": null, "data": "AQI=", "direction": null, "msgType": "down"}),
        ] {
            assert_eq!(only(&entry), expected, "{entry}");
            let alone = page(&json!({"code": "200", "msg": null, "data": entry}));
            assert_eq!(alone.entries, std::slice::from_ref(&expected));
            assert!(!alone.more);
        }
    }

    #[test]
    fn values_by_numeric_ids_are_read_under_either_of_their_names() {
        let by_id = json!([{"id": 22, "value": [{"id": 7, "value": "AA"}]}]);
        for name in ["dmData", "thingModelData"] {
            for told in [by_id.clone(), json!(by_id.to_string())] {
                let read = only(&json!({"ticket": "1", name: told}));
                assert_eq!(read.dm_data, Some(by_id.clone()));
            }
        }
        let odd = json!({"dmData": "no JSON", "thingModelData": null, "data": "no Base64!"});
        assert_eq!(only(&odd), HistoryEntry::default());
    }

    #[test]
    fn what_is_missing_or_odd_is_absent_and_no_error() {
        for entry in [
            json!({}),
            json!(null),
            json!(7),
            json!({"ticket": null, "sendTime": "soon", "sendStatus": {}, "data": "", "direction": 3, "msgType": []}),
        ] {
            assert_eq!(only(&entry), HistoryEntry::default(), "{entry}");
        }
        for data in [json!(null), json!([]), json!("text")] {
            assert_eq!(
                page(&json!({"code": 200, "data": data})),
                HistoryPage::default()
            );
        }
    }

    #[test]
    fn pages_are_followed_by_their_count_or_while_they_are_full() {
        let entries = |n: usize| vec![json!({}); n];
        let more = |body: Value, number| read(body.to_string().as_bytes(), number).more;
        let counted = json!({"data": entries(1), "pages": "2"});
        assert!(more(counted.clone(), 1) && !more(counted, 2));
        assert!(more(json!({"data": entries(PAGE_SIZE)}), 1));
        assert!(!more(json!({"data": entries(PAGE_SIZE - 1)}), 1));
        assert!(more(json!({"data": entries(10), "pageSize": 10}), 3));
    }

    #[test]
    fn the_question_is_spelt_as_the_vendor_does() {
        let query = HistoryQuery {
            product_key: "PK",
            device_key: "A&B",
            window: TimeRange {
                from: Timestamp(1),
                to: Timestamp(2),
            },
            page: 3,
        };
        let query = query.parameters();
        assert_eq!(
            query
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect::<Vec<_>>(),
            [
                ("productKey", "PK"),
                ("deviceKey", "A&B"),
                ("beginDateTimp", "1"),
                ("endDateTimp", "2"),
                ("pageNum", "3"),
                ("pageSize", "100"),
            ]
        );
    }
}
