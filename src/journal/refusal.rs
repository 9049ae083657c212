//! When to stop sending a payload or product because the platform refuses it as such.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::request::{Claim, Finding, Refused};
use crate::{
    model::{Payload, PayloadId, RequestId},
    store::{RefusalKey, RefusalRow},
};

/// A refusal that ends a payload or product needs this many devices …
const DEVICES: i64 = 20;
/// … in this many requests, and none accepted.
const REQUESTS: i64 = 2;

/// Payloads and products that are not sent any more.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    payloads: HashMap<PayloadId, RefusalReason>,
    products: HashMap<Box<str>, RefusalReason>,
}

/// Why a payload or product is not sent any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RefusalReason {
    pub(super) code: i64,
    pub(super) request: RequestId,
}

impl Refusals {
    /// Those that have ended before.
    pub(super) fn new(ended: Vec<RefusalRow>) -> Self {
        let mut refusals = Self::default();
        for refusal in ended {
            refusals.end(&refusal);
        }
        refusals
    }

    /// Why this payload is not sent any more, if so.
    pub(super) fn of(&self, payload: PayloadId, product_key: &str) -> Option<RefusalReason> {
        self.payloads
            .get(&payload)
            .or_else(|| self.products.get(product_key))
            .copied()
    }

    /// A payload or product is not sent any more.
    pub(super) fn end(&mut self, refusal: &RefusalRow) {
        let reason = RefusalReason {
            code: refusal.code,
            request: refusal.request,
        };
        match refusal.key.payload {
            Some(payload) => self.payloads.insert(payload, reason),
            None => self
                .products
                .insert(refusal.key.product_key.clone(), reason),
        };
    }
}

/// A request that was refused because of its payload or product.
#[derive(Debug)]
pub(super) struct Refusing {
    key: RefusalKey,
    payload: Arc<Payload>,
    code: i64,
    request: RequestId,
    /// How many requests and devices it adds to those that were refused.
    requests: i64,
    devices: i64,
}

impl Refusing {
    /// A request that was refused as a whole; `refused_halves` is how many bundles of its request were, when it is one of them.
    ///
    /// Only refusals of different devices count: the first refused half of a request says no more than the request did, since its
    /// culprit may stand there, while the other half's devices may be innocent.
    pub(super) fn new(claim: &Claim, refused: Refused, code: i64, refused_halves: usize) -> Self {
        let (requests, devices) = match claim.bundle {
            None => (1, claim.members.len() as i64),
            Some(_) => (i64::from(refused_halves > 1), 0),
        };
        Self {
            key: RefusalKey {
                payload: match refused {
                    Refused::Payload => Some(claim.payload_id),
                    Refused::Product => None,
                },
                product_key: claim.payload.product_key.as_ref().into(),
            },
            payload: Arc::clone(&claim.payload),
            code,
            request: claim.request,
            requests,
            devices,
        }
    }

    /// What is refused.
    pub(super) fn key(&self) -> &RefusalKey {
        &self.key
    }

    /// What is found when this ends its payload or product.
    fn finding(&self) -> Finding {
        let product_key = &self.key.product_key;
        let what = match self.key.payload {
            Some(_) => {
                let data = self.payload.shortened_data();
                format!("a payload of product {product_key} ({data})")
            }
            None => format!("product {product_key}"),
        };
        Finding::Ended {
            code: self.code,
            what,
        }
    }
}

/// The refusals of some payloads and products, as they were before.
#[derive(Debug)]
pub(super) struct KnownRefusals(HashMap<RefusalKey, RefusalRow>);

/// What follows from more refusals.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RefusalChanges {
    pub(super) changed: Vec<RefusalRow>,
    /// What has ended.
    pub(super) findings: Vec<Finding>,
}

impl KnownRefusals {
    pub(super) fn new(rows: Vec<RefusalRow>) -> Self {
        Self(
            rows.into_iter()
                .map(|refusal| (refusal.key.clone(), refusal))
                .collect(),
        )
    }

    /// Which of them end with these, unless they have ever been accepted.
    pub(super) fn ends_unless_accepted(&self, more: &[Refusing]) -> HashSet<RefusalKey> {
        let judged = self.judge(more, &HashSet::new());
        let ended = judged.changed.into_iter().filter(|refusal| refusal.ended);
        ended.map(|refusal| refusal.key).collect()
    }

