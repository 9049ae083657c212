//! A device's history as the platform tells it.

use serde_json::{Value, json};

use super::client::{Client, start};
use crate::simulator::{AuthRefusal, Outage, Scenario};

const HISTORY: &str = "/v2/quecdatastorage/r1/openapi/device/data/history";

async fn ask(client: &mut Client, query: &str) -> Value {
    let line = format!("GET {HISTORY}?{query}");
    client.call(&line, &[], "").await.unwrap().json()
}

fn tickets(reply: &Value) -> Vec<&str> {
    let entries = reply["data"].as_array().unwrap();
    entries
        .iter()
        .map(|entry| entry["ticket"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_device_has_its_own_entries_and_nobody_elses() {
    let (simulator, mut client) = start(Scenario::default()).await;
    client.send(&["A", "B"]).await.unwrap();
    client.send(&["A"]).await.unwrap();
    let reply = ask(&mut client, "productKey=PK1&deviceKey=A&direction=2").await;
    let told: Vec<&Value> = reply["data"].as_array().unwrap().iter().collect();
    let kept: Vec<Value> = simulator
        .deliveries()
        .into_iter()
        .filter(|one| one.device_key == "A")
        .map(|one| {
            json!({"productKey": "PK1", "deviceKey": "A", "ticket": one.ticket, "sendStatus": 1,
                "sendTime": one.at_ms.to_string(), "data": one.data})
        })
        .collect();
    assert_eq!(told, kept.iter().collect::<Vec<_>>());
    assert_eq!((&reply["code"], &reply["total"]), (&json!(200), &json!(2)));
    for nothing in [
        "productKey=PK2&deviceKey=A",
        "productKey=PK1&deviceKey=C",
        "productKey=PK1&deviceKey=A&direction=1",
        "productKey=PK1&deviceKey=A&sendStatus=-1",
    ] {
        assert_eq!(ask(&mut client, nothing).await["total"], 0, "{nothing}");
    }
}

#[tokio::test]
async fn both_ends_of_the_time_asked_about_count() {
    let (simulator, mut client) = start(Scenario::default()).await;
    client.send(&["A"]).await.unwrap();
    let at = simulator.deliveries()[0].at_ms;
    for (begin, end, found) in [
        (at, at, 1),
        (at - 1, at + 1, 1),
        (at + 1, at + 2, 0),
        (at - 2, at - 1, 0),
    ] {
        let query = format!("productKey=PK1&deviceKey=A&beginDateTimp={begin}&endDateTimp={end}");
        assert_eq!(
            ask(&mut client, &query).await["total"],
            found,
            "{begin} {end}"
        );
    }
}

#[tokio::test]
async fn pages_together_are_the_whole() {
    let (simulator, mut client) = start(Scenario::default()).await;
    for _ in 0..5 {
        client.send(&["A"]).await.unwrap();
    }
    let mut told = Vec::new();
    for page in 1..=4 {
        let query = format!("productKey=PK1&deviceKey=A&pageNum={page}&pageSize=2");
        let reply = ask(&mut client, &query).await;
        assert_eq!((&reply["pages"], &reply["total"]), (&json!(3), &json!(5)));
        assert_eq!(reply["pageNum"], page);
        told.extend(tickets(&reply).into_iter().map(ToOwned::to_owned));
    }
    let kept: Vec<String> = simulator
        .deliveries()
        .into_iter()
        .map(|one| one.ticket)
        .collect();
    assert_eq!(told, kept);
}

#[tokio::test]
async fn what_is_late_or_lost_is_not_shown() {
    let (simulator, mut client) = start(Scenario {
        history_lag_ms: 3_600_000,
        ..Scenario::default()
    })
    .await;
    client.send(&["A"]).await.unwrap();
    let question = "productKey=PK1&deviceKey=A";
    assert_eq!(ask(&mut client, question).await["total"], 0);
    client.change(json!({"history_lag_ms": 0})).await;
    assert_eq!(ask(&mut client, question).await["total"], 1);
    client.change(json!({"history_gap": 1})).await;
    assert_eq!(ask(&mut client, question).await["total"], 0);
    assert_eq!(simulator.stats().histories, 3);
    assert_eq!(simulator.stats().requests, 1);
}

#[tokio::test]
async fn wrong_questions_and_strangers_are_refused() {
    let (_simulator, mut client) = start(Scenario::default()).await;
    for (query, code) in [
        ("", 50007),
        ("productKey=PK1", 50007),
        ("productKey=&deviceKey=A", 50007),
        ("productKey=PK1&deviceKey=A&beginDateTimp=noon", 50005),
        ("productKey=PK1&deviceKey=A&pageNum=0", 50005),
        ("productKey=PK1&deviceKey=A&pageSize=-1", 50005),
        ("productKey=PK1&deviceKey=A&language=FR", 50005),
    ] {
        assert_eq!(ask(&mut client, query).await["code"], code, "{query}");
    }
    let line = format!("POST {HISTORY}?productKey=PK1&deviceKey=A");
    assert_eq!(client.call(&line, &[], "").await.unwrap().status, 405);

    let line = format!("GET {HISTORY}?productKey=PK1&deviceKey=A");
    client.token = None;
    assert_eq!(client.call(&line, &[], "").await.unwrap().code(), 91001);
    client
        .change(json!({"auth_refusal": AuthRefusal::Status}))
        .await;
    assert_eq!(client.call(&line, &[], "").await.unwrap().status, 401);
    client.change(json!({"outage": Outage::Unavailable})).await;
    assert_eq!(client.call(&line, &[], "").await.unwrap().status, 503);
    client
        .change(json!({"outage": null, "rate_limit": 0.001, "rate_burst": 1}))
        .await;
    let mut limited = 0;
    for _ in 0..2 {
        limited += u32::from(client.call(&line, &[], "").await.unwrap().status == 429);
    }
    assert_eq!(limited, 1);
}
