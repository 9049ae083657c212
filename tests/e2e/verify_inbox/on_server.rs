//! The same with results on a PostgreSQL server, whose tables have the messages.

use super::*;

#[test]
fn messages_are_settled_before_the_history_is_asked() {
    settled(Post::on_server);
}

#[test]
fn messages_are_waited_for() {
    awaited(Post::on_server);
}

#[test]
fn messages_with_strange_tickets_count_by_device_and_time() {
    strange_tickets(Post::on_server);
}

#[test]
fn doubts_are_decided() {
    doubts_decided(Post::on_server);
}

#[test]
fn a_push_after_a_crash_does_not_repeat_what_a_message_tells_of() {
    before_a_send::after_a_crash(Post::on_server);
}

#[test]
fn a_retry_does_not_repeat_what_a_message_tells_of() {
    before_a_send::retried(Post::on_server);
}

#[test]
fn a_canary_is_proved() {
    canary::proved(Post::on_server);
}

#[test]
fn devices_that_have_come_online_are_sent_to() {
    online::come_online(Post::on_server);
}

#[test]
fn without_a_list_messages_are_enough() {
    online::unlisted(Post::on_server);
}
