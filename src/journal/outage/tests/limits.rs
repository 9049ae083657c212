//! Refusals for their number: of a limit, or of a platform that is away.

use super::*;

fn overloaded() -> Signal {
    Signal::Unusable {
        retry_after: None,
        reason: "HTTP 503".into(),
        overloaded: true,
        sent: true,
    }
}

#[test]
fn refusals_for_their_number_count_as_trouble_and_pause_the_run_when_nothing_else_comes() {
    let mut push = Push::new();
    push.send(&throttled());
    push.now = at(9);
    for _ in 0..20 {
        assert_eq!(push.send(&throttled()).0, None);
    }
    assert_eq!(push.outage.give_up_at(), Some(at(1800)));
    push.now = at(10);
    assert!(matches!(
        push.send(&throttled()).0,
        Some(OutageChange::Paused { .. })
    ));
    push.wait();
    push.send(&Signal::Reached);
    assert_eq!(push.outage.give_up_at(), None);
}

#[test]
fn a_503_that_comes_after_answers_is_a_limit_until_it_lasts() {
    let mut push = Push::new();
    push.send(&Signal::Reached);
    push.send(&overloaded());
    push.now = at(9);
    for _ in 0..20 {
        assert_eq!(push.send(&overloaded()), (None, Excuse::Perhaps));
    }
    // They say nothing of connections that break.
    for _ in 1..IN_A_ROW {
        assert_eq!(push.send(&unusable()), (None, Excuse::Perhaps));
    }
    push.now = at(10);
    let (change, excuse) = push.send(&overloaded());
    assert!(matches!(change, Some(OutageChange::Paused { .. })));
    assert_eq!(excuse, Excuse::Yes);
    assert_eq!(push.wait(), Duration::from_secs(1));
    push.send(&overloaded());
    assert_eq!(push.wait(), Duration::from_secs(2));
    push.send(&Signal::Reached);
    // The probe passed and the next request did not.
    let (change, _) = push.send(&overloaded());
    assert!(matches!(change, Some(OutageChange::Paused { .. })));
    push.wait();
    push.send(&Signal::Reached);
    push.send(&Signal::Reached);
    // Another one has passed: it is a limit again, and lasts from now on.
    push.now = at(1000);
    for _ in 1..52 {
        assert_eq!(push.send(&overloaded()), (None, Excuse::Perhaps));
    }
    // More than the pace tries in that time.
    let (change, _) = push.send(&overloaded());
    assert!(matches!(change, Some(OutageChange::Paused { .. })));
}

#[test]
fn a_503_before_any_answer_is_an_outage_after_five() {
    let mut push = Push::new();
    for _ in 1..IN_A_ROW {
        assert_eq!(push.send(&overloaded()), (None, Excuse::Perhaps));
    }
    let (change, excuse) = push.send(&overloaded());
    assert!(matches!(change, Some(OutageChange::Paused { .. })));
    assert_eq!(excuse, Excuse::Yes);
}
