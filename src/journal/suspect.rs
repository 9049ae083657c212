//! Suspects: requests that are refused again and again while others are answered. Something is wrong with one of their devices, or
//! something in front of the platform refuses it. Nothing is wrong with the platform.

use std::collections::VecDeque;

use crate::{
    model::{BundleStatus, Class, RequestId},
    policy::{Basis, Judgement},
};

/// How often a request must have been refused, each time while one that was sent later was answered.
pub(crate) const ENOUGH: u32 = 3;
/// The same for a refusal that may also be a limit that all share.
const ENOUGH_OF_SHARED: u32 = 5;
/// Then fewer than one in so many of the others must have been refused.
const FEW: usize = 50;
/// So many of the others are looked at, the latest.
const OTHERS: usize = 200;

/// What a refusal of a request as a whole may be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// This request, or the platform as a whole.
    Own,
    /// The same, or a token that has expired, which is refused in all requests that were made with it.
    Token,
    /// The same, or a limit that all requests share.
    Shared,
}

/// The refusal that a request has met as a whole, if any. What was never sent has met none.
pub(crate) fn refusal(judgement: &Judgement, was_sent: bool) -> Option<Refusal> {
    let one = judgement.devices.first()?;
    let whole = judgement
        .devices
        .iter()
        .all(|device| device.basis == Basis::Request);
    if !whole || !was_sent {
        return None;
    }
    match (one.outcome.class, one.outcome.code) {
        (Class::Outage, Some(429 | 503)) | (Class::Frequency | Class::Quota, _) => {
            Some(Refusal::Shared)
        }
        (Class::Auth, _) => Some(Refusal::Token),
        (Class::Outage | Class::Refused | Class::InDoubt | Class::Transient, _) => {
            Some(Refusal::Own)
        }
        (
            Class::Accepted
            | Class::Offline
            | Class::Rejected
            | Class::Blocked
            | Class::Invalid
            | Class::Unchanged,
            _,
        ) => None,
    }
}

/// What requests came to of late, as far as it tells one from the others.
#[derive(Debug)]
pub(crate) struct Others {
    /// The latest request that was answered.
    answered: RequestId,
    /// Whether requests were refused at their first send, the latest at the back.
    firsts: VecDeque<bool>,
    refused: usize,
}

impl Default for Others {
    fn default() -> Self {
        Self {
            answered: RequestId(0),
            firsts: VecDeque::new(),
            refused: 0,
        }
    }
}

impl Others {
    pub(crate) fn answered(&mut self, request: RequestId) {
        self.answered = self.answered.max(request);
    }

    /// A request that is not kept together has ended.
    pub(crate) fn first_ended(&mut self, refused: bool) {
        self.firsts.push_back(refused);
        self.refused += usize::from(refused);
        if self.firsts.len() > OTHERS
            && let Some(oldest) = self.firsts.pop_front()
        {
            self.refused -= usize::from(oldest);
        }
    }

    /// How a request stands after this refusal; `after_probe` when a probe has passed and this was the next request.
    pub(crate) fn refused(
        &self,
        before: BundleStatus,
        request: RequestId,
        refusal: Refusal,
        after_probe: bool,
    ) -> BundleStatus {
        let mut bundle_status = before;
        bundle_status.after_probe += u32::from(after_probe);
        if bundle_status
            .open
            .take()
            .is_some_and(|open| self.answered > open)
        {
            bundle_status.refusals += 1;
        }
        if self.answered > request {
            bundle_status.refusals += 1;
        } else {
            bundle_status.open = Some(request);
        }
        let (enough, of_few) = match refusal {
            Refusal::Own => (ENOUGH, false),
            Refusal::Token => (ENOUGH, true),
            Refusal::Shared => (ENOUGH_OF_SHARED, true),
        };
        // When only the refused are left, nobody but a probe can be answered.
        let probed = bundle_status.after_probe >= enough;
        let is_enough = bundle_status.refusals >= enough && (!of_few || self.few_were_refused());
        bundle_status.suspect |= probed || is_enough;
        bundle_status
    }

    /// Whether hardly any of the others were refused of late.
    fn few_were_refused(&self) -> bool {
        // One of those that were refused is the request itself.
        let others = self.refused.saturating_sub(1);
        others * FEW < self.firsts.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        model::{Answer, SendResult, Unsent},
        policy::judge,
    };

    /// A request that is refused again and again, and others that are sent in between and answered or not; gives after how many refusals
    /// it is a suspect.
    fn refusals_until_suspect(
        refusal: Refusal,
        others: &[(bool, bool)],
        mut rest: Others,
    ) -> Option<usize> {
        let mut bundle_status = BundleStatus::default();
        let mut next = 0;
        for (n, (sent_later, answered)) in others.iter().enumerate() {
            let mut request = || {
                next += 1;
                RequestId(next)
            };
            let (own, other) = if *sent_later {
                let own = request();
                (own, request())
            } else {
                let other = request();
                (request(), other)
            };
            if *answered {
                rest.answered(other);
            }
            bundle_status = rest.refused(bundle_status, own, refusal, false);
            if bundle_status.suspect {
                return Some(n + 1);
            }
        }
        None
    }

