//! First sends: how far they have been claimed, and how they share a claim with due tasks.

use super::prefetch::Prefetch;
use crate::model::TaskId;

/// Where the first sends of a push stand.
#[derive(Debug)]
pub(super) struct FirstSends {
    pub(super) prefetch: Prefetch,
    /// They have been claimed up to here.
    next: TaskId,
    /// What the database knows of that.
    saved: TaskId,
    /// Whether due tasks get the odd request of the next claim; they and the first sends take turns.
    odd_is_due: bool,
}

impl FirstSends {
    pub(super) fn from(next: TaskId) -> Self {
        Self {
            prefetch: Prefetch::from(next),
            next,
            saved: next,
            odd_is_due: true,
        }
    }

    /// They have been claimed up to here.
    pub(super) fn next(&self) -> TaskId {
        self.next
    }

    /// They are claimed up to and with this one now.
    pub(super) fn claimed(&mut self, last: TaskId) {
        self.next = TaskId(last.0 + 1);
    }

    /// How far they have been claimed, when the database does not know it.
    pub(super) fn take_unsaved(&mut self) -> Option<TaskId> {
        (self.next != self.saved).then(|| {
            self.saved = self.next;
            self.next
        })
    }

    /// How many of so many requests are for what is due: half of them as long as there are first sends to claim, else all.
    pub(super) fn for_due(&mut self, requests: usize, first_sends_left: bool) -> usize {
        if !first_sends_left {
            return requests;
        }
        self.odd_is_due = !self.odd_is_due;
        if self.odd_is_due {
            requests / 2
        } else {
            requests.div_ceil(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_get_half_and_the_odd_one_in_turn() {
        for requests in 0..9 {
            let mut firsts = FirstSends::from(TaskId(1));
            let shares: Vec<usize> = (0..4).map(|_| firsts.for_due(requests, true)).collect();
            assert_eq!(shares.iter().sum::<usize>(), 2 * requests, "{shares:?}");
            assert!(shares.iter().all(|due| due.abs_diff(requests - due) <= 1));
            assert_eq!(firsts.for_due(requests, false), requests);
        }
    }

    #[test]
    fn the_database_learns_once_how_far_they_are() {
        let mut firsts = FirstSends::from(TaskId(1));
        assert_eq!(firsts.take_unsaved(), None);
        firsts.claimed(TaskId(5));
        assert_eq!(
            (firsts.next(), firsts.take_unsaved()),
            (TaskId(6), Some(TaskId(6)))
        );
        assert_eq!(firsts.take_unsaved(), None);
    }
}
