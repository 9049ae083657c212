//! A push, or a verification, that receives the messages of its queue itself.

use fleetpush::simulator::{Messages, Scenario};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Ended, Post, Sim, Site, devices, wait_for};

const DEVICES: usize = 40;

/// A platform that publishes what becomes of each command, and whose history shows none.
fn publishing(post: &Post) -> Scenario {
    Scenario {
        seed: 7,
        history_gap: 1.0,
        messages: Messages {
            amqp: Some(post.broker.platform_url()),
            queue: post.queue.clone(),
            ..Messages::default()
        },
        ..Scenario::default()
    }
}

/// A fleet, a platform that publishes, and its queue.
fn post(name: &str) -> Option<Post> {
    let mut post = Post::open(name)?;
    post.sim = Sim::start(publishing(&post));
    post.site = Site::with(&devices(DEVICES));
    Some(post)
}

/// The flags for the queue.
fn with_queue<'a>(post: &'a Post, url: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    let queue = ["--queue", post.queue.as_str(), "--amqp-url", url];
    [args, &queue].concat()
}

/// What is known of the commands, and by what.
fn known(site: &Site) -> Vec<Value> {
    let query = "SELECT delivery, evidence, count(*) AS n FROM deliveries GROUP BY 1, 2";
    let told = site.run(&["sql", query, "--format", "jsonl"]);
    told.expect(0).json_lines()
}

/// Every message is either in the inbox, and then acknowledged, or still in the queue.
fn nothing_is_lost_or_twice(post: &Post) {
    wait_for("messages that are published", || {
        let stats = post.sim.stats();
        (stats.messages == stats.messages_planned).then_some(())
    });
    let published = post.sim.stats().messages;
    let (waiting, consumers) = post.broker.standing(&post.queue);
    let kept = post.inbox().tickets().len() as u64;
    assert_eq!((kept + u64::from(waiting), consumers), (published, 0));
}

#[test]
fn a_push_receives_messages_itself_until_they_have_proved_its_commands() {
    let Some(post) = post("itself") else { return };
    let url = post.broker.plain_url();
    // With patience for a day, only messages can end the wait.
    let run = ["run", "fleet.csv", "--verify", "--verify-wait", "24h"];
    let ended = post
        .site
        .push(&post.sim, &with_queue(&post, &url, &run))
        .expect(0)
        .says(&[&format!("listening to {}", post.queue)]);
    assert_eq!(
        known(&post.site),
        [json!({"delivery": "sent", "evidence": "reqack", "n": DEVICES})],
        "{}",
        ended.stderr
    );
    assert_eq!(post.sim.stats().histories, 0);
    nothing_is_lost_or_twice(&post);
}

#[test]
fn a_verification_receives_messages_itself() {
    let Some(post) = post("verification") else {
        return;
    };
    let url = post.broker.plain_url();
    post.site.push_named(&post.sim, "night").expect(0);
    let base_url = post.sim.base_url();
    let verify = [
        "verify",
        "night",
        "--verify-wait",
        "24h",
        "--base-url",
        base_url,
    ];
    post.site
        .run(&with_queue(&post, &url, &verify))
        .expect(0)
        .says(&[&format!("listening to {}", post.queue)]);
    assert_eq!(
        known(&post.site),
        [json!({"delivery": "sent", "evidence": "reqack", "n": DEVICES})]
    );
    assert_eq!(post.sim.stats().histories, 0);
    nothing_is_lost_or_twice(&post);
}

#[test]
fn where_somebody_listens_already_a_push_uses_that() {
    let Some(post) = post("already") else { return };
    let url = post.broker.plain_url();
    let listener = post.start();
    wait_for("a consumer", || {
        (post.broker.standing(&post.queue).1 == 1).then_some(())
    });
    let run = ["run", "fleet.csv", "--verify", "--verify-wait", "24h"];
    let ended: Ended = post
        .site
        .push(&post.sim, &with_queue(&post, &url, &run))
        .expect(0);
    assert!(!ended.stderr.contains("listening to"), "{}", ended.stderr);
    assert_eq!(post.broker.standing(&post.queue).1, 1, "it goes on");
    listener.signal(Signal::TERM);
    listener.ended().expect(0);
    nothing_is_lost_or_twice(&post);
}

#[test]
fn a_broker_that_is_away_is_a_warning_and_nothing_waits_for_it() {
    let (site, sim) = (Site::with(&devices(4)), Sim::healthy());
    let run = [
        "run",
        "fleet.csv",
        "--verify",
        "--verify-wait",
        "24h",
        "--history-rate",
        "unlimited",
        "--queue",
        "a.1.away",
        "--amqp-url",
        "amqp://127.0.0.1:1/quec-open",
    ];
    let ended = site
        .push(&sim, &run)
        .expect(0)
        .says(&["messages of the queue a.1.away are not received yet"]);
    assert_eq!(
        known(&site),
        [json!({"delivery": "sent", "evidence": "history", "n": 4})],
        "{}",
        ended.stderr
    );
    // Nothing says which broker it is.
    let unknown = [
        "run",
        "fleet.csv",
        "--again",
        "--name",
        "two",
        "--queue",
        "a.1.away",
    ];
    site.push(&sim, &unknown)
        .expect(0)
        .says(&["are not received", "--amqp-url"]);
}

#[test]
fn a_run_that_goes_on_and_a_retry_receive_messages_too() {
    let Some(post) = post("goes-on") else { return };
    let url = post.broker.plain_url();
    let half = ["run", "fleet.csv", "--name", "night"];
    let canary = ["--canary", "5", "--canary-pause"];
    let run = [&half[..], &canary].concat();
    post.site.push(&post.sim, &run).expect(3);
    let waiting = ["--verify", "--verify-wait", "24h"];
    let resume = [&["resume", "night"][..], &waiting].concat();
    // Of the canary's commands the messages wait in the queue since then.
    post.site
        .push(&post.sim, &with_queue(&post, &url, &resume))
        .expect(0)
        .says(&[&format!("listening to {}", post.queue)]);
    let sent = json!({"delivery": "sent", "evidence": "reqack", "n": DEVICES});
    assert_eq!(known(&post.site), [sent]);

    let failing = Scenario {
        offline: 1.0,
        ..publishing(&post)
    };
    post.sim.play(failing);
    post.site.write("other.csv", devices(3));
    let other = ["run", "other.csv", "--name", "other", "--abort-if", "never"];
    post.site
        .push(&post.sim, &[&other[..], &["--max-attempts", "1"]].concat())
        .expect(1);
    post.sim.play(publishing(&post));
    let retry = [&["retry", "other"][..], &waiting].concat();
    post.site
        .push(&post.sim, &with_queue(&post, &url, &retry))
        .expect(0);
    let sent = json!({"delivery": "sent", "evidence": "reqack", "n": DEVICES + 3});
    assert_eq!(known(&post.site), [sent]);
    assert_eq!(post.sim.stats().histories, 0);
    nothing_is_lost_or_twice(&post);
}
