//! A device's history as the platform tells it.

use serde_json::{Value, json};

use super::client::{Client, start};
use crate::simulator::{AuthRefusal, DeliveryState, History, Outage, Scenario};

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
    let reply = ask(&mut client, "productKey=PK1&deviceKey=A").await;
    let kept: Vec<String> = simulator
        .deliveries()
        .into_iter()
        .rev()
        .filter(|one| one.device_key == "A")
        .map(|one| one.ticket)
        .collect();
    assert_eq!(tickets(&reply), kept);
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

/// The fields of the vendor's example, with their types (page "Query Device Historical Uplink/Downlink Data Logs").
#[tokio::test]
async fn an_entry_has_the_fields_of_the_vendors_example() {
    let (simulator, mut client) = start(Scenario {
        history: History {
            answered: 1.0,
            ..History::default()
        },
        ..Scenario::default()
    })
    .await;
    let data = r#"[{"setMode":[{"mode":"1"},{"target":"20.5"}]}]"#;
    let body = json!({"productKey": "PK1", "data": data, "devices": ["A"]});
    client.post(&body.to_string()).await.unwrap();
    let reply = ask(&mut client, "productKey=PK1&deviceKey=A").await;
    let sent = &simulator.deliveries()[0];
    let entries = reply["data"].as_array().unwrap();
    let [answer, command] = &entries[..] else {
        panic!("{reply}")
    };
    let time = sent.at_ms.to_string();
    assert_eq!(
        *command,
        json!({
            "id": null, "deviceId": null, "productId": null, "extData": null,
            "ticket": sent.ticket, "direction": 2, "msgType": "down", "cmd": null, "sendStatus": 1,
            "sendTime": time, "createTime": time, "updateTime": time,
            "dataType": "BASE64", "data": "AKQAAgCqAAEAsgjN",
            "dmData": r#"[{"id":20,"value":[{"id":21,"value":"1"},{"id":22,"value":"20.5"}]}]"#,
            "sourceType": "MODE", "deviceKey": "A", "productKey": "PK1",
        })
    );
    assert_eq!(
        [
            &answer["ticket"],
            &answer["direction"],
            &answer["msgType"],
            &answer["sendStatus"]
        ],
        [&json!(sent.ticket), &json!(1), &json!("up"), &json!(1)]
    );
    assert_eq!(answer["sendTime"], (sent.at_ms + 69).to_string());
    for (query, found) in [("direction=1", 1), ("direction=2", 1), ("sendStatus=1", 2)] {
        let query = format!("productKey=PK1&deviceKey=A&{query}");
        assert_eq!(ask(&mut client, &query).await["total"], found, "{query}");
    }
}

#[tokio::test]
async fn a_command_waits_fails_or_is_answered_as_the_scenario_says() {
    let (simulator, mut client) = start(Scenario::default()).await;
    client.send(&["A"]).await.unwrap();
    let ticket = simulator.deliveries()[0].ticket.clone();
    for (share, delivery_state, told) in [
        ([0.0, 0.0, 0.0], DeliveryState::Sent, vec![(2, 1)]),
        ([1.0, 0.0, 0.0], DeliveryState::Queued, vec![(2, 0)]),
        ([0.0, 1.0, 0.0], DeliveryState::SendFailed, vec![(2, -1)]),
        (
            [0.0, 0.0, 1.0],
            DeliveryState::Answered,
            vec![(1, 1), (2, 1)],
        ),
    ] {
        let [queued, send_failed, answered] = share;
        let history = json!({"queued": queued, "send_failed": send_failed, "answered": answered});
        client.change(json!({ "history": history })).await;
        let reply = ask(&mut client, "productKey=PK1&deviceKey=A").await;
        let entries = reply["data"].as_array().unwrap();
        let seen: Vec<(i64, i64)> = entries
            .iter()
            .map(|one| {
                let number = |name: &str| one[name].as_i64().unwrap();
                (number("direction"), number("sendStatus"))
            })
            .collect();
        assert_eq!(seen, told);
        assert_eq!(simulator.delivery_state(&ticket), delivery_state);
    }
}

#[tokio::test]
async fn the_list_has_the_quirks_that_are_asked_for() {
    let (_simulator, mut client) = start(Scenario::default()).await;
    for _ in 0..6 {
        client.send(&["A"]).await.unwrap();
    }
    let all = "productKey=PK1&deviceKey=A&pageSize=100";
    let newest = ask(&mut client, all).await;
    let mut sorted: Vec<String> = tickets(&newest).into_iter().map(str::to_owned).collect();
    let mut shown = async |quirk: Value| -> Value {
        // A change keeps what it does not name.
        let mut history = serde_json::to_value(History::default()).unwrap();
        for (name, value) in quirk.as_object().unwrap() {
            history[name] = value.clone();
        }
        client.change(json!({ "history": history })).await;
        ask(&mut client, all).await
    };
    let oldest = shown(json!({"order": "oldest"})).await;
    assert!(tickets(&oldest).iter().rev().eq(sorted.iter()));
    let mut unstable = Vec::new();
    // Two of them may be alike.
    for _ in 0..10 {
        unstable.push(shown(json!({"order": "unstable"})).await);
    }
    assert!(
        unstable
            .iter()
            .any(|one| tickets(one) != tickets(&unstable[0]))
    );
    sorted.sort();
    let mut same = tickets(&unstable[0]);
    same.sort_unstable();
    assert_eq!(same, sorted);
    assert_eq!(shown(json!({"repeated": 1.0})).await["total"], 12);
    assert_eq!(shown(json!({"reports": 3})).await["total"], 24);
    let grown = [
        shown(json!({"growth": 1})).await,
        shown(json!({"growth": 1})).await,
    ];
    let total = |reply: &Value| reply["total"].as_i64().unwrap();
    assert_eq!(total(&grown[1]), total(&grown[0]) + 1);

    let other_name = shown(json!({"form": "thing_model_data"})).await;
    assert!(other_name["data"][0]["thingModelData"].is_string());
    let bytes = shown(json!({"form": "bytes"})).await;
    assert!(bytes["data"][0]["dmData"].is_null() && bytes["data"][0]["data"].is_string());
    let nothing = shown(json!({"form": "nothing"})).await;
    assert!(nothing["data"][0]["data"].is_null());
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
        .rev()
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
async fn the_history_of_a_share_of_devices_is_refused() {
    let (_simulator, mut client) = start(Scenario {
        history: History {
            refused: 0.5,
            ..History::default()
        },
        ..Scenario::default()
    })
    .await;
    let mut codes = Vec::new();
    for device in 0..40 {
        let query = format!("productKey=PK1&deviceKey=D{device}");
        let code = ask(&mut client, &query).await["code"].as_i64();
        assert_eq!(ask(&mut client, &query).await["code"].as_i64(), code);
        codes.extend(code);
    }
    let refused = codes.iter().filter(|code| **code == 61005).count();
    let told = codes.iter().filter(|code| **code == 200).count();
    assert_eq!(refused + told, 40);
    assert!((8..32).contains(&refused), "{refused}");
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
