//! The platform's messages in the tables of a server.

use fleetpush::simulator::{Messages, Scenario};
use rustix::process::Signal;
use serde_json::json;

use crate::support::{Post, Push, Sim, Site, devices, wait_for};

const DEVICES: usize = 20;

/// A fleet whose results are on a server, a platform that publishes what becomes of each command, and its queue.
fn post(name: &str) -> Option<Post> {
    let mut post = Post::open(name)?;
    post.site = Site::on_server(&devices(DEVICES))?;
    post.sim = Sim::start(Scenario {
        messages: Messages {
            amqp: Some(post.broker.platform_url()),
            queue: post.queue.clone(),
            ..Messages::default()
        },
        ..Scenario::default()
    });
    Some(post)
}

/// What is known of the commands, as `results` lists it.
fn deliveries(site: &Site) -> Vec<String> {
    let list = [
        "results",
        "night",
        "--columns",
        "delivery",
        "--format",
        "csv",
    ];
    let listed = site.run(&list).expect(0);
    listed.stdout.lines().skip(1).map(str::to_owned).collect()
}

/// All messages of the platform are published, in the inbox, and acknowledged.
fn wait_until_received(post: &Post) {
    wait_for("messages that are published", || {
        let stats = post.sim.stats();
        (stats.messages == stats.messages_planned && stats.messages > 0).then_some(())
    });
    let published = post.sim.stats().messages;
    wait_until_recorded(post, published);
    wait_for("messages that are acknowledged", || {
        (post.broker.standing(&post.queue) == (0, 1)).then_some(())
    });
}

/// So many messages are in the inbox.
fn wait_until_recorded(post: &Post, messages: u64) {
    wait_for("messages that are in the inbox", || {
        let count = [
            "sql",
            "SELECT count(*) AS n FROM message",
            "--format",
            "csv",
        ];
        let told = post.site.run(&count).expect(0);
        (told.stdout == format!("n\n{messages}\n")).then_some(())
    });
}

#[test]
fn what_is_received_on_a_server_is_seen_by_those_who_read() {
    let Some(post) = post("server") else { return };
    let run = ["run", "fleet.csv", "--name", "night"];
    post.site.push(&post.sim, &run).expect(0);
    assert_eq!(deliveries(&post.site), ["unknown"; DEVICES]);
    let listener = post.start();
    wait_until_received(&post);
    let second = Push::start(post.command(&post.broker.plain_url()));
    second.ended().expect(7).says(&["already listens"]);
    assert_eq!(deliveries(&post.site), ["sent"; DEVICES]);
    let told = post.site.run(&["status", "night"]).expect(0);
    assert!(told.stdout.contains("sent"), "{}", told.stdout);
    let told = post.site.run(&["explain", "DK00001"]).expect(0);
    assert!(told.stdout.contains("delivery: sent"), "{}", told.stdout);
    listener.signal(Signal::TERM);
    listener.ended().expect(0).says(&["inbox: postgres://"]);
    // Nobody's file.
    assert!(!post.site.path("push.db.inbox").exists());
}

#[test]
fn a_push_to_a_server_receives_the_messages_of_its_queue() {
    let Some(post) = post("server.itself") else {
        return;
    };
    let url = post.broker.plain_url();
    let queue = ["--queue", post.queue.as_str(), "--amqp-url", url.as_str()];
    let run = [&["run", "fleet.csv", "--name", "night"][..], &queue].concat();
    post.site
        .push(&post.sim, &run)
        .expect(0)
        .says(&[&format!("listening to {}", post.queue)]);
    // What came too late for the push waits for the next listener.
    let listener = post.start();
    wait_until_received(&post);
    listener.signal(Signal::TERM);
    listener.ended().expect(0);
    assert_eq!(deliveries(&post.site), ["sent"; DEVICES]);
}

#[test]
fn a_listener_that_loses_its_server_ends_and_what_it_had_not_recorded_comes_again() {
    let Some(post) = post("server.lost") else {
        return;
    };
    post.site
        .push(&post.sim, &["run", "fleet.csv", "--name", "night"])
        .expect(0);
    let listener = post.start();
    wait_until_received(&post);
    post.site.server().close();
    post.publish([json!({
        "type": "REQACK", "productKey": "PK", "deviceKey": "DK00001", "createdAt": 1_750_000_000_000_i64, "ticket": "1380000000000000001",
        "data": {"sentAt": 1, "status": "succ"}
    })]);
    listener.ended().expect(6).says(&[
        "are not acknowledged, and will be delivered again",
        "listen again when the results database postgres://",
    ]);
    post.site.server().open();
    // It could not give its lease back. Half a minute passes.
    post.site
        .server()
        .execute("UPDATE lease SET ends_at = clock_timestamp() WHERE name = 'inbox'");
    let listener = post.start();
    wait_until_recorded(&post, post.sim.stats().messages + 1);
    listener.signal(Signal::TERM);
    listener.ended().expect(0);
}
