//! The history of a device: what the platform says that it sent to it (platform notes, "Delivery of a command").
//!
//! The vendor documents the entries of a property read by an example: what went out is in `data`, as bytes, and in `dmData`, as JSON by the
//! numeric ids of the thing model. Which of them a service call has is not documented; the names that the platform uses for such content
//! elsewhere are looked for, too.

use serde_json::Value;

use super::lenient::{self, Field};
use crate::model::{Downlink, SendResult, Ticket, TimeRange, Timestamp};

/// The path of the call (platform notes, "Delivery of a command").
pub(super) const HISTORY_PATH: &str = "/v2/quecdatastorage/r1/openapi/device/data/history";
/// Entries asked for at a time.
const PAGE_SIZE: usize = 100;
/// `direction` of what goes to a device.
const DOWNLINK: &str = "2";

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
    /// The parameters of the query; times in milliseconds, the names as the vendor spells them.
    pub(super) fn parameters(&self) -> Vec<(&'static str, String)> {
        vec![
            ("productKey", self.product_key.to_owned()),
            ("deviceKey", self.device_key.to_owned()),
            ("beginDateTimp", self.window.from.0.to_string()),
            ("endDateTimp", self.window.to.0.to_string()),
            ("direction", DOWNLINK.to_owned()),
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
    /// The entries.
    pub(crate) downlinks: Vec<Downlink>,
    /// Whether another page follows.
    pub(crate) more: bool,
}

/// Reads the `page`th page from a reply that has code 200. What is no entry at all becomes one that tells nothing, since it may be any.
pub(super) fn read(body: &[u8], page: u32) -> HistoryPage {
    let text = String::from_utf8_lossy(body);
    let (mut data, mut pages, mut page_size) = (None, None, None);
    lenient::fields(
        text.trim_start_matches('\u{feff}'),
        |key, value| match key {
            Field::Data => data = Some(value),
            Field::Pages => pages = lenient::integer(value),
            Field::PageSize => page_size = lenient::integer(value),
            _ => {}
        },
    );
    let mut downlinks = Vec::new();
    if let Some(data) = data {
        if data.starts_with('{') {
            downlinks.push(entry(data));
        } else {
            lenient::items(data, |item| downlinks.push(entry(item)));
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
            None => downlinks.len() >= full,
        },
        downlinks,
    }
}

fn entry(json: &str) -> Downlink {
    let mut downlink = Downlink::default();
    let is_object = lenient::fields(json, |key, value| match key {
        Field::Ticket => {
            downlink.ticket = lenient::id(value).and_then(|text| Ticket::new(&text));
        }
        Field::SendTime => downlink.sent_at = lenient::integer(value).map(Timestamp),
        Field::SendStatus => downlink.status = lenient::integer(value),
        Field::Data | Field::Kv | Field::SendData | Field::Content => {
            downlink.data = downlink.data.take().or_else(|| content(value));
        }
        Field::DmData => downlink.dm_data = downlink.dm_data.take().or_else(|| content(value)),
        _ => {}
    });
    if is_object {
        downlink
    } else {
        Downlink::default()
    }
}

/// What was sent, written as JSON or as text that holds JSON. Text that is no JSON, raw bytes in hex for example, cannot be compared.
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

    #[test]
    fn an_entry_is_read_whichever_way_it_is_typed() {
        let sent = json!([{"fuwu": [{"raw1": "AA"}]}]);
        let expected = Downlink {
            ticket: Ticket::new("1335004867605954561"),
            sent_at: Some(Timestamp(1_763_838_149_123)),
            status: Some(-1),
            data: Some(sent.clone()),
            dm_data: None,
        };
        for entry in [
            json!({"ticket": "1335004867605954561", "sendStatus": -1, "sendTime": "1763838149123", "data": sent.to_string()}),
            json!({"ticket": 1_335_004_867_605_954_561_u64, "sendStatus": "-1", "sendTime": 1_763_838_149_123_u64, "kv": sent}),
            json!({"ticket": "1335004867605954561", "sendStatus": -1, "sendTime": "1763838149123", "data": null, "sendData": sent}),
        ] {
            for data in [json!([entry]), entry] {
                let read = page(&json!({"code": "200", "msg": null, "data": data}));
                assert_eq!(read.downlinks, std::slice::from_ref(&expected), "{data}");
                assert!(!read.more);
            }
        }
    }

    #[test]
    fn content_by_numeric_ids_is_kept_apart_under_either_of_its_names() {
        let by_id = json!([{"id": 22, "value": [{"id": 7, "value": "AA"}]}]);
        for name in ["dmData", "thingModelData"] {
            for told in [by_id.clone(), json!(by_id.to_string())] {
                let entry =
                    json!({"ticket": "1", "dataType": "BASE64", "data": "ERYAAQ==", name: told});
                let read = page(&json!({"code": 200, "data": [entry]}));
                assert_eq!(read.downlinks[0].dm_data, Some(by_id.clone()), "{entry}");
                assert_eq!(read.downlinks[0].data, None, "bytes cannot be compared");
            }
        }
        let odd = json!({"dmData": "no JSON", "thingModelData": null});
        let read = page(&json!({"code": 200, "data": [odd]}));
        assert_eq!(read.downlinks, [Downlink::default()]);
    }

    #[test]
    fn what_is_missing_or_odd_is_absent_and_no_error() {
        for entry in [
            json!({}),
            json!(null),
            json!(7),
            json!({"ticket": null, "sendTime": "soon", "sendStatus": {}, "data": "AA55"}),
        ] {
            let read = page(&json!({"code": 200, "data": [entry]}));
            assert_eq!(read.downlinks, [Downlink::default()], "{entry}");
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
                ("direction", "2"),
                ("pageNum", "3"),
                ("pageSize", "100"),
            ]
        );
    }
}
