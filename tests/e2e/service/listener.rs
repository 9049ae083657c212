//! What the service manager hears of a listener.

use std::time::{Duration, Instant};

use fleetpush::simulator::{Messages, QueueStatus, Scenario};
use rustix::process::Signal;
use serde_json::json;
use sqlx::{ConnectOptions, Connection, Executor, sqlite::SqliteConnectOptions};

use super::{Manager, place};
use crate::support::{PATIENCE, Post, Push, Way};

#[test]
fn a_listener_is_ready_when_it_consumes_the_queue_and_tells_how_it_ended() {
    let Some(post) = Post::open("ready") else {
        return;
    };
    let manager = Manager::listen(&post.site);
    let listener = Push::start(manager.service(post.command(&post.broker.plain_url())));
    let heard = manager.wait_for("READY=1");
    assert_eq!(post.broker.standing(&post.queue).1, 1, "it consumes");
    assert_eq!(place(&heard, "WATCHDOG=1"), None, "nobody asked for it");
    listener.signal(Signal::TERM);
    listener.ended().expect(0);
    let heard = manager.rest();
    let ended = place(&heard, "STATUS=ended with exit code 0");
    assert!(ended.is_some(), "{heard:?}");
    assert!(place(&heard, "STOPPING=1").is_some(), "{heard:?}");
}

#[test]
fn a_listener_that_is_refused_is_never_ready() {
    let Some(post) = Post::open("unready") else {
        return;
    };
    post.sim.play(Scenario {
        messages: Messages {
            queue: post.queue.clone(),
            queue_status: QueueStatus::Disabled,
            ..Messages::default()
        },
        ..Scenario::default()
    });
    let manager = Manager::listen(&post.site);
    Push::start(manager.service(post.command(&post.broker.plain_url())))
        .ended()
        .expect(5);
    let heard = manager.rest();
    assert_eq!(place(&heard, "READY=1"), None, "{heard:?}");
    let ended = place(&heard, "STATUS=ended with exit code 5");
    assert!(ended.is_some(), "{heard:?}");
}

/// In idleness, and while the broker is away.
#[test]
fn a_listener_feeds_the_watchdog_while_nothing_comes_and_while_it_connects_again() {
    let Some(post) = Post::open("fed") else {
        return;
    };
    let manager = Manager::listen(&post.site);
    let way = Way::to(post.broker.port());
    let mut command =
        manager.service(post.command(&format!("amqp://127.0.0.1:{}/quec-open", way.port())));
    command.env("WATCHDOG_USEC", "4000000");
    let listener = Push::start(command);
    manager.wait_for("READY=1");
    for _ in 0..2 {
        manager.wait_for("WATCHDOG=1");
    }
    way.close();
    manager.wait_for("STATUS=not connected");
    for _ in 0..2 {
        manager.wait_for("WATCHDOG=1");
    }
    way.open();
    manager.wait_for("STATUS=listening");
    listener.signal(Signal::TERM);
    listener.ended().expect(0).says(&["connecting again"]);
}

#[test]
fn a_listener_that_cannot_record_does_not_feed_the_watchdog() {
    let Some(post) = Post::open("stuck") else {
        return;
    };
    let manager = Manager::listen(&post.site);
    let mut command = manager.service(post.command(&post.broker.plain_url()));
    command.env("WATCHDOG_USEC", "2000000");
    let listener = Push::start(command);
    manager.wait_for("WATCHDOG=1");

    // Somebody else holds the inbox, so that nothing can be recorded.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let writer = runtime.block_on(async {
        let mut writer = SqliteConnectOptions::new()
            .filename(post.site.path("push.db.inbox"))
            .busy_timeout(PATIENCE)
            .connect()
            .await
            .unwrap();
        writer.execute("BEGIN IMMEDIATE").await.unwrap();
        writer
    });
    post.publish([json!({"type": "ONLINE", "productKey": "PK", "deviceKey": "D", "createdAt": 8, "ticket": "T", "data": {"value": 1}})]);
    // What was told before that may still have to be heard; a timer would go on.
    let silence = Duration::from_secs(2);
    let since = Instant::now();
    while manager.hear(silence).is_some() {
        assert!(since.elapsed() < PATIENCE / 3, "it is fed all the same");
    }
    runtime.block_on(writer.close()).unwrap();
    manager.wait_for("WATCHDOG=1");
    listener.signal(Signal::TERM);
    listener.ended().expect(0);
    post.empty();
}
