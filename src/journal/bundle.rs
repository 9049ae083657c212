//! Bundles: tasks of a refused request, or of a half of one. They are sent together and never merged with others.

use std::collections::HashMap;

use super::request::{Claim, Next, Settlement};
use crate::{
    model::{BundleId, BundleStatus, Class},
    store::{Bundle, Changes, NewBundle},
};

/// What a push knows of its bundles.
#[derive(Debug)]
pub(super) struct Bundles {
    next: BundleId,
    /// How the requests stand that were refused and are kept together.
    bundle_statuses: HashMap<BundleId, BundleStatus>,
}

impl Bundles {
    pub(super) fn new(
        next: BundleId,
        bundle_statuses: impl IntoIterator<Item = (BundleId, BundleStatus)>,
    ) -> Self {
        Self {
            next,
            bundle_statuses: bundle_statuses.into_iter().collect(),
        }
    }

    /// How a request that is kept together stands.
    pub(super) fn bundle_status(&self, bundle: Option<BundleId>) -> BundleStatus {
        bundle
            .and_then(|bundle| self.bundle_statuses.get(&bundle))
            .copied()
            .unwrap_or_default()
    }

    /// Whether any of them is a suspect.
    pub(super) fn has_suspects(&self) -> bool {
        self.bundle_statuses
            .values()
            .any(|bundle_status| bundle_status.suspect)
    }

    /// Makes the bundles of a request that is split.
    pub(super) fn split(
        &mut self,
        changes: &mut Changes,
        claim: &Claim,
        tasks: &[Settlement],
        together: Option<BundleStatus>,
    ) -> [Option<BundleId>; 2] {
        let suspect = together.unwrap_or(claim.bundle_status).suspect;
        let of_size = !suspect
            && tasks
                .iter()
                .all(|task| task.outcome.class == Class::Rejected);
        [false, true].map(|second_half| {
            let devices = tasks
                .iter()
                .filter(|task| task.next == Next::Split { second_half })
                .count();
            (devices > 0).then(|| {
                let bundle_status = BundleStatus {
                    suspect,
                    ..BundleStatus::default()
                };
                let bundle = self.make(changes, claim, devices, bundle_status, of_size);
                if suspect {
                    self.bundle_statuses.insert(bundle, bundle_status);
                }
                bundle
            })
        })
    }

    /// Keeps the tasks of a refused request together, and remembers how it stands.
    pub(super) fn keep_together(
        &mut self,
        changes: &mut Changes,
        claim: &mut Claim,
        tasks: &[Settlement],
        bundle_status: BundleStatus,
    ) {
        let stays = |task: &Settlement| {
            matches!(
                task.next,
                Next::Again {
                    keep_bundle: true,
                    ..
                }
            )
        };
        if !tasks.iter().any(stays) {
            return;
        }
        let known = |bundle_status: BundleStatus| (bundle_status.refusals, bundle_status.suspect);
        let bundle = match claim.bundle {
            Some(bundle) => {
                if known(claim.bundle_status) != known(bundle_status) {
                    changes.bundle_statuses.push((bundle, bundle_status));
                }
                bundle
            }
            None => self.make(changes, claim, claim.members.len(), bundle_status, false),
        };
        claim.bundle = Some(bundle);
        self.bundle_statuses.insert(bundle, bundle_status);
    }

    fn make(
        &mut self,
        changes: &mut Changes,
        claim: &Claim,
        devices: usize,
        bundle_status: BundleStatus,
        of_size: bool,
    ) -> BundleId {
        let bundle = self.next;
        self.next = BundleId(bundle.0 + 1);
        changes.bundles.push(NewBundle {
            bundle,
            parent: claim.request,
            devices,
            bundle_status,
            of_size,
        });
        bundle
    }
}

/// Bundles that are answered, each with the other one of its request.
#[derive(Debug, Default)]
pub(super) struct Halves(Vec<Bundle>);

impl Halves {
    pub(super) fn new(bundles: Vec<Bundle>) -> Self {
        Self(bundles)
    }

    /// Notes whether a request of so many devices of a bundle was answered device by device, or refused as a whole; a part of one that
    /// passes says nothing of the whole. Gives the size of the request that it came from, and of its larger half, when both halves have
    /// now passed.
    pub(super) fn answered(
        &mut self,
        changes: &mut Changes,
        bundle: BundleId,
        devices: u32,
        passed: bool,
    ) -> Option<(u32, u32)> {
        if let Some(own) = self.0.iter_mut().find(|half| half.id == bundle)
            && own.passed.is_none()
            && (!passed || own.devices == devices)
        {
            own.passed = Some(passed);
            changes.answered_bundles.push((bundle, passed));
        }
        if !passed {
            return None;
        }
        let both_passed = self
            .beside(bundle)
            .all(|half| half.passed == Some(true) && half.of_size);
        if !both_passed || self.beside(bundle).count() < 2 {
            return None;
        }
        let whole = self.beside(bundle).map(|half| half.parent_devices).max()?;
        Some((whole, self.beside(bundle).map(|half| half.devices).max()?))
    }

