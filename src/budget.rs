//! The memory that rows, payloads and replies may take together, whatever their size.
//!
//! One budget for a whole push. Code that keeps something large takes its bytes from the budget, and waits or drops something if they are
//! not available. Staging comes before sending, so each of them can use the whole budget. Each use may always keep one item, whatever its
//! size, so that none waits for ever: what is kept ends by itself, and only replies wait while claims are kept, which need their replies to
//! end.

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// All that may be kept, in bytes, but for the one thing of each use.
const TOTAL: usize = 64 << 20;

/// The most of it that is kept only to save work, in bytes.
pub(crate) const KEPT: usize = TOTAL / 8;

/// What bytes are taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Rows of a manifest, on their way from the reader to the store.
    Batches,
    /// Rows that wait for neighbours with their payload.
    Neighbours,
    /// Payloads that may be needed again.
    Cache,
    /// Requests that have been claimed and not been recorded.
    Claims,
    /// Replies that are longer than usual.
    Replies,
    /// Replies that may be as long as any.
    LongReplies,
}

/// How many uses there are.
const USES: usize = Use::LongReplies as usize + 1;

/// A number of bytes that several take from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Budget(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    taken: Mutex<[usize; USES]>,
    given_back: Notify,
}

/// Bytes that have been taken; they are given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    what: Use,
    bytes: usize,
}

impl Budget {
    /// Takes bytes if they are there, or if this use has taken none.
    pub(crate) fn take(&self, what: Use, bytes: usize) -> bool {
        let mut taken = self.taken();
        let fits = taken.iter().sum::<usize>() + bytes <= TOTAL || taken[what as usize] == 0;
        if fits {
            taken[what as usize] += bytes;
        }
        fits
    }

    /// Takes bytes whether they are there or not.
    pub(crate) fn force(&self, what: Use, bytes: usize) {
        self.taken()[what as usize] += bytes;
    }

    /// Gives bytes back; never more than were taken for this use.
    pub(crate) fn give_back(&self, what: Use, bytes: usize) {
        {
            let taken = &mut self.taken()[what as usize];
            *taken = taken.saturating_sub(bytes);
        }
        self.0.given_back.notify_waiters();
    }

    /// Takes bytes as soon as they are there.
    pub(crate) async fn share(&self, what: Use, bytes: usize) -> Share {
        loop {
            // Before the look, so that nothing is given back unseen.
            let mut given_back = pin!(self.0.given_back.notified());
            given_back.as_mut().enable();
            if self.take(what, bytes) {
                return Share {
                    budget: self.clone(),
                    what,
                    bytes,
                };
            }
            given_back.await;
        }
    }

    fn taken(&self) -> MutexGuard<'_, [usize; USES]> {
        // Numbers are right whatever panicked beside them.
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.give_back(self.what, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn uses_share_one_number_and_each_may_keep_one_thing() {
        let budget = Budget::default();
        assert!(budget.take(Use::Claims, TOTAL - 10));
        assert!(!budget.take(Use::Claims, 11));
        // None of the others is shut out, but for a second thing.
        assert!(budget.take(Use::Cache, 100) && !budget.take(Use::Cache, 1));
        assert!(budget.take(Use::LongReplies, 100) && !budget.take(Use::LongReplies, 1));
        budget.give_back(Use::Claims, 200);
        assert!(budget.take(Use::Cache, 10) && !budget.take(Use::Cache, 1));
        // What an earlier process took is not given back here.
        budget.give_back(Use::Claims, usize::MAX);
        budget.give_back(Use::Cache, usize::MAX);
        assert!(budget.take(Use::Claims, TOTAL - 100) && !budget.take(Use::Claims, 1));
    }

    #[tokio::test]
    async fn what_does_not_fit_waits_until_enough_is_given_back() {
        let budget = Budget::default();
        let first = budget.share(Use::Replies, TOTAL).await;
        let mut second = pin!(budget.share(Use::Replies, 2));
        assert!(futures::poll!(&mut second).is_pending());
        // One thing of each use goes all the same.
        let other = budget.share(Use::LongReplies, 1).await;
        drop(first);
        let second = second.await;
        assert_eq!((second.bytes, other.bytes), (2, 1));
    }

    #[tokio::test]
    async fn none_waits_for_ever_and_no_more_is_kept_than_there_is() {
        const LARGE: usize = TOTAL / 3;
        let (budget, kept) = (Budget::default(), Arc::new(AtomicUsize::new(0)));
        budget.force(Use::Claims, TOTAL);
        let tasks: Vec<_> = (0..50)
            .map(|n| {
                let (budget, kept) = (budget.clone(), Arc::clone(&kept));
                tokio::spawn(async move {
                    // As a reply does: first a little, and the whole while that is kept.
                    let _little = budget.share(Use::Replies, LARGE / 2).await;
                    tokio::task::yield_now().await;
                    let _whole = budget.share(Use::LongReplies, LARGE).await;
                    assert_eq!(kept.fetch_add(1, Ordering::Relaxed), 0, "reply {n}");
                    tokio::task::yield_now().await;
                    kept.fetch_sub(1, Ordering::Relaxed);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    }
}
