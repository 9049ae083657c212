//! The queue and the message broker: both are only looked at, and neither fails a push.

use fleetpush::simulator::{Messages, QueueStatus, Scenario};
use rustix::process::Signal;
use serde_json::json;

use super::told;
use crate::support::{Ended, Post, Push, Sim, Site, wait_for};

/// What `doctor` finds with this queue, which never fails it.
fn look(post: &Post, queue: &str, secret: &str) -> Ended {
    let url = post.broker.plain_url();
    let mut command = post.site.command(&["doctor", "--queue", queue]);
    command
        .args(["--amqp-url", &url, "--base-url", post.sim.base_url()])
        .args(["--format", "json"])
        .env("FLEETPUSH_ACCESS_SECRET", secret);
    Push::start(command).ended().expect(0)
}

fn expect(ended: &Ended, check: &str, expected: &str, words: &[&str]) {
    let (status, told) = told(ended, check);
    assert_eq!(status, expected, "{told}");
    for word in words {
        assert!(told.contains(word), "no {word} in {told}");
    }
}

#[test]
fn a_queue_and_its_broker_are_looked_at_and_nothing_is_consumed() {
    let Some(post) = Post::open("looked") else {
        return;
    };
    let play = |queue_status, waiting_bytes| {
        post.sim.play(Scenario {
            messages: Messages {
                queue: post.queue.clone(),
                queue_status,
                waiting: 12,
                waiting_bytes,
                ..Messages::default()
            },
            ..Scenario::default()
        });
    };
    let message = json!({"type": "ONLINE", "deviceKey": "D", "createdAt": 8, "data": {"value": 1}});
    post.publish([message]);
    play(QueueStatus::Enabled, 3_000);
    let well = look(&post, &post.queue, "secret");
    expect(
        &well,
        "queue",
        "ok",
        &["is enabled; 12 messages wait (3.0 kB)"],
    );
    expect(&well, "broker", "ok", &["accepts the login; nothing reads"]);
    wait_for("a message that waits as before", || {
        (post.broker.standing(&post.queue) == (1, 0)).then_some(())
    });
    assert!(!post.site.path("push.db.inbox").exists());

    let refused = look(&post, &post.queue, "another");
    expect(&refused, "broker", "warn", &["refuses the login"]);

    play(QueueStatus::Enabled, 499_000_000);
    let full = look(&post, &post.queue, "secret");
    expect(&full, "queue", "warn", &["is full", "fleetpush listen"]);
    play(QueueStatus::Disabled, 0);
    let disabled = look(&post, &post.queue, "secret");
    expect(&disabled, "queue", "warn", &["is disabled", "create a new"]);
    play(QueueStatus::NotEnabled, 0);
    let early = look(&post, &post.queue, "secret");
    expect(&early, "queue", "warn", &["is not enabled yet", "start a"]);
    let unknown = look(&post, "a.1.nowhere", "secret");
    expect(&unknown, "queue", "warn", &["does not list a.1.nowhere"]);
    expect(&unknown, "broker", "warn", &["has no queue 'a.1.nowhere'"]);

    play(QueueStatus::Enabled, 0);
    let consumers = |count| {
        wait_for("consumers", || {
            (post.broker.standing(&post.queue).1 == count).then_some(())
        });
    };
    let first = post.start();
    consumers(1);
    let read = look(&post, &post.queue, "secret");
    expect(&read, "broker", "ok", &["one consumer reads the queue"]);
    let other = Post {
        site: Site::new(),
        sim: Sim::healthy(),
        broker: post.broker,
        queue: post.queue.clone(),
    };
    let second = other.start();
    consumers(2);
    let shared = look(&post, &post.queue, "secret");
    expect(&shared, "broker", "warn", &["2 consumers share the queue"]);
    for listener in [first, second] {
        listener.wait_until_it_catches(Signal::TERM);
        listener.signal(Signal::TERM);
        listener.ended().expect(0);
    }
    post.empty();
}

#[test]
fn what_is_missing_for_messages_is_said() {
    let (site, sim) = (Site::new(), Sim::healthy());
    let args = ["doctor", "--base-url", sim.base_url(), "--format", "json"];
    let mut command = site.command(&args);
    command.env("FLEETPUSH_QUEUE", "a.1.fleet");
    let ended = Push::start(command).ended().expect(0);
    expect(&ended, "queue", "ok", &["a.1.fleet is enabled; 0 messages"]);
    expect(&ended, "broker", "warn", &["give --amqp-url"]);

    let mut command = site.command(&args);
    command
        .env("FLEETPUSH_QUEUE", "a.1.fleet")
        .env("FLEETPUSH_AMQP_URL", "amqp://127.0.0.1:9")
        .env("FLEETPUSH_TOKEN", "QJWT x")
        .env_remove("FLEETPUSH_ACCESS_KEY")
        .env_remove("FLEETPUSH_ACCESS_SECRET");
    sim.play(Scenario {
        ready_token: Some("QJWT x".to_owned()),
        ..Scenario::default()
    });
    let ended = Push::start(command).ended().expect(0);
    expect(&ended, "broker", "warn", &["an access token cannot log in"]);

    let mut command = site.command(&args);
    command
        .env("FLEETPUSH_QUEUE", "a.1.fleet")
        .env("FLEETPUSH_AMQP_URL", "amqp://127.0.0.1:9");
    let ended = Push::start(command).ended().expect(0);
    expect(&ended, "broker", "warn", &["cannot be reached"]);

    let simulated = site.run(&[
        "doctor",
        "--simulate",
        "--queue",
        "a.1.q",
        "--format",
        "json",
    ]);
    expect(&simulated, "broker", "skip", &["has no broker"]);
}
