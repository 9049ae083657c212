//! `verify` and what else uses the messages in the inbox: a real broker, a real listener, and messages about real commands.

mod after_a_push;
mod again;
mod before_a_send;
mod canary;
mod on_server;
mod online;
mod post;
mod whole_way;

use std::collections::BTreeMap;

use fleetpush::simulator::{Delivery, Fault, History, Outage, Scenario};
use rustix::process::Signal;
use serde_json::{Value, json};

use self::post::{Open, Post};
use crate::support::{Broker, Ended, Push, Sim, Site, devices, wait_for};

fn reqack(one: &Delivery, status: &str) -> Value {
    json!({"type": "REQACK", "productKey": one.product_key, "deviceKey": one.device_key, "createdAt": one.at_ms + 20,
        "ticket": one.ticket, "data": {"sentAt": one.at_ms, "status": status}})
}

fn mserv(one: &Delivery, subtype: &str) -> Value {
    let call: Value = serde_json::from_str(&one.data).expect("a command is JSON");
    let members = call[0].as_object().expect("a call is an object");
    let (code, pairs) = members.iter().next().expect("it has a service");
    let pairs = pairs.as_array().expect("it has parameters").iter();
    let kv: serde_json::Map<String, Value> = pairs
        .flat_map(|pair| pair.as_object().expect("of one member each").clone())
        .collect();
    json!({"type": "MSERV", "subtype": subtype, "productKey": one.product_key, "deviceKey": one.device_key, "createdAt": one.at_ms + 10,
        "ticket": one.ticket, "data": {"packetId": 1, "code": code, "kv": kv}})
}

/// A history that has nothing but waiting commands: what goes further comes from messages.
fn waiting() -> Scenario {
    Scenario {
        seed: 7,
        history: History {
            queued: 1.0,
            ..History::default()
        },
        ..Scenario::default()
    }
}

/// The deliveries in the summary of a push.
fn summed(ended: &Ended) -> Value {
    ended.json()["delivery"].clone()
}

#[test]
fn what_the_inbox_has_is_settled_and_only_the_rest_is_asked_of_the_history() {
    settled(Post::open);
}

