//! What the simulator publishes about the commands of a push, and what the inbox then holds.

use std::collections::BTreeSet;

use fleetpush::simulator::{Fault, History, MessageKind, Messages, Scenario, TicketForm};
use rustix::process::Signal;

use crate::support::{Post, Sim, Site, devices, seed, wait_for};

const DEVICES: usize = 300;

/// Messages that are late, out of order, missing and repeated, and replies that are lost.
fn troubled(post: &Post, seed: u64, tickets: TicketForm) -> Scenario {
    Scenario {
        seed,
        tickets,
        history: History {
            queued: 0.1,
            send_failed: 0.1,
            answered: 0.6,
            ..History::default()
        },
        messages: Messages {
            amqp: Some(post.broker.platform_url()),
            queue: post.queue.clone(),
            waiting: 3,
            lag_jitter_ms: 300,
            missing: 0.1,
            repeated: 0.3,
            online: 0.2,
            ..Messages::default()
        },
        faults: [(Fault::ResetAfter, 0.2)].into(),
        ..Scenario::default()
    }
}

fn holds_what_was_published(name: &str, tickets: TicketForm, seed: u64) {
    let Some(mut post) = Post::open(name) else {
        return;
    };
    post.sim = Sim::start(troubled(&post, seed, tickets));
    post.site = Site::with(&devices(DEVICES));
    let listener = post.start();
    post.site
        .push(&post.sim, &["run", "fleet.csv", "--chunk-size", "20"])
        .expect(0);
    wait_for("messages that are published", || {
        let stats = post.sim.stats();
        (stats.messages == stats.messages_planned).then_some(())
    });
    // A reply that is lost has its commands sent again: all of them have messages.
    let deliveries = post.sim.deliveries();
    assert!(deliveries.len() >= DEVICES);
    let (mut expected, mut online) = (BTreeSet::new(), BTreeSet::new());
    for delivery in &deliveries {
        for kind in post.sim.messages(&delivery.ticket) {
            if kind == MessageKind::Online {
                online.insert(delivery.device_key.clone());
            } else {
                let kind: &str = kind.into();
                expected.insert(format!(
                    "{kind} {} {}",
                    delivery.ticket, delivery.device_key
                ));
            }
        }
    }
    let inbox = post.inbox();
    inbox.wait_for(expected.len());
    wait_for("devices that are online", || {
        let present = inbox.column("SELECT device_key FROM presence WHERE online_at > 0");
        (present.into_iter().collect::<BTreeSet<_>>() == online).then_some(())
    });
    listener.signal(Signal::TERM);
    let ended = listener.ended().expect(0).says(&["3 messages wait"]);
    assert!(!ended.stderr.contains("does not list"), "{}", ended.stderr);
    post.empty();
    let kept = inbox.column("SELECT kind || ' ' || ticket || ' ' || device_key FROM message");
    assert_eq!(kept.len(), expected.len(), "each once");
    assert_eq!(kept.into_iter().collect::<BTreeSet<_>>(), expected);
    // Each kind was among them, and they are about the commands that the replies name.
    for kind in ["input", "reqack_succ", "reqack_fail", "output"] {
        assert!(
            expected.iter().any(|line| line.starts_with(kind)),
            "no {kind}"
        );
    }
    let called =
        inbox.column("SELECT DISTINCT code || ' ' || kv FROM message WHERE kind = 'input'");
    assert_eq!(called, [r#"fuwu {"raw1":"AA"}"#]);
    let answers =
        inbox.column("SELECT DISTINCT code || ' ' || kv FROM message WHERE kind = 'output'");
    assert_eq!(answers, [r#"fuwu {"result":"0"}"#]);
    let told: BTreeSet<String> = deliveries.into_iter().map(|one| one.ticket).collect();
    let replied = post.site.journal().tasks.into_iter();
    let replied: Vec<String> = replied.filter_map(|task| task.ticket).collect();
    assert_eq!(replied.len(), DEVICES);
    assert!(replied.iter().all(|ticket| told.contains(ticket)));
}

#[test]
fn the_inbox_holds_what_was_published_by_tickets_of_digits() {
    let seed = seed();
    println!("FLEETPUSH_TEST_SEED={seed}");
    holds_what_was_published("digits", TicketForm::Digits, seed);
}

#[test]
fn the_inbox_holds_what_was_published_by_tickets_of_24_hex_digits() {
    let seed = seed();
    println!("FLEETPUSH_TEST_SEED={seed}");
    holds_what_was_published("hex", TicketForm::Hex, seed);
}

#[test]
fn the_inbox_holds_what_was_published_by_tickets_that_are_uuids() {
    let seed = seed();
    println!("FLEETPUSH_TEST_SEED={seed}");
    holds_what_was_published("uuid", TicketForm::Uuid, seed);
}
