use proptest::prelude::*;

use super::*;

mod limits;

const P: PayloadId = PayloadId(1);

fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1000)
}

fn unusable() -> Signal {
    Signal::Unusable {
        retry_after: None,
        reason: "HTTP 502".into(),
        overloaded: false,
        sent: true,
    }
}

fn throttled() -> Signal {
    Signal::Throttled {
        retry_after: None,
        reason: "HTTP 429".into(),
    }
}

fn forbidden() -> Signal {
    Signal::Forbidden {
        reason: "HTTP 403".into(),
    }
}

fn unauthorized() -> Signal {
    Signal::Unauthorized {
        reason: "code 91001".into(),
    }
}

/// The machine, with requests that are handed out one after the other.
struct Push {
    outage: OutageTracker,
    next: i64,
    now: Timestamp,
}

impl Push {
    fn new() -> Self {
        Self {
            outage: OutageTracker::new(Duration::from_mins(30), 16),
            next: 0,
            now: at(0),
        }
    }

    fn hand_out(&mut self) -> RequestId {
        self.next += 1;
        self.outage.handed_out(RequestId(self.next));
        RequestId(self.next)
    }

    fn end(&mut self, request: RequestId, signal: &Signal) -> (Option<OutageChange>, Excuse) {
        self.outage.apply_signal(request, P, signal, self.now)
    }

    /// Sends a request, which ends at once.
    fn send(&mut self, signal: &Signal) -> (Option<OutageChange>, Excuse) {
        let request = self.hand_out();
        self.end(request, signal)
    }

    fn pause(&mut self) {
        for _ in 0..IN_A_ROW {
            self.send(&unusable());
        }
        assert!(self.outage.is_paused());
    }

    /// Waits for the next probe, and gives how long that took.
    fn wait(&mut self) -> Duration {
        let probe_at = self.outage.next_probe().unwrap();
        let waited = self.now.until(probe_at);
        self.now = self.now.max(probe_at);
        assert!(self.outage.wants_probe(self.now));
        waited
    }
}

#[test]
fn five_in_a_row_are_an_outage_and_one_answer_breaks_the_row() {
    let mut push = Push::new();
    for signal in [
        &unusable(),
        &Signal::Reached,
        &unusable(),
        &unusable(),
        &throttled(),
        &unusable(),
        &Signal::Silent,
    ] {
        assert_eq!(push.send(signal).0, None);
    }
    assert_eq!(push.send(&unusable()), (None, Excuse::Perhaps));
    let paused = OutageChange::Paused {
        reason: "HTTP 502".into(),
        probe_at: at(1),
    };
    assert_eq!(push.send(&unusable()), (Some(paused), Excuse::Yes));
    // The time without an answer began with the row.
    assert_eq!(push.outage.give_up_at(), Some(at(1800)));
}

#[test]
fn a_probe_that_is_due_or_under_way_is_heard_before_the_push_gives_up() {
    let mut push = Push::new();
    push.pause();
    // The process stood still for longer than its patience.
    push.now = at(3600);
    assert!(push.outage.gives_up(push.now, false), "nothing to send");
    assert!(!push.outage.gives_up(push.now, true));
    let probe = push.hand_out();
    assert!(!push.outage.gives_up(push.now, false));
    push.end(probe, &unusable());
    assert!(push.outage.gives_up(push.now, true), "it has had its say");

    let mut push = Push::new();
    push.pause();
    push.now = at(3600);
    push.send(&Signal::Reached);
    assert!(!push.outage.gives_up(push.now, true));
    push.now = at(9999);
    assert!(!push.outage.gives_up(push.now, true));
}

#[test]
fn a_push_that_has_not_paused_asks_once_more_before_it_gives_up() {
    for signal in [unusable(), throttled()] {
        let mut push = Push::new();
        push.send(&signal);
        assert!(!push.outage.is_paused());
        push.now = at(1799);
        assert_eq!(push.outage.ask_once_more(push.now, true), None);
        push.now = at(1800);
        assert_eq!(push.outage.ask_once_more(push.now, false), None);
        let change = push.outage.ask_once_more(push.now, true);
        assert!(
            matches!(&change, Some(OutageChange::Paused { probe_at, .. }) if *probe_at == push.now),
            "{change:?}"
        );
        assert!(!push.outage.gives_up(push.now, true));
        assert_eq!(push.outage.ask_once_more(push.now, true), None);
        push.wait();
        push.send(&unusable());
        assert!(push.outage.gives_up(push.now, true), "it has had its say");
    }
    let mut push = Push::new();
    push.now = at(9999);
    assert_eq!(push.outage.ask_once_more(push.now, true), None);
}

