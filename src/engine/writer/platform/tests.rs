//! What a suspect says of the platform: nothing.

use std::sync::Arc;

use super::*;
use crate::{
    model::{Answer, BundleId, Element, Payload, TaskId},
    store::Member,
};

/// A push that sends one request after the other.
struct Push {
    platform: Platform,
    next: i64,
    now: Timestamp,
}

impl Push {
    fn new() -> Self {
        Self {
            platform: Platform::new(Duration::from_mins(30), 16),
            next: 0,
            now: Timestamp(0),
        }
    }

    /// Hands out a request of two devices, or of one when it is a probe; a second passes.
    fn hand_out(&mut self, suspect: bool) -> Claim {
        self.next += 1;
        self.now = self.now.after(Duration::from_secs(1));
        let request = RequestId(self.next);
        let is_probe = self.platform.handed_out(request);
        let devices = if is_probe { 1 } else { 2 };
        Claim {
            request,
            payload_id: PayloadId(1),
            payload: Arc::new(Payload::plain("PK", "[]")),
            bundle: suspect.then_some(BundleId(1)),
            bundle_status: BundleStatus {
                suspect,
                ..BundleStatus::default()
            },
            members: (0..devices)
                .map(|i| Member::never_sent(TaskId(i), format!("DK{i}").into()))
                .collect(),
        }
    }

    /// What changes by the end of a request.
    fn end(&mut self, claim: &Claim, result: &SendResult) -> Option<OutageChange> {
        let judged = self.platform.judge(claim, result);
        assert!(!matches!(judged.signal, Signal::Stop { .. }));
        let heard = self.platform.apply_signal(claim, &judged.signal, self.now);
        heard.change
    }

    /// Sends a request, which ends at once.
    fn send(&mut self, suspect: bool, result: &SendResult) -> Option<OutageChange> {
        let claim = self.hand_out(suspect);
        self.end(&claim, result)
    }

    /// When the next probe is sent, and when to give up.
    fn times(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        (
            self.platform.outage.next_probe(),
            self.platform.give_up_at(),
        )
    }

    fn pause(&mut self) {
        for _ in 0..5 {
            self.send(false, &status(502));
        }
        assert!(self.platform.is_paused());
    }
}

fn status(http_status: u16) -> SendResult {
    SendResult::Answered(Answer {
        http_status,
        ..Answer::default()
    })
}

fn accepted() -> SendResult {
    let element = Element {
        code: Some(200),
        ..Element::default()
    };
    SendResult::Answered(Answer {
        http_status: 200,
        readable: true,
        code: Some(200),
        elements: vec![Some(element.clone()), Some(element)],
        ..Answer::default()
    })
}

/// All that can be an outage or stop a push.
fn refusals() -> Vec<SendResult> {
    let lost = SendResult::Lost {
        http_status: None,
        error: "connection reset".into(),
    };
    let answered = [401, 403, 429, 502, 503].map(status);
    answered.into_iter().chain([lost]).collect()
}

#[test]
fn suspects_open_neither_an_outage_nor_a_stop() {
    for refusal in refusals() {
        let mut push = Push::new();
        for _ in 0..20 {
            assert_eq!(push.send(true, &refusal), None, "{refusal:?}");
        }
        assert_eq!(push.times(), (None, None), "{refusal:?}");
        assert!(!push.platform.is_paused(), "{refusal:?}");
        // Others that meet the same do.
        let mut push = Push::new();
        let pauses = (0..20).any(|_| push.send(false, &refusal).is_some());
        assert!(pauses && push.platform.is_paused(), "{refusal:?}");
    }
}

#[test]
fn suspects_do_not_prolong_an_outage() {
    for refusal in refusals() {
        let mut push = Push::new();
        let late: Vec<Claim> = (0..20).map(|_| push.hand_out(true)).collect();
        push.pause();
        let before = push.times();
        assert!(before.0.is_some() && before.1.is_some());
        // They were under way when the pause began.
        for claim in &late[..10] {
            assert_eq!(push.end(claim, &refusal), None, "{refusal:?}");
        }
        assert_eq!(push.times(), before, "{refusal:?}");
        let change = push.send(false, &accepted());
        assert!(
            matches!(change, Some(OutageChange::Resumed { .. })),
            "{change:?}"
        );
        for claim in &late[10..] {
            assert_eq!(push.end(claim, &refusal), None, "{refusal:?}");
        }
        // The next request after a probe that passed is believed, but not when it is a suspect.
        assert_eq!(push.send(true, &refusal), None, "{refusal:?}");
        assert_eq!(push.times(), (None, None), "{refusal:?}");
        let change = push.send(false, &status(502));
        assert!(
            matches!(change, Some(OutageChange::Paused { .. })),
            "{change:?}"
        );
    }
}

#[test]
fn a_suspect_that_is_the_probe_ends_a_pause_by_any_answer_and_stops_no_push() {
    for refusal in refusals() {
        let mut push = Push::new();
        push.pause();
        let (_, give_up_at) = push.times();
        let change = push.send(true, &refusal);
        if matches!(refusal, SendResult::Answered(_)) {
            assert!(
                matches!(change, Some(OutageChange::Resumed { .. })),
                "{refusal:?}: {change:?}"
            );
            assert_eq!(push.times(), (None, None), "{refusal:?}");
        } else {
            // Nobody has answered: another probe has to.
            assert_eq!(change, None);
            let (next_probe, still) = push.times();
            assert!(next_probe.is_some());
            assert_eq!(still, give_up_at, "no more patience than before");
        }
    }
}
