//! What the platform's device list shows, and what is wrong with it.

use serde::{Deserialize, Serialize};

/// The fleet as the platform lists it. The default is the devices of `samples/`, listed without a fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Inventory {
    /// The devices; those of `samples/` if absent.
    pub devices: Option<Vec<ListedDevice>>,
    /// So many more devices of product PK0001: `MORE0000001` and so on.
    pub more: usize,
    /// The share of devices that have never been activated.
    pub inactive: f64,
    /// The share of devices whose data format is raw.
    pub raw: f64,

    /// The most entries that a page has, whatever the client asks for.
    pub page_limit: usize,
    /// The share of pages that show an entry of the page before once more.
    pub duplicates: f64,
    /// With each of the first so many questions for a page, the fleet changes before the answer: in turn its first device is deleted,
    /// and a new one, `NEW00001` and so on, becomes the first.
    pub changes: u64,
    /// How many devices more than there are `total` says; fewer if negative.
    pub total_off: i64,
    /// So many entries of another product at the end of each list.
    pub foreign: usize,
    /// So many questions are refused before the first one is answered …
    pub refusals: u64,
    /// … with this code.
    pub refusal_code: i64,
}

/// A device as the platform lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListedDevice {
    /// Its product.
    pub product_key: String,
    /// Its key.
    pub device_key: String,
    /// Its name.
    pub device_name: String,
    /// Its serial number.
    pub sn: String,
    /// Whether it is online.
    pub online: bool,
    /// Whether it has been activated.
    pub activated: bool,
    /// 0 for raw, 3 for the thing model.
    pub data_format: i64,
    /// How long ago it was last seen, in milliseconds; never if absent.
    pub seen_ms_ago: Option<i64>,
}

impl Default for Inventory {
    fn default() -> Self {
        Self {
            devices: None,
            more: 0,
            inactive: 0.0,
            raw: 0.0,
            page_limit: 100,
            duplicates: 0.0,
            changes: 0,
            total_off: 0,
            foreign: 0,
            refusals: 0,
            refusal_code: 61007,
        }
    }
}

impl Default for ListedDevice {
    fn default() -> Self {
        Self {
            product_key: "PK0001".to_owned(),
            device_key: String::new(),
            device_name: String::new(),
            sn: String::new(),
            online: true,
            activated: true,
            data_format: 3,
            seen_ms_ago: Some(60_000),
        }
    }
}