#[test]
fn probes_become_ever_rarer_and_one_that_is_answered_ends_the_pause() {
    let mut push = Push::new();
    let straggler = push.hand_out();
    push.pause();
    assert_eq!(push.end(straggler, &unusable()), (None, Excuse::Yes));
    for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
        assert_eq!(push.wait(), Duration::from_secs(wait));
        let probe = push.hand_out();
        assert_eq!(push.outage.next_probe(), None, "one probe at a time");
        let change = push.end(probe, &unusable());
        assert!(matches!(
            change,
            (Some(OutageChange::Paused { .. }), Excuse::Yes)
        ));
    }
    push.wait();
    let after = at(0).until(push.now);
    assert_eq!(
        push.send(&Signal::Reached).0,
        Some(OutageChange::Resumed { after })
    );
    assert_eq!(push.outage.give_up_at(), None);
}

#[test]
fn a_probe_that_says_nothing_or_comes_back_is_repeated() {
    let mut push = Push::new();
    push.pause();
    push.wait();
    let probe = push.hand_out();
    push.outage.silent(RequestId(1), push.now);
    assert_eq!(push.outage.next_probe(), None, "the probe is under way");
    push.outage.silent(probe, push.now);
    assert_eq!(push.wait(), Duration::from_secs(2));
}

#[test]
fn only_the_probe_is_a_probe_and_only_the_next_request_follows_it() {
    let mut push = Push::new();
    let straggler = push.hand_out();
    assert!(!push.outage.is_probe(straggler) && !push.outage.wants_probe(at(9999)));
    push.pause();
    assert!(!push.outage.wants_probe(push.now), "not at once");
    push.wait();
    let probe = push.hand_out();
    assert!(push.outage.is_probe(probe) && !push.outage.is_probe(straggler));
    assert!(!push.outage.wants_probe(at(9999)), "it is under way");
    push.end(probe, &Signal::Reached);
    let next = push.hand_out();
    assert!(push.outage.follows_probe(next));
    assert!(!push.outage.follows_probe(probe) && !push.outage.follows_probe(straggler));
    // What the probe itself says counts once.
    push.end(probe, &Signal::Reached);
    assert!(push.outage.follows_probe(next));
    push.end(next, &Signal::Reached);
    let after = push.hand_out();
    assert!(!push.outage.follows_probe(after), "one has passed");
}

#[test]
fn the_platform_may_ask_for_a_longer_pause_within_reason() {
    for (asked, waits) in [(7, 7), (1 << 40, 300), (0, 1)] {
        let mut push = Push::new();
        push.pause();
        push.wait();
        let signal = Signal::Unusable {
            retry_after: Some(Duration::from_secs(asked)),
            reason: "HTTP 503".into(),
            overloaded: true,
            sent: true,
        };
        push.send(&signal);
        assert_eq!(push.wait(), Duration::from_secs(waits));
    }
}

#[test]
fn after_a_probe_that_passed_requests_in_flight_double() {
    let mut push = Push::new();
    let straggler = push.hand_out();
    push.pause();
    push.wait();
    push.send(&Signal::Reached);
    // Requests of before say nothing of now.
    assert_eq!(push.end(straggler, &unusable()), (None, Excuse::Yes));
    for allowed in [1, 2, 4, 8] {
        for _ in 0..allowed {
            assert_eq!(push.outage.allowed().unwrap().1, allowed);
            push.send(&Signal::Reached);
        }
    }
    assert_eq!(push.outage.allowed(), None);
}

#[test]
fn a_request_that_fails_right_after_a_probe_that_passed_is_probed_for_again_at_once() {
    let mut push = Push::new();
    push.pause();
    push.wait();
    push.send(&Signal::Reached);
    let (change, excuse) = push.send(&unusable());
    assert!(matches!(change, Some(OutageChange::Paused { .. })));
    assert_eq!(excuse, Excuse::Yes);
    assert_eq!(push.wait(), Duration::from_secs(1));
    push.send(&Signal::Reached);
    push.send(&Signal::Reached);
    // Once one has passed, it takes a row again.
    assert_eq!(push.send(&unusable()).0, None);
}

#[test]
fn a_refusal_of_everybody_is_believed_after_two_probes() {
    let mut push = Push::new();
    let others: Vec<_> = (0..15).map(|_| push.hand_out()).collect();
    assert!(matches!(
        push.send(&forbidden()).0,
        Some(OutageChange::Paused { .. })
    ));
    for other in others {
        assert_eq!(push.end(other, &forbidden()).0, None);
    }
    assert_eq!(push.wait(), Duration::ZERO);
    assert!(matches!(
        push.send(&forbidden()).0,
        Some(OutageChange::Paused { .. })
    ));
    assert_eq!(push.wait(), Duration::ZERO);
    assert_eq!(
        push.send(&forbidden()).0,
        Some(OutageChange::Refused {
            reason: "HTTP 403".into()
        })
    );
}