    /// How many halves of the bundle's request were refused as a whole.
    pub(super) fn refused(&self, bundle: BundleId) -> usize {
        self.beside(bundle)
            .filter(|half| half.passed == Some(false))
            .count()
    }

    /// The bundle and those of the same request.
    fn beside(&self, bundle: BundleId) -> impl Iterator<Item = &Bundle> {
        let parent = self
            .0
            .iter()
            .find(|half| half.id == bundle)
            .map(|half| half.parent);
        self.0
            .iter()
            .filter(move |half| Some(half.parent) == parent)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        model::{History, Outcome, Payload, PayloadId, RequestId, TaskId, TaskState},
        store::Member,
    };

    const SUSPECT: BundleStatus = BundleStatus {
        refusals: 3,
        suspect: true,
        open: None,
        after_probe: 0,
    };

    fn claim(bundle: Option<BundleId>, bundle_status: BundleStatus) -> Claim {
        Claim {
            request: RequestId(7),
            payload_id: PayloadId(1),
            payload: Arc::new(Payload::plain("PK", "[1]")),
            bundle,
            bundle_status,
            members: (1..=3)
                .map(|task| Member::never_sent(TaskId(task), format!("DK{task}").into()))
                .collect(),
        }
    }

    fn settled(class: Class, next: Next) -> Settlement {
        Settlement {
            outcome: Outcome {
                class,
                code: None,
                message: None,
                ticket: None,
            },
            history: History::default(),
            next,
            next_task_at: None,
        }
    }

    fn split(second_half: bool) -> Next {
        Next::Split { second_half }
    }

    const STAYS: Next = Next::Again {
        due_at: crate::model::Timestamp(5),
        keep_bundle: true,
    };

    #[test]
    fn a_request_is_split_for_its_size_only_when_all_of_it_was_rejected() {
        let rejected = |half| settled(Class::Rejected, split(half));
        let transient = |half| settled(Class::Transient, split(half));
        for (tasks, together, of_size) in [
            (vec![rejected(false), rejected(true)], None, true),
            (vec![rejected(false), transient(true)], None, false),
            (vec![transient(false), transient(true)], None, false),
            (vec![rejected(false), rejected(true)], Some(SUSPECT), false),
        ] {
            let mut bundles = Bundles::new(BundleId(4), []);
            let mut changes = Changes::default();
            let claim = claim(None, BundleStatus::default());
            let made = bundles.split(&mut changes, &claim, &tasks, together);
            assert_eq!(made, [Some(BundleId(4)), Some(BundleId(5))]);
            let suspect = together.is_some();
            for bundle in &changes.bundles {
                assert_eq!((bundle.of_size, bundle.devices), (of_size, 1));
                // Each half has its own refusals to count.
                let expected = BundleStatus {
                    suspect,
                    ..BundleStatus::default()
                };
                assert_eq!(bundle.bundle_status, expected);
                assert_eq!(bundles.bundle_status(Some(bundle.bundle)), expected);
            }
            assert_eq!(bundles.has_suspects(), suspect);
        }
    }

    #[test]
    fn a_half_without_devices_is_no_bundle() {
        let mut bundles = Bundles::new(BundleId(4), []);
        let mut changes = Changes::default();
        let tasks = [
            settled(Class::Rejected, split(true)),
            settled(Class::Accepted, Next::End(TaskState::Accepted)),
        ];
        let claim = claim(None, BundleStatus::default());
        let made = bundles.split(&mut changes, &claim, &tasks, None);
        assert_eq!(made, [None, Some(BundleId(4))]);
        assert_eq!(changes.bundles.len(), 1);
    }

    #[test]
    fn a_suspect_that_is_split_again_leaves_suspects() {
        let mut bundles = Bundles::new(BundleId(4), [(BundleId(3), SUSPECT)]);
        assert!(bundles.has_suspects());
        let mut changes = Changes::default();
        let tasks = [
            settled(Class::Outage, split(false)),
            settled(Class::Outage, split(true)),
        ];
        bundles.split(
            &mut changes,
            &claim(Some(BundleId(3)), SUSPECT),
            &tasks,
            None,
        );
        assert!(
            changes
                .bundles
                .iter()
                .all(|bundle| bundle.bundle_status.suspect && !bundle.of_size)
        );
    }

