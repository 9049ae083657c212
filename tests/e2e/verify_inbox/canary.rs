//! `--canary-verify` with messages.

use super::*;

#[test]
fn messages_prove_a_canary_without_a_question_to_the_history() {
    proved(Post::open);
}

pub(super) fn proved(open: Open) {
    let Some(post) = open("canary", &devices(30), waiting()) else {
        return;
    };
    let listener = post.listener();
    wait_for("a consumer", || {
        (post.broker.standing(&post.queue).1 == 1).then_some(())
    });
    // With patience for a day, only the last message can end it.
    let args = [
        "run",
        "fleet.csv",
        "--canary",
        "4",
        "--canary-verify",
        "24h",
    ];
    let push = post.site.start(&post.sim, &args);
    wait_for("words about the wait", || {
        push.stderr()
            .contains("for messages about 4 accepted commands")
            .then_some(())
    });
    let canary = post.sim.deliveries();
    assert_eq!(canary.len(), 4, "nothing else is sent meanwhile");
    post.publish(canary.iter().map(|one| reqack(one, "succ")));
    push.ended()
        .expect(0)
        .says(&["the canary is proved: 4 sent"]);
    assert_eq!(post.sim.stats().histories, 0);
    assert_eq!(post.sim.deliveries().len(), 30);
    listener.signal(Signal::TERM);
    listener.ended().expect(0);
}