fn settled(open: Open) {
    let Some(post) = open("settled", &devices(8), Scenario::default()) else {
        return;
    };
    post.site.push_named(&post.sim, "night").expect(0);
    let sent = post.sim.deliveries();
    let told = sent[..6].iter().enumerate().flat_map(|(n, one)| match n {
        0 | 1 => vec![reqack(one, "succ")],
        2 => vec![reqack(one, "fail"), mserv(one, "INPUT")],
        3 => vec![
            mserv(one, "OUTPUT"),
            reqack(one, "succ"),
            mserv(one, "INPUT"),
        ],
        _ => vec![mserv(one, "INPUT")],
    });
    post.receive(told.collect::<Vec<_>>());
    let ended = post.verify(&["--dry-run"]);
    assert_eq!(post.recorded(), BTreeMap::new(), "{}", ended.stderr);
    readers_show_what_the_inbox_has(&post, &sent);
    // The history has sent all of them.
    let asked = post.sim.stats().histories;
    let ended = post.verify(&["night"]).expect(0);
    ended.says(&["not waiting for messages, because nothing receives them (fleetpush listen, or --queue); 5 commands left for the history"]);
    assert_eq!(post.sim.stats().histories - asked, 5);
    let recorded = post.recorded();
    let of = |n: usize| {
        let (delivery, evidence) = &recorded[&sent[n].ticket];
        (delivery.as_str(), evidence.as_str())
    };
    for n in [0, 1] {
        assert_eq!(of(n), ("sent", "reqack"));
    }
    assert_eq!(of(3), ("answered", "output"));
    assert_eq!(recorded.len(), 3);
    let by_history = "SELECT DISTINCT delivery FROM deliveries WHERE evidence = 'history'";
    assert_eq!(post.sql(by_history), [json!({"delivery": "sent"})]);
    let answers = post.sql("SELECT answer FROM deliveries WHERE answer IS NOT NULL");
    assert_eq!(answers, [json!({"answer": r#"{"raw1":"AA"}"#})]);
    assert_eq!(post.sim.stats().requests, 1, "it sends nothing");
}

/// What only reads shows what the inbox has, and records nothing.
fn readers_show_what_the_inbox_has(post: &Post, sent: &[Delivery]) {
    let (site, sim) = (&post.site, &post.sim);
    let counts = json!({"unknown": 2, "queued": 2, "sent": 2, "send_failed": 1, "answered": 1});
    let status = site.run(&["status", "--format", "json"]).expect(0);
    assert_eq!(summed(&status), counts, "{}", status.stdout);
    let listed = [
        "results",
        "--delivery",
        "send_failed",
        "--columns",
        "device_key,delivery",
        "--format",
        "jsonl",
    ];
    let failed = &sent[2].device_key;
    assert_eq!(
        site.run(&listed).expect(0).json_lines(),
        [json!({"device_key": failed, "delivery": "send_failed"})]
    );
    let explained = site.run(&["explain", failed]).expect(0).stdout;
    assert!(
        explained.contains("    delivery: send_failed, 20"),
        "{explained}"
    );
    let device = ["explain", &sent[3].device_key, "--format", "json"];
    let explained = site.run(&device).expect(0).stdout;
    assert!(
        explained.contains(r#""delivery":"answered""#),
        "{explained}"
    );
    site.run(&["report", "--out", "page.html"]).expect(0);
    let page = std::fs::read_to_string(site.path("page.html")).expect("a page");
    assert!(page.contains("Delivery of accepted commands") && page.contains("send failed"));
    let pushed = [
        "run",
        "fleet.csv",
        "--name",
        "night",
        "--format",
        "json",
        "--metrics-file",
        "push.prom",
    ];
    assert_eq!(summed(&site.push(sim, &pushed).expect(0)), counts);
    let metrics = std::fs::read_to_string(site.path("push.prom")).expect("metrics");
    let line = "fleetpush_deliveries{push=\"push\",delivery=\"send_failed\"} 1";
    assert!(metrics.lines().any(|have| have == line), "{metrics}");
    assert_eq!(post.recorded(), BTreeMap::new());
}

#[test]
fn a_reader_looks_at_what_came_after_the_last_verification_and_in_an_inbox_that_is_new() {
    let Some(post) = Post::open("later", &devices(4), waiting()) else {
        return;
    };
    post.site.push_named(&post.sim, "night").expect(0);
    let sent = post.sim.deliveries();
    let noted = || post.sql("SELECT position FROM settled_inbox");
    let shown = || {
        let status = post.site.run(&["status", "--format", "json"]).expect(0);
        summed(&status)
    };
    post.receive(sent[..2].iter().map(|one| reqack(one, "succ")));
    assert_eq!(noted(), Vec::<Value>::new());
    post.verify(&["--verify-wait", "0s"]).expect(1);
    assert_eq!(noted(), [json!({"position": 2})]);
    assert_eq!(shown(), json!({"queued": 2, "sent": 2}));
    post.receive([reqack(&sent[2], "fail"), mserv(&sent[0], "OUTPUT")]);
    let counts = json!({"queued": 1, "sent": 1, "send_failed": 1, "answered": 1});
    assert_eq!(shown(), counts);
    // What the reader has seen is not recorded.
    assert_eq!(noted(), [json!({"position": 2})]);

    // Another inbox in its place begins anew with its positions.
    for file in ["push.db.inbox", "push.db.inbox-wal", "push.db.inbox-shm"] {
        let _ = std::fs::remove_file(post.site.path(file));
    }
    post.receive([reqack(&sent[3], "succ")]);
    assert_eq!(shown(), json!({"queued": 1, "sent": 3}));
}

#[test]
fn messages_are_waited_for_until_all_commands_have_come_far_enough() {
    awaited(Post::open);
}

fn awaited(open: Open) {
    let Some(post) = open("awaited", &devices(5), waiting()) else {
        return;
    };
    post.site.push_named(&post.sim, "night").expect(0);
    let sent = post.sim.deliveries();
    let listener = post.listener();
    wait_for("a consumer", || {
        (post.broker.standing(&post.queue).1 == 1).then_some(())
    });
    // With patience for a day, only the last message can end it.
    let waiting_for = Push::start(post.command(&["--verify-wait", "24h"]));
    wait_for("words about the wait", || {
        waiting_for
            .stderr()
            .contains("for messages about 5 accepted commands")
            .then_some(())
    });
    post.publish(sent[..3].iter().map(|one| reqack(one, "succ")));
    wait_for("three that are settled", || {
        (post.recorded().len() == 3).then_some(())
    });
    // A push takes the database meanwhile.
    post.site.write("other.csv", devices(2));
    let other = ["run", "other.csv", "--name", "other", "--again"];
    post.site.push(&post.sim, &other).expect(0);
    post.publish(sent[3..].iter().map(|one| reqack(one, "succ")));
    waiting_for.ended().expect(0);
    assert_eq!(post.sim.stats().histories, 0);

    // A signal ends a wait, and what was settled stays.
    let waiting_for = Push::start(post.command(&[
        "night",
        "--verify-level",
        "answered",
        "--verify-wait",
        "24h",
    ]));
    wait_for("words about the wait", || {
        waiting_for
            .stderr()
            .contains("waiting up to ")
            .then_some(())
    });
    waiting_for.signal(Signal::INT);
    waiting_for.ended().expect(3);
    // When the listener ends, no more messages can come.
    let waiting_for = Push::start(post.command(&[
        "night",
        "--verify-level",
        "answered",
        "--verify-wait",
        "24h",
    ]));
    wait_for("words about the wait", || {
        waiting_for
            .stderr()
            .contains("waiting up to ")
            .then_some(())
    });
    listener.signal(Signal::TERM);
    listener.ended().expect(0);
    waiting_for
        .ended()
        .expect(1)
        .says(&["nothing receives them", "5 of 5 are unanswered"]);
}

#[test]
fn where_no_ticket_is_ours_only_device_and_time_are_left() {
    strange_tickets(Post::open);
}

fn strange_tickets(open: Open) {
    let Some(post) = open("strange", &devices(4), waiting()) else {
        return;
    };
    post.site.push_named(&post.sim, "night").expect(0);
    let sent = post.sim.deliveries();
    let strange = |one: &Delivery, ticket: &str| {
        let mut message = reqack(one, "succ");
        message["ticket"] = json!(ticket);
        message
    };
    // One that fits, one of another time, and two that may both be it.
    let mut late = strange(&sent[1], "65a1b2c3d4e5f60718293a02");
    late["createdAt"] = json!(sent[1].at_ms + 3_600_000);
    post.receive([
        strange(&sent[0], "65a1b2c3d4e5f60718293a01"),
        late,
        strange(&sent[2], "65a1b2c3d4e5f60718293a03"),
        strange(&sent[2], "65a1b2c3d4e5f60718293a04"),
    ]);
    post.verify(&["--verify-wait", "0s"])
        .expect(1)
        .says(&["no ticket in the messages of the queue belongs to these runs"]);
    let expected = (
        sent[0].ticket.clone(),
        ("sent".to_owned(), "device".to_owned()),
    );
    assert_eq!(post.recorded(), BTreeMap::from([expected]));
    // Once a ticket is known, only tickets count.
    post.receive([reqack(&sent[1], "fail")]);
    let ended = post.verify(&["--verify-wait", "0s"]).expect(1);
    assert!(
        !ended.stderr.contains("belongs to these runs"),
        "{}",
        ended.stderr
    );
    assert_eq!(post.recorded()[&sent[1].ticket].0, "send_failed");
    assert_eq!(post.recorded().len(), 2);
}

#[test]
fn a_doubt_is_decided_by_an_input_of_the_same_values_before_the_history_is_asked() {
    doubts_decided(Post::open);
}

fn doubts_decided(open: Open) {
    let lost = Scenario {
        faults: BTreeMap::from([(Fault::ResetAfter, 1.0)]),
        ..waiting()
    };
    let rows = "device_key,product_key,service,param.mode\nA,PK1,setMode,1\nA,PK1,setMode,2\nB,PK1,setMode,1\n";
    let Some(post) = open("doubts", rows, lost) else {
        return;
    };
    let args = [
        "run",
        "fleet.csv",
        "--name",
        "night",
        "--in-doubt",
        "hold",
        "--after-failure",
        "continue",
        "--abort-if",
        "never",
    ];
    post.site.push(&post.sim, &args).expect(1);
    let sent = post.sim.deliveries();
    assert_eq!(sent.len(), 3);
    // Of B there is an input with other values: the history decides that.
    let mut other = mserv(&sent[2], "INPUT");
    other["data"]["kv"]["mode"] = json!("7");
    other["ticket"] = json!("65a1b2c3d4e5f60718293a01");
    let of_a = sent.iter().filter(|one| one.device_key == "A");
    let mut told: Vec<Value> = of_a.clone().map(|one| mserv(one, "INPUT")).collect();
    told.extend(of_a.map(|one| reqack(one, "succ")));
    told.push(other);
    post.receive(told);
    post.verify(&["--verify-wait", "0s"])
        .expect(1)
        .says(&["asked about 3 tasks in doubt; 3 accepted now, 0 still in doubt"]);
    assert_eq!(
        post.sim.stats().histories,
        2,
        "one for the doubt, and one for its delivery"
    );
    let accepted = "SELECT device_key, data, ticket, delivery FROM results WHERE state = 'accepted' ORDER BY line";
    let mut sorted = sent.clone();
    sorted.sort_by_key(|one| (one.device_key.clone(), one.data.clone()));
    let expected: Vec<Value> = sorted
        .iter()
        .map(|one| {
            let delivery = if one.device_key == "A" { "sent" } else { "queued" };
            json!({"device_key": one.device_key, "data": one.data, "ticket": one.ticket, "delivery": delivery})
        })
        .collect();
    assert_eq!(post.sql(accepted), expected);
    let messages = "SELECT DISTINCT substr(message, 1, 30) AS m FROM results ORDER BY 1";
    assert_eq!(
        post.sql(messages),
        [
            json!({"m": "adopted from a message of the "}),
            json!({"m": "adopted from the device's hist"})
        ]
    );
}
