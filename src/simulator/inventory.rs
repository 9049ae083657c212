//! The fleet as the platform lists it ("Query Device List Under Product", "Query Product List"), with the weaknesses that such lists have.
//!
//! Only entries that a page shows are made, so that a million devices can be listed.

use std::{collections::BTreeSet, iter};

use hyper::Response;
use serde_json::{Value, json};

use super::{
    chance::{Chance, Question, hash},
    codes,
    login::Query,
    platform::{Call, Platform},
    question::{self, Paging},
    reply::{Reply, ReplyBody},
    respond::{self, Dropped},
    scenario::{ListedDevice, Scenario},
};
use crate::model::Timestamp;

/// The manifests of which every device is listed.
const FLEET: &str = include_str!("../../samples/fleet.csv");
const TROUBLED: &str = include_str!("../../samples/troubled.csv");
const NESTED: &str = include_str!("../../samples/nested.jsonl");
const DEVICES: &str = include_str!("../../samples/devices.csv");
/// The product of devices whose manifest does not name one.
const PRODUCT: &str = "PK0001";
/// `dataFmt` of products and devices.
const RAW: i64 = 0;
const THING_MODEL: i64 = 3;
/// How long the fleet has been there, in milliseconds.
const AGE: i64 = 400 * 24 * 60 * 60 * 1000;
const HOUR: u64 = 60 * 60 * 1000;
const MONTH: u64 = 30 * 24 * HOUR;

/// Answers one question for the devices of a product.
pub(super) async fn devices(
    platform: &Platform,
    call: &Call,
) -> Result<Response<ReplyBody>, Dropped> {
    let respond_with = |number| match list(call, number) {
        Ok(reply) => reply,
        Err(code) => respond::whole(code),
    };
    question::answer(
        platform,
        call,
        |stats| &mut stats.device_lists,
        respond_with,
    )
    .await
}

/// Answers one question for the products of the account.
pub(super) async fn products(
    platform: &Platform,
    call: &Call,
) -> Result<Response<ReplyBody>, Dropped> {
    let respond_with = |_| {
        let scenario = &call.playing.scenario;
        match Paging::parse(&Query::parse(call.query())) {
            Ok(paging) => {
                let all = told_products(scenario);
                paging.reply(&paging.of(&all), all.len())
            }
            Err(code) => respond::whole(code),
        }
    };
    question::answer(
        platform,
        call,
        |stats| &mut stats.product_lists,
        respond_with,
    )
    .await
}

/// What is listed of a product at this moment; the error is the code of the refusal.
fn list(call: &Call, number: u64) -> Result<Reply, i64> {
    let scenario = &call.playing.scenario;
    let inventory = &scenario.inventory;
    if number <= inventory.refusals {
        return Err(inventory.refusal_code);
    }
    let query = Query::parse(call.query());
    let product = query.get("productKey").filter(|key| !key.is_empty());
    let product = product.ok_or(codes::PRODUCT_EMPTY)?;
    let mut paging = Paging::parse(&query)?;
    paging.size = paging.size.min(inventory.page_limit);
    let status = question::number(&query, "deviceStatus")?;
    let active = question::number(&query, "activeStatus")?;
    let key = query.get("deviceKey").filter(|key| !key.is_empty());

    let fleet = Fleet::at(scenario, product, number.saturating_sub(inventory.refusals));
    if fleet.count() == 0 && !product_keys(scenario).contains(product) {
        return Err(codes::PRODUCT_UNKNOWN);
    }
    let is_asked_for = |device: &ListedDevice| {
        key.is_none_or(|key| device.device_key == key)
            && status.is_none_or(|status| (status == 1) == device.online)
            && active.is_none_or(|active| (active == 1) == device.activated)
    };
    let range = paging.range();
    let (mut shown, total) = if key.is_none() && status.is_none() && active.is_none() {
        let end = range.end.min(fleet.count());
        let shown: Vec<_> = range
            .filter(|at| *at < end)
            .map(|at| fleet.device(at))
            .collect();
        (shown, fleet.count())
    } else {
        let all: Vec<_> = (0..fleet.count())
            .map(|at| fleet.device(at))
            .filter(is_asked_for)
            .collect();
        (paging.of(&all).to_vec(), all.len())
    };
    let is_doubled = fleet.chance.within(
        inventory.duplicates,
        Question::ListedTwice,
        paging.page as u64,
    );
    if is_doubled && key.is_none() && paging.page > 1 {
        shown.insert(0, fleet.device(paging.range().start - 1));
    }
    let total = i64::try_from(total).unwrap_or(i64::MAX) + inventory.total_off;
    let entries: Vec<Value> = shown.iter().map(|device| entry(device, call.now)).collect();
    Ok(paging.reply(&entries, usize::try_from(total).unwrap_or(0)))
}

/// The devices of one product, in the order in which they are listed.
struct Fleet<'s> {
    scenario: &'s Scenario,
    chance: Chance,
    /// Those that came while it was read, the latest first, then those that are named.
    head: Vec<ListedDevice>,
    /// Those that are only counted: these numbers.
    more: std::ops::Range<usize>,
    /// Entries of another product.
    foreign: usize,
}

impl<'s> Fleet<'s> {
    /// As it is when the question of this number is answered.
    fn at(scenario: &'s Scenario, product: &str, question: u64) -> Self {
        let inventory = &scenario.inventory;
        let chance = Chance::new(scenario.seed);
        let changes = usize::try_from(question.min(inventory.changes)).unwrap_or(usize::MAX);
        let (deleted, added) = (changes.div_ceil(2), changes / 2);
        let named = named(scenario).filter(|device| device.product_key == product);
        let mut head: Vec<ListedDevice> = (1..=added)
            .rev()
            .map(|number| usual(scenario, product, &format!("NEW{number:05}")))
            .collect();
        let mut gone = 0;
        head.extend(named.skip_while(|_| {
            gone += 1;
            gone <= deleted
        }));
        let more = if product == PRODUCT {
            inventory.more
        } else {
            0
        };
        Self {
            scenario,
            chance,
            head,
            more: 1..more + 1,
            foreign: inventory.foreign,
        }
    }