#[test]
fn a_refusal_while_others_are_answered_neither_pauses_nor_stops() {
    let mut push = Push::new();
    push.send(&Signal::Reached);
    for _ in 0..100 {
        assert_eq!(push.send(&forbidden()).0, None);
        assert_eq!(push.send(&Signal::Reached).0, None);
    }
    // Requests that were under way together are refused together.
    let together: Vec<_> = (0..16).map(|_| push.hand_out()).collect();
    for request in together {
        assert_eq!(push.end(request, &unauthorized()).0, None);
    }
    let (change, _) = push.send(&unauthorized());
    assert!(matches!(change, Some(OutageChange::Paused { .. })));
}

#[test]
fn a_token_that_is_refused_is_the_sessions_to_give_up_on() {
    let mut push = Push::new();
    push.send(&unauthorized());
    push.send(&unauthorized());
    let mut waits = Vec::new();
    for _ in 0..5 {
        waits.push(push.wait().as_secs());
        assert!(matches!(
            push.send(&unauthorized()).0,
            Some(OutageChange::Paused { .. })
        ));
    }
    assert_eq!(waits, [0, 0, 1, 2, 4]);
    push.wait();
    assert!(matches!(
        push.send(&Signal::Reached).0,
        Some(OutageChange::Resumed { .. })
    ));
}

#[test]
fn giving_up_tells_the_payloads_and_whether_anything_was_sent() {
    let mut outage = OutageTracker::new(Duration::from_secs(1), 4);
    let unreachable = Signal::Unusable {
        retry_after: None,
        reason: "connection refused".into(),
        overloaded: false,
        sent: false,
    };
    outage.apply_signal(RequestId(1), P, &unreachable, at(0));
    assert_eq!(
        outage.account(),
        Some(("connection refused", false, &[P][..]))
    );
    outage.apply_signal(RequestId(2), PayloadId(2), &unusable(), at(0));
    outage.apply_signal(RequestId(3), P, &unusable(), at(0));
    assert_eq!(
        outage.account(),
        Some(("HTTP 502", true, &[P, PayloadId(2)][..]))
    );
    outage.apply_signal(RequestId(4), P, &Signal::Reached, at(0));
    assert_eq!(outage.account(), None);
}

fn any_signal() -> impl Strategy<Value = Signal> {
    prop_oneof![
        3 => Just(Signal::Reached),
        4 => Just(unusable()),
        1 => Just(throttled()),
        1 => Just(forbidden()),
        1 => Just(unauthorized()),
        1 => Just(Signal::Silent),
    ]
}

proptest! {
    /// Requests are handed out as the machine allows, and end in any order with anything: the push never stands still, never has more
    /// under way than is allowed, and an answer always ends a pause.
    #[test]
    fn the_push_never_stands_still(steps in prop::collection::vec((any_signal(), any::<prop::sample::Index>(), any::<bool>()), 1..300)) {
        let mut push = Push::new();
        let mut under_way: Vec<RequestId> = Vec::new();
        let mut refused = false;
        for (signal, which, hands_out) in steps {
            if push.outage.is_paused() {
                if let Some(probe_at) = push.outage.next_probe() {
                    push.now = push.now.max(probe_at);
                    under_way.push(push.hand_out());
                } else {
                    prop_assert!(!under_way.is_empty(), "a probe is under way");
                }
            } else if hands_out || under_way.is_empty() {
                let recent = |after| under_way.iter().filter(|request| **request > after).count();
                let room = push.outage.allowed().is_none_or(|(after, allowed)| recent(after) < allowed);
                prop_assert!(room || !under_way.is_empty());
                if room {
                    under_way.push(push.hand_out());
                }
            }
            if under_way.is_empty() {
                continue;
            }
            let request = under_way.swap_remove(which.index(under_way.len()));
            let was_paused = push.outage.is_paused();
            let (change, excuse) = push.end(request, &signal);
            match signal {
                Signal::Reached => {
                    prop_assert!(!push.outage.is_paused());
                    prop_assert_eq!(matches!(change, Some(OutageChange::Resumed { .. })), was_paused);
                    prop_assert_eq!(push.outage.give_up_at(), None);
                }
                Signal::Unusable { .. } => {
                    prop_assert!(excuse != Excuse::No);
                    prop_assert!(push.outage.give_up_at().is_some());
                }
                _ => prop_assert_eq!(excuse, Excuse::No),
            }
            refused |= matches!(change, Some(OutageChange::Refused { .. }));
            if push.outage.is_paused() && !was_paused {
                let is_news = matches!(change, Some(OutageChange::Paused { .. }));
                prop_assert!(is_news);
            }
            if refused {
                break;
            }
        }
    }
}