    #[test]
    fn three_refusals_while_later_requests_are_answered_make_a_suspect() {
        let until = |others: &[_]| refusals_until_suspect(Refusal::Own, others, Others::default());
        assert_eq!(until(&[(true, true); 9]), Some(3));
        // What was sent before tells nothing, until the next refusal shows that it was sent after the one before.
        assert_eq!(until(&[(false, true); 9]), Some(4));
        assert_eq!(until(&[(true, false); 9]), None);
    }

    #[test]
    fn a_refusal_that_may_be_a_shared_limit_takes_five_and_few_others_refused() {
        let with = |refused, answered| {
            let mut others = Others::default();
            for _ in 0..refused {
                others.first_ended(true);
            }
            for _ in 0..answered {
                others.first_ended(false);
            }
            refusals_until_suspect(Refusal::Shared, &[(true, true); 9], others)
        };
        assert_eq!(with(1, 50), Some(5));
        assert_eq!(with(2, 49), Some(5), "another one");
        assert_eq!(with(2, 48), None, "two per cent");
        assert_eq!(with(20, 180), None);
        // Four others of two hundred are two per cent, and of two hundred and one the first is not looked at.
        assert_eq!(with(5, 195), None);
        assert_eq!(with(5, 196), Some(5));
        // The latest count.
        assert_eq!(with(20, 200), Some(5));
        assert_eq!(with(0, 0), None, "nobody else");
    }

    #[test]
    fn a_token_that_is_refused_in_many_requests_makes_no_suspect() {
        let with = |refused| {
            let mut others = Others::default();
            for n in 0..100 {
                others.first_ended(n < refused);
            }
            refusals_until_suspect(Refusal::Token, &[(true, true); 9], others)
        };
        assert_eq!(with(2), Some(3));
        assert_eq!(with(3), None);
    }

    #[test]
    fn when_only_the_refused_are_left_the_probes_that_pass_tell() {
        for (refusal, enough) in [(Refusal::Own, 3), (Refusal::Token, 3), (Refusal::Shared, 5)] {
            let others = Others::default();
            let mut bundle_status = BundleStatus::default();
            for n in 1..=enough {
                assert!(!bundle_status.suspect, "{refusal:?}");
                bundle_status = others.refused(bundle_status, RequestId(n), refusal, true);
            }
            assert!(bundle_status.suspect, "{refusal:?}");
        }
    }

    #[test]
    fn what_is_a_refusal_of_the_whole_request() {
        let of = |status, code: Option<i64>| {
            let answer = Answer {
                http_status: status,
                readable: code.is_some(),
                code,
                ..Answer::default()
            };
            refusal(&judge(&SendResult::Answered(answer), 2), true)
        };
        for (status, code) in [
            (200, Some(70000)),
            (403, None),
            (302, None),
            (502, None),
            (200, None),
            (200, Some(50000)),
        ] {
            assert_eq!(of(status, code), Some(Refusal::Own), "{status} {code:?}");
        }
        for (status, code) in [(401, None), (200, Some(91001))] {
            assert_eq!(of(status, code), Some(Refusal::Token), "{status} {code:?}");
        }
        for (status, code) in [
            (429, None),
            (503, None),
            (200, Some(429)),
            (200, Some(61006)),
            (200, Some(61007)),
        ] {
            assert_eq!(of(status, code), Some(Refusal::Shared), "{status} {code:?}");
        }
        for (status, code) in [(200, Some(50005)), (200, Some(61002)), (400, None)] {
            assert_eq!(of(status, code), None, "{status} {code:?}");
        }
        let unsent = SendResult::Unsent(Unsent::Credentials { error: "no".into() });
        assert_eq!(refusal(&judge(&unsent, 2), false), None);
    }

    proptest! {
        /// Whatever happens, a request becomes a suspect only after as many answers to requests sent later, and stays one.
        #[test]
        fn nobody_is_a_suspect_without_others_that_were_answered(events in prop::collection::vec((0..3_u8, any::<bool>()), 0..60)) {
            let mut others = Others::default();
            let mut bundle_status = BundleStatus::default();
            let mut evidence = 0;
            let (mut next, mut last_own) = (0, None);
            for (event, shared) in events {
                next += 1;
                match event {
                    0 => {
                        others.answered(RequestId(next));
                        others.first_ended(false);
                        evidence += u32::from(last_own.take().is_some());
                    }
                    1 => others.first_ended(true),
                    _ => {
                        let was = bundle_status.suspect;
                        let refusal = if shared { Refusal::Shared } else { Refusal::Own };
                        bundle_status = others.refused(bundle_status, RequestId(next), refusal, false);
                        last_own = Some(next);
                        prop_assert!(bundle_status.suspect || !was);
                    }
                }
                prop_assert!(bundle_status.refusals <= evidence);
                prop_assert!(!bundle_status.suspect || evidence >= ENOUGH);
            }
        }
    }
}
