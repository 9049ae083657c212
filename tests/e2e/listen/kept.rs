//! How long messages are kept.

use rustix::process::Signal;

use super::reqack;
use crate::support::{Post, Push, wait_for};

#[test]
fn messages_that_are_old_enough_are_deleted_however_many_there_are() {
    let Some(post) = Post::open("kept") else {
        return;
    };
    post.publish([reqack(1)]);
    post.empty();
    let inbox = post.inbox();
    // More than one transaction deletes.
    inbox.change(
        "INSERT INTO message (kind, ticket, product_key, device_key, at, recorded_at, digest) \
         WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 45000) \
         SELECT 'input', 'old-' || n, 'PK', 'D' || n, at, recorded_at, n FROM message, n",
    );
    inbox.change("UPDATE message SET recorded_at = recorded_at - 2 * 86400000");
    post.publish([reqack(2)]);
    let mut command = post.command(&post.broker.plain_url());
    command.args(["--inbox-keep", "1d"]);
    let listener = Push::start(command);
    wait_for("the new message alone", || {
        (inbox.column("SELECT CAST(count(*) AS TEXT) FROM message") == ["1"]).then_some(())
    });
    listener.signal(Signal::TERM);
    listener.ended().expect(0);
    let new = reqack(2);
    assert_eq!(inbox.tickets(), [new["ticket"].as_str().expect("a ticket")]);
}
