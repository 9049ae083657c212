//! The calls about queues of messages.

use serde_json::{Value, json};
use url::form_urlencoded;

use super::client::{Client, start};
use crate::{
    clock::wall_now,
    simulator::{Messages, QueueStatus, Scenario, Simulator, TicketForm},
};

const LIST: &str = "POST /v2/quecrule/r1/openapi/queue/list";
const DETAIL: &str = "GET /v2/quecrule/r1/openapi/queue/detail";

async fn ask(client: &mut Client, line: &str) -> Value {
    client.call(line, &[], "").await.unwrap().json()
}

#[tokio::test]
async fn a_queue_is_listed_with_its_status_and_described_by_its_number() {
    let (simulator, mut client) = start(Scenario {
        messages: Messages {
            queue: "a.123.fleet".to_owned(),
            queue_status: QueueStatus::Disabled,
            waiting: 12,
            waiting_bytes: 3456,
            ..Messages::default()
        },
        ..Scenario::default()
    })
    .await;
    let list = ask(&mut client, LIST).await;
    let queue = &list["data"][0];
    assert_eq!(
        [&list["code"], &queue["queueName"], &queue["status"]],
        [&json!(0), &json!("a.123.fleet"), &json!(2)]
    );
    let detail = ask(&mut client, &format!("{DETAIL}?queueId={}", queue["id"])).await;
    assert_eq!(
        detail["data"],
        json!({"msgNum": 12, "msgSize": 3456, "consumeRate": 0})
    );
    let unknown = ask(&mut client, &format!("{DETAIL}?queueId=9")).await;
    assert_eq!(unknown["code"], 16002);
    assert_eq!(ask(&mut client, DETAIL).await["code"], 50005);
    let wrong = client.call(&LIST.replace("POST", "GET"), &[], "").await;
    assert_eq!(wrong.unwrap().status, 405);
    client.token = None;
    assert_eq!(ask(&mut client, LIST).await["code"], 91001);
    assert_eq!(simulator.stats().queues, 5);
}

/// Tickets are the same wherever they are told, and those of before keep their form.
#[tokio::test]
async fn tickets_have_the_form_of_the_scenario() {
    let (simulator, mut client) = start(Scenario::default()).await;
    let mut told = Vec::new();
    for (form, length) in [("digits", 19), ("hex", 24), ("uuid", 36)] {
        client.change(json!({"tickets": form})).await;
        let reply = client.send(&["A"]).await.unwrap().json();
        let ticket = reply["data"][0]["ticket"].as_str().unwrap().to_owned();
        assert_eq!(ticket.len(), length, "{form}");
        told.push(ticket);
    }
    let kept: Vec<String> = simulator
        .deliveries()
        .into_iter()
        .map(|one| one.ticket)
        .collect();
    assert_eq!(kept, told);
    assert_eq!(simulator.scenario().tickets, TicketForm::Uuid);
    let history = "/v2/quecdatastorage/r1/openapi/device/data/history";
    let history = ask(
        &mut client,
        &format!("GET {history}?productKey=PK1&deviceKey=A"),
    )
    .await;
    let entries = history["data"].as_array().unwrap().iter().rev();
    let shown: Vec<&str> = entries
        .map(|entry| entry["ticket"].as_str().unwrap())
        .collect();
    assert_eq!(shown, told);
}

#[tokio::test]
async fn a_broker_that_is_out_of_reach_or_elsewhere_is_an_error_at_the_start() {
    // A port that is bound and listens to nobody.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let port = socket.local_addr().unwrap().port();
    for (amqp, words) in [
        (
            format!("amqp://me:secret@127.0.0.1:{port}"),
            "cannot publish to the message broker amqp://127.0.0.1:",
        ),
        (
            "amqp://broker.example/quec-open".to_owned(),
            "messages.amqp must be the address of a message broker on this machine",
        ),
    ] {
        let scenario = Scenario {
            messages: Messages {
                amqp: Some(amqp),
                ..Messages::default()
            },
            ..Scenario::default()
        };
        let started = Simulator::start(([127, 0, 0, 1], 0).into(), scenario).await;
        let error = started.map(drop).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

/// As `RabbitMQ`'s HTTP backend asks: the vendor's login, and nothing but reading from queues.
#[tokio::test]
async fn a_broker_that_asks_is_told_who_may_log_in_and_what_for() {
    let (_simulator, mut client) = start(Scenario {
        access_key: Some("key".to_owned()),
        ..Scenario::default()
    })
    .await;
    let now = wall_now().0;
    let login = |key: &str, at: i64| {
        let username =
            format!("ver=1&auth_mode=accessKey&sign_method=sha256&access_key={key}&timestamp={at}");
        form_urlencoded::Serializer::new("vhost=quec-open&client_id=".to_owned())
            .append_pair("username", &username)
            .append_pair("password", &"0".repeat(64))
            .finish()
    };
    for (asked, form, word) in [
        ("user", login("key", now), "allow"),
        ("user", login("another", now), "deny"),
        ("user", login("key", now - 700_000), "deny"),
        ("user", "username=guest&password=guest".to_owned(), "deny"),
        ("vhost", "vhost=quec-open".to_owned(), "allow"),
        (
            "resource",
            "resource=queue&name=a.1.q&permission=read".to_owned(),
            "allow",
        ),
        (
            "resource",
            "resource=queue&name=a.1.q&permission=configure".to_owned(),
            "deny",
        ),
        (
            "resource",
            "resource=exchange&name=x&permission=read".to_owned(),
            "deny",
        ),
        ("topic", "permission=read".to_owned(), "deny"),
    ] {
        let line = format!("POST /__simulator/broker/{asked}");
        let got = client.call(&line, &[], &form).await.unwrap();
        assert_eq!(
            (got.status, &*got.body),
            (200, word.as_bytes()),
            "{asked} {form}"
        );
    }
    for (line, status) in [
        ("GET /__simulator/broker/user", 405),
        ("POST /__simulator/broker/other", 404),
    ] {
        assert_eq!(client.call(line, &[], "").await.unwrap().status, status);
    }
}