    /// Counts these, and ends what is refused beyond doubt; nothing that is among the `accepted`.
    pub(super) fn judge(
        &self,
        more: &[Refusing],
        accepted: &HashSet<RefusalKey>,
    ) -> RefusalChanges {
        let mut now: HashMap<&RefusalKey, RefusalRow> = HashMap::new();
        let mut judged = RefusalChanges::default();
        for one in more {
            let refusal = now.entry(&one.key).or_insert_with(|| {
                self.0.get(&one.key).cloned().unwrap_or_else(|| RefusalRow {
                    key: one.key.clone(),
                    code: one.code,
                    request: one.request,
                    requests: 0,
                    devices: 0,
                    ended: false,
                })
            });
            if refusal.ended {
                // This request was under way.
                continue;
            }
            refusal.code = one.code;
            refusal.request = one.request;
            refusal.requests += one.requests;
            refusal.devices += one.devices;
            refusal.ended = refusal.requests >= REQUESTS
                && refusal.devices >= DEVICES
                && !accepted.contains(&one.key);
            if refusal.ended {
                judged.findings.push(one.finding());
            }
        }
        let changed = now
            .into_values()
            .filter(|refusal| self.0.get(&refusal.key) != Some(refusal));
        judged.changed = changed.collect();
        // In the same order each time.
        judged.changed.sort_unstable_by(|one, other| {
            (&one.key.product_key, one.key.payload)
                .cmp(&(&other.key.product_key, other.key.payload))
        });
        judged
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{BundleId, BundleStatus, TaskId};
    use crate::store::Member;

    fn claim(request: i64, devices: usize, bundle: bool) -> Claim {
        Claim {
            request: RequestId(request),
            payload_id: PayloadId(7),
            payload: Arc::new(Payload::plain("PK", "[1]")),
            bundle: bundle.then_some(BundleId(1)),
            bundle_status: BundleStatus::default(),
            members: (0..devices)
                .map(|n| Member::never_sent(TaskId(n as i64), format!("DK{n}").into()))
                .collect(),
        }
    }

    fn refusing(request: i64, devices: usize) -> Refusing {
        Refusing::new(&claim(request, devices, false), Refused::Payload, 70091, 0)
    }

    fn ended(judged: &RefusalChanges) -> bool {
        judged.changed.iter().any(|refusal| refusal.ended)
    }

    #[test]
    fn a_payload_ends_when_enough_devices_in_enough_requests_were_refused_and_none_accepted() {
        let known = KnownRefusals::new(vec![]);
        let key = refusing(1, 1).key().clone();
        for (sizes, ends) in [
            (vec![20], false),
            (vec![10, 10], true),
            (vec![10, 9], false),
            (vec![1; 20], true),
            (vec![1; 19], false),
        ] {
            let more: Vec<Refusing> = sizes
                .iter()
                .zip(1..)
                .map(|(n, id)| refusing(id, *n))
                .collect();
            let judged = known.judge(&more, &HashSet::new());
            assert_eq!(ended(&judged), ends, "{sizes:?}");
            assert_eq!(judged.findings.len(), usize::from(ends));
            assert_eq!(known.ends_unless_accepted(&more).contains(&key), ends);
            let spared = known.judge(&more, &HashSet::from([key.clone()]));
            assert!(!ended(&spared) && spared.findings.is_empty());
        }
    }

    #[test]
    fn the_first_refused_half_says_no_more_than_its_request() {
        let of_half = |refused_halves| {
            let refusing =
                Refusing::new(&claim(2, 10, true), Refused::Payload, 70091, refused_halves);
            (refusing.requests, refusing.devices)
        };
        assert_eq!(of_half(1), (0, 0));
        assert_eq!(of_half(2), (1, 0));
        let whole = refusing(1, 20);
        assert_eq!((whole.requests, whole.devices), (1, 20));
    }

    #[test]
    fn what_has_ended_stays_as_it_ended_and_says_why() {
        let known = KnownRefusals::new(vec![]);
        let more = [refusing(1, 10), refusing(2, 10), refusing(3, 10)];
        let judged = known.judge(&more, &HashSet::new());
        assert_eq!(judged.changed.len(), 1);
        let row = judged.changed[0].clone();
        assert_eq!(
            (row.request, row.requests, row.devices),
            (RequestId(2), 2, 20)
        );
        let refusals = Refusals::new(vec![row.clone()]);
        let reason = RefusalReason {
            code: 70091,
            request: RequestId(2),
        };
        assert_eq!(refusals.of(PayloadId(7), "PK"), Some(reason));
        assert_eq!(refusals.of(PayloadId(8), "PK"), None);
        let later = KnownRefusals::new(vec![row]).judge(&[refusing(4, 10)], &HashSet::new());
        assert_eq!(later, RefusalChanges::default());
    }

    #[test]
    fn a_refused_product_ends_every_payload_of_it() {
        let product = |id| Refusing::new(&claim(id, 10, false), Refused::Product, 80005, 0);
        let judged = KnownRefusals::new(vec![]).judge(&[product(1), product(2)], &HashSet::new());
        let refusals = Refusals::new(judged.changed);
        assert!(refusals.of(PayloadId(99), "PK").is_some());
        assert_eq!(refusals.of(PayloadId(99), "OTHER"), None);
        let what = "product PK".to_owned();
        assert_eq!(judged.findings, [Finding::Ended { code: 80005, what }]);
    }

    proptest! {
        /// However the refusals are shared out over exchanges, the same is counted and ends.
        #[test]
        fn it_makes_no_difference_what_comes_together(sizes in prop::collection::vec(1_usize..8, 1..12), cut in 0_usize..12) {
            let more: Vec<Refusing> = sizes.iter().zip(1..).map(|(n, id)| refusing(id, *n)).collect();
            let at_once = KnownRefusals::new(vec![]).judge(&more, &HashSet::new());
            let (first, second) = more.split_at(cut.min(more.len()));
            let before = KnownRefusals::new(vec![]).judge(first, &HashSet::new());
            let after = KnownRefusals::new(before.changed.clone()).judge(second, &HashSet::new());
            let last = after.changed.last().or(before.changed.last());
            prop_assert_eq!(at_once.changed.last(), last);
            prop_assert_eq!(at_once.findings.len(), before.findings.len() + after.findings.len());
        }
    }
}
