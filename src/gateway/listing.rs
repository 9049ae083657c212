//! Lists of the platform: the devices of a product ("Query Device List Under Product") and the products of the account ("Query Product
//! List"). One page is read at a time; which pages make a list is not decided here.

use std::borrow::Cow;

use super::lenient::{self, Field};
use crate::model::{ListPage, ListedDevice, ListedProduct, ListedState, Timestamp};

pub(super) const DEVICES_PATH: &str = "/v2/devicemgr/r3/openapi/product/device/overview";
pub(super) const PRODUCTS_PATH: &str = "/v2/quecproductmgr/r3/openapi/products";
/// Entries asked for at a time. The most that a page may have is not documented.
const PAGE_SIZE: usize = 100;
/// `dataFmt` of a device that takes raw data only.
const RAW: i64 = 0;
/// `connectPlatform` of a product on another platform.
const ELSEWHERE: i64 = 1;

/// A question for devices of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeviceQuery<'a> {
    pub(crate) product_key: &'a str,
    /// The device that is asked for; all if absent.
    pub(crate) device_key: Option<&'a str>,
    /// Which page, from 1.
    pub(crate) page: u32,
}

impl DeviceQuery<'_> {
    /// The parameters of the query. Pages are numbered by `pageNum`, and not by `pageNo` as in public samples.
    pub(super) fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = vec![("productKey", self.product_key.to_owned())];
        let device_key = self.device_key.map(|key| ("deviceKey", key.to_owned()));
        parameters.extend(device_key);
        parameters.extend(page(self.page));
        parameters
    }
}

