//! A listener that is killed, cut off, or out of room: no message is lost, and none is there twice.

use std::{collections::BTreeSet, thread, time::Duration};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rustix::process::Signal;
use serde_json::json;

use super::reqack;
use crate::support::{Broker, Cutter, Inbox, Post, Push, seed, wait_for, with_limit};

/// How often something is to go wrong.
fn troubles(usual: usize) -> usize {
    std::env::var("FLEETPUSH_TEST_TROUBLES").map_or(usual, |text| text.parse().expect("a number"))
}

fn each_once(inbox: &Inbox, messages: usize) {
    let tickets = inbox.tickets();
    let distinct: BTreeSet<&String> = tickets.iter().collect();
    assert_eq!(distinct.len(), messages, "none is lost");
    assert_eq!(tickets.len(), messages, "none is there twice");
}

/// How often the listener is killed, unless `FLEETPUSH_TEST_TROUBLES` says another number.
const KILLS: usize = 40;

#[test]
fn a_listener_that_is_killed_at_any_moment_loses_no_message_and_doubles_none() {
    let Some(post) = Post::open("killed") else {
        return;
    };
    let seed = seed();
    println!("FLEETPUSH_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut sent = 0;
    for _ in 0..troubles(KILLS) {
        let more = random.random_range(1..60);
        post.publish((sent..sent + more).map(reqack));
        sent += more;
        let listener = post.start();
        let wanted = random.random_range(0..3);
        if wanted > 0 {
            // Somewhere between the first message and the end of what it does.
            let inbox = post.inbox();
            let before = inbox.tickets().len();
            wait_for("a sign of the listener", || {
                (inbox.tickets().len() > before || post.broker.standing(&post.queue).0 == 0)
                    .then_some(())
            });
        }
        thread::sleep(Duration::from_micros(random.random_range(0..40_000)));
        listener.kill();
    }
    post.empty();
    each_once(&post.inbox(), sent);
}

/// How often the connection is cut, unless `FLEETPUSH_TEST_TROUBLES` says another number.
const CUTS: usize = 40;

#[test]
fn a_connection_that_is_cut_while_messages_are_acknowledged_loses_and_doubles_none() {
    let Some(post) = Post::open("cut") else {
        return;
    };
    let seed = seed();
    println!("FLEETPUSH_TEST_SEED={seed}");
    let cutter = Cutter::before(post.broker.port(), StdRng::seed_from_u64(seed));
    let listener = Push::start(post.command(&Broker::plain_url_at(cutter.port())));
    let mut sent = 0;
    let cuts = || cutter.cuts();
    while cuts() < troubles(CUTS) {
        let before = cuts();
        post.publish((sent..sent + 10).map(reqack));
        sent += 10;
        wait_for("messages that are handed out, or a cut", || {
            (post.broker.standing(&post.queue).0 == 0 || cuts() > before).then_some(())
        });
    }
    cutter.stop();
    let inbox = post.inbox();
    inbox.wait_for(sent);
    listener.signal(Signal::TERM);
    let ended = listener.ended().expect(0);
    assert!(
        ended.stderr.contains("connecting again"),
        "{}",
        ended.stderr
    );
    post.empty();
    each_once(&inbox, sent);
}

#[test]
fn a_disk_that_is_full_ends_the_listener_and_what_was_not_recorded_comes_again() {
    let Some(post) = Post::open("full") else {
        return;
    };
    let large = "x".repeat(60_000);
    let message = |ticket: usize| {
        let mut message = reqack(ticket);
        message["type"] = json!("MSERV");
        message["subtype"] = json!("OUTPUT");
        message["data"] = json!({"code": "c", "kv": {"large": large}});
        message
    };
    post.publish((0..100).map(message));
    // Blocks of 512 bytes or of 1 KiB: less than the messages have in any case.
    let limited = with_limit("-f 3000", &post.command(&post.broker.plain_url()));
    Push::start(limited).ended().expect(6).says(&[
        "are not acknowledged, and will be delivered again",
        "free some space on the disk",
    ]);
    let listener = post.start();
    let inbox = post.inbox();
    inbox.wait_for(100);
    post.wait_until_empty();
    listener.signal(Signal::TERM);
    listener.ended().expect(0);
    each_once(&inbox, 100);
}