    fn count(&self) -> usize {
        let own = self.head.len() + self.more.len();
        if own == 0 { 0 } else { own + self.foreign }
    }

    /// The device at a place.
    fn device(&self, at: usize) -> ListedDevice {
        if let Some(device) = self.head.get(at) {
            return device.clone();
        }
        let number = self.more.start + at - self.head.len();
        if number < self.more.end {
            usual(self.scenario, PRODUCT, &format!("MORE{number:07}"))
        } else {
            let key = format!("FOREIGN{:05}", number - self.more.end + 1);
            usual(self.scenario, "PK9999", &key)
        }
    }
}

/// The devices that are named one by one.
fn named(scenario: &Scenario) -> Box<dyn Iterator<Item = ListedDevice> + '_> {
    match &scenario.inventory.devices {
        Some(devices) => Box::new(devices.iter().cloned()),
        None => Box::new(
            samples()
                .into_iter()
                .map(|(product, key)| usual(scenario, &product, &key)),
        ),
    }
}

/// Product and device keys of the samples, each once, in the order of the keys.
fn samples() -> BTreeSet<(String, String)> {
    let rows = |text: &'static str| text.lines().skip(1).map(|line| line.split(','));
    let keys = rows(FLEET).chain(rows(TROUBLED)).filter_map(|mut cells| {
        let key = cells.next()?;
        Some((cells.next()?.to_owned(), key.to_owned()))
    });
    let plain = DEVICES
        .lines()
        .skip(1)
        .map(|key| (PRODUCT.to_owned(), key.to_owned()));
    let nested = NESTED.lines().flat_map(|line| {
        let row: Value = serde_json::from_str(line).unwrap_or_default();
        let field = |one: &str, other: &str| row.get(one).or(row.get(other)).cloned();
        let product = field("product_key", "productKey").unwrap_or_default();
        let product = product.as_str().unwrap_or_default().to_owned();
        let alone = field("device_key", "deviceKey");
        let devices = row["devices"].as_array().cloned().unwrap_or_default();
        let keys = alone.into_iter().chain(devices);
        let text = |key: Value| key.as_str().map_or_else(|| key.to_string(), str::to_owned);
        keys.map(|key| (product.clone(), text(key)))
            .collect::<Vec<_>>()
    });
    keys.chain(plain).chain(nested).collect()
}

/// A device of which only its key is given; the rest follows from chance, and its being online from that of a send.
fn usual(scenario: &Scenario, product_key: &str, device_key: &str) -> ListedDevice {
    let chance = Chance::new(scenario.seed);
    let seed = hash(device_key);
    let can_fail = scenario.failing_products.is_empty()
        || scenario
            .failing_products
            .iter()
            .any(|key| key == product_key);
    let within = |share, question| chance.within(share, question, seed);
    let online = !(can_fail && within(scenario.offline, Question::Offline));
    let activated = !within(scenario.inventory.inactive, Question::Inactive);
    let ago = chance.number(Question::Seen, seed);
    let ago = if online {
        ago % HOUR
    } else {
        HOUR + ago % MONTH
    };
    ListedDevice {
        product_key: product_key.to_owned(),
        device_key: device_key.to_owned(),
        device_name: format!("Device {device_key}"),
        sn: format!("SN{:08}", seed % 100_000_000),
        online: online && activated,
        activated,
        data_format: if within(scenario.inventory.raw, Question::Raw) {
            RAW
        } else {
            THING_MODEL
        },
        seen_ms_ago: activated.then_some(ago as i64),
    }
}

/// An entry, with the documented fields.
fn entry(device: &ListedDevice, now: Timestamp) -> Value {
    let made = now.0 - AGE;
    let seen = device.seen_ms_ago.map(|ago| now.0 - ago);
    let offline_since = seen.filter(|_| !device.online);
    json!({
        "productKey": device.product_key,
        "deviceKey": device.device_key,
        "deviceName": device.device_name,
        "sn": device.sn,
        "deviceStatus": i64::from(device.online),
        "isActived": i64::from(device.activated),
        "isVerified": i64::from(device.activated),
        "isVirtual": 0,
        "authMode": 0,
        "dataFmt": device.data_format,
        // A device that is offline came online an hour before it left.
        "lastConnTime": seen.map(|seen| if device.online { seen } else { seen - HOUR as i64 }),
        "lastOfflineTime": offline_since,
        "firstConnTime": seen.map(|_| made),
        "activedTime": device.activated.then_some(made),
        "createTime": made,
        "updateTime": seen.unwrap_or(made),
    })
}

fn product_keys(scenario: &Scenario) -> BTreeSet<String> {
    let more = iter::once(PRODUCT.to_owned()).take(scenario.inventory.more.min(1));
    named(scenario)
        .map(|device| device.product_key)
        .chain(more)
        .collect()
}

/// The products of the account; those that are refused stand on another platform, as `connectPlatform` says.
fn told_products(scenario: &Scenario) -> Vec<Value> {
    let refused = |key: &String| scenario.refused_products.contains(key);
    product_keys(scenario)
        .iter()
        .map(|key| {
            json!({
                "productKey": key,
                "productName": format!("Product {key}"),
                "dataFmt": THING_MODEL,
                "accessType": 0,
                "connectPlatform": i64::from(refused(key)),
            })
        })
        .collect()
}