    #[test]
    fn how_a_kept_request_stands_is_written_when_it_has_changed() {
        let once = BundleStatus {
            refusals: 1,
            ..BundleStatus::default()
        };
        let tasks = [settled(Class::Outage, STAYS)];
        let mut bundles = Bundles::new(BundleId(4), []);
        let mut changes = Changes::default();
        let mut new = claim(None, BundleStatus::default());
        bundles.keep_together(&mut changes, &mut new, &tasks, once);
        assert_eq!(new.bundle, Some(BundleId(4)));
        assert_eq!(
            (changes.bundles.len(), changes.bundle_statuses.len()),
            (1, 0)
        );

        // What only this process needs is not written.
        let open = BundleStatus {
            open: Some(RequestId(9)),
            ..once
        };
        let mut again = claim(Some(BundleId(4)), once);
        bundles.keep_together(&mut changes, &mut again, &tasks, open);
        assert!(changes.bundle_statuses.is_empty());
        assert_eq!(bundles.bundle_status(again.bundle), open);
        bundles.keep_together(&mut changes, &mut again, &tasks, SUSPECT);
        assert_eq!(changes.bundle_statuses, [(BundleId(4), SUSPECT)]);

        // Nothing of it is sent again together.
        let mut ended = claim(None, BundleStatus::default());
        let tasks = [settled(Class::Outage, Next::End(TaskState::Failed))];
        bundles.keep_together(&mut changes, &mut ended, &tasks, once);
        assert_eq!((ended.bundle, changes.bundles.len()), (None, 1));
    }

    fn half(bundle: i64, devices: u32, of_size: bool) -> Bundle {
        Bundle {
            id: BundleId(bundle),
            parent: RequestId(bundle / 10),
            parent_devices: 9,
            devices,
            passed: None,
            of_size,
        }
    }

    #[test]
    fn both_halves_prove_a_size_and_one_does_not() {
        // Of other requests, between the two.
        let rows = [(10, 5), (20, 2), (30, 3), (31, 2), (11, 4)];
        let rows = rows.map(|(bundle, devices)| half(bundle, devices, true));
        let mut halves = Halves::new(rows.into());
        let mut changes = Changes::default();
        let mut answered = |bundle, devices, passed| {
            halves.answered(&mut changes, BundleId(bundle), devices, passed)
        };
        assert_eq!(answered(10, 5, true), None);
        assert_eq!(answered(20, 2, true), None, "it stands alone");
        assert_eq!(answered(30, 3, true), None);
        assert_eq!(answered(31, 2, true), Some((9, 3)));
        assert_eq!(answered(11, 4, true), Some((9, 5)));
        let expected = [10, 20, 30, 31, 11].map(|bundle| (BundleId(bundle), true));
        assert_eq!(changes.answered_bundles, expected);
    }

    /// Every pair of answers, for a whole bundle or a part of it, about the size or not.
    #[test]
    fn only_whole_halves_that_pass_prove_anything() {
        for first in [true, false] {
            for second in [true, false] {
                for whole in [true, false] {
                    for of_size in [true, false] {
                        let rows = vec![half(10, 5, true), half(11, 4, of_size)];
                        let mut halves = Halves::new(rows);
                        let mut changes = Changes::default();
                        let devices = if whole { 5 } else { 3 };
                        halves.answered(&mut changes, BundleId(10), devices, first);
                        let found = halves.answered(&mut changes, BundleId(11), 4, second);
                        let proves = first && second && whole && of_size;
                        let case = (first, second, whole, of_size);
                        assert_eq!(found, proves.then_some((9, 5)), "{case:?}");
                        let refused = usize::from(!first) + usize::from(!second);
                        assert_eq!(halves.refused(BundleId(10)), refused, "{case:?}");
                        assert_eq!(halves.refused(BundleId(11)), refused, "{case:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_first_answer_of_a_bundle_stays() {
        let mut halves = Halves::new(vec![half(10, 5, true), half(11, 4, true)]);
        let mut changes = Changes::default();
        halves.answered(&mut changes, BundleId(10), 5, false);
        halves.answered(&mut changes, BundleId(10), 5, true);
        assert_eq!(changes.answered_bundles, [(BundleId(10), false)]);
        assert_eq!(halves.answered(&mut changes, BundleId(11), 4, true), None);
    }
}