/// The parameters that ask for a page.
pub(super) fn page(number: u32) -> [(&'static str, String); 2] {
    [
        ("pageNum", number.to_string()),
        ("pageSize", PAGE_SIZE.to_string()),
    ]
}

/// Reads a page of devices from a reply that has code 200. An entry without a product is one of the product that was asked for.
pub(super) fn devices(body: &[u8], product_key: &str) -> ListPage<ListedDevice> {
    read(body, |json| device(json, product_key))
}

/// Reads a page of products from a reply that has code 200.
pub(super) fn products(body: &[u8]) -> ListPage<ListedProduct> {
    read(body, product)
}

fn read<T>(body: &[u8], entry: impl Fn(&str) -> Option<T>) -> ListPage<T> {
    let text = String::from_utf8_lossy(body);
    let (mut data, mut total) = (None, None);
    lenient::fields(
        text.trim_start_matches('\u{feff}'),
        |key, value| match key {
            Field::Data => data = Some(value),
            Field::Total => total = lenient::integer(value),
            _ => {}
        },
    );
    let mut page = ListPage {
        entries: Vec::new(),
        unreadable: 0,
        total: total.and_then(|total| u64::try_from(total).ok()),
    };
    let mut take = |json: &str| match entry(json) {
        Some(entry) => page.entries.push(entry),
        None => page.unreadable += 1,
    };
    if let Some(data) = data {
        if data.starts_with('{') {
            take(data);
        } else {
            lenient::items(data, take);
        }
    }
    page
}

fn device(json: &str, product_key: &str) -> Option<ListedDevice> {
    let mut device = ListedDevice {
        product_key: product_key.to_owned(),
        ..ListedDevice::default()
    };
    let mut state = ListedState::default();
    let mut seen = [None, None];
    let text = |value| lenient::id(value).map(Cow::into_owned);
    let is_object = lenient::fields(json, |key, value| match key {
        Field::ProductKey => {
            if let Some(key) = text(value) {
                device.product_key = key;
            }
        }
        Field::DeviceKey => device.device_key = text(value).unwrap_or_default(),
        Field::DeviceName => device.name = text(value),
        Field::Sn => device.sn = text(value),
        Field::DeviceStatus => state.online = truth(value),
        Field::IsActived => state.activated = truth(value),
        Field::DataFmt => state.raw = lenient::integer(value).map(|format| format == RAW),
        Field::LastConnTime => seen[0] = time(value),
        Field::LastOfflineTime => seen[1] = time(value),
        _ => {}
    });
    device.state = state;
    device.last_online = seen.into_iter().flatten().max();
    (is_object && !device.device_key.is_empty()).then_some(device)
}

fn product(json: &str) -> Option<ListedProduct> {
    let mut product = ListedProduct::default();
    let text = |value| lenient::id(value).map(Cow::into_owned);
    let is_object = lenient::fields(json, |key, value| match key {
        Field::ProductKey => product.product_key = text(value).unwrap_or_default(),
        Field::ProductName => product.name = text(value),
        Field::ConnectPlatform => {
            product.is_elsewhere = lenient::integer(value) == Some(ELSEWHERE);
        }
        _ => {}
    });
    (is_object && !product.product_key.is_empty()).then_some(product)
}

/// A truth, written as 1 and 0, or as a truth of JSON.
fn truth(value: &str) -> Option<bool> {
    match value {
        "true" | "\"true\"" => Some(true),
        "false" | "\"false\"" => Some(false),
        _ => lenient::integer(value).map(|number| number == 1),
    }
}

/// A time in milliseconds; 0 is none.
fn time(value: &str) -> Option<Timestamp> {
    lenient::integer(value).filter(|at| *at > 0).map(Timestamp)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn page_of(body: &Value) -> ListPage<ListedDevice> {
        devices(body.to_string().as_bytes(), "PK")
    }

    #[test]
    fn an_entry_is_read_whichever_way_it_is_typed() {
        let expected = ListedDevice {
            product_key: "PK2".to_owned(),
            device_key: "0086".to_owned(),
            name: Some("Hall".to_owned()),
            sn: Some("17".to_owned()),
            state: ListedState {
                online: Some(true),
                activated: Some(false),
                raw: Some(true),
            },
            last_online: Some(Timestamp(1_750_000_000_000)),
        };
        for entry in [
            json!({"productKey": "PK2", "deviceKey": "0086", "deviceName": "Hall", "sn": "17", "deviceStatus": 1, "isActived": 0,
                "dataFmt": 0, "lastConnTime": 1_750_000_000_000_u64, "lastOfflineTime": 1_740_000_000_000_u64}),
            json!({"productKey": "PK2", "deviceKey": "0086", "deviceName": "Hall", "sn": 17, "deviceStatus": "1", "isActived": false,
                "dataFmt": "0", "lastConnTime": null, "lastOfflineTime": "1750000000000"}),
        ] {
            let read = page_of(&json!({"code": 200, "data": [entry], "total": "7"}));
            assert_eq!(
                (read.entries, read.total),
                (vec![expected.clone()], Some(7))
            );
        }
    }

    #[test]
    fn what_is_not_said_is_absent_and_an_entry_without_a_key_is_counted() {
        let read = page_of(
            &json!({"data": [{"deviceKey": "A", "deviceStatus": null}, {"deviceKey": ""}, null, 7]}),
        );
        let bare = ListedDevice {
            product_key: "PK".to_owned(),
            device_key: "A".to_owned(),
            ..ListedDevice::default()
        };
        assert_eq!(read.entries, [bare]);
        assert_eq!((read.unreadable, read.total), (3, None));
        for data in [json!(null), json!([]), json!("text")] {
            let read = page_of(&json!({"data": data, "total": -1}));
            assert_eq!((read.entries.len(), read.total), (0, None));
        }
    }

    #[test]
    fn products_say_whether_they_stand_elsewhere() {
        let body = json!({"data": [{"productKey": "A", "productName": "Hall", "connectPlatform": 1}, {"productKey": "B"}, {}]});
        let read = products(body.to_string().as_bytes());
        let told: Vec<_> = read
            .entries
            .iter()
            .map(|product| (&*product.product_key, product.is_elsewhere))
            .collect();
        assert_eq!(told, [("A", true), ("B", false)]);
        assert_eq!(read.unreadable, 1);
    }

    #[test]
    fn the_question_is_spelt_as_the_vendor_does() {
        let query = DeviceQuery {
            product_key: "PK",
            device_key: Some("D"),
            page: 3,
        };
        let query = query.parameters();
        let names: Vec<_> = query.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["productKey", "deviceKey", "pageNum", "pageSize"]);
    }
}
