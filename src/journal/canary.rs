//! The canary: the devices of a run that are sent to first.
//!
//! Only one task of a device is under way at a time: a later one takes the place of an earlier one that has ended. So each device of the
//! canary has one row in `due` until its last task has ended. The canary is over when `due` is empty, and nothing else has to be stored.

use std::collections::BTreeSet;

use crate::{
    model::{Canary, ProofAsked, Tally, TaskState},
    store::CanaryRow,
};

/// A canary that has not passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpenCanary {
    pub(crate) devices: u64,
    /// How many of them have not ended.
    pub(crate) left: u64,
    /// Whether the push stops for a look when it has ended well.
    pub(crate) pause: bool,
    /// Whether its devices have to prove something before the others go.
    pub(crate) is_unproved: bool,
}

impl OpenCanary {
    /// How many of its devices have ended.
    pub(crate) fn ended(&self) -> u64 {
        self.devices.saturating_sub(self.left)
    }
}

/// What a push asks of a canary.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CanaryAsked<'a> {
    /// How many devices go first.
    pub(crate) canary: Canary,
    /// The devices that do, when they are named.
    pub(crate) devices: Option<&'a BTreeSet<String>>,
    /// Whether the push stops for a look when it has ended well.
    pub(crate) pause: bool,
    /// What its devices have to prove.
    pub(crate) proof: &'a ProofAsked,
}

/// What came of asking for a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Nobody asked for one, or it has passed.
    None,
    /// It has been chosen now.
    Chosen(OpenCanary),
    /// It was chosen at an earlier start, and has not passed.
    Open(OpenCanary),
    /// The fleet has no more devices than were asked for, so that there is nothing to hold back.
    WholeFleet { devices: u64 },
    /// The run has begun without one.
    TooLate,
}

/// What a push knows of its run's canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CanaryState {
    /// The run has none.
    None,
    /// It goes first, and nothing else is claimed.
    Open(OpenCanary),
    /// It has passed, when so many tasks had been accepted.
    Passed { accepted: u64 },
}

impl From<Option<CanaryRow>> for CanaryState {
    fn from(row: Option<CanaryRow>) -> Self {
        match row {
            None => Self::None,
            Some(CanaryRow {
                passed: Some(accepted),
                ..
            }) => Self::Passed { accepted },
            Some(CanaryRow {
                devices,
                pause,
                passed: None,
                left,
                proof,
            }) => Self::Open(OpenCanary {
                devices,
                left,
                pause,
                is_unproved: proof.is_open(),
            }),
        }
    }
}

impl CanaryState {
    /// Whether nothing but the canary is claimed.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Open(_))
    }

    /// So many tasks have left `due`.
    pub(super) fn leave_due(&mut self, tasks: usize) {
        if let Self::Open(open) = self {
            open.left = open.left.saturating_sub(tasks as u64);
        }
    }

    /// So many tasks have come into `due` that follow others of their device.
    pub(super) fn follow(&mut self, tasks: usize) {
        if let Self::Open(open) = self {
            open.left += tasks as u64;
        }
    }

    /// Of so many accepted tasks, how many were accepted since it passed, or since the run began when there is none.
    pub(super) fn accepted_since(self, accepted: u64) -> u64 {
        match self {
            Self::None => accepted,
            Self::Open(_) => 0,
            Self::Passed { accepted: before } => accepted.saturating_sub(before),
        }
    }
}

/// How many devices of a run are to be sent to, of which nothing has been claimed. Each has one task that waits for no other; what has
/// ended was never to be sent.
pub(super) fn devices(
    tasks: u64,
    ended: impl Iterator<Item = (Tally, u64)>,
    followers: u64,
) -> u64 {
    let never_sent: u64 = ended
        .filter(|(key, _)| matches!(key.state, TaskState::Failed | TaskState::Skipped))
        .map(|(_, n)| n)
        .sum();
    tasks.saturating_sub(never_sent + followers)
}

/// How many of so many devices go first; none when that are all of them.
pub(super) fn size(asked: Canary, devices: u64) -> Option<u64> {
    Some(asked.of(devices)).filter(|wanted| *wanted < devices)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::CanaryProof;

    proptest! {
        /// Each device of it has a task in `due` until its last one has ended.
        #[test]
        fn it_is_over_when_the_last_task_of_each_device_has_ended(tasks in prop::collection::vec(1_u64..5, 1..20)) {
            let devices = tasks.len() as u64;
            let mut state = CanaryState::from(Some(CanaryRow { devices, pause: false, passed: None, left: devices, proof: CanaryProof::default() }));
            let mut left: Vec<u64> = tasks;
            while let Some(at) = left.iter().position(|tasks| *tasks > 0) {
                left[at] -= 1;
                state.leave_due(1);
                if left[at] > 0 {
                    state.follow(1);
                }
                let CanaryState::Open(open) = state else { panic!("nobody judged it") };
                prop_assert_eq!(open.left, left.iter().filter(|tasks| **tasks > 0).count() as u64);
                prop_assert_eq!(open.ended(), devices - open.left);
            }
        }
    }

    #[test]
    fn what_the_canary_accepted_does_not_count_for_the_ramp() {
        let open = CanaryState::Open(OpenCanary {
            devices: 5,
            left: 5,
            pause: false,
            is_unproved: false,
        });
        assert_eq!(CanaryState::None.accepted_since(7), 7);
        assert_eq!(open.accepted_since(7), 0);
        assert_eq!(CanaryState::Passed { accepted: 5 }.accepted_since(7), 2);
    }

    #[test]
    fn only_an_open_canary_holds_the_others_back() {
        let row = |passed| CanaryRow {
            devices: 5,
            pause: true,
            passed,
            left: 2,
            proof: CanaryProof::default(),
        };
        assert!(CanaryState::from(Some(row(None))).is_open());
        assert!(!CanaryState::from(Some(row(Some(5)))).is_open());
        assert!(!CanaryState::from(None).is_open());
    }

    #[test]
    fn a_device_counts_once_and_only_when_it_is_to_be_sent_to() {
        let ended = |state, n| {
            let key = Tally {
                state,
                class: None,
                code: None,
            };
            (key, n)
        };
        let never_sent = [ended(TaskState::Failed, 4), ended(TaskState::Skipped, 3)];
        assert_eq!(devices(20, never_sent.into_iter(), 5), 8);
        assert_eq!(devices(20, [].into_iter(), 0), 20);
        // What earlier pushes of the run have sent.
        assert_eq!(
            devices(20, [ended(TaskState::Accepted, 4)].into_iter(), 0),
            20
        );
    }

    #[test]
    fn the_whole_fleet_is_no_canary() {
        let five: Canary = "5".parse().unwrap();
        assert_eq!(size(five, 6), Some(5));
        assert_eq!(size(five, 5), None);
        assert_eq!(size(five, 0), None);
    }
}
