//! The fleet as the platform lists it, and what such a list is like at its worst.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::client::{Client, READY, start};
use crate::simulator::{Inventory, ListedDevice, Outage, Scenario};

const DEVICES: &str = "/v2/devicemgr/r3/openapi/product/device/overview";
const PRODUCTS: &str = "/v2/quecproductmgr/r3/openapi/products";

async fn ask(client: &mut Client, path: &str, query: &str) -> Value {
    let line = format!("GET {path}?{query}");
    client.call(&line, &[], "").await.unwrap().json()
}

fn keys(reply: &Value) -> Vec<String> {
    let entries = reply["data"].as_array().unwrap();
    entries
        .iter()
        .map(|entry| entry["deviceKey"].as_str().unwrap().to_owned())
        .collect()
}

fn scenario(inventory: Inventory) -> Scenario {
    Scenario {
        inventory,
        ready_token: Some(READY.to_owned()),
        ..Scenario::default()
    }
}

/// A fleet of this many devices.
fn of(count: usize) -> Inventory {
    let device = |number: usize| ListedDevice {
        device_key: format!("D{number:03}"),
        ..ListedDevice::default()
    };
    Inventory {
        devices: Some((1..=count).map(device).collect()),
        ..Inventory::default()
    }
}

#[tokio::test]
async fn every_device_of_the_samples_is_listed_under_its_product() {
    let (_simulator, mut client) = start(Scenario::default()).await;
    let mut listed = BTreeSet::new();
    for product in ["PK0001", "PK0002", "PK0003", "PK0004", "PK0013"] {
        for page in 1.. {
            let query = format!("productKey={product}&pageNum={page}&pageSize=100");
            let reply = ask(&mut client, DEVICES, &query).await;
            let shown = keys(&reply);
            if shown.is_empty() {
                break;
            }
            for entry in reply["data"].as_array().unwrap() {
                assert_eq!(entry["productKey"], product);
                assert_eq!(
                    (&entry["dataFmt"], &entry["deviceStatus"]),
                    (&json!(3), &json!(1))
                );
                assert!(entry["lastConnTime"].is_i64() && entry["sn"].is_string());
            }
            listed.extend(shown.into_iter().map(|key| (product.to_owned(), key)));
        }
    }
    for sample in ["fleet.csv", "troubled.csv"] {
        let path = format!("{}/samples/{sample}", env!("CARGO_MANIFEST_DIR"));
        let mut rows = csv::Reader::from_path(path).unwrap();
        for row in rows.records() {
            let row = row.unwrap();
            let device = (row[1].to_owned(), row[0].to_owned());
            assert!(listed.contains(&device), "{device:?}");
        }
    }
    let products = ask(&mut client, PRODUCTS, "pageSize=50").await;
    assert_eq!(products["total"], 5);
    assert_eq!(products["data"][0]["productKey"], "PK0001");
    assert_eq!(products["data"][0]["connectPlatform"], 0);
}

#[tokio::test]
async fn pages_are_numbered_from_one_and_have_ten_entries_unless_asked_otherwise() {
    let (_simulator, mut client) = start(scenario(of(25))).await;
    let reply = ask(&mut client, DEVICES, "productKey=PK0001").await;
    assert_eq!((keys(&reply).len(), &reply["pages"]), (10, &json!(3)));
    let last = ask(&mut client, DEVICES, "productKey=PK0001&pageNum=3").await;
    assert_eq!(keys(&last), ["D021", "D022", "D023", "D024", "D025"]);
    let beyond = ask(&mut client, DEVICES, "productKey=PK0001&pageNum=4").await;
    assert_eq!((keys(&beyond).len(), &beyond["total"]), (0, &json!(25)));
    // `pageNo`, which public samples send, is not known.
    let other = ask(&mut client, DEVICES, "productKey=PK0001&pageNo=3").await;
    assert_eq!(keys(&other)[0], "D001");
    for (query, code) in [
        ("", 50006),
        ("productKey=PK7", 70017),
        ("productKey=PK0001&pageNum=0", 50005),
        ("productKey=PK0001&pageSize=many", 50005),
    ] {
        assert_eq!(
            ask(&mut client, DEVICES, query).await["code"],
            code,
            "{query}"
        );
    }
}

