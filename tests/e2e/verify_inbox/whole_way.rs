//! Two thousand devices, from the manifest to what the devices have: with a real broker, and with losses everywhere.

use fleetpush::simulator::Messages;
use rand::{SeedableRng as _, rngs::StdRng};

use super::*;
use crate::support::{Cutter, seed};

const DEVICES: usize = 2_000;
/// How often the listener's connection is cut at least, if messages come for so long.
const CUTS: usize = 5;

/// Replies are lost in each way that leaves a doubt, messages are missing, late, repeated, and out of order.
fn lossy(post: &Post, seed: u64) -> Scenario {
    Scenario {
        seed,
        history: History {
            queued: 0.1,
            send_failed: 0.1,
            answered: 0.5,
            ..History::default()
        },
        messages: Messages {
            amqp: Some(post.broker.platform_url()),
            queue: post.queue.clone(),
            lag_jitter_ms: 500,
            missing: 0.15,
            repeated: 0.2,
            ..Messages::default()
        },
        faults: [
            (Fault::ResetAfter, 0.1),
            (Fault::ResetBefore, 0.05),
            (Fault::Cut, 0.1),
            (Fault::InternalErrorActed, 0.05),
        ]
        .into(),
        ..Scenario::default()
    }
}

#[test]
fn the_delivery_of_two_thousand_devices_is_what_the_platform_knows_whatever_is_lost() {
    let Some(mut post) = Post::open("whole-way", &devices(DEVICES), Scenario::default()) else {
        return;
    };
    let seed = seed();
    println!("FLEETPUSH_TEST_SEED={seed}");
    post.sim = Sim::start(lossy(&post, seed));
    let cutter = Cutter::before(post.broker.port(), StdRng::seed_from_u64(seed));
    let listener = post.listener_at(&Broker::plain_url_at(cutter.port()));
    wait_for("a consumer", || {
        (post.broker.standing(&post.queue).1 == 1).then_some(())
    });
    let push = [
        "run",
        "fleet.csv",
        "--name",
        "night",
        "--chunk-size",
        "20",
        "--max-attempts",
        "30",
        "--abort-if",
        "never",
    ];
    post.site.push(&post.sim, &push).expect(0);
    wait_for("messages that are published, and cuts", || {
        let stats = post.sim.stats();
        let is_cut = cutter.cuts() >= CUTS || post.broker.standing(&post.queue).0 == 0;
        (stats.messages == stats.messages_planned && is_cut).then_some(())
    });
    assert!(cutter.cuts() > 0);
    cutter.stop();
    wait_for("an empty queue", || {
        (post.broker.standing(&post.queue).0 == 0).then_some(())
    });
    listener.signal(Signal::TERM);
    listener.ended().expect(0).says(&["connecting again"]);
    post.empty();

    // Messages say most of it, and the history the rest. Some have failed, so that not all are sent.
    let before = post.sim.stats().histories;
    post.verify(&["night", "--sample", "all"]).expect(1);
    let asked = post.sim.stats().histories - before;
    assert!((asked as usize) < DEVICES / 2, "{asked} were asked about");
    for word in ["reqack", "output", "history"] {
        let counted = format!("SELECT 1 FROM deliveries WHERE evidence = '{word}' LIMIT 1");
        assert_eq!(post.sql(&counted).len(), 1, "nothing by {word}");
    }
    // Some lost replies were made good by a message, and the command was not sent again.
    let adopted =
        post.sql("SELECT 1 FROM results WHERE message LIKE 'adopted from a message%' LIMIT 1");
    assert_eq!(adopted.len(), 1);
    // Whose answer is missing among the messages has it in the history.
    post.verify(&["night", "--verify-level", "answered", "--sample", "all"])
        .expect(1);
    let known = post.sim.known_deliveries();
    let rows = post.sql("SELECT ticket, delivery FROM results ORDER BY line");
    assert_eq!(rows.len(), DEVICES);
    // What is recorded of a ticket that no task has at its end is true as well.
    let recorded = post.sql("SELECT ticket, delivery FROM deliveries");
    for row in rows.iter().chain(&recorded) {
        let ticket = row["ticket"].as_str().expect("each is accepted");
        assert_eq!(row["delivery"], known[ticket].as_str(), "{ticket}");
    }
}
