//! How the queue stands by the platform's word: disabled, not enabled, full, with messages that wait.

use fleetpush::simulator::{Messages, QueueStatus, Scenario};
use rustix::process::Signal;

use crate::support::{Post, wait_for};

fn play(post: &Post, messages: Messages) {
    post.sim.play(Scenario {
        messages: Messages {
            queue: post.queue.clone(),
            ..messages
        },
        ..Scenario::default()
    });
}

#[test]
fn a_queue_that_is_disabled_or_not_enabled_is_refused_and_says_what_to_do() {
    let Some(post) = Post::open("state") else {
        return;
    };
    let has_status = |queue_status| {
        let messages = Messages {
            queue_status,
            ..Messages::default()
        };
        play(&post, messages);
    };
    has_status(QueueStatus::Disabled);
    post.start().ended().expect(5).says(&[
        "the queue a.1.state is disabled",
        "create a new queue and subscribe it",
    ]);
    has_status(QueueStatus::NotEnabled);
    post.start().ended().expect(5).says(&[
        "the queue a.1.state is not enabled yet",
        "start a subscription for it",
    ]);
    // Nobody has consumed it.
    assert!(post.inbox().column("SELECT queue FROM listened").is_empty());
}

#[test]
fn a_queue_that_is_full_is_a_gap_and_messages_that_wait_are_counted() {
    let Some(post) = Post::open("crowded") else {
        return;
    };
    let waiting = |messages, bytes| {
        let messages = Messages {
            waiting: messages,
            waiting_bytes: bytes,
            ..Messages::default()
        };
        play(&post, messages);
    };
    let gaps = || post.inbox().column("SELECT cause FROM gap");
    waiting(1_200, 300_000);
    let listener = post.start();
    wait_for("a listener", || {
        (post.broker.standing(&post.queue).1 == 1).then_some(())
    });
    listener.wait_until_it_catches(Signal::TERM);
    listener.signal(Signal::TERM);
    listener
        .ended()
        .expect(0)
        .says(&["listening to a.1.crowded", "1,200 messages wait"]);
    assert!(gaps().is_empty());

    waiting(1_700_000, 499_000_000);
    let listener = post.start();
    wait_for("a gap", || (gaps() == ["full"]).then_some(()));
    listener.signal(Signal::TERM);
    listener
        .ended()
        .expect(0)
        .says(&["1,700,000 messages wait", "the queue is full"]);
}