#[tokio::test]
async fn filters_leave_the_others_out() {
    let mut inventory = of(3);
    if let Some(devices) = &mut inventory.devices {
        devices[0].online = false;
        devices[1].activated = false;
        devices[2].data_format = 0;
    }
    let (_simulator, mut client) = start(scenario(inventory)).await;
    for (filter, expected) in [
        ("deviceStatus=1", &["D002", "D003"][..]),
        ("deviceStatus=0", &["D001"]),
        ("activeStatus=0", &["D002"]),
        ("deviceKey=D003", &["D003"]),
        ("deviceKey=D00", &[]),
    ] {
        let reply = ask(&mut client, DEVICES, &format!("productKey=PK0001&{filter}")).await;
        assert_eq!(keys(&reply), expected, "{filter}");
        assert_eq!(reply["total"], expected.len(), "{filter}");
    }
}

#[tokio::test]
async fn each_weakness_comes_when_it_is_asked_for() {
    let (simulator, mut client) = start(scenario(of(4))).await;
    let page = |number: u32| format!("productKey=PK0001&pageSize=2&pageNum={number}");

    simulator
        .play(scenario(Inventory {
            duplicates: 1.0,
            total_off: 3,
            foreign: 1,
            ..of(4)
        }))
        .unwrap();
    let reply = ask(&mut client, DEVICES, &page(2)).await;
    assert_eq!(keys(&reply), ["D002", "D003", "D004"]);
    assert_eq!(reply["total"], 8);
    let reply = ask(&mut client, DEVICES, &page(3)).await;
    assert_eq!(reply["data"][1]["productKey"], "PK9999");

    simulator
        .play(scenario(Inventory {
            refusals: 3,
            refusal_code: 61006,
            changes: 2,
            ..of(4)
        }))
        .unwrap();
    // Questions are counted from the start of the simulator: this is the third.
    assert_eq!(ask(&mut client, DEVICES, &page(1)).await["code"], 61006);
    // The first is deleted, and then another one comes in front: what was on page 2 is on page 1, and then there again.
    assert_eq!(
        keys(&ask(&mut client, DEVICES, &page(1)).await),
        ["D002", "D003"]
    );
    assert_eq!(
        keys(&ask(&mut client, DEVICES, &page(2)).await),
        ["D003", "D004"]
    );
    assert_eq!(
        keys(&ask(&mut client, DEVICES, &page(1)).await),
        ["NEW00001", "D002"]
    );
    assert_eq!(simulator.stats().device_lists, 6);
}

#[tokio::test]
async fn a_million_devices_are_listed_without_being_made() {
    let (_simulator, mut client) = start(scenario(Inventory {
        more: 1_000_000,
        ..of(1)
    }))
    .await;
    let query = "productKey=PK0001&pageNum=10001&pageSize=100";
    let reply = ask(&mut client, DEVICES, query).await;
    assert_eq!(keys(&reply), ["MORE1000000"]);
    assert_eq!(reply["total"], 1_000_001);
}

#[tokio::test]
async fn a_question_needs_a_token_and_a_platform_that_is_there() {
    let (simulator, mut client) = start(Scenario::default()).await;
    client.token = Some("QJWT none".to_owned());
    for path in [DEVICES, PRODUCTS] {
        let line = format!("GET {path}?productKey=PK0001");
        let reply = client.call(&line, &[], "").await;
        assert_eq!(reply.unwrap().json()["code"], 91001, "{path}");
    }
    simulator
        .play(Scenario {
            outage: Outage::Unavailable,
            ..Scenario::default()
        })
        .unwrap();
    for path in [DEVICES, PRODUCTS] {
        let line = format!("GET {path}?productKey=PK0001");
        assert_eq!(
            client.call(&line, &[], "").await.unwrap().status,
            503,
            "{path}"
        );
    }
}
