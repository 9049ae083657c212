//! The moment from which a request may reach the platform.
//!
//! A started request is not yet sent: it may wait for a login, for a connection, or for the other side to read. It can be in doubt only
//! after its last piece was handed to HTTP. A request is either handed over or withdrawn: whichever happens first prevents the other.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::clock::Permission;

const HELD: u8 = 0;
const GONE: u8 = 1;
const WITHDRAWN: u8 = 2;

/// A piece of a body that is handed over at a time, in bytes.
const PIECE: usize = 64 * 1024;

/// Whether a request has been handed over to its last piece, or has been withdrawn.
#[derive(Clone, Default)]
pub(crate) struct Handover(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: AtomicU8,
    on_handover: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    permission: Permission,
}

impl Handover {
    /// A handover that calls `on_handover` when it happens, and does not happen without the permission.
    pub(crate) fn telling(
        permission: Permission,
        on_handover: impl FnOnce() + Send + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            state: AtomicU8::new(HELD),
            on_handover: Mutex::new(Some(Box::new(on_handover))),
            permission,
        }))
    }

    /// Notes that the last piece goes now, and tells so; false when the request has been withdrawn, or is so now for want of permission, and
    /// it must not go.
    pub(crate) fn hand_over(&self) -> bool {
        if !self.0.permission.holds() && self.withdraw() {
            return false;
        }
        match self.change(GONE) {
            Ok(()) => {
                if let Some(on_handover) = self.take_callback() {
                    on_handover();
                }
                true
            }
            Err(state) => state == GONE,
        }
    }

    /// Withdraws the request, unless it is too late: true when nothing of it can be acted on, now and later.
    pub(crate) fn withdraw(&self) -> bool {
        match self.change(WITHDRAWN) {
            Ok(()) => {
                self.take_callback();
                true
            }
            Err(state) => state == WITHDRAWN,
        }
    }

    /// Whether it has been withdrawn.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.0.state.load(Ordering::Acquire) == WITHDRAWN
    }

    /// Changes the state if nothing has happened yet; the error is what has.
    fn change(&self, to: u8) -> Result<(), u8> {
        self.0
            .state
            .compare_exchange(HELD, to, Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
    }

    fn take_callback(&self) -> Option<Box<dyn FnOnce() + Send>> {
        let mut on_handover = self
            .0
            .on_handover
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        on_handover.take()
    }
}

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handover")
            .field(&self.0.state.load(Ordering::Relaxed))
            .finish()
    }
}

/// The request has been withdrawn before it was sent whole.
#[derive(Debug, thiserror::Error)]
#[error("withdrawn before it was sent whole")]
pub(super) struct Withdrawn;

/// A request's body, which is handed over piece by piece.
pub(super) struct Pieces {
    rest: Bytes,
    handover: Handover,
}

impl Pieces {
    pub(super) fn new(body: Vec<u8>, handover: Handover) -> Self {
        Self {
            rest: body.into(),
            handover,
        }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Withdrawn;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Withdrawn>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let piece = PIECE.min(self.rest.len());
        if piece == self.rest.len() && !self.handover.hand_over() {
            return Poll::Ready(Some(Err(Withdrawn)));
        }
        let piece = self.rest.split_to(piece);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use std::{sync::atomic::AtomicUsize, time::Duration};

    use super::*;

    #[test]
    fn what_comes_first_excludes_the_other() {
        let gone = Handover::default();
        assert!(gone.hand_over() && gone.hand_over() && !gone.withdraw());
        let withdrawn = Handover::default();
        assert!(withdrawn.withdraw() && withdrawn.withdraw() && !withdrawn.hand_over());
    }

    #[tokio::test]
    async fn it_is_told_once_and_with_the_last_piece() {
        let told = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&told);
        let handover = Handover::telling(Permission::unlimited(), move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let mut body = Pieces::new(vec![7; 2 * PIECE + 1], handover.clone());
        for (length, calls) in [(PIECE, 0), (PIECE, 0), (1, 1)] {
            assert_eq!(body.size_hint().exact(), Some(body.rest.len() as u64));
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap().len(), length);
            assert_eq!(told.load(Ordering::Relaxed), calls);
        }
        assert!(body.is_end_stream() && body.frame().await.is_none());
        assert!(!handover.withdraw());
    }

    #[tokio::test]
    async fn the_last_piece_of_what_was_withdrawn_is_never_given() {
        let handover = Handover::telling(Permission::unlimited(), || panic!("nothing went"));
        let mut body = Pieces::new(vec![7; PIECE + 1], handover.clone());
        assert!(body.frame().await.unwrap().is_ok());
        assert!(handover.withdraw());
        assert!(body.frame().await.unwrap().is_err());
    }
    #[tokio::test]
    async fn the_last_piece_of_what_has_lost_its_permission_is_never_given() {
        let permission = Permission::until(Duration::from_secs(u64::from(u32::MAX)));
        let handover = Handover::telling(permission.clone(), || panic!("nothing went"));
        let mut body = Pieces::new(vec![7; PIECE + 1], handover.clone());
        assert!(body.frame().await.unwrap().is_ok());
        permission.end_at(Duration::ZERO);
        assert!(body.frame().await.unwrap().is_err());
        assert!(handover.is_withdrawn());
        // What has gone stays gone.
        let permission = Permission::until(Duration::from_secs(u64::from(u32::MAX)));
        let gone = Handover::telling(permission.clone(), || ());
        assert!(gone.hand_over());
        permission.end_at(Duration::ZERO);
        assert!(gone.hand_over() && !gone.is_withdrawn());
    }
}
